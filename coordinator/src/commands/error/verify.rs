//! Why nothing could be verified.

use std::io;
use std::path::PathBuf;

use crate::exit::Exit;
use crate::registry::{CredentialsError, DoorError, Trouble};
use crate::verify::schema1::NoKey;

/// Why nothing could be verified, or no sample taken.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file that a setting names cannot be read.
    #[error("cannot read {setting} `{}`", path.display())]
    ReadFile {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read the password.
    #[error("verify.credentials `{}` may be read by others (mode {mode:04o})", path.display())]
    OpenToAll {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no login.
    #[error("cannot use verify.credentials `{}`", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CredentialsError,
    },
    /// The file is no sample.
    #[error("`{}` is no sample that quaymaster verify --sample wrote", path.display())]
    NoSample {
        /// The file.
        path: PathBuf,
    },
    /// No client can be made.
    #[error("cannot ask the registry")]
    Door(#[source] DoorError),
    /// No key can be made.
    #[error("cannot make the images of a verification")]
    Key(#[source] NoKey),
    /// cluster.yaml names no repositories.
    #[error("verify.samples in cluster.yaml names no repository of which to take a sample")]
    NothingToSample,
    /// No node can be asked.
    #[error("no node's Quay can be asked for a sample: no agent answers, or no port is published")]
    Nowhere,
    /// The registry did not say.
    #[error("cannot take a sample")]
    Sample(#[source] Trouble),
}

impl VerifyError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::ReadFile { .. }
            | Self::OpenToAll { .. }
            | Self::Credentials { .. }
            | Self::NoSample { .. }
            | Self::Door(DoorError::Ca(_))
            | Self::NothingToSample => Exit::Usage,
            Self::Door(DoorError::Client(_)) | Self::Key(_) | Self::Sample(_) => Exit::Failed,
            Self::Nowhere => Exit::Unreachable,
        }
    }

    pub(super) fn next(&self, program: &str) -> String {
        match self {
            Self::ReadFile { .. } => "name a file that is there and that you may read".to_owned(),
            Self::OpenToAll { path, .. } => format!("chmod 600 {}", path.display()),
            Self::Credentials { path, .. } => format!(
                "write it anew: Quay offers each robot's Docker configuration for download, and \
                 podman login --authfile {} writes one",
                path.display()
            ),
            Self::NoSample { .. } => format!("take one: {program} verify --sample FILE"),
            Self::Door(_) => "give a PEM file with the authority's certificate".to_owned(),
            Self::Key(_) => String::new(),
            Self::NothingToSample => {
                "name some, such as: verify: { samples: [organization/name] }".to_owned()
            }
            Self::Nowhere => format!("see how the nodes are: {program} status"),
            Self::Sample(trouble) => trouble.remedy(),
        }
    }
}
