//! What a run waits for, judged from looks: open, not yet, or not by itself.
//! Pure: who looks, how often and how long is the runner's business.

use std::time::Duration;

use quaymaster_proto::NodeName;

use crate::run::{Evidence, GateFailure, WaitingOn};

pub mod backfill;
pub mod dark;
pub mod first_node;
pub mod health;
pub mod healthy;
pub mod living;
pub mod ours;
pub mod people;
pub mod unchanged;
pub mod verified;

/// What follows from a look.
#[derive(Clone, PartialEq, Debug)]
pub enum Judgement {
    /// Open.
    Pass(Evidence),
    /// Not yet.
    Wait(WaitingOn),
    /// Not by itself any more.
    Fail(GateFailure),
}

/// How long what should be gone may take to go: a stopped Quay's sessions end
/// when the server notices, within a moment.
pub const SETTLE: Duration = Duration::from_secs(5);

/// How long a node may stay silent before the window holds.
pub const ANSWER: Duration = Duration::from_secs(30);

/// Nodes do not answer: not yet, and in the end not at all.
pub fn unanswered(nodes: Vec<(NodeName, String)>, waited: Duration) -> Judgement {
    wait_up_to(ANSWER, waited, WaitingOn::Answer { nodes })
}

/// Not yet, unless it has lasted for too long.
fn wait_up_to(limit: Duration, waited: Duration, on: WaitingOn) -> Judgement {
    if waited < limit {
        Judgement::Wait(on)
    } else {
        Judgement::Fail(GateFailure::TooLong { limit, on: Box::new(on) })
    }
}

#[cfg(test)]
mod tests;
