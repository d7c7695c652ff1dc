//! What has run on the nodes, as the dark gates saw it: where a Quay ran behind
//! the backup's back, the backup lacks what it wrote. Starts are told apart by
//! what engines say of them, and no two clocks are compared. Pure.

use jiff::Timestamp;
use quaymaster_proto::{ContainerId, FileDigest, NodeName, StepNumber};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::plan::{Gate, Plan, Step, Verb, What};
use crate::run::event::Evidence;
use crate::run::state::{GateState, RunState};

/// A Quay that ran on a node, by its latest start.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Ran {
    /// On which node.
    pub node: NodeName,
    /// Its container.
    pub container: ContainerId,
    /// Its engine's clock.
    pub started_at: Option<Timestamp>,
}

/// The dark gate before the backup: what had run by then is in the backup.
fn gate_before<'a>(plan: &'a Plan, backup: &Step) -> Option<&'a Step> {
    let mut before = plan.steps.iter().filter(|step| step.number < backup.number);
    before.rfind(|step| step.what == What::Gate(Gate::Dark))
}

/// Whether this is the dark gate before the backup.
pub fn is_before_backup(plan: &Plan, step: &Step) -> bool {
    let backup = plan.first_step(What::Act(Verb::BackUp));
    let gate = backup.and_then(|backup| gate_before(plan, backup));
    gate.is_some_and(|gate| gate.number == step.number)
}

/// Whether a dark gate answers for the backup: it comes behind it, and the
/// migration, which is the run's own, has not been tried.
pub fn answers_for_backup(plan: &Plan, state: &RunState, gate: StepNumber) -> bool {
    let is_there = plan.steps.iter().any(|step| step.number == gate);
    let backup = plan.first_step(What::Act(Verb::BackUp));
    is_there && backup.is_some_and(|backup| backup.number < gate) && state.attempt(&plan.first) == 1
}

/// What had run until it was dark; `None` = no look is on record.
pub fn before_backup<'a>(plan: &Plan, state: &'a RunState) -> Option<&'a [Ran]> {
    let backup = plan.first_step(What::Act(Verb::BackUp))?;
    match state.gates.get(&gate_before(plan, backup)?.number)? {
        GateState::Passed { evidence: Evidence::Dark { ran, .. }, .. } => Some(ran),
        GateState::Passed { .. } | GateState::Waiting { .. } | GateState::Closed { .. } => None,
    }
}

/// What tells one such list from another.
pub fn digest(ran: &[Ran]) -> FileDigest {
    let mut ran: Vec<&Ran> = ran.iter().collect();
    ran.sort();
    let mut hasher = Sha256::new();
    for Ran { node, container, started_at } in ran {
        let at = started_at.map(|at| at.to_string()).unwrap_or_default();
        hasher.update(format!("{node} {container} {at}\n"));
    }
    FileDigest::of(hasher.finalize().into())
}

/// What has run since, in words.
pub fn since(before: &[Ran], now: &[Ran]) -> Vec<String> {
    let news = now.iter().filter(|ran| !before.contains(ran));
    news.map(|Ran { node, container, started_at }| {
        let at = started_at.map(|at| format!(" at {at:.0}")).unwrap_or_default();
        format!("{node}: container {} was started{at}", container.short())
    })
    .collect()
}
