//! Why nothing was kept of the storage, in words with what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why nothing was kept of the storage. No text in here holds a key of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// There is nothing to copy.
    #[error("config.yaml names no storage")]
    Unnamed,
    /// It is an object store.
    #[error("location `{location}` of the storage is kept by {driver}, in no directory")]
    NotLocal {
        /// As config.yaml calls it.
        location: String,
        /// Quay's name of it.
        driver: String,
    },
    /// config.yaml does not say where.
    #[error("location `{location}` of the storage has no storage_path in config.yaml")]
    NoPath {
        /// As config.yaml calls it.
        location: String,
    },
    /// The container keeps it within itself.
    #[error("`{}` of Quay's container is no directory of this host", path.display())]
    NotMounted {
        /// Inside the container.
        path: PathBuf,
    },
    /// The copy would hold itself.
    #[error("backups lie in `{}`, which is the storage", directory.display())]
    Inside {
        /// Of the storage.
        directory: PathBuf,
    },
    /// What lies behind it would not be in the copy.
    #[error("`{}` of the storage is a link to `{}`, which a copy would not hold", link.display(), target.display())]
    Linked {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The agent knows of no program.
    #[error("agent.yaml names no backup.storage_hook")]
    NoHook,
    /// The program is not there, or cannot be run.
    #[error("the storage's hook `{}` cannot be run", program.display())]
    HookUnusable {
        /// Which.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program failed.
    #[error("the storage's hook `{program}` failed ({status}): {said}")]
    HookFailed {
        /// Which.
        program: String,
        /// As the system says it.
        status: String,
        /// Its last words.
        said: String,
    },
    /// It cannot be read.
    #[error("cannot read `{}` of the storage", path.display())]
    Unread {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy cannot be written.
    #[error("cannot write `{}`", path.display())]
    Unwritten {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file breaks off.
    #[error("cannot copy `{}` to `{}`", from.display(), into.display())]
    Uncopied {
        /// Which.
        from: PathBuf,
        /// Where to.
        into: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A copy is not what it was copied from.
    #[error("the copy `{}` does not hold what its original holds", path.display())]
    Differs {
        /// The copy.
        path: PathBuf,
    },
    /// It became more or less.
    #[error("{before} were copied, and the copy has {after}")]
    Changed {
        /// What was copied.
        before: String,
        /// What was found.
        after: String,
    },
    /// Nobody waits for it any more.
    #[error("it was called off")]
    CalledOff,
}

impl StorageError {
    pub(super) fn unread(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Unread { path, source }
    }

    pub(super) fn unwritten(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Unwritten { path, source }
    }

    /// What to do.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Unnamed | Self::NotLocal { .. } | Self::NoPath { .. } => {
                "let backup.storage of cluster.yaml be `hook`, or leave it out and waive \
                 storage-not-backed-up"
            }
            Self::NotMounted { .. } => {
                "name a node whose Quay has the storage mounted under backup.node of cluster.yaml"
            }
            Self::Linked { .. } => {
                "mount what it leads to in its place, or let backup.storage of cluster.yaml be \
                 `hook`"
            }
            Self::Inside { .. } => "set backup.directory of agent.yaml to another place",
            Self::NoHook => "name a program under backup.storage_hook of agent.yaml",
            Self::HookUnusable { .. } => {
                "let the agent's user run it, or name another under backup.storage_hook of \
                 agent.yaml"
            }
            Self::HookFailed { .. } => "mend what it does, and plan again",
            Self::Unread { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "see that the storage is mounted on this host where Quay's container has it from"
            }
            Self::Unread { .. } => {
                "let the agent's user read the storage, as its unit does; on NFS its capabilities \
                 count for nothing"
            }
            Self::Unwritten { source, .. } | Self::Uncopied { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                "make room there, or set backup.directory in agent.yaml to another disk"
            }
            Self::Unwritten { .. } | Self::Uncopied { .. } => {
                "see the disks of the storage and of backup.directory of agent.yaml"
            }
            Self::Differs { .. } => "nothing of it is kept; see the disk, then plan again",
            Self::Changed { .. } => "end whatever else writes into the storage, and plan again",
            Self::CalledOff => "",
        }
    }
}
