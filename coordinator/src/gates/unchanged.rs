//! The last look before the first stop: nothing is other than the plan saw it.

use crate::gates::Judgement;
use crate::plan::Plan;
use crate::plan::drift::{Drift, drift};
use crate::run::{Evidence, GateFailure};
use crate::survey::ClusterFacts;

/// Judges a fresh survey of every node.
pub fn judge(plan: &Plan, facts: &ClusterFacts) -> Judgement {
    let changes: Vec<String> = drift(plan, facts).iter().map(Drift::to_string).collect();
    if changes.is_empty() {
        Judgement::Pass(Evidence::Unchanged)
    } else {
        Judgement::Fail(GateFailure::Drifted { changes })
    }
}
