//! What can be wrong with the order of the steps, in words.

use std::fmt;

use quaymaster_proto::Component;
use serde::{Serialize, Serializer};

use crate::plan::{Gate, Verb, What};

/// One thing that is wrong with the steps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum OrderFlaw {
    /// A step has another number than its place.
    #[error("step {number} stands at place {place}")]
    Number {
        /// Its number.
        number: u32,
        /// Its place; 1 is the first.
        place: usize,
    },
    /// A step is not done by the nodes that its width names.
    #[error("step {number} names other nodes than its width")]
    Nodes {
        /// Which.
        number: u32,
    },
    /// A step says wrongly whether the registry serves or what undoes it.
    #[error("step {number} says wrongly where it stands or what undoes it")]
    Standing {
        /// Which.
        number: u32,
    },
    /// A step is there too often or not at all.
    #[error("{what} is there {found} times instead of {wanted}")]
    Count {
        /// Which.
        what: Kind,
        /// How often.
        found: usize,
        /// How often it should be.
        wanted: usize,
    },
    /// A step comes too early.
    #[error("{later} does not come after {earlier}")]
    Before {
        /// What must come first.
        earlier: Kind,
        /// What must come later.
        later: Kind,
    },
    /// Something stands between two steps that belong together.
    #[error("{later} does not come right after {earlier}")]
    NotAdjacent {
        /// What must come first.
        earlier: Kind,
        /// What must follow.
        later: Kind,
    },
    /// The image is pulled although it is there, or not although it is not.
    #[error("image, pull and releases contradict each other")]
    Pull,
    /// The way back does not begin with the proof that nothing new started.
    #[error("the way back does not begin with the first node's staged container")]
    NoProof,
    /// Something comes after the verification.
    #[error("the verification is not the last step")]
    NotLast,
    /// What follows the last look at the running cluster is no stop.
    #[error("no stop comes right after the no-change gate")]
    StopsLater,
}

/// What a step is, and whose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind(pub(super) Component, pub(super) What);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(component, what) = self;
        formatter.write_str(name(*what))?;
        match component {
            Component::Quay => Ok(()),
            Component::Clair | Component::Builder | Component::Mirror => {
                write!(formatter, " of {component}")
            }
        }
    }
}

fn name(what: What) -> &'static str {
    match what {
        What::Act(Verb::Pull) => "the pull",
        What::Act(Verb::StageContainer) => "the staging of containers",
        What::Act(Verb::StageConfig) => "the staging of config.yaml",
        What::Act(Verb::Stop) => "the stop",
        What::Act(Verb::BackUp) => "the backup",
        What::Act(Verb::PutConfig) => "the change of config.yaml",
        What::Act(Verb::StartMigrating) => "the migrating start",
        What::Act(Verb::Start) => "the start of the others",
        What::Act(Verb::Promote) => "the promotion",
        What::Act(Verb::SetFloor) => "the floor",
        What::Act(Verb::RemoveStaged) => "the removal of staged containers",
        What::Act(Verb::RemoveStagedConfig) => "the removal of the staged config.yaml",
        What::Act(Verb::RestoreConfig) => "the restore of config.yaml",
        What::Act(Verb::LowerFloor) => "the lowering of the floor",
        What::Act(Verb::CheckBackup) => "the look at the backup",
        What::Act(Verb::TakeDown) => "the end of what the window brought",
        What::Act(Verb::Restore) => "the restore of the database",
        What::Act(Verb::Recreate) => "the fresh containers of the old generation",
        What::Gate(Gate::Backfill) => "the backfill gate",
        What::Gate(Gate::Approval) => "the approval",
        What::Gate(Gate::Unchanged) => "the look for changes",
        What::Gate(Gate::Dark) => "the dark gate",
        What::Gate(Gate::FirstNode) => "the first node's gate",
        What::Gate(Gate::Healthy) => "the others' gate",
        What::Gate(Gate::Verified) => "the verification",
    }
}
