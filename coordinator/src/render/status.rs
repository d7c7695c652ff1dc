//! What every node runs and how it is; what to type next.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::NodeName;
use quaymaster_proto::health::{BackfillSample, HealthReport, HealthVerdict};
use serde_json::{Value, json};

use super::explain::{Explained, answers};
use super::figures::{clock, number, time};
use super::live::progress_line;
use super::text::{Table, WIDTH, cut, labelled_to, next_lines_to, padded, width, wrapped_to};
use super::words::waiting_briefly;
use super::{JSON_VERSION, Size, Style, Tone, account};
use crate::cluster::Cluster;
use crate::plan::request::{Request, RequestRefusal, Wanted, wanted};
use crate::plan::{CheckedPlan, Plan};
use crate::preflight::common_generation;
use crate::report::{between, verified};
use crate::run::{GateState, Next, RunState, WaitingOn, next as next_step};
use crate::survey::{Reader, Survey};
use crate::watch::Watch;

mod floors;
mod leases;
mod line;
mod since;
mod watch;

pub use leases::{InJournal, KnownRuns};
use line::{Line, health_word, lines, notes};
pub use watch::{Watched, watched, watched_json};

/// Everything that the screen shows.
#[derive(Clone, Copy, Debug)]
pub struct StatusView<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What the agents said.
    pub survey: &'a Survey,
    /// What it is read with.
    pub reader: Reader<'a>,
    /// Each node's health, where it could be asked.
    pub health: &'a BTreeMap<NodeName, HealthReport>,
    /// The backfill, where there is one.
    pub backfill: Option<&'a BackfillSample>,
    /// The latest run, where there is one.
    pub run: Option<RunSeen<'a>>,
    /// Why the latest run cannot be read, where it cannot; then `run` is
    /// `None`.
    pub unread: Option<&'a str>,
    /// Every run of this machine's journal.
    pub known: &'a KnownRuns,
    /// What a watch saw before, where this is one.
    pub watch: Option<&'a Watch>,
    /// The time.
    pub now: Timestamp,
    /// How a command begins: `quaymaster`, with what finds this cluster.
    pub program: &'a str,
}

/// A run and its plan.
#[derive(Clone, Copy, Debug)]
pub struct RunSeen<'a> {
    /// The plan.
    pub plan: &'a CheckedPlan,
    /// What happened.
    pub state: &'a RunState,
}

/// The screen.
pub fn status(view: &StatusView<'_>, style: Style) -> String {
    let size = Size { columns: WIDTH, rows: None };
    let mut out = head(view, size.columns, style);
    out.push('\n');
    for line in table(&lines(view), size, style) {
        out.push_str(&line);
        out.push('\n');
    }
    out.push('\n');
    out.push_str(&foot(view, size.columns, style));
    out
}

/// What is so of the whole cluster, and what to type next.
fn foot(view: &StatusView<'_>, columns: usize, style: Style) -> String {
    let mut out = String::new();
    if let Some(progress) = backfill(view, style) {
        out.push_str(&labelled_to(columns, "backfill", &progress));
    }
    for (label, lines) in
        [("lease", leases::words(view)), ("floor", floors::words(view)), ("run", run(view))]
    {
        for (index, words) in lines.iter().enumerate() {
            out.push_str(&labelled_to(columns, if index == 0 { label } else { "" }, words));
        }
    }
    out.push_str(&next_lines_to(columns, view.program, &next(view)));
    out
}

fn head(view: &StatusView<'_>, columns: usize, style: Style) -> String {
    let facts = &view.survey.facts;
    let generation = match common_generation(view.reader, facts) {
        Some(generation) if view.survey.silent.is_empty() => format!("on {generation}"),
        Some(_) | None => "not known to run the same".to_owned(),
    };
    let all = view.cluster.nodes.len();
    let title = format!("{}   {} {generation}", facts.cluster, number(all, "node"));
    let healthy = view.health.values().filter(|report| report.verdict == HealthVerdict::Healthy);
    let healthy = healthy.count();
    let tone = if healthy == all { Tone::Good } else { Tone::Careful };
    let serving = style.paint(tone, &format!("{healthy} of {all} healthy"));
    let database = match facts.one_database() {
        Some(look) if look.in_recovery => {
            format!("{} ({}), a standby", look.shown_as, look.kind)
        }
        Some(look) => format!("{} ({}) at {}", look.shown_as, look.kind, look.revision),
        None => "not one that every node reaches".to_owned(),
    };
    let title = style.paint(Tone::Heading, &title);
    format!("{title}   {serving}\n{}", labelled_to(columns, "database", &database))
}

