//! Why a journal cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use quaymaster_proto::{ClusterName, RunId};

use crate::journal::Damage;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Nothing ever ran with this state directory.
    #[error("there is no journal `{}`", path.display())]
    Absent {
        /// Where it would be.
        path: PathBuf,
    },
    /// Another cluster's runs are in it.
    #[error("journal `{}` is cluster `{found}`'s, and this is cluster `{wanted}`", path.display())]
    OtherCluster {
        /// The journal.
        path: PathBuf,
        /// Whose it is.
        found: ClusterName,
        /// Whose it should be.
        wanted: ClusterName,
    },
    /// Another process drives a run with this state directory.
    #[error("journal `{}` is in use by another process", path.display())]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// The lock or the directory cannot be had.
    #[error("cannot {what} `{}`", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite says no.
    #[error("cannot {what} journal `{}`", path.display())]
    Sqlite {
        /// What was tried.
        what: &'static str,
        /// The journal.
        path: PathBuf,
        /// Why.
        source: sqlx::Error,
    },
    /// It is not what was written.
    #[error("journal `{}` cannot be trusted", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// What is wrong.
        source: Damage,
    },
    /// An event has no JSON: never, with the events there are.
    #[error("cannot write an event of run {run} down")]
    Event {
        /// Of which run.
        run: RunId,
        /// Why.
        source: serde_json::Error,
    },
}

pub(super) fn sqlite(what: &'static str, path: &Path, source: sqlx::Error) -> JournalError {
    let path = path.to_owned();
    match code(&source) {
        Some(CORRUPT | NO_DATABASE) => {
            let source = Damage::File { problem: source.to_string() };
            JournalError::Damaged { path, source }
        }
        Some(_) | None => JournalError::Sqlite { what, path, source },
    }
}

/// SQLite's primary result codes (sqlite.org/rescode.html).
const IO_ERROR: i64 = 10;
const CORRUPT: i64 = 11;
const FULL: i64 = 13;
const CANNOT_OPEN: i64 = 14;
const NO_DATABASE: i64 = 26;

fn code(error: &sqlx::Error) -> Option<i64> {
    let extended: i64 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

impl JournalError {
    /// Whether more room might help.
    pub(super) fn may_be_full(&self) -> bool {
        match self {
            Self::Sqlite { source, .. } => {
                matches!(code(source), Some(FULL | IO_ERROR | CANNOT_OPEN))
            }
            Self::Absent { .. }
            | Self::OtherCluster { .. }
            | Self::InUse { .. }
            | Self::Disk { .. }
            | Self::Damaged { .. }
            | Self::Event { .. } => false,
        }
    }
}
