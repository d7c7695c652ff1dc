//! What every node runs and how it is; what to type next.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::health::{BackfillSample, HealthReport, HealthVerdict};
use quaymaster_proto::node::ConfigFacts;
use quaymaster_proto::{Mode, NodeName};
use serde_json::{Value, json};

use super::explain::{Explained, where_it_stands};
use super::figures::{about, number};
use super::live::progress_line;
use super::text::{Table, WIDTH, labelled, next_lines, width, wrapped};
use super::{JSON_VERSION, Style, Tone};
use crate::cluster::Cluster;
use crate::plan::request::{Request, RequestRefusal, Wanted, wanted};
use crate::plan::{CheckedPlan, ReleaseInMode};
use crate::preflight::common_generation;
use crate::report::between;
use crate::run::{RunState, WaitingOn};
use crate::survey::{NodeSurvey, Reader, Silence, Survey, Unclear};

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

/// A certificate that ends sooner is worth a note.
const SOON_DAYS: u64 = 30;

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

/// One node's row.
struct Line {
    node: String,
    agent: String,
    generation: String,
    health: &'static str,
    container: String,
    id: String,
    since: String,
    notes: Vec<String>,
}

fn lines(view: &StatusView<'_>) -> Vec<Line> {
    let names = view.cluster.names();
    names
        .map(|name| match (view.survey.facts.nodes.get(name), view.survey.silent.get(name)) {
            (Some(node), _) => answered(view, name, node),
            (None, Some(silence)) => silent(name, silence),
            (None, None) => unasked(name),
        })
        .collect()
}

fn answered(view: &StatusView<'_>, name: &NodeName, node: &NodeSurvey) -> Line {
    let report = view.health.get(name);
    let container = node.quay_container();
    let (container, id, since) = match container {
        Some(container) => {
            let state = &container.state;
            let begun = if state.status.is_alive() { state.started_at } else { state.finished_at };
            let since = begun.map(|begun| about(between(begun, view.now)));
            (state.name.clone(), state.id.short().to_owned(), since.unwrap_or_default())
        }
        None => ("none".to_owned(), String::new(), String::new()),
    };
    Line {
        node: name.to_string(),
        agent: node.facts.agent_version.clone(),
        generation: generation(view, node),
        health: report.map(|report| health_word(report.verdict)).unwrap_or("unknown"),
        container,
        id,
        since,
        notes: notes(view, node, report),
    }
}

fn silent(name: &NodeName, silence: &Silence) -> Line {
    let Silence { address, problem, remedy } = silence;
    let mut notes = vec![format!("{address}: {problem}")];
    if !remedy.is_empty() {
        notes.push(remedy.clone());
    }
    Line { health: "silent", notes, ..unasked(name) }
}

fn unasked(name: &NodeName) -> Line {
    let unknown = || "?".to_owned();
    Line {
        node: name.to_string(),
        agent: unknown(),
        generation: unknown(),
        health: "unknown",
        container: unknown(),
        id: String::new(),
        since: String::new(),
        notes: Vec::new(),
    }
}

fn generation(view: &StatusView<'_>, node: &NodeSurvey) -> String {
    match view.reader.generation(&view.survey.facts, node) {
        Ok(ReleaseInMode { release, mode: Mode::Absent }) => release,
        Ok(ReleaseInMode { release, mode }) => format!("{release} {mode}"),
        Err(Unclear::NoMode { release }) => format!("{release} ?"),
        Err(Unclear::OddMode { release, mode }) => format!("{release} {mode}"),
        Err(Unclear::NotRunning { .. }) => {
            let container = node.quay_container();
            let release =
                container.and_then(|container| view.reader.release(&view.survey.facts, container));
            release.map(|release| release.name.clone()).unwrap_or_else(|| "?".to_owned())
        }
        Err(Unclear::NoComponent | Unclear::NoContainer { .. } | Unclear::UnknownImage { .. }) => {
            "?".to_owned()
        }
    }
}

fn health_word(verdict: HealthVerdict) -> &'static str {
    match verdict {
        HealthVerdict::Healthy => "healthy",
        HealthVerdict::Unhealthy => "sick",
        HealthVerdict::Down => "down",
    }
}

fn notes(view: &StatusView<'_>, node: &NodeSurvey, report: Option<&HealthReport>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Err(unclear) = view.reader.generation(&view.survey.facts, node) {
        notes.push(unclear_in_words(&unclear));
    }
    notes.extend(report.and_then(sickness));
    if let Some(container) = node.quay_container() {
        if let (ConfigFacts::Readable(config), Some(runs)) =
            (&node.facts.config, container.effective_mode)
            && runs != config.mode
        {
            notes.push(format!("runs in mode {runs}, and config.yaml says {}", config.mode));
        }
        if container.state.restart_count > 0 {
            notes.push(format!("restarted {} times", container.state.restart_count));
        }
    }
    if let ConfigFacts::Unusable { path, problem } = &node.facts.config {
        notes.push(format!("{path}: {problem}"));
    }
    for other in node.quay().map(|quay| quay.others.as_slice()).unwrap_or_default() {
        if other.state.status.is_alive() {
            notes.push(format!("{} is {} as well", other.state.name, other.state.status));
        }
    }
    let left = between(view.now, node.facts.certificate_not_after);
    // A lab's certificates are thrown away with it.
    if left.as_secs() < SOON_DAYS * 86_400 && !view.survey.facts.is_lab() {
        notes.push(format!("the agent's certificate ends in {}", about(left)));
    }
    notes
}

fn unclear_in_words(unclear: &Unclear) -> String {
    match unclear {
        Unclear::NoComponent => "agent.yaml names no quay".to_owned(),
        Unclear::NoContainer { name } => format!("no container named {name}"),
        Unclear::NotRunning { name, status } => format!("{name} is {status}"),
        Unclear::UnknownImage { image } => format!("image {image} is in no catalogue"),
        Unclear::NoMode { .. } => "its Quay does not show its mode".to_owned(),
        Unclear::OddMode { mode, .. } => format!("mode {mode} is none of an upgrade's"),
    }
}

/// Which service is not well, or why there is no answer.
fn sickness(report: &HealthReport) -> Option<String> {
    if report.verdict != HealthVerdict::Unhealthy {
        return None;
    }
    let routes = [&report.instance, &report.endtoend];
    let mut services: Vec<&str> = routes
        .iter()
        .flat_map(|route| route.services.iter())
        .filter(|(_, is_well)| !**is_well)
        .map(|(name, _)| name.as_str())
        .collect();
    services.sort_unstable();
    services.dedup();
    if !services.is_empty() {
        return Some(format!("not well: {}", services.join(", ")));
    }
    let problem = routes.iter().find(|route| !route.problem.is_empty());
    Some(problem.map(|route| route.problem.clone()).unwrap_or_else(|| "not well".to_owned()))
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
