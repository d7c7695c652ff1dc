//! One row for each node: what it does, for how long, why it waits, and what
//! became of the containers beside its Quay.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::{Component, NodeName};

use super::bar;
use super::companions::beside;
use super::screen::{Live, Pull};
use crate::plan::{Gate, Plan, PlannedNode, Step, Verb, What};
use crate::render::figures::{clock, duration, took};
use crate::render::text::{cut, padded, width};
use crate::render::words::{failure, problem, step_title};
use crate::render::{Style, Tone};
use crate::report::between;
use crate::run::{ActState, GateFailure, GateState, Next, RunState, WaitingOn, next};
use crate::verify::Check;

/// How wide a bar in a row is.
const BAR: usize = 14;

/// How much a row matters, most first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Weight {
    Failed,
    Silent,
    Busy,
    Waits,
    Rests,
}

struct Row {
    node: String,
    now: String,
    time: String,
    why: String,
    beside: String,
    weight: Weight,
}

impl Row {
    fn new(weight: Weight, now: impl Into<String>) -> Self {
        let (node, time, why, beside) = Default::default();
        Self { node, now: now.into(), time, why, beside, weight }
    }

    fn since(self, since: Option<Timestamp>, now: Timestamp) -> Self {
        let time = since.map(|since| clock(between(since, now))).unwrap_or_default();
        Self { time, ..self }
    }

    fn why(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }

    fn tone(&self) -> Option<Tone> {
        match self.weight {
            Weight::Failed => Some(Tone::Bad),
            Weight::Silent => Some(Tone::Careful),
            Weight::Busy => Some(Tone::Heading),
            Weight::Waits => None,
            Weight::Rests => Some(Tone::Good),
        }
    }
}

/// At most `limit` lines, the heading one of them. Where not all nodes fit,
/// those that matter most, and how many there are of the others.
pub(super) fn lines(live: &Live<'_>, columns: usize, limit: usize, style: Style) -> Vec<String> {
    let plan = live.plan.plan();
    let next = next(plan, live.state);
    let rows: Vec<Row> = plan.nodes.iter().map(|node| row(live, &next, node, style)).collect();
    let room = limit.saturating_sub(1);
    let (shown, others): (Vec<&Row>, Vec<&Row>) = if rows.len() <= room {
        (rows.iter().collect(), Vec::new())
    } else {
        let mut by_weight: Vec<&Row> = rows.iter().collect();
        by_weight.sort_by_key(|row| row.weight);
        let others = by_weight.split_off(room.saturating_sub(1).min(by_weight.len()));
        (by_weight, others)
    };
    let mut lines = table(&shown, columns, style);
    if !others.is_empty() {
        lines.push(style.paint(Tone::Faint, &counted(&others)));
    }
    lines
}

/// `and 94 more: 88 stopped, 6 stopping`
fn counted(rows: &[&Row]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.now.as_str()).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words: Vec<String> =
        counts.iter().take(4).map(|(now, count)| format!("{count} {now}")).collect();
    let more = if counts.len() > 4 { ", ..." } else { "" };
    format!("and {} more: {}{more}", rows.len(), words.join(", "))
}

fn table(rows: &[&Row], columns: usize, style: Style) -> Vec<String> {
    let widest = |cell: fn(&Row) -> &str, heading: &str| {
        let cells = rows.iter().map(|row| width(cell(row)));
        cells.chain([heading.len()]).max().unwrap_or_default()
    };
    let node = widest(|row| &row.node, "NODE").min(columns / 3);
    let now = widest(|row| &row.now, "NOW");
    let time = widest(|row| &row.time, "FOR");
    let why = widest(|row| &row.why, "WHY");
    let beside = rows.iter().map(|row| width(&row.beside)).max().unwrap_or_default();
    let has_beside = beside > 0 && node + now + time + why + beside + 8 <= columns;
    let has_why = rows.iter().any(|row| !row.why.is_empty());
    let line = |cells: [&str; 5], tone: Option<Tone>| {
        let [name, does, lasts, reason, others] = cells;
        let does = tone.map_or_else(|| does.to_owned(), |tone| style.paint(tone, does));
        let does = padded(&does, now);
        let name = padded(&cut(name, node, style), node);
        let mut line = format!("{name}  {does}  {lasts:>time$}  ");
        match (has_beside, has_why) {
            (true, true) => line.push_str(&format!("{}  {others}", padded(reason, why))),
            (true, false) => line.push_str(others),
            (false, _) => line.push_str(reason),
        }
        line.trim_end().to_owned()
    };
    let heading = |word, is_there| if is_there { word } else { "" };
    let has_time = rows.iter().any(|row| !row.time.is_empty());
    let heading = ["NODE", "NOW", heading("FOR", has_time), heading("WHY", has_why), "BESIDE"];
    let mut lines = vec![style.paint(Tone::Faint, &line(heading, None))];
    lines.extend(rows.iter().map(|row| {
        let Row { node, now, time, why, beside, weight: _ } = row;
        line([node, now, time, why, beside], row.tone())
    }));
    lines
}

