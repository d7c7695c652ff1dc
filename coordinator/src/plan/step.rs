//! What a plan is made of: steps, each an act of some nodes or a gate.

use quaymaster_proto::{Component, NodeName, StepNumber};
use serde::{Deserialize, Serialize};

/// One step: an act of some nodes, or a gate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its place.
    pub number: StepNumber,
    /// Whether the registry serves meanwhile.
    pub stage: Stage,
    /// Whose containers; a gate of the whole window is Quay's.
    pub component: Component,
    /// What is done or waited for.
    pub what: What,
    /// By which nodes; a gate's are those it looks at.
    pub nodes: Vec<NodeName>,
    /// How wide.
    pub width: Width,
    /// What undoes it.
    pub inverse: Inverse,
}

/// Where a step stands to the outage and to the point of no return.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before the first Quay's stop.
    Serving,
    /// From the first Quay's stop on.
    Dark,
    /// From the intent of the migrating start on.
    Beyond,
    /// On the way back to what the window found.
    Back,
    /// Past the point of no return, back by the backup: on a person's order alone.
    Rollback,
}

/// What a step is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Nodes do it.
    Act(Verb),
    /// The run waits for it.
    Gate(Gate),
}

/// What nodes do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Pull the image.
    Pull,
    /// Create the next container.
    StageContainer,
    /// Write the next config.yaml beside the present one.
    StageConfig,
    /// Stop the container that runs now.
    Stop,
    /// Write down what may not run any more.
    SetFloor,
    /// Dump the database, and read the dump back.
    BackUp,
    /// Put the next config.yaml in place.
    PutConfig,
    /// Start the container that migrates.
    StartMigrating,
    /// Start a container that must not migrate.
    Start,
    /// Name and restart policy.
    Promote,
    /// Remove the next container, on proof that it never started.
    RemoveStaged,
    /// Remove the next config.yaml from beside the present one.
    RemoveStagedConfig,
    /// Put the kept config.yaml back.
    RestoreConfig,
    /// Take the floor back.
    LowerFloor,
    /// Create a fresh container of what was stopped.
    Recreate,
    /// Read the backup back, while what serves still serves.
    CheckBackup,
    /// End what the window brought, the migration included.
    TakeDown,
    /// Put the backup in the database's place.
    Restore,
}

/// What a run waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Enough tags are mapped.
    Backfill,
    /// A person agreed to cross the point of no return.
    Approval,
    /// Nothing is other than the plan saw it.
    Unchanged,
    /// No Quay runs and the database shows no session but the agents'.
    Dark,
    /// The first node migrated and is healthy.
    FirstNode,
    /// The containers started last are healthy: the other Quays, or those of a
    /// companion.
    Healthy,
    /// A client's push and pull come out right, at every node and by the public
    /// name. The last one of a window, and of the way back.
    Verified,
}

/// How many nodes take part in a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Width {
    /// Every node, at once.
    All,
    /// The one that migrates.
    First,
    /// Every other one, at once.
    Rest,
    /// Those that have the component's container, at once.
    Having,
    /// Those whose container of the component is stopped, at once.
    Stopped,
    /// One for each config.yaml, at once.
    Writers,
    /// The one that backs up.
    One,
}

/// What takes a step back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inverse {
    /// It changes nothing.
    Nothing,
    /// An image or a backup more does no harm.
    Harmless,
    /// Remove the staged container.
    RemoveStaged,
    /// Remove the staged file.
    RemoveFile,
    /// A fresh container of the old generation.
    Recreate,
    /// Put the kept file back.
    RestoreConfig,
    /// Take the floor back.
    LowerFloor,
    /// None: only a restore of the database.
    None,
}
