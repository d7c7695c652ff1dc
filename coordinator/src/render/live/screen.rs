//! The live picture of a run, as lines: what it is, where it stands, what each
//! node does, what can still be undone, what comes next.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::NodeName;

use super::{bar, nodes, progress_line, trail};
use crate::catalogue::Catalogue;
use crate::plan::{CheckedPlan, Forecast};
use crate::render::explain::{Explained, answers};
use crate::render::figures::{about, clock, duration, number, time};
use crate::render::registry::Registry;
use crate::render::text::{beside, cut, labelled_to, names, width};
use crate::render::words::waiting_briefly;
use crate::render::{Size, Style, Tone};
use crate::report::{between, report};
use crate::run::{GateState, Next, RunState, WaitingOn, next};

/// How far a pull is, in bytes; a total of 0 = not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pull {
    /// So far.
    pub done_bytes: u64,
    /// In all.
    pub total_bytes: u64,
    /// What it waits for or tries again; may be empty.
    pub note: String,
}

/// Everything that the picture shows.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// The run's plan.
    pub plan: &'a CheckedPlan,
    /// What happened.
    pub state: &'a RunState,
    /// What is known of releases.
    pub catalogue: &'a Catalogue,
    /// Pulls that go on.
    pub pulls: &'a BTreeMap<NodeName, Pull>,
    /// Nodes that are asked again, and why.
    pub retries: &'a BTreeMap<NodeName, String>,
    /// Since when the database is at its present revision, where that was seen.
    pub moved_at: Option<Timestamp>,
    /// Whether the next Ctrl-C ends the process although the registry is down.
    pub warned: bool,
    /// The time.
    pub now: Timestamp,
    /// How a command begins: `quaymaster`, with what finds this cluster.
    pub program: &'a str,
}

/// From here on there are two columns.
const TWO_COLUMNS: usize = 120;
/// Node rows that are shown however low the terminal is.
const FEWEST_ROWS: usize = 5;
/// How wide the larger bars are, at most.
const BAR: usize = 40;

/// The picture. Without a height all of it is shown, but of many nodes only
/// the first that matter.
pub fn live(live: &Live<'_>, size: Size, style: Style) -> Vec<String> {
    let columns = size.columns;
    let mut lines = head(live, columns, style);
    lines.push(registry(live, columns, style));
    let is_done = next(live.plan.plan(), live.state) == Next::Done;
    let mut foot = if is_done { Vec::new() } else { foot(live, columns, style) };
    if size.rows.is_some() && !is_done {
        // Not where nothing is drawn any more: the process is at its end.
        foot.extend(interrupt(live, columns, style));
    }
    lines.push(String::new());
    let room = size.rows.map(|rows| rows.saturating_sub(lines.len() + 1 + foot.len()));
    if columns >= TWO_COLUMNS {
        lines.extend(two_columns(live, columns, room, style));
    } else {
        lines.extend(one_column(live, columns, room, style));
    }
    if !foot.is_empty() {
        lines.push(String::new());
        lines.extend(foot);
    }
    if let Some(rows) = size.rows
        && lines.len() > rows
    {
        // What is blank goes first.
        lines.retain(|line| !line.is_empty());
        lines.truncate(rows);
    }
    lines.iter().map(|line| cut(line, columns, style)).collect()
}

fn one_column(live: &Live<'_>, columns: usize, room: Option<usize>, style: Style) -> Vec<String> {
    let mut lines = trail::dense(live, columns, style);
    lines.push(String::new());
    let left = room.map(|room| room.saturating_sub(lines.len()));
    lines.extend(nodes::lines(live, columns, most(left), style));
    lines
}

fn two_columns(live: &Live<'_>, columns: usize, room: Option<usize>, style: Style) -> Vec<String> {
    const GAP: usize = 3;
    let width_of = |lines: &[String]| lines.iter().map(|line| width(line)).max().unwrap_or(0);
    // As narrow as it can be: the nodes have more to say.
    let left = width_of(&trail::tall(live, 0, style)).min((columns - GAP) / 2);
    let tall = trail::tall(live, left, style);
    let trail = match room {
        Some(room) if tall.len() > room => trail::dense(live, left, style),
        Some(_) | None => tall,
    };
    let right = columns - GAP - left;
    let rows = nodes::lines(live, right, most(room), style);
    beside(&trail, &rows, (left, right), style)
}

/// How many lines the nodes may take.
fn most(room: Option<usize>) -> usize {
    const UNBOUND: usize = 16;
    room.unwrap_or(UNBOUND).max(FEWEST_ROWS)
}

fn head(live: &Live<'_>, columns: usize, style: Style) -> Vec<String> {
    let plan = live.plan.plan();
    let window = &plan.window;
    let title = format!(
        "Window {} of {}   {} {} {}   {}, {}",
        window.number,
        window.of,
        window.from,
        style.arrow(),
        window.to,
        plan.cluster,
        number(plan.nodes.len(), "node")
    );
    let end = live.state.finished_at.unwrap_or(live.now);
    let ids = format!(
        "plan {}   run {}   for {}",
        live.plan.digest().short(),
        live.state.run,
        clock(between(live.state.started_at, end))
    );
    let painted = style.paint(Tone::Heading, &title);
    if width(&title) + 3 + width(&ids) <= columns {
        return vec![format!("{painted}   {}", style.paint(Tone::Faint, &ids))];
    }
    vec![painted, style.paint(Tone::Faint, &ids)]
}

