//! What every node runs and how it is; what to type next.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::NodeName;
use quaymaster_proto::health::{BackfillSample, HealthReport, HealthVerdict};
use serde_json::{Value, json};

use super::explain::{Explained, where_it_stands};
use super::figures::number;
use super::live::progress_line;
use super::text::{Table, WIDTH, labelled, next_lines, width, wrapped};
use super::{JSON_VERSION, Style, Tone};
use crate::cluster::Cluster;
use crate::plan::CheckedPlan;
use crate::plan::request::{Request, RequestRefusal, Wanted, wanted};
use crate::preflight::common_generation;
use crate::run::{RunState, WaitingOn};
use crate::survey::{Reader, Survey};

mod line;

use line::{Line, health_word, lines, notes};

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
    let mut out = head(view, style);
    out.push('\n');
    let lines: Vec<Line> = lines(view);
    out.push_str(&table(&lines, style));
    out.push('\n');
    if let Some(progress) = backfill(view, style) {
        out.push_str(&labelled("backfill", &progress));
    }
    out.push_str(&labelled("run", &run(view)));
    out.push_str(&next_lines(view.program, &next(view)));
    out
}

fn head(view: &StatusView<'_>, style: Style) -> String {
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
    format!("{title}   {serving}\n{}", labelled("database", &database))
}

/// The columns but the notes. A container's name is left out where it would
/// make them wider than a terminal.
fn rows(lines: &[Line]) -> Vec<String> {
    const NOTE: usize = "  NOTE".len();
    let rows = |with_names: bool| {
        let heading = ["NODE", "AGENT", "GENERATION", "HEALTH", "CONTAINER", "SINCE"];
        let mut table = Table::default();
        table.row(heading.map(str::to_owned));
        for Line { node, agent, generation, health, container, id, since, notes: _ } in lines {
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
    if named.iter().all(|row| width(row) + NOTE <= WIDTH) { named } else { rows(false) }
}

fn table(lines: &[Line], style: Style) -> String {
    let rows = rows(lines);
    let widest = rows.iter().map(|row| width(row)).max().unwrap_or_default();
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let Some(line) = index.checked_sub(1).and_then(|index| lines.get(index)) else {
            out.push_str(&style.paint(Tone::Faint, &format!("{row:<widest$}  NOTE")));
            out.push('\n');
            continue;
        };
        match line.notes.as_slice() {
            [] => out.push_str(row),
            // A short note stands beside its node, anything else below.
            [note] if widest + 2 + width(note) <= WIDTH => {
                out.push_str(&format!("{row:<widest$}  {note}"));
            }
            notes => {
                out.push_str(row);
                for note in notes {
                    out.push('\n');
                    out.push_str(wrapped("        ", note).trim_end());
                }
            }
        }
        out.push('\n');
    }
    out
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

/// The latest run, in a line.
fn run(view: &StatusView<'_>) -> String {
    if let Some(problem) = view.unread {
        return format!("not known: {problem}");
    }
    match view.run {
        Some(RunSeen { plan, state }) if state.finished_at.is_none() => {
            let explained = Explained { plan, state, now: view.now, program: view.program };
            format!("{} is unfinished: {}", state.run, where_it_stands(&explained))
        }
        Some(RunSeen { plan: _, state }) => format!("none unfinished; the last was {}", state.run),
        None => "none".to_owned(),
    }
}

/// What to type, and what to know about it.
fn next(view: &StatusView<'_>) -> Vec<String> {
    let program = view.program;
    if view.run.is_some_and(|seen| seen.state.finished_at.is_none()) {
        return vec![format!("{program} explain"), format!("{program} resume")];
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
        json!({
            "run": state.run,
            "plan": plan.digest(),
            "window": plan.plan().window,
            "finished_at": state.finished_at,
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
            "backfill": view.backfill,
            "run": run,
            "run_problem": view.unread,
            "next": next(view),
        },
    })
}

fn node_json(view: &StatusView<'_>, name: &NodeName) -> Value {
    let Some(node) = view.survey.facts.nodes.get(name) else {
        return json!({ "name": name, "silent": view.survey.silent.get(name) });
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