fn row(live: &Live<'_>, next: &Next<'_>, node: &PlannedNode, style: Style) -> Row {
    let (plan, state) = (live.plan.plan(), live.state);
    let name = &node.name;
    let row = match next {
        Next::Done => standing(live, name),
        Next::Ask { step, .. } | Next::Failed { step, .. } if step.nodes.contains(name) => {
            acting(live, step, name, style)
        }
        Next::Look { step, .. } | Next::Closed { step, .. } if step.nodes.contains(name) => {
            at_gate(live, step, name, style)
        }
        Next::Ask { step, .. }
        | Next::Failed { step, .. }
        | Next::Look { step, .. }
        | Next::Closed { step, .. } => waiting_for(live, step, name),
    };
    Row { node: name.to_string(), beside: beside(plan, state, node), ..row }
}

/// A node that has a part in the present step.
fn acting(live: &Live<'_>, step: &Step, node: &NodeName, style: Style) -> Row {
    let verb = match step.what {
        What::Act(verb) => verb,
        What::Gate(_) => return standing(live, node),
    };
    let Words { doing, done } = words(verb);
    let of = match step.component {
        Component::Quay => String::new(),
        other @ (Component::Clair | Component::Builder | Component::Mirror) => format!(" {other}"),
    };
    match live.state.act_state(step.number, node) {
        ActState::Pending => Row::new(Weight::Waits, "waits its turn"),
        ActState::InFlight { since } => {
            let why = match (live.retries.get(node), verb, live.pulls.get(node)) {
                (Some(why), _, _) => format!("asked again: {why}"),
                (None, Verb::Pull, Some(pull)) => pulled(pull, style),
                (None, _, _) => String::new(),
            };
            let weight =
                if live.retries.contains_key(node) { Weight::Silent } else { Weight::Busy };
            Row::new(weight, format!("{doing}{of}")).since(Some(*since), live.now).why(why)
        }
        ActState::Done { settlement: _, since, at } => {
            let row = Row::new(Weight::Rests, format!("{done}{of}"));
            Row { time: took(between(*since, *at)), ..row }
        }
        ActState::Failed { problem: why, at } => Row::new(Weight::Failed, "FAILED")
            .since(Some(*at), live.now)
            .why(format!("{}: {}", step_title(step), problem(why))),
    }
}

/// `██████░░░░░░  26 %  91 of 350 MB`
fn pulled(pull: &Pull, style: Style) -> String {
    let Pull { done_bytes, total_bytes, note } = pull;
    let (done_bytes, total_bytes) = (*done_bytes, *total_bytes);
    if !note.is_empty() {
        return note.clone();
    }
    let mega = |bytes: u64| bytes / 1_000_000;
    if total_bytes == 0 {
        return format!("{} MB", mega(done_bytes));
    }
    let done = done_bytes.min(total_bytes);
    let percent = done.saturating_mul(100) / total_bytes;
    let bar = bar(done as f64 / total_bytes as f64, BAR, style);
    format!("{bar} {percent:>3} %  {} of {} MB", mega(done), mega(total_bytes))
}

struct Words {
    doing: &'static str,
    done: &'static str,
}

