//! One node's row: what it runs, how it is, and what is worth a note.

use quaymaster_proto::health::{HealthReport, HealthVerdict};
use quaymaster_proto::node::ConfigFacts;
use quaymaster_proto::{Mode, NodeName};

use super::StatusView;
use crate::plan::ReleaseInMode;
use crate::render::figures::{about, clock, time};
use crate::render::{Style, Tone};
use crate::report::between;
use crate::survey::{NodeSurvey, Silence, Unclear};

/// A certificate that ends sooner is worth a note.
const SOON_DAYS: u64 = 30;

/// One node's row.
pub(super) struct Line {
    pub(super) node: String,
    pub(super) agent: String,
    pub(super) generation: String,
    pub(super) health: &'static str,
    pub(super) container: String,
    pub(super) id: String,
    pub(super) since: String,
    pub(super) notes: Vec<String>,
}

impl Line {
    /// Its row, with the health that stands in it in a colour.
    pub(super) fn paint(&self, row: &str, style: Style) -> String {
        let tone = match self.health {
            "healthy" => Tone::Good,
            "sick" | "down" => Tone::Bad,
            _ => Tone::Careful,
        };
        // The node and the agent stand before it, and neither has spaces.
        let word = format!(" {} ", self.health);
        match row.find(&word) {
            Some(_) => row.replacen(&word, &format!(" {} ", style.paint(tone, self.health)), 1),
            None => row.to_owned(),
        }
    }
}

pub(super) fn lines(view: &StatusView<'_>) -> Vec<Line> {
    let names = view.cluster.names();
    names
        .map(|name| match (view.survey.facts.nodes.get(name), view.survey.silent.get(name)) {
            (Some(node), _) => answered(view, name, node),
            (None, Some(silence)) => silent(view, name, silence),
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

fn silent(view: &StatusView<'_>, name: &NodeName, silence: &Silence) -> Line {
    let Silence { address, problem, remedy } = silence;
    let since = view.watch.and_then(|watch| watch.silent_since(name));
    let mut notes = match since {
        Some(since) => vec![format!("since {}: {problem} ({address})", time(since))],
        None => vec![format!("{address}: {problem}")],
    };
    if !remedy.is_empty() {
        notes.push(remedy.clone());
    }
    let since = since.map(|since| clock(between(since, view.now))).unwrap_or_default();
    Line { health: "silent", notes, since, ..unasked(name) }
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

pub(super) fn health_word(verdict: HealthVerdict) -> &'static str {
    match verdict {
        HealthVerdict::Healthy => "healthy",
        HealthVerdict::Unhealthy => "sick",
        HealthVerdict::Down => "down",
    }
}

pub(super) fn notes(
    view: &StatusView<'_>,
    node: &NodeSurvey,
    report: Option<&HealthReport>,
) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(super::watch::latest(view, &node.facts.node));
    if let Err(unclear) = view.reader.generation(&view.survey.facts, node) {
        notes.push(unclear_in_words(&unclear));
    }
    notes.extend(report.and_then(sickness));
    if let Some(container) = node.quay_container() {
        notes.extend(super::since::notes(view, node, container));
        if container.state.restart_count > 0 {
            notes.push(format!("restarted {} times", container.state.restart_count));
        }
    }
    notes.extend(super::floors::notes(node));
    if let ConfigFacts::Unusable { path, problem } = &node.facts.config {
        notes.push(format!("{path}: {problem}"));
    }
    for companion in node.companions() {
        let (component, state) = (companion.component, &companion.container.state);
        if companion.is_retired {
            notes.push(format!("{component} is stopped until a later window"));
        } else if !state.status.is_alive() {
            notes.push(format!("{component} ({}) is {}", state.name, state.status));
        }
    }
    for other in node.facts.components.iter().flat_map(|facts| &facts.others) {
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
