//! What became of a node's Quay since the last run: its mode in config.yaml, its
//! container, its starts.

use jiff::Timestamp;
use quaymaster_proto::node::{ConfigFacts, ContainerFacts};
use quaymaster_proto::{Component, ContainerId, ContainerState, Mode, NodeName};

use super::{RunSeen, StatusView};
use crate::plan::{Plan, Step, Verb, What};
use crate::render::figures::moment;
use crate::run::{ActState, Direction, RunState, Settlement};
use crate::survey::NodeSurvey;

pub(super) fn notes(
    view: &StatusView<'_>,
    node: &NodeSurvey,
    container: &ContainerFacts,
) -> Vec<String> {
    let other = other_container(view, &node.facts.node, container);
    mode(node, container).into_iter().chain(other).collect()
}

/// What its next start would make of it. A file is read at a start alone, so
/// a running Quay shows nothing of an edit.
fn mode(node: &NodeSurvey, container: &ContainerFacts) -> Option<String> {
    let ConfigFacts::Readable(config) = &node.facts.config else { return None };
    let (runs, next) = (container.effective_mode?, container.override_mode.unwrap_or(config.mode));
    if runs == next {
        return None;
    }
    let file =
        if container.override_mode.is_some() { "QUAY_OVERRIDE_CONFIG" } else { "config.yaml" };
    let name = &node.facts.node;
    let what = match (runs, next) {
        (Mode::Background, Mode::Complete) => {
            format!("the next restart of {name} will migrate: ")
        }
        (_, Mode::Absent | Mode::Other) => format!("the next restart of {name} will fail: "),
        (_, Mode::Background | Mode::Complete) => {
            format!("the next restart of {name} will bring another mode: ")
        }
    };
    Some(format!("{what}{file} says {next}, Quay runs in {runs}"))
}

/// Whether it is still the container, in the same start, that the last run left.
fn other_container(
    view: &StatusView<'_>,
    name: &NodeName,
    container: &ContainerFacts,
) -> Option<String> {
    let RunSeen { plan, state } = view.run.filter(|run| run.state.finished_at.is_some())?;
    let left = left(plan.plan(), state, name)?;
    let seen = &container.state;
    if seen.id != left.id {
        return Some(format!(
            "not the container that the last run left ({}): replaced since",
            left.id.short()
        ));
    }
    let began = seen.started_at?;
    let is_other_start = left.started_at.is_some_and(|started| started != began);
    // Starts by its restart policy are counted and told already.
    (is_other_start && seen.restart_count == 0).then(|| {
        format!(
            "started again since the last run, at {}: a Quay that has run does not become healthy \
             again",
            moment(began)
        )
    })
}

/// A container as a run left it.
struct Left {
    id: ContainerId,
    started_at: Option<Timestamp>,
}

fn left(plan: &Plan, state: &RunState, name: &NodeName) -> Option<Left> {
    let way = if state.can_be_called_off() { &plan.steps } else { state.way(plan) };
    let starts = way.iter();
    let is_start = |step: &&Step| {
        step.component == Component::Quay
            && [What::Act(Verb::StartMigrating), What::Act(Verb::Start)].contains(&step.what)
    };
    let started = starts.filter(is_start).find_map(|step| started(state, step, name));
    match (started, &state.direction) {
        (Some(started), _) => Some(started),
        // Never stopped: it is the one that the plan found.
        (None, Direction::Back { .. }) => {
            Some(Left { id: plan.node(name)?.quay.container.clone(), started_at: None })
        }
        (None, Direction::There | Direction::Rollback { .. }) => None,
    }
}

fn started(state: &RunState, step: &Step, name: &NodeName) -> Option<Left> {
    match state.act_state(step.number, name) {
        ActState::Done { settlement: Settlement::Met(outcome), .. } => {
            let ContainerState { id, started_at, .. } = outcome.container.clone()?;
            Some(Left { id, started_at })
        }
        ActState::Done {
            settlement:
                Settlement::Pulled { .. } | Settlement::BackedUp { .. } | Settlement::Restored { .. },
            ..
        }
        | ActState::Pending
        | ActState::InFlight { .. }
        | ActState::Failed { .. } => None,
    }
}
