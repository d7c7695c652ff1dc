//! Why a run turned back, and what is known of its point of no return.

use quaymaster_proto::{NodeName, StepNumber};
use serde::{Deserialize, Serialize};

use crate::run::event::{GateFailure, Problem};

/// Why a run goes back to what its window found.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nodes did not do what they were asked.
    Failed {
        /// In which step.
        step: StepNumber,
        /// Each.
        failures: Vec<(NodeName, Problem)>,
    },
    /// A gate would not open by itself.
    Closed {
        /// Which.
        step: StepNumber,
        /// Why.
        failure: GateFailure,
    },
    /// A person ordered it.
    Person {
        /// Who: user@host.
        by: String,
        /// In words, where any were given.
        because: Option<String>,
    },
}

/// What is known of the point of no return when a run turns back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crossing {
    /// The migrating start was never intended.
    NotIntended,
    /// It was intended, and is proven never to have happened: the container is
    /// removed, and its engine says that it never started.
    NeverStarted,
    /// It was made, the container has ended, and nothing was applied: its whole
    /// log tells of no migration, and the revision is what the plan found.
    NothingApplied,
}