fn words(verb: Verb) -> Words {
    let (doing, done) = match verb {
        Verb::Pull => ("pulling", "pulled"),
        Verb::StageContainer => ("staging", "staged"),
        Verb::StageConfig => ("staging config", "config staged"),
        Verb::Stop => ("stopping", "stopped"),
        Verb::BackUp => ("backing up", "backed up, verified"),
        Verb::PutConfig => ("config", "config in place"),
        Verb::StartMigrating => ("being started", "started"),
        Verb::Start => ("starting", "started"),
        Verb::Promote => ("promoting", "promoted"),
        Verb::SetFloor => ("floor", "floor set"),
        Verb::RemoveStaged => ("removing the next one", "next one removed"),
        Verb::RemoveStagedConfig => ("removing staged config", "staged config removed"),
        Verb::RestoreConfig => ("restoring config", "config restored"),
        Verb::LowerFloor => ("lowering the floor", "floor lowered"),
        Verb::Recreate => ("recreating", "recreated"),
        Verb::CheckBackup => ("reading the backup back", "backup is sound"),
        Verb::TakeDown => ("taking down", "taken down"),
        Verb::Restore => ("restoring the database", "database restored"),
    };
    Words { doing, done }
}

/// A node that the present gate looks at.
fn at_gate(live: &Live<'_>, step: &Step, node: &NodeName, style: Style) -> Row {
    let gate = match step.what {
        What::Gate(gate) => gate,
        What::Act(_) => return standing(live, node),
    };
    let of = match step.component {
        Component::Quay => String::new(),
        other @ (Component::Clair | Component::Builder | Component::Mirror) => format!("{other} "),
    };
    let (on, since) = match live.state.gates.get(&step.number) {
        Some(GateState::Waiting { on, since }) => (Some(on), Some(*since)),
        Some(GateState::Closed { failure: why, at }) => {
            let row = Row::new(Weight::Failed, "HELD").since(Some(*at), live.now);
            return match named_in(why) {
                Some(named) if named != node => standing(live, node),
                Some(_) | None => {
                    let words = failure(why);
                    let own = format!("{node}: ");
                    row.why(words.strip_prefix(&own).unwrap_or(&words))
                }
            };
        }
        Some(GateState::Passed { .. }) | None => (None, None),
    };
    if let Some(WaitingOn::Answer { nodes }) = on
        && let Some((_, why)) = nodes.iter().find(|(silent, _)| silent == node)
    {
        return Row::new(Weight::Silent, "does not answer").since(since, live.now).why(why);
    }
    match (gate, on) {
        (_, Some(WaitingOn::Verification { places })) => verifying(live, places, node, since),
        (Gate::Dark, Some(WaitingOn::Containers { nodes })) if nodes.contains(node) => {
            Row::new(Weight::Busy, "still lives").since(since, live.now)
        }
        (Gate::Dark, Some(WaitingOn::Config { nodes })) => {
            without_config(nodes, node).since(since, live.now)
        }
        (Gate::Backfill | Gate::Approval | Gate::Unchanged | Gate::Dark | Gate::Verified, _) => {
            standing(live, node)
        }
        (Gate::FirstNode | Gate::Healthy, Some(WaitingOn::Migration { revision, target })) => {
            let why = migration(live, revision, target, style);
            Row::new(Weight::Busy, "migrating").since(since, live.now).why(why)
        }
        (Gate::FirstNode | Gate::Healthy, Some(WaitingOn::Lasting { needed })) => {
            let why = format!("has to stay so for {}", duration(*needed));
            Row::new(Weight::Busy, format!("{of}healthy")).since(since, live.now).why(why)
        }
        (Gate::FirstNode | Gate::Healthy, Some(WaitingOn::Health { nodes })) => {
            match nodes.iter().find(|(sick, _)| sick == node) {
                Some((_, why)) => {
                    Row::new(Weight::Busy, format!("{of}comes up")).since(since, live.now).why(why)
                }
                None => Row::new(Weight::Rests, format!("{of}healthy")),
            }
        }
        (Gate::FirstNode | Gate::Healthy, _) => {
            Row::new(Weight::Busy, format!("{of}comes up")).since(since, live.now)
        }
    }
}

/// A node that a client looks at.
fn verifying(
    live: &Live<'_>,
    places: &[(String, Check)],
    node: &NodeName,
    since: Option<Timestamp>,
) -> Row {
    let row = Row::new(Weight::Busy, "verifying").since(since, live.now);
    match places.iter().find(|(place, _)| place == node.as_str()) {
        Some((_, check)) => row.why(check.title()),
        None => row,
    }
}

