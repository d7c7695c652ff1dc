//! What an agent is asked to do. Every order travels with the `Act` that says
//! whose order it is, and names the container it means by id.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::{ContainerState, RestartPolicy};
use crate::database::DatabaseIdentity;
use crate::id::{ContainerId, Epoch, FileDigest, PlanDigest, RunId, SpecDigest, StepNumber};
use crate::name::ClusterName;
use crate::words::{Component, Generation, Mode, MountCopy, PortMove};

mod back;
mod convert;

pub use back::{Recreate, RemoveStaged, RemoveStagedConfig, RestoreConfig, TakeDown};

use crate::floor::{LowerFloor, SetFloor};
use crate::invalid::InvalidField;

/// Whose order this is: which step of which plan, in which process's name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// The cluster that the plan is for.
    pub cluster: ClusterName,
    /// The run of that plan.
    pub run: RunId,
    /// The process that drives the run.
    pub epoch: Epoch,
    /// The step.
    pub step: StepNumber,
    /// The plan.
    pub plan: PlanDigest,
}

/// An order and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ordered<T> {
    /// Whose.
    pub act: Act,
    /// What.
    pub order: T,
}

/// The database that an order expects behind its node's own `DB_URI`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedDatabase {
    /// Which database.
    pub identity: DatabaseIdentity,
    /// Any of these alembic revisions; never empty.
    pub revisions: Vec<String>,
}

/// Create the next container beside the running one; never start it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageContainer {
    /// Of which component.
    pub component: Component,
    /// Whose spec is carried over.
    pub container: ContainerId,
    /// That spec as the plan saw it.
    pub spec: SpecDigest,
    /// What the next one will be.
    pub generation: Generation,
    /// What the release demands of its ports.
    pub port_moves: Vec<PortMove>,
    /// What the release demands of its mounts. Absent from the records of
    /// earlier agents.
    #[serde(default)]
    pub mount_copies: Vec<MountCopy>,
    /// 1 is the first; a person orders another one, which gets a container and
    /// a name of its own.
    pub attempt: u32,
}

/// The longest grace that an order may ask for, in seconds.
const LONGEST_GRACE: u32 = 3600;

fn grace(seconds: u32) -> Result<u32, InvalidField> {
    if seconds <= LONGEST_GRACE {
        return Ok(seconds);
    }
    let reason = format!("{seconds} s is more than {LONGEST_GRACE} s");
    Err(InvalidField::because("grace_seconds", reason))
}

fn attempt(number: u32) -> Result<u32, InvalidField> {
    if number == 0 { Err(InvalidField::missing("attempt")) } else { Ok(number) }
}

/// Write the next config.yaml into a sibling file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageConfig {
    /// The file as the plan saw it.
    pub from: FileDigest,
    /// The file that must come out.
    pub to: FileDigest,
    /// The one value that changes.
    pub mode: Mode,
}

/// Restart policy `no`, seen; stop, seen; renamed to the retired name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsureStopped {
    /// Of which component.
    pub component: Component,
    /// Which.
    pub container: ContainerId,
    /// What it is, as the plan saw it.
    pub generation: Generation,
    /// Seconds until the engine kills it; 0 to 3600.
    pub grace_seconds: u32,
    /// The owner's, as the plan saw it: kept for the container's successor.
    /// Absent from the records of earlier agents.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
}

/// Rename the staged sibling onto config.yaml.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutConfig {
    /// The file as the plan saw it.
    pub from: FileDigest,
    /// The staged file.
    pub to: FileDigest,
}

/// Start the one container that may migrate, at most once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartMigrating {
    /// The staged container.
    pub container: ContainerId,
    /// What it is.
    pub generation: Generation,
    /// Where the migration may start from.
    pub database: ExpectedDatabase,
    /// config.yaml as it must be.
    pub config: FileDigest,
    /// Application names or addresses of sessions that may be on the database
    /// beside the agents'. Absent from the records of earlier agents.
    #[serde(default)]
    pub expected_sessions: Vec<String>,
}

/// Start a container that must not migrate: a Quay or a mirror only on proof
/// of its own database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsureRunning {
    /// Of which component.
    pub component: Component,
    /// The staged container.
    pub container: ContainerId,
    /// What it is.
    pub generation: Generation,
    /// For a component that might migrate, and for no other.
    pub ground: Option<Ground>,
}

/// What an agent must itself have read before it starts a Quay that must not
/// migrate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ground {
    /// The target revision: a Quay that finds it does not migrate.
    pub database: ExpectedDatabase,
    /// config.yaml as it must be.
    pub config: FileDigest,
}

/// Give a healthy container its well-known name and restart policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// Of which component.
    pub component: Component,
    /// Which.
    pub container: ContainerId,
    /// What it is.
    pub generation: Generation,
    /// The policy that its predecessor had.
    pub restart_policy: RestartPolicy,
}

/// Any order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verb", content = "of")]
pub enum Order {
    /// See the struct.
    StageContainer(StageContainer),
    /// See the struct.
    StageConfig(StageConfig),
    /// See the struct.
    EnsureStopped(EnsureStopped),
    /// See the struct.
    PutConfig(PutConfig),
    /// See the struct.
    StartMigrating(StartMigrating),
    /// See the struct.
    EnsureRunning(EnsureRunning),
    /// See the struct.
    Promote(Promote),
    /// See the struct.
    SetFloor(SetFloor),
    /// See the struct.
    LowerFloor(LowerFloor),
    /// See the struct.
    RestoreConfig(RestoreConfig),
    /// See the struct.
    RemoveStagedConfig(RemoveStagedConfig),
    /// See the struct.
    RemoveStaged(RemoveStaged),
    /// See the struct.
    Recreate(Recreate),
    /// See the struct.
    TakeDown(TakeDown),
}

impl Order {
    /// The verb, for logs and ledgers.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::StageContainer(_) => "stage-container",
            Self::StageConfig(_) => "stage-config",
            Self::EnsureStopped(_) => "ensure-stopped",
            Self::PutConfig(_) => "put-config",
            Self::StartMigrating(_) => "start-migrating",
            Self::EnsureRunning(_) => "ensure-running",
            Self::Promote(_) => "promote",
            Self::SetFloor(_) => "set-floor",
            Self::LowerFloor(_) => "lower-floor",
            Self::RestoreConfig(_) => "restore-config",
            Self::RemoveStagedConfig(_) => "remove-staged-config",
            Self::RemoveStaged(_) => "remove-staged",
            Self::Recreate(_) => "recreate",
            Self::TakeDown(_) => "take-down",
        }
    }
}

/// How an order was met.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The agent changed something.
    Changed,
    /// The node was so already.
    Already,
}

/// What an agent answers to an order that was met.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActOutcome {
    /// Changed, or so already.
    pub how: How,
    /// The container afterwards; `None` for config orders.
    pub container: Option<ContainerState>,
    /// config.yaml's digest after a config order: of the staged file for
    /// `StageConfig`, of config.yaml itself for `PutConfig`.
    pub config: Option<FileDigest>,
    /// When the engine says that the container started or stopped.
    pub engine_time: Option<Timestamp>,
}
