//! The last look before the first stop: nothing is other than the plan saw it.

use crate::gates::Judgement;
use crate::run::{Evidence, GateFailure};

/// Judges what drifted, in words.
pub fn judge(changes: Vec<String>) -> Judgement {
    if changes.is_empty() {
        Judgement::Pass(Evidence::Unchanged)
    } else {
        Judgement::Fail(GateFailure::Drifted { changes })
    }
}
