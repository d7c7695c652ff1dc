//! Jobs: orders that take longer than a call should.

use serde::{Deserialize, Serialize};

use crate::act::Ordered;
use crate::backup::{BackUp, Backup, CheckBackup, Restore};
use crate::id::{ImageDigest, ImageId};
use crate::invalid::{InvalidField, parsed, within, within_if_any};
use crate::wire;
use crate::words::Component;

/// Pull an image by digest from a repository that agent.yaml allows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullImage {
    /// For which component.
    pub component: Component,
    /// Without tag or digest.
    pub repository: String,
    /// Of the manifest.
    pub digest: ImageDigest,
    /// What the digest was resolved from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// What a job is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobOrder {
    /// Pull an image.
    Pull(PullImage),
    /// Back up the database.
    BackUp(BackUp),
    /// Read its backup back.
    CheckBackup(CheckBackup),
    /// Restore it.
    Restore(Restore),
}

impl JobOrder {
    /// As logs and ledgers have it.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Pull(_) => "pull-image",
            Self::BackUp(_) => "back-up",
            Self::CheckBackup(_) => "check-backup",
            Self::Restore(_) => "restore",
        }
    }
}

/// Where a job stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobReport {
    /// The agent's name for it.
    pub id: String,
    /// Running, or how it ended.
    pub state: JobState,
    /// Bytes so far.
    pub done_bytes: u64,
    /// Bytes in all; 0 = not known.
    pub total_bytes: u64,
    /// What it waits for or tries again, and why; empty where it simply goes on.
    pub note: String,
}

/// Running, or how a job ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Not ended.
    Running,
    /// The image is on the node.
    Done {
        /// Its id on this engine.
        image: ImageId,
    },
    /// There is a backup of the database, made or checked, and it was read back.
    BackedUp(Box<Backup>),
    /// The database holds what the backup holds.
    Restored {
        /// In the tables that were counted in the backup and in the database.
        rows: u64,
    },
    /// It is not done.
    Failed {
        /// Why, and what to do.
        problem: String,
    },
    /// Ended on request.
    Cancelled,
}

impl TryFrom<wire::PullImageRequest> for Ordered<PullImage> {
    type Error = InvalidField;

    fn try_from(message: wire::PullImageRequest) -> Result<Self, InvalidField> {
        let wire::PullImageRequest { act, component, repository, digest, tag } = message;
        let order = PullImage {
            component: Component::from_wire("component", component)?,
            repository: parsed("repository", &repository)?,
            digest: parsed("digest", &digest)?,
            tag: (!tag.is_empty()).then_some(tag),
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<PullImage>> for wire::PullImageRequest {
    fn from(ordered: Ordered<PullImage>) -> Self {
        let Ordered { act, order: PullImage { component, repository, digest, tag } } = ordered;
        Self {
            act: Some(act.into()),
            component: component.to_wire(),
            repository,
            digest: digest.into(),
            tag: tag.unwrap_or_default(),
        }
    }
}

impl TryFrom<wire::JobReport> for JobReport {
    type Error = InvalidField;

    fn try_from(message: wire::JobReport) -> Result<Self, InvalidField> {
        use wire::job_report::State;
        let wire::JobReport {
            id,
            state,
            done_bytes,
            total_bytes,
            image_id,
            problem,
            note,
            backup,
            restored_rows,
        } = message;
        let backup: Option<Backup> = within_if_any("backup", backup)?;
        let state = match State::try_from(state) {
            Ok(State::Running) => JobState::Running,
            Ok(State::Done) => match (backup, restored_rows) {
                (Some(backup), _) => JobState::BackedUp(Box::new(backup)),
                (None, Some(rows)) => JobState::Restored { rows },
                (None, None) => JobState::Done { image: parsed("image_id", &image_id)? },
            },
            Ok(State::Failed) => JobState::Failed { problem },
            Ok(State::Cancelled) => JobState::Cancelled,
            Ok(State::Unspecified) => return Err(InvalidField::missing("state")),
            Err(_) => {
                return Err(InvalidField::because("state", format!("unknown state {state}")));
            }
        };
        Ok(Self { id, state, done_bytes, total_bytes, note })
    }
}

impl From<JobReport> for wire::JobReport {
    fn from(report: JobReport) -> Self {
        use wire::job_report::State;
        let JobReport { id, state, done_bytes, total_bytes, note } = report;
        let empty = Self { id, done_bytes, total_bytes, note, ..Self::default() };
        match state {
            JobState::Running => Self { state: State::Running as i32, ..empty },
            JobState::Done { image } => {
                Self { state: State::Done as i32, image_id: image.into(), ..empty }
            }
            JobState::BackedUp(backup) => {
                Self { state: State::Done as i32, backup: Some((*backup).into()), ..empty }
            }
            JobState::Restored { rows } => {
                Self { state: State::Done as i32, restored_rows: Some(rows), ..empty }
            }
            JobState::Failed { problem } => Self { state: State::Failed as i32, problem, ..empty },
            JobState::Cancelled => Self { state: State::Cancelled as i32, ..empty },
        }
    }
}
