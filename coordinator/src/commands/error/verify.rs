//! Why nothing could be verified.

use std::io;
use std::path::PathBuf;

use crate::exit::Exit;
use crate::registry::DoorError;
use crate::verifier::{MeansError, NotAsked, NotSampled};

/// Why nothing could be verified, or no sample taken.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// What cluster.yaml names cannot be read.
    #[error(transparent)]
    Means(MeansError),
    /// The file of a sample cannot be read.
    #[error("cannot read --against `{}`", path.display())]
    ReadSample {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no sample.
    #[error("`{}` is no sample that quaymaster verify --sample wrote", path.display())]
    NoSample {
        /// The file.
        path: PathBuf,
    },
    /// Nobody was asked.
    #[error(transparent)]
    NotAsked(NotAsked),
    /// cluster.yaml names no repositories.
    #[error("verify.samples in cluster.yaml names no repository of which to take a sample")]
    NothingToSample,
    /// No sample was taken.
    #[error(transparent)]
    NotSampled(NotSampled),
}

impl VerifyError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Means(_)
            | Self::ReadSample { .. }
            | Self::NoSample { .. }
            | Self::NotAsked(NotAsked::Door(DoorError::Ca(_)))
            | Self::NotSampled(NotSampled::Door(DoorError::Ca(_)))
            | Self::NothingToSample => Exit::Usage,
            Self::NotAsked(NotAsked::Door(DoorError::Client(_)) | NotAsked::Key(_))
            | Self::NotSampled(NotSampled::Door(DoorError::Client(_)) | NotSampled::Trouble(_)) => {
                Exit::Failed
            }
            Self::NotSampled(NotSampled::Nowhere) => Exit::Unreachable,
        }
    }

    pub(super) fn next(&self, program: &str) -> String {
        match self {
            Self::Means(error) => error.remedy(),
            Self::ReadSample { .. } => "name a file that is there and that you may read".to_owned(),
            Self::NoSample { .. } => format!("take one: {program} verify --sample FILE"),
            Self::NotAsked(NotAsked::Door(_)) => {
                "give a PEM file with the authority's certificate".to_owned()
            }
            Self::NotAsked(NotAsked::Key(_)) => String::new(),
            Self::NothingToSample => {
                "name some, such as: verify: { samples: [organization/name] }".to_owned()
            }
            Self::NotSampled(NotSampled::Nowhere) => {
                format!("see how the nodes are: {program} status")
            }
            Self::NotSampled(why @ (NotSampled::Door(_) | NotSampled::Trouble(_))) => why.remedy(),
        }
    }
}
