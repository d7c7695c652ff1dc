//! What cannot follow what happened before it.

use quaymaster_proto::{Epoch, NodeName, StepNumber};

/// An event that cannot follow what happened before it.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum IllegalEvent {
    /// Only `Started` can be the first, and only the first.
    #[error("a run begins once, with its start: {event}")]
    OutOfPlace {
        /// What came.
        event: String,
    },
    /// Epochs grow.
    #[error("epoch {epoch} does not follow epoch {before}")]
    EpochNotHigher {
        /// What came.
        epoch: Epoch,
        /// What was.
        before: Epoch,
    },
    /// A node's answer without its question, or after its end.
    #[error("step {step} on {node} cannot become {event}: it is {state}")]
    Act {
        /// The step.
        step: StepNumber,
        /// The node.
        node: NodeName,
        /// What it was.
        state: &'static str,
        /// What came.
        event: &'static str,
    },
    /// A gate that opened stays open for the process that saw it open.
    #[error("gate {step} cannot become {event}: it has passed")]
    Gate {
        /// The step.
        step: StepNumber,
        /// What came.
        event: &'static str,
    },
    /// Nothing follows the end.
    #[error("the run has finished, nothing follows: {event}")]
    AfterEnd {
        /// What came.
        event: String,
    },
}
