//! How a run stands where an order of a person is not followed.

use crate::plan::Plan;
use crate::run::{RunState, rollback};

/// Where it is held, if it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stands {
    /// Before the point of no return, or at its end.
    Elsewhere,
    /// Held past the point of no return.
    Beyond {
        /// Whether a rollback could lead back.
        has_backup: bool,
    },
}

impl Stands {
    pub(in crate::commands) fn of(plan: &Plan, state: &RunState) -> Self {
        if state.finished_at.is_some() || !state.has_crossed(plan) {
            return Self::Elsewhere;
        }
        Self::Beyond { has_backup: rollback::backup(plan, state).is_ok() }
    }
}