/// A node, while the edited config.yaml has to reach all.
fn without_config(nodes: &[(NodeName, String)], node: &NodeName) -> Row {
    match nodes.iter().find(|(other, _)| other == node) {
        Some((_, why)) => Row::new(Weight::Busy, "config not here").why(why),
        None => Row::new(Weight::Rests, "config here"),
    }
}

/// How far the migration is, and how long its present revision has taken.
fn migration(live: &Live<'_>, revision: &str, target: &str, style: Style) -> String {
    let plan = live.plan.plan();
    let way = [plan.database.revision.as_str(), target];
    let mut words = match live.catalogue.revisions(&plan.window.to.release, way, revision) {
        Some((applied, all)) => {
            let bar = bar(applied as f64 / all.max(1) as f64, BAR, style);
            format!("{bar}  {applied} of {all} revisions")
        }
        None if revision.is_empty() => "no revision can be read yet".to_owned(),
        None => format!("at {revision}, target {target}"),
    };
    if let Some(since) = live.moved_at {
        words.push_str(&format!(", {} in this one", clock(between(since, live.now))));
    }
    words
}

/// The node that a closed gate is about; `None` = all.
fn named_in(why: &GateFailure) -> Option<&NodeName> {
    match why {
        GateFailure::Exited { node, .. }
        | GateFailure::Gone { node }
        | GateFailure::Restarted { node }
        | GateFailure::WrongMode { node, .. } => Some(node),
        GateFailure::TooLong { on, limit: _ } => match on.as_ref() {
            WaitingOn::Answer { nodes }
            | WaitingOn::Config { nodes }
            | WaitingOn::Health { nodes } => {
                nodes.first().map(|(node, _)| node).filter(|_| nodes.len() == 1)
            }
            WaitingOn::Backfill { .. }
            | WaitingOn::Approval
            | WaitingOn::Containers { .. }
            | WaitingOn::Sessions { .. }
            | WaitingOn::Migration { .. }
            | WaitingOn::Lasting { .. }
            | WaitingOn::Verification { .. } => None,
        },
        GateFailure::Drifted { .. }
        | GateFailure::Alive { .. }
        | GateFailure::Config { .. }
        | GateFailure::NoFloor { .. }
        | GateFailure::StaleBackup { .. }
        | GateFailure::Database { .. }
        | GateFailure::ForeignSessions { .. }
        | GateFailure::NotVerified { .. } => None,
    }
}

/// A node that has no part in the present step.
fn waiting_for(live: &Live<'_>, step: &Step, node: &NodeName) -> Row {
    let row = standing(live, node);
    if row.weight != Weight::Waits {
        return row;
    }
    let why = match (step.what, step.nodes.as_slice()) {
        (What::Gate(_), [one]) => format!("waits for {one}'s gate"),
        (_, [one]) => format!("waits for {}: {one}", step_title(step)),
        (_, _) => format!("waits for {}", step_title(step)),
    };
    row.why(why)
}

/// What a node's Quay does where nothing is asked of it.
fn standing(live: &Live<'_>, node: &NodeName) -> Row {
    let (plan, state) = (live.plan.plan(), live.state);
    let (start, gate) = if *node == plan.first {
        (Verb::StartMigrating, Gate::FirstNode)
    } else {
        (Verb::Start, Gate::Healthy)
    };
    if let Some(at) = passed(plan, state, gate) {
        let serves = format!("serves {}", plan.window.to);
        return Row::new(Weight::Rests, serves).since(Some(at), live.now);
    }
    if let Some(at) = done(plan, state, start, node) {
        return Row::new(Weight::Busy, "comes up").since(Some(at), live.now);
    }
    if let Some(at) = done(plan, state, Verb::Stop, node) {
        return Row::new(Weight::Waits, "stopped").since(Some(at), live.now);
    }
    Row::new(Weight::Rests, format!("serves {}", plan.window.from))
}

fn done(plan: &Plan, state: &RunState, verb: Verb, node: &NodeName) -> Option<Timestamp> {
    let step = plan.first_step(What::Act(verb))?;
    match state.act_state(step.number, node) {
        ActState::Done { at, .. } => Some(*at),
        ActState::Pending | ActState::InFlight { .. } | ActState::Failed { .. } => None,
    }
}

fn passed(plan: &Plan, state: &RunState, gate: Gate) -> Option<Timestamp> {
    crate::render::registry::passed_at(plan, state, gate)
}
