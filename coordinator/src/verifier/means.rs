//! What a verification is made with: a robot's login and whom it trusts, read when they are needed
//! and kept nowhere else.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads these files")]

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::cluster::VerifySettings;
use crate::registry::{CredentialsError, Login, login};

/// What cluster.yaml names, read.
pub struct Means {
    /// As whom.
    pub login: Option<Login>,
    ca: Option<Vec<u8>>,
}

/// Why what cluster.yaml names cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MeansError {
    /// A file that a setting names.
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
}

impl MeansError {
    /// What to do.
    pub fn remedy(&self) -> String {
        match self {
            Self::ReadFile { .. } => "name a file that is there and that you may read".to_owned(),
            Self::OpenToAll { path, .. } => format!("chmod 600 {}", path.display()),
            Self::Credentials { path, .. } => format!(
                "write it anew: Quay offers each robot's Docker configuration for download, and \
                 podman login --authfile {} writes one",
                path.display()
            ),
        }
    }
}

impl Means {
    /// Reads them.
    pub fn read(settings: &VerifySettings) -> Result<Self, MeansError> {
        let VerifySettings { credentials, public, ca, .. } = settings;
        let login = match credentials {
            Some(path) => {
                let names = public.iter().flat_map(|public| [public.authority(), public.host()]);
                let names: Vec<String> = names.map(str::to_owned).collect();
                Some(read_login(path, &names)?)
            }
            None => None,
        };
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| MeansError::ReadFile {
                setting: "verify.ca",
                path: path.clone(),
                source,
            })
        };
        Ok(Self { login, ca: ca.as_ref().map(read).transpose()? })
    }

    /// Whom it trusts; `None` = whom this machine trusts.
    pub fn ca(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }
}

/// Without the password.
impl fmt::Debug for Means {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { login, ca } = self;
        let mut debug = formatter.debug_struct("Means");
        debug.field("has_login", &login.is_some()).field("has_ca", &ca.is_some()).finish()
    }
}

fn read_login(path: &Path, names: &[String]) -> Result<Login, MeansError> {
    let unread = |source| MeansError::ReadFile {
        setting: "verify.credentials",
        path: path.to_owned(),
        source,
    };
    let mode = std::fs::metadata(path).map_err(unread)?.mode();
    if mode & 0o077 != 0 {
        return Err(MeansError::OpenToAll { path: path.to_owned(), mode: mode & 0o777 });
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    login(&text, names).map_err(|source| MeansError::Credentials { path: path.to_owned(), source })
}