/// The columns but the notes. A container's name is left out where it would
/// make them wider than a terminal.
fn rows(lines: &[&Line], columns: usize) -> Vec<String> {
    const NOTE: usize = "  NOTE".len();
    let rows = |with_names: bool| {
        let heading = ["NODE", "AGENT", "GENERATION", "HEALTH", "CONTAINER", "SINCE"];
        let mut table = Table::default();
        table.row(heading.map(str::to_owned));
        for line in lines {
            let Line { node, agent, generation, health, container, id, since, notes: _ } = line;
            let container = match (with_names, id.is_empty()) {
                (true, false) => format!("{container} {id}"),
                (false, false) => id.clone(),
                (_, true) => container.clone(),
            };
            let health = (*health).to_owned();
            let (node, agent) = (node.clone(), agent.clone());
            table.row([node, agent, generation.clone(), health, container, since.clone()]);
        }
        table.lines(0)
    };
    let named = rows(true);
    if named.iter().all(|row| width(row) + NOTE <= columns) { named } else { rows(false) }
}

/// A heading and each node with its notes. Where there is no room for all, one
/// line for each; then those that matter most, and how many there are of the
/// others.
fn table(lines: &[Line], size: Size, style: Style) -> Vec<String> {
    let all: Vec<&Line> = lines.iter().collect();
    let whole = blocks(&all, size.columns, style).concat();
    let Some(room) = size.rows else { return whole };
    if whole.len() <= room {
        return whole;
    }
    let short = |lines: &[&Line]| {
        let blocks = compact(lines, size.columns, style);
        blocks.iter().map(|line| cut(line, size.columns, style)).collect::<Vec<String>>()
    };
    if lines.len() < room {
        return short(&all);
    }
    let (mut order, plain): (Vec<&Line>, Vec<&Line>) =
        lines.iter().partition(|line| line.health != "healthy" || !line.notes.is_empty());
    order.extend(plain);
    // But for the heading and the count.
    let others = order.split_off(room.saturating_sub(2).max(1).min(order.len()));
    let healthy = others.iter().filter(|line| line.health == "healthy").count();
    let words = format!("and {} more, {healthy} of them healthy", others.len());
    let mut shown = short(&order);
    shown.push(style.paint(Tone::Faint, &words));
    shown
}

/// The heading, then the lines of each node.
fn blocks(lines: &[&Line], columns: usize, style: Style) -> Vec<Vec<String>> {
    let rows = rows(lines, columns);
    let widest = rows.iter().map(|row| width(row)).max().unwrap_or_default();
    let nodes = rows.iter().skip(1).zip(lines).map(|(row, line)| {
        let painted = line.paint(row, style);
        let joined = line.notes.join("; ");
        match line.notes.as_slice() {
            [] => vec![painted],
            // Short notes stand beside their node, anything else below.
            _ if widest + 2 + width(&joined) <= columns => {
                vec![format!("{}  {joined}", padded(&painted, widest))]
            }
            notes => {
                let below = notes.iter().flat_map(|note| {
                    let text = wrapped_to(columns, "        ", note);
                    text.lines().map(str::to_owned).collect::<Vec<_>>()
                });
                std::iter::once(painted).chain(below).collect()
            }
        }
    });
    std::iter::once(heading(&rows, widest, style)).chain(nodes).collect()
}

/// The heading, then a line for each node; the first note says most.
fn compact(lines: &[&Line], columns: usize, style: Style) -> Vec<String> {
    let rows = rows(lines, columns);
    let widest = rows.iter().map(|row| width(row)).max().unwrap_or_default();
    let nodes = rows.iter().skip(1).zip(lines).map(|(row, line)| {
        let text =
            format!("{}  {}", padded(&line.paint(row, style), widest), line.notes.join("; "));
        text.trim_end().to_owned()
    });
    heading(&rows, widest, style).into_iter().chain(nodes).collect()
}

fn heading(rows: &[String], widest: usize, style: Style) -> Vec<String> {
    let heading = rows.first().map(String::as_str).unwrap_or_default();
    vec![style.paint(Tone::Faint, &format!("{}  NOTE", padded(heading, widest)))]
}

fn backfill(view: &StatusView<'_>, style: Style) -> Option<String> {
    match view.backfill? {
        BackfillSample::Counted { at: _, progress, tags_remaining, total_tags } => {
            let on = WaitingOn::Backfill {
                progress: Some(*progress),
                tags_remaining: *tags_remaining,
                total_tags: *total_tags,
                good_samples: 0,
                problem: String::new(),
            };
            progress_line(&on, 20, style)
        }
        BackfillSample::NoCount { at: _, status: _, problem } => {
            Some(format!("no count: {problem}"))
        }
    }
}