/// Whether the registry serves, and how the outage stands to its forecast.
fn registry(live: &Live<'_>, columns: usize, style: Style) -> String {
    let plan = live.plan.plan();
    let foreseen = foreseen(&plan.forecast);
    let (tone, word, rest, dark_for) = match Registry::of(plan, live.state) {
        Registry::Serves { without } if without.is_empty() => {
            (Tone::Good, "serving", format!("   an outage of {foreseen} is foreseen"), None)
        }
        Registry::Serves { without } => {
            (Tone::Good, "serving", format!("   stopped beside it: {}", names(&without)), None)
        }
        Registry::Stopping { stopped, all, since } => {
            let dark = between(since, live.now);
            let words = format!(" {} of {foreseen}", clock(dark));
            let word = if stopped == 0 { "GOING DARK" } else { "DARK" };
            (Tone::Bad, word, format!("{words}   {stopped} of {all} stopped"), Some(dark))
        }
        Registry::Dark { since } => {
            let dark = between(since, live.now);
            (Tone::Bad, "DARK", format!(" {} of {foreseen}", clock(dark)), Some(dark))
        }
        Registry::OnFirst { since, until: _ } => {
            let dark = clock(between(since, live.now));
            let words = format!(" on {} alone   {dark} of {foreseen}", plan.first);
            (Tone::Careful, "serving", words, None)
        }
        Registry::Again { since, until } => {
            let outage = report(plan, live.state).outage.unwrap_or_else(|| between(since, until));
            let words = format!(", on every node   it was dark for {}", duration(outage));
            (Tone::Good, "serving again", words, None)
        }
    };
    let line = labelled_to(usize::MAX, "registry", &style.paint(tone, word));
    let mut line = line.trim_end().to_owned() + &rest;
    if let Some(dark) = dark_for {
        let likely = plan.forecast.outage.as_secs_f64().max(1.0);
        let room = columns.saturating_sub(width(&line) + 3).min(BAR);
        if room >= 8 {
            let done = dark.as_secs_f64() / likely;
            let tone = if done > 1.0 { Tone::Bad } else { Tone::Careful };
            line.push_str(&format!("   {}", style.paint(tone, &bar(done, room, style))));
        }
    }
    line
}

/// `about 7 min (3 to 20)`
fn foreseen(forecast: &Forecast) -> String {
    let Forecast { outage, at_best, at_worst, .. } = forecast;
    let (best, worst) = (about(*at_best), about(*at_worst));
    let best = match (best.split_once(' '), worst.split_once(' ')) {
        (Some((number, one)), Some((_, other))) if one == other => number.to_owned(),
        (Some(_) | None, Some(_) | None) => best,
    };
    format!("about {} ({best} to {worst})", about(*outage))
}

/// The answers: why it waits, what ends that, what can be undone, what comes.
fn foot(live: &Live<'_>, columns: usize, style: Style) -> Vec<String> {
    let Live { plan, state, now, program, .. } = *live;
    let answers = answers(&Explained { plan, state, now, program });
    let mut lines = Vec::new();
    let mut say = |label: &str, words: &str| {
        let text = labelled_to(columns, label, words);
        lines.extend(text.lines().map(str::to_owned));
    };
    match next(plan.plan(), state) {
        Next::Look { step, .. } => {
            if let Some(GateState::Waiting { on, since }) = state.gates.get(&step.number) {
                say("waits", &format!("{}, since {}", waiting_briefly(on), time(*since)));
                if let Some(line) = progress_line(on, (columns / 4).min(BAR), style) {
                    say("", &line);
                }
                let ends = match on {
                    // The first is about a command that is shown elsewhere.
                    WaitingOn::Approval => answers.ends.last(),
                    WaitingOn::Backfill { .. }
                    | WaitingOn::Containers { .. }
                    | WaitingOn::Config { .. }
                    | WaitingOn::Sessions { .. }
                    | WaitingOn::Migration { .. }
                    | WaitingOn::Health { .. }
                    | WaitingOn::Lasting { .. }
                    | WaitingOn::Verification { .. }
                    | WaitingOn::Answer { .. } => answers.ends.first(),
                };
                say("ends", ends.map(String::as_str).unwrap_or_default());
            }
        }
        Next::Failed { .. } | Next::Closed { .. } => {
            for (label, why) in ["held", "", ""].into_iter().zip(&answers.why) {
                say(label, why);
            }
        }
        Next::Ask { .. } | Next::Done => {}
    }
    say("undo", &answers.undo);
    let ahead = trail::ahead(live);
    if !ahead.is_empty() {
        say("next", &ahead);
    }
    lines
}

/// What Ctrl-C would mean now.
fn interrupt(live: &Live<'_>, columns: usize, style: Style) -> Vec<String> {
    let (plan, program) = (live.plan.plan(), live.program);
    if live.warned {
        let words = format!(
            "once more ends this process and leaves the registry as it is; to go on: \
             {program} resume"
        );
        let text = labelled_to(columns, "Ctrl-C", &words);
        return text.lines().map(|line| style.paint(Tone::Bad, line)).collect();
    }
    let words = match Registry::of(plan, live.state) {
        Registry::Serves { .. } => {
            "ends this process, and nothing is lost: resume goes on from here"
        }
        Registry::Stopping { .. } | Registry::Dark { .. } => {
            "leaves the registry down until somebody types resume; it asks first"
        }
        Registry::OnFirst { .. } => {
            "leaves the others down until somebody types resume; it asks first"
        }
        Registry::Again { .. } => {
            "leaves the last steps to resume, the registry serves; it asks first"
        }
    };
    labelled_to(columns, "Ctrl-C", words).lines().map(str::to_owned).collect()
}
