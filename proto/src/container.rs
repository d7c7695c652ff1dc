//! A container as its engine describes it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ContainerId, ImageId};
use crate::invalid::{InvalidField, or_empty, parsed, parsed_if_any, within};
use crate::wire;

/// Whether a container runs, in the engine's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerStatus {
    /// Never started.
    Created,
    /// Running.
    Running,
    /// Frozen: its processes and its database sessions live.
    Paused,
    /// Between two starts by its restart policy.
    Restarting,
    /// On its way out.
    Removing,
    /// Ended.
    Exited,
    /// Could not be removed.
    Dead,
}

impl ContainerStatus {
    /// Whether processes of the container live or may come back by themselves
    /// at any moment.
    pub fn is_alive(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Restarting => true,
            Self::Created | Self::Removing | Self::Exited | Self::Dead => false,
        }
    }
}

impl fmt::Display for ContainerStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

/// What the engine does when a container ends or the engine starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// Starts it, and revives even a stopped one when the engine itself starts
    /// (quay-observed 6).
    Always,
    /// Starts it unless a person stopped it.
    UnlessStopped,
    /// Starts it after a failure.
    OnFailure {
        /// 0 = no limit.
        maximum_retry_count: u32,
    },
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => formatter.pad("no"),
            Self::Always => formatter.pad("always"),
            Self::UnlessStopped => formatter.pad("unless-stopped"),
            Self::OnFailure { maximum_retry_count: 0 } => formatter.pad("on-failure"),
            Self::OnFailure { maximum_retry_count } => {
                write!(formatter, "on-failure:{maximum_retry_count}")
            }
        }
    }
}

/// Where a container stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerState {
    /// The engine's id.
    pub id: ContainerId,
    /// Its name, without the engine's leading slash.
    pub name: String,
    /// Whether it runs.
    pub status: ContainerStatus,
    /// When it last started; `None` = never.
    pub started_at: Option<Timestamp>,
    /// When it last ended; `None` = never.
    pub finished_at: Option<Timestamp>,
    /// Of its last end; 0 before.
    pub exit_code: i64,
    /// Restarts by its policy.
    pub restart_count: i64,
    /// Its policy now.
    pub restart_policy: RestartPolicy,
    /// What it runs.
    pub image: ImageId,
}

impl ContainerState {
    /// Whether the engine says that it ever started.
    pub fn ever_started(&self) -> bool {
        self.started_at.is_some() || self.status != ContainerStatus::Created
    }
}

impl TryFrom<wire::RestartPolicy> for RestartPolicy {
    type Error = InvalidField;

    fn try_from(message: wire::RestartPolicy) -> Result<Self, InvalidField> {
        use wire::restart_policy::Name;
        let wire::RestartPolicy { name, maximum_retry_count } = message;
        match Name::try_from(name) {
            Ok(Name::No) => Ok(Self::No),
            Ok(Name::Always) => Ok(Self::Always),
            Ok(Name::UnlessStopped) => Ok(Self::UnlessStopped),
            Ok(Name::OnFailure) => Ok(Self::OnFailure { maximum_retry_count }),
            Ok(Name::Unspecified) => Err(InvalidField::missing("name")),
            Err(_) => Err(InvalidField::because("name", format!("unknown policy {name}"))),
        }
    }
}

impl From<RestartPolicy> for wire::RestartPolicy {
    fn from(policy: RestartPolicy) -> Self {
        use wire::restart_policy::Name;
        let (name, maximum_retry_count) = match policy {
            RestartPolicy::No => (Name::No, 0),
            RestartPolicy::Always => (Name::Always, 0),
            RestartPolicy::UnlessStopped => (Name::UnlessStopped, 0),
            RestartPolicy::OnFailure { maximum_retry_count } => {
                (Name::OnFailure, maximum_retry_count)
            }
        };
        Self { name: name as i32, maximum_retry_count }
    }
}

fn status_from_wire(number: i32) -> Result<ContainerStatus, InvalidField> {
    use wire::container_state::Status;
    match Status::try_from(number) {
        Ok(Status::Created) => Ok(ContainerStatus::Created),
        Ok(Status::Running) => Ok(ContainerStatus::Running),
        Ok(Status::Paused) => Ok(ContainerStatus::Paused),
        Ok(Status::Restarting) => Ok(ContainerStatus::Restarting),
        Ok(Status::Removing) => Ok(ContainerStatus::Removing),
        Ok(Status::Exited) => Ok(ContainerStatus::Exited),
        Ok(Status::Dead) => Ok(ContainerStatus::Dead),
        Ok(Status::Unspecified) => Err(InvalidField::missing("status")),
        Err(_) => Err(InvalidField::because("status", format!("unknown status {number}"))),
    }
}

fn status_to_wire(status: ContainerStatus) -> wire::container_state::Status {
    use wire::container_state::Status;
    match status {
        ContainerStatus::Created => Status::Created,
        ContainerStatus::Running => Status::Running,
        ContainerStatus::Paused => Status::Paused,
        ContainerStatus::Restarting => Status::Restarting,
        ContainerStatus::Removing => Status::Removing,
        ContainerStatus::Exited => Status::Exited,
        ContainerStatus::Dead => Status::Dead,
    }
}

impl TryFrom<wire::ContainerState> for ContainerState {
    type Error = InvalidField;

    fn try_from(message: wire::ContainerState) -> Result<Self, InvalidField> {
        let wire::ContainerState {
            id,
            name,
            status,
            ever_started: _, // derived again from status and times
            started_at,
            finished_at,
            exit_code,
            restart_count,
            restart_policy,
            image_id,
        } = message;
        Ok(Self {
            id: parsed("id", &id)?,
            name,
            status: status_from_wire(status)?,
            started_at: parsed_if_any("started_at", &started_at)?,
            finished_at: parsed_if_any("finished_at", &finished_at)?,
            exit_code,
            restart_count,
            restart_policy: within("restart_policy", restart_policy)?,
            image: parsed("image_id", &image_id)?,
        })
    }
}

impl From<ContainerState> for wire::ContainerState {
    fn from(state: ContainerState) -> Self {
        let ever_started = state.ever_started();
        let ContainerState {
            id,
            name,
            status,
            started_at,
            finished_at,
            exit_code,
            restart_count,
            restart_policy,
            image,
        } = state;
        Self {
            id: id.into(),
            name,
            status: status_to_wire(status) as i32,
            ever_started,
            started_at: or_empty(started_at),
            finished_at: or_empty(finished_at),
            exit_code,
            restart_count,
            restart_policy: Some(restart_policy.into()),
            image_id: image.into(),
        }
    }
}
