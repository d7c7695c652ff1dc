//! What comes next: a pure function of the plan and of what has happened.

use quaymaster_proto::NodeName;

use crate::plan::{Gate, Plan, Step, Verb, What};
use crate::run::event::{GateFailure, Problem};
use crate::run::state::{ActState, GateState, RunState};

/// What a run does next.
#[derive(Clone, PartialEq, Debug)]
pub enum Next<'a> {
    /// Ask these nodes, all at once.
    Ask {
        /// The step.
        step: &'a Step,
        /// Those that are not done.
        nodes: Vec<NodeName>,
    },
    /// Look at this gate.
    Look {
        /// The step.
        step: &'a Step,
    },
    /// Nothing: nodes failed, and a process that takes the run in hand anew
    /// will ask them again.
    Failed {
        /// The step.
        step: &'a Step,
        /// Each.
        failures: Vec<(NodeName, Problem)>,
    },
    /// Nothing: a gate will not open by itself.
    Closed {
        /// The step.
        step: &'a Step,
        /// Why.
        failure: GateFailure,
    },
    /// Every step is done.
    Done,
}

/// Decides. Steps go strictly in order: a step begins when the one before is
/// done on all of its nodes.
pub fn next<'a>(plan: &'a Plan, state: &RunState) -> Next<'a> {
    for step in &plan.steps {
        let decision = match step.what {
            What::Act(_) => act(step, state),
            What::Gate(kind) => gate(plan, step, kind, state),
        };
        if let Some(next) = decision {
            return next;
        }
    }
    Next::Done
}

/// `None` when the step is done.
fn act<'a>(step: &'a Step, state: &RunState) -> Option<Next<'a>> {
    let mut to_ask = Vec::new();
    let mut failures = Vec::new();
    for node in &step.nodes {
        match state.act_state(step.number, node) {
            ActState::Pending | ActState::InFlight { .. } => to_ask.push(node.clone()),
            ActState::Failed { problem, at: _ } => failures.push((node.clone(), problem.clone())),
            ActState::Done { .. } => {}
        }
    }
    // Nodes that can go on do, even when another one failed: what is begun
    // everywhere is easier to finish than what is begun here and there.
    if !to_ask.is_empty() {
        return Some(Next::Ask { step, nodes: to_ask });
    }
    (!failures.is_empty()).then_some(Next::Failed { step, failures })
}

/// `None` when the gate is open.
fn gate<'a>(plan: &Plan, step: &'a Step, kind: Gate, state: &RunState) -> Option<Next<'a>> {
    if kind == Gate::Unchanged && has_gone_dark(plan, state) {
        return None;
    }
    match state.gates.get(&step.number) {
        Some(GateState::Passed { .. }) if is_outdated(plan, step, kind, state) => {
            Some(Next::Look { step })
        }
        Some(GateState::Passed { .. }) => None,
        Some(GateState::Closed { failure, at: _ }) => {
            Some(Next::Closed { step, failure: failure.clone() })
        }
        Some(GateState::Waiting { .. }) | None => Some(Next::Look { step }),
    }
}

/// Whether a Quay may have been stopped: from then on the cluster is not any
/// more as the plan saw it, and of that the dark gate takes care.
fn has_gone_dark(plan: &Plan, state: &RunState) -> bool {
    // What is stopped before the Quays is no reason not to look again.
    plan.first_step(What::Act(Verb::Stop)).is_some_and(|stop| {
        stop.nodes.iter().any(|node| state.act_state(stop.number, node).may_be_done())
    })
}

/// Whether a gate that an earlier process saw open has to be seen open again:
/// as long as what it guards is still to be done. Nobody watched the cluster
/// in between, and an old Quay may have been started by hand.
fn is_outdated(plan: &Plan, step: &Step, kind: Gate, state: &RunState) -> bool {
    if state.seen_open.contains(&step.number) {
        return false;
    }
    let guarded = plan.steps.iter().find(|next| {
        next.number > step.number
            && match next.what {
                What::Act(_) => true,
                What::Gate(_) => false,
            }
    });
    let Some(guarded) = guarded else { return false };
    let mut states = guarded.nodes.iter().map(|node| state.act_state(guarded.number, node));
    match kind {
        Gate::Unchanged => true,
        Gate::Dark | Gate::FirstNode => !states.all(|act| matches!(act, ActState::Done { .. })),
        // A person's word stands, mapped tags stay mapped, and nothing
        // dangerous follows the health of the others.
        Gate::Approval | Gate::Backfill | Gate::Healthy => false,
    }
}

/// The step that a run stands at; `None` when it is done.
pub fn current_step<'a>(plan: &'a Plan, state: &RunState) -> Option<&'a Step> {
    match next(plan, state) {
        Next::Ask { step, .. }
        | Next::Look { step }
        | Next::Failed { step, .. }
        | Next::Closed { step, .. } => Some(step),
        Next::Done => None,
    }
}
