//! The containers beside the Quays: builders, Clair, mirrors. They stop and
//! return with the cluster.

use quaymaster_proto::{Component, MountCopy, PortMove};
use serde::{Deserialize, Serialize};

use super::{PlannedContainer, PlannedImage};

/// In this order they stop: those that work on the registry before it, while it
/// still serves, and what it asks after it.
pub const STOPS_BEFORE_QUAY: [Component; 2] = [Component::Builder, Component::Mirror];

/// See `STOPS_BEFORE_QUAY`.
pub const STOPS_AFTER_QUAY: [Component; 1] = [Component::Clair];

/// In this order they start, when every Quay is healthy; mirrors last
/// (quay-facts 2.1).
pub const STARTS: [Component; 3] = [Component::Builder, Component::Clair, Component::Mirror];

/// What a window does with all containers of a component.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanionPlan {
    /// Between the request to end and the kill, in whole seconds.
    pub stop_grace_seconds: u32,
    /// What their successors are made of; `None` = none starts in this window.
    pub next: Option<CompanionNext>,
}

/// What the next containers of a component are made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanionNext {
    /// Where their image comes from; a mirror's is Quay's.
    pub image: PlannedImage,
    /// What the release demands of published ports.
    pub port_moves: Vec<PortMove>,
    /// What the release demands of mounts.
    pub mount_copies: Vec<MountCopy>,
}

/// One container beside a Quay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedCompanion {
    /// The one that runs, or ran last.
    pub container: PlannedContainer,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of one container beside a Quay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Stopped, and a successor started at the end.
    Replaced,
    /// Stopped; a later window starts its successor.
    Rests,
    /// Stopped by an earlier window; its successor is started at the end.
    Returns,
}

impl Fate {
    /// Whether it has to be stopped.
    pub fn stops(self) -> bool {
        match self {
            Self::Replaced | Self::Rests => true,
            Self::Returns => false,
        }
    }

    /// Whether a successor starts in this window.
    pub fn starts(self) -> bool {
        match self {
            Self::Replaced | Self::Returns => true,
            Self::Rests => false,
        }
    }
}
