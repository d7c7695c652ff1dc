//! Gates that a person opens, or waives.

use crate::gates::Judgement;
use crate::plan::Gate;
use crate::run::state::Approval;
use crate::run::{Evidence, RunState, WaitingOn};

/// What a person has said of this gate, if anything.
pub fn word(state: &RunState, gate: Gate) -> Option<Evidence> {
    let Approval { gate: _, by, because } = state.approval(gate)?;
    Some(Evidence::Person { by: by.clone(), because: because.clone() })
}

/// The approval gate has nothing else to look at.
pub fn judge(state: &RunState) -> Judgement {
    match word(state, Gate::Approval) {
        Some(evidence) => Judgement::Pass(evidence),
        None => Judgement::Wait(WaitingOn::Approval),
    }
}
