//! Why a node was not healed.

use quaymaster_proto::{Lease, NodeName, Reason};

use super::told::UNCHANGED;
use crate::exit::Exit;
use crate::heal::Against;
use crate::render::{self, Complaint, Detail};
use crate::run::Problem;
use crate::runner::NotHealed;

/// Why a node was not healed.
#[derive(Debug, thiserror::Error)]
pub enum HealError {
    /// cluster.yaml has no such node.
    #[error("cluster.yaml has no node `{node}`")]
    NoSuchNode {
        /// Which.
        node: NodeName,
    },
    /// Nobody agreed to it.
    #[error("nobody agreed to heal {node}")]
    NeedsYes {
        /// Which.
        node: NodeName,
    },
    /// It cannot be.
    #[error("{node} is not healed")]
    Against {
        /// Which.
        node: NodeName,
        /// All that stands against it.
        against: Vec<Against>,
    },
    /// It was begun and did not come to its end.
    #[error("{node} was not healed")]
    Failed {
        /// Which.
        node: NodeName,
        /// Where it ended.
        source: NotHealed,
    },
    /// What holds the lease is a healing, and no run that could be gone on with.
    #[error("{node} is being healed by {} since {}", lease.holder, render::moment(lease.since))]
    UnderWay {
        /// Which.
        node: NodeName,
        /// The lease.
        lease: Box<Lease>,
    },
}

impl HealError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::NoSuchNode { .. } | Self::NeedsYes { .. } => Exit::Usage,
            Self::Against { .. } => Exit::Refused,
            Self::Failed { node: _, source } => failed_exit(source),
            Self::UnderWay { .. } => Exit::LeaseHeld,
        }
    }

    pub(super) fn standing(&self) -> &'static str {
        match self {
            Self::NoSuchNode { .. }
            | Self::NeedsYes { .. }
            | Self::Against { .. }
            | Self::UnderWay { .. } => UNCHANGED,
            Self::Failed { node: _, source } => render::not_healed(source),
        }
    }

    pub(super) fn next(&self, program: &str) -> String {
        match self {
            Self::NoSuchNode { .. } => format!("see which nodes there are: {program} status"),
            Self::NeedsYes { .. } => "to agree to a fresh container, add: --yes".to_owned(),
            Self::Against { .. } => String::new(),
            Self::Failed { node, source } => {
                render::not_healed_next(source, program, node.as_str())
            }
            Self::UnderWay { node, .. } => {
                format!("see that whoever does it is gone, then: {program} heal {node} --take-over")
            }
        }
    }
}

/// All that stands against it, each with what to do.
pub(super) fn of_against(node: &NodeName, against: &[Against]) -> Complaint {
    let details = against.iter().map(|against| Detail::new(against.to_string(), against.remedy()));
    Complaint {
        what: format!("{node} is not healed"),
        details: details.collect(),
        standing: UNCHANGED.to_owned(),
        next: String::new(),
    }
}

fn failed_exit(why: &NotHealed) -> Exit {
    let problem = match why {
        NotHealed::Unclaimed(Problem::Refused { reason: Reason::Lease, .. }) => {
            return Exit::LeaseHeld;
        }
        NotHealed::Unclaimed(problem)
        | NotHealed::NotStopped(problem)
        | NotHealed::NotMade(problem)
        | NotHealed::NotStarted { container: _, problem }
        | NotHealed::NotHealthy { container: _, problem }
        | NotHealed::NotPromoted { container: _, problem } => problem,
    };
    match problem {
        Problem::Unreachable { .. } => Exit::Unreachable,
        Problem::Refused { .. } | Problem::Nonsense { .. } | Problem::AtGate { .. } => Exit::Failed,
    }
}
