//! Where one node stands in one step, and every legal way from there.

use jiff::Timestamp;
use quaymaster_proto::Reason;

use crate::run::event::{Problem, Settlement};

/// Where one node stands in one step.
#[derive(Clone, PartialEq, Debug)]
pub enum ActState {
    /// The node is to be asked (again).
    Pending,
    /// It was asked; the answer is not known.
    InFlight {
        /// Since when.
        since: Timestamp,
    },
    /// It is done.
    Done {
        /// What came of it.
        settlement: Settlement,
        /// When it was asked.
        since: Timestamp,
        /// When it was known.
        at: Timestamp,
    },
    /// It was not done.
    Failed {
        /// Why.
        problem: Problem,
        /// When.
        at: Timestamp,
    },
}

/// What can happen to one node's part of a step.
pub(super) enum ActEvent {
    Intended(Intent),
    Settled { settlement: Settlement, at: Timestamp },
    Failed { problem: Problem, at: Timestamp },
}

pub(super) struct Intent {
    pub(super) at: Timestamp,
}

impl ActEvent {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Intended(_) => "intended",
            Self::Settled { .. } => "settled",
            Self::Failed { .. } => "failed",
        }
    }
}

impl ActState {
    /// Whether the node may have done it, whatever is known.
    pub(super) fn may_be_done(&self) -> bool {
        match self {
            Self::Pending => false,
            Self::InFlight { .. } | Self::Done { .. } => true,
            Self::Failed { problem, at: _ } => may_be_done(problem),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight { .. } => "in flight",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
        }
    }

    /// Every legal pair; `None` for the others.
    pub(super) fn after(self, event: ActEvent) -> Option<Self> {
        match (self, event) {
            // In flight may be asked again: after a crash nobody knows.
            (Self::Pending, ActEvent::Intended(Intent { at })) => {
                Some(Self::InFlight { since: at })
            }
            (Self::InFlight { since }, ActEvent::Intended(_)) => Some(Self::InFlight { since }),
            (Self::InFlight { since }, ActEvent::Settled { settlement, at }) => {
                Some(Self::Done { settlement, since, at })
            }
            (Self::InFlight { .. }, ActEvent::Failed { problem, at }) => {
                Some(Self::Failed { problem, at })
            }
            (Self::Pending, ActEvent::Settled { .. } | ActEvent::Failed { .. })
            | (Self::Done { .. } | Self::Failed { .. }, _) => None,
        }
    }
}

/// Whether a node may have done it all the same: there was no answer, or its
/// engine or its disk failed it when it had begun.
pub(super) fn may_be_done(problem: &Problem) -> bool {
    match problem {
        Problem::Unreachable { .. } | Problem::Nonsense { .. } => true,
        Problem::Refused { reason, .. } => match reason {
            Reason::Engine | Reason::Ledger => true,
            Reason::Invalid
            | Reason::WrongCluster
            | Reason::Role
            | Reason::NoComponent
            | Reason::Superseded
            | Reason::Busy
            | Reason::Drifted
            | Reason::NotOurs
            | Reason::Database
            | Reason::Config
            | Reason::Spec
            | Reason::Image
            | Reason::AlreadyRan
            | Reason::Lease
            | Reason::Floor => false,
        },
        Problem::AtGate { .. } => false,
    }
}
