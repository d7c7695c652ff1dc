//! Where a run goes: there, back, or back by its backup.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::{NodeName, StepNumber};

use crate::run::turn::{Cause, Crossing};

/// Where a run goes.
#[derive(Clone, PartialEq, Debug)]
pub enum Direction {
    /// To what the window wants.
    There,
    /// To what the window found.
    Back {
        /// Why.
        because: Cause,
        /// How it stood with the point of no return.
        crossing: Crossing,
        /// Since when.
        since: Timestamp,
    },
    /// To what the window found, by its backup.
    Rollback {
        /// Who ordered it: user@host.
        by: String,
        /// In words.
        because: String,
        /// Since when.
        since: Timestamp,
        /// The rollback's first step, which changes nothing.
        check: StepNumber,
        /// Where the run was, for where it is called off.
        before: Before,
    },
}

/// What an order to roll back puts aside.
#[derive(Clone, PartialEq, Debug)]
pub struct Before {
    /// When the run had reached its own end, where it had.
    pub finished_at: Option<Timestamp>,
    /// Who was left out.
    pub left_out: BTreeMap<NodeName, String>,
}

impl Direction {
    /// Whether it still goes to what the window wants.
    pub fn is_there(&self) -> bool {
        match self {
            Self::There => true,
            Self::Back { .. } | Self::Rollback { .. } => false,
        }
    }
}
