//! Whether the registry serves and what can still be undone, read off a run.

use jiff::Timestamp;
use quaymaster_proto::{Component, NodeName};

use super::figures::{duration, time};
use super::text::names;
use crate::plan::{Gate, Plan, Stage, Step, Verb, What};
use crate::report::between;
use crate::run::{ActState, Direction, GateState, Next, RunState, next};

/// Whether the registry serves, as far as a run knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Registry {
    /// No Quay's stop was asked.
    Serves {
        /// What was stopped beside it.
        without: Vec<Component>,
    },
    /// Quays' stops were asked, and not all are known to be done.
    Stopping { stopped: usize, all: usize, since: Timestamp },
    /// Every Quay was stopped.
    Dark { since: Timestamp },
    /// The first node serves.
    OnFirst { since: Timestamp, until: Timestamp },
    /// Every node serves.
    Again { since: Timestamp, until: Timestamp },
}

impl Registry {
    /// Read off what happened.
    pub(super) fn of(plan: &Plan, state: &RunState) -> Self {
        let before = Self::up_to_rollback(plan, state);
        let Some(ended) = taken_down_at(plan, state) else { return before };
        let since = match before {
            Self::Dark { since } | Self::Stopping { since, .. } => since,
            Self::Serves { .. } | Self::OnFirst { .. } | Self::Again { .. } => ended,
        };
        match back_at(plan, state) {
            Some(until) => Self::Again { since, until },
            None => Self::Dark { since },
        }
    }

    fn up_to_rollback(plan: &Plan, state: &RunState) -> Self {
        let Some(stop) = stops(plan).filter(|stop| state.has_begun(stop.number)) else {
            return Self::Serves { without: stopped_companions(plan, state) };
        };
        let is_stopped =
            |node: &&NodeName| matches!(state.act_state(stop.number, node), ActState::Done { .. });
        let (stopped, all) = (stop.nodes.iter().filter(is_stopped).count(), stop.nodes.len());
        let since = dark_since(plan, state).unwrap_or(state.last_at);
        if stopped < all && state.direction == Direction::There {
            return Self::Stopping { stopped, all, since };
        }
        if let Direction::Back { .. } = state.direction {
            return match back_at(plan, state) {
                Some(until) => Self::Again { since, until },
                None => Self::Dark { since },
            };
        }
        let last_gate = if plan.nodes.len() > 1 { Gate::Healthy } else { Gate::FirstNode };
        match (passed_at(plan, state, last_gate), passed_at(plan, state, Gate::FirstNode)) {
            (Some(until), _) => Self::Again { since, until },
            (None, Some(until)) => Self::OnFirst { since, until },
            (None, None) => Self::Dark { since },
        }
    }
}

/// Whether the registry serves, as far as the run knows: `is serving: ...`.
pub fn registry(plan: &Plan, state: &RunState, now: Timestamp) -> String {
    match Registry::of(plan, state) {
        Registry::Serves { without } if without.is_empty() => {
            "is serving: nothing was stopped".to_owned()
        }
        Registry::Serves { without } => {
            format!("is serving; stopped beside it: {}", names(&without))
        }
        Registry::Stopping { stopped, all, since: _ } => {
            format!("may be partly or wholly down: {stopped} of {all} stops are known")
        }
        Registry::Dark { since } => {
            format!("is DOWN since {}, for {}", time(since), duration(between(since, now)))
        }
        Registry::OnFirst { .. } => format!("is serving on {} alone", plan.first),
        Registry::Again { .. } => match without(plan, state).as_slice() {
            [] => "is serving again, on every node".to_owned(),
            missing => format!("is serving again, but for {}", names(missing)),
        },
    }
}

/// Nodes that were left behind before their Quay was healthy.
fn without(plan: &Plan, state: &RunState) -> Vec<NodeName> {
    let Next::Failed { step, failures } = next(plan, state) else { return Vec::new() };
    let steps = state.way(plan);
    let is_gate =
        |of: &&Step| of.component == Component::Quay && of.what == What::Gate(Gate::Healthy);
    let gate = steps.iter().find(is_gate);
    let is_before =
        step.component == Component::Quay && gate.is_some_and(|gate| step.number <= gate.number);
    if is_before { failures.into_iter().map(|(node, _)| node).collect() } else { Vec::new() }
}

/// When the Quays of the way back were healthy.
fn back_at(plan: &Plan, state: &RunState) -> Option<Timestamp> {
    let mut gates = state.way(plan).iter();
    let gate = gates.find(|step| step.what == What::Gate(Gate::Healthy))?;
    match state.gates.get(&gate.number)? {
        GateState::Passed { at, .. } => Some(*at),
        GateState::Waiting { .. } | GateState::Closed { .. } => None,
    }
}

/// When a rollback first ended a Quay of its window; `None` = it did not.
fn taken_down_at(plan: &Plan, state: &RunState) -> Option<Timestamp> {
    if !state.is_rollback() {
        return None;
    }
    let is_it =
        |step: &&Step| step.component == Component::Quay && step.what == What::Act(Verb::TakeDown);
    asked_at(state, plan.rollback.iter().find(is_it)?)
}

/// When a gate opened.
pub(super) fn passed_at(plan: &Plan, state: &RunState, gate: Gate) -> Option<Timestamp> {
    let step = plan.first_step(What::Gate(gate))?;
    match state.gates.get(&step.number)? {
        GateState::Passed { at, .. } => Some(*at),
        GateState::Waiting { .. } | GateState::Closed { .. } => None,
    }
}

fn stops(plan: &Plan) -> Option<&Step> {
    plan.first_step(What::Act(Verb::Stop))
}

/// When the first stop was asked.
pub(super) fn dark_since(plan: &Plan, state: &RunState) -> Option<Timestamp> {
    asked_at(state, stops(plan)?)
}

fn asked_at(state: &RunState, step: &Step) -> Option<Timestamp> {
    let since = |node: &NodeName| match state.act_state(step.number, node) {
        ActState::InFlight { since } | ActState::Done { since, .. } => Some(*since),
        ActState::Failed { at, .. } => Some(*at),
        ActState::Pending => None,
    };
    step.nodes.iter().filter_map(since).min()
}

/// Those whose stop was asked, in their order.
fn stopped_companions(plan: &Plan, state: &RunState) -> Vec<Component> {
    let is_stop =
        |step: &&Step| step.component != Component::Quay && step.what == What::Act(Verb::Stop);
    let begun = plan.steps.iter().filter(is_stop).filter(|step| state.has_begun(step.number));
    begun.map(|step| step.component).collect()
}

/// What can still be undone, in words.
pub(super) fn undo(plan: &Plan, state: &RunState) -> String {
    let crossed = state.has_crossed(plan);
    let is_dark = stops(plan).is_some_and(|stop| state.has_begun(stop.number));
    let stage = match (crossed, is_dark) {
        (true, _) => Stage::Beyond,
        (false, true) => Stage::Dark,
        (false, false) => Stage::Serving,
    };
    if state.is_rollback() {
        return "nothing: what the window found is put back from its backup".to_owned();
    }
    if state.direction != Direction::There {
        return "it is being undone: what the window found is put back".to_owned();
    }
    match stage {
        Stage::Serving => {
            "everything: what is staged does no harm, and what fails is put back by itself"
        }
        Stage::Dark | Stage::Back | Stage::Rollback => {
            "everything: the database is untouched, the old containers and files are kept; what \
             fails leads back by itself"
        }
        Stage::Beyond => "nothing by itself: only a restore of the database leads back",
    }
    .to_owned()
}