/// The latest run: where it stands, why it waits, whether the registry serves.
fn run(view: &StatusView<'_>) -> Vec<String> {
    if let Some(problem) = view.unread {
        return vec![format!("not known: {problem}")];
    }
    match view.run {
        Some(RunSeen { plan, state }) if state.finished_at.is_none() => {
            let now = view.now;
            let answers = answers(&Explained { plan, state, now, program: view.program });
            let why = why(plan.plan(), state).unwrap_or_else(|| answers.why.join("; "));
            let since = answers
                .since
                .map(|since| format!(" ({}, since {})", clock(between(since, now)), time(since)));
            vec![
                format!(
                    "{} for {}, not at its end: {}",
                    state.run,
                    clock(between(state.started_at, now)),
                    answers.stands
                ),
                why + &since.unwrap_or_default(),
                format!("the registry {}", answers.registry),
            ]
        }
        Some(RunSeen { plan, state }) => {
            let mut lines = vec![format!("none unfinished; the last was {}", state.run)];
            let plan = plan.plan();
            if let Some((found, _)) = verified(state, state.way(plan)) {
                lines.extend(account::not_verified(&found));
            }
            lines
        }
        None => vec!["none".to_owned()],
    }
}

/// What a gate waits for, in few words.
fn why(plan: &Plan, state: &RunState) -> Option<String> {
    let Next::Look { step, .. } = next_step(plan, state) else { return None };
    match state.gates.get(&step.number)? {
        GateState::Waiting { on, since: _ } => {
            Some(format!("it waits for {}", waiting_briefly(on)))
        }
        GateState::Passed { .. } | GateState::Closed { .. } => None,
    }
}

/// What to type, and what to know about it.
fn next(view: &StatusView<'_>) -> Vec<String> {
    let program = view.program;
    if let Some(next) = leases::next(view) {
        return next;
    }
    if view.run.is_some_and(|seen| seen.state.finished_at.is_none()) {
        let resume = format!("{program} resume");
        return vec![format!("{program} explain"), "if no process drives it:".to_owned(), resume];
    }
    if view.unread.is_some() {
        // A run may be in the dark: nothing is to be begun over it.
        return vec![format!("{program} explain")];
    }
    if !view.survey.silent.is_empty() {
        return vec!["bring the silent agents back, then:".to_owned(), format!("{program} status")];
    }
    let Some(from) = common_generation(view.reader, &view.survey.facts) else {
        return vec!["bring every node to the same release and mode".to_owned()];
    };
    let catalogue = view.reader.catalogue;
    for release in catalogue.releases().iter().rev() {
        let to = &release.name;
        let request = Request { to: to.clone(), first_mode: None };
        match wanted(catalogue, &from, &request) {
            Ok(Wanted::Nothing { .. }) => return vec!["nothing to do".to_owned()],
            Ok(Wanted::Window(_)) => return vec![format!("{program} plan --to {to}")],
            Err(RequestRefusal::NeedsMode { .. }) => {
                return vec![
                    format!("{program} plan --to {to} --mode background"),
                    "or --mode synchronous: one outage, as long as the backfill takes".to_owned(),
                ];
            }
            Err(RequestRefusal::NoWay { .. } | RequestRefusal::UnknownRelease { .. }) => {}
        }
    }
    vec!["nothing that this program knows".to_owned()]
}

/// The same for programs.
pub fn status_json(view: &StatusView<'_>) -> Value {
    let facts = &view.survey.facts;
    let generation = common_generation(view.reader, facts);
    let nodes: Vec<Value> = view.cluster.names().map(|name| node_json(view, name)).collect();
    let run = view.run.map(|RunSeen { plan, state }| {
        let explained = Explained { plan, state, now: view.now, program: view.program };
        let answers = answers(&explained);
        json!({
            "run": state.run,
            "plan": plan.digest(),
            "window": plan.plan().window,
            "finished_at": state.finished_at,
            "stands": answers.stands,
            "why": answers.why,
            "since": answers.since,
            "registry": answers.registry,
        })
    });
    json!({
        "version": JSON_VERSION,
        "status": {
            "cluster": facts.cluster,
            "taken_at": facts.taken_at,
            "generation": generation,
            "is_lab": facts.is_lab(),
            "database": facts.one_database(),
            "nodes": nodes,
            "leases": leases::json(view),
            "floors": floors::json(view),
            "backfill": view.backfill,
            "run": run,
            "run_problem": view.unread,
            "next": next(view),
        },
    })
}

fn node_json(view: &StatusView<'_>, name: &NodeName) -> Value {
    let Some(node) = view.survey.facts.nodes.get(name) else {
        let since = view.watch.and_then(|watch| watch.silent_since(name));
        let silent = view.survey.silent.get(name);
        return json!({ "name": name, "silent": silent, "silent_since": since });
    };
    let report = view.health.get(name);
    json!({
        "name": name,
        "address": node.address,
        "agent_version": node.facts.agent_version,
        "generation": view.reader.generation(&view.survey.facts, node).ok(),
        "health": report.map(|report| health_word(report.verdict)),
        "container": node.quay_container().map(|container| &container.state),
        "config": node.facts.config,
        "notes": notes(view, node, report),
    })
}
