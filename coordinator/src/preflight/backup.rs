//! The backup in the dark: whether the node that is to make it could.

use jiff::Timestamp;
use quaymaster_proto::NodeName;
use quaymaster_proto::backup::{BackupFacts, needed_bytes};
use quaymaster_proto::postgres_version::{PostgresVersion, fitting};
use serde::Serialize;

use super::Code;
use crate::plan::situation::Situation;

/// What stands against the backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum BackupFinding {
    /// Its agent makes none.
    #[error("{node} is to back up the database, and its agent.yaml names no directory for that")]
    NotConfigured {
        /// Which.
        node: NodeName,
    },
    /// Nothing can be written there.
    #[error("{node} cannot write backups: {problem}")]
    Directory {
        /// Which.
        node: NodeName,
        /// Why.
        problem: String,
    },
    /// A dump may not fit.
    #[error(
        "{node} has {} MB free in {directory}, and a backup may take {} MB",
        .free_bytes / 1_000_000,
        .needed_bytes / 1_000_000
    )]
    NoRoom {
        /// Which.
        node: NodeName,
        /// Where.
        directory: String,
        /// There.
        free_bytes: u64,
        /// By the database's size.
        needed_bytes: u64,
    },
    /// It has no pg_dump.
    #[error("{node} has no pg_dump, and the server is PostgreSQL {server}")]
    NoProgram {
        /// Which.
        node: NodeName,
        /// The server's version.
        server: String,
    },
    /// Each pg_dump is older than the server.
    #[error("pg_dump {} of {node} is older than the server, PostgreSQL {server}", .found.join(" and "))]
    TooOld {
        /// Which.
        node: NodeName,
        /// The server's version.
        server: String,
        /// Each.
        found: Vec<String>,
    },
    /// A kind of database that nobody here dumps.
    #[error("a {database} database is not backed up by agents")]
    Unsupported {
        /// Which.
        database: String,
    },
    /// Somebody waived it.
    #[error("no backup is taken in this window: {because}; {}", newest_in_words(*.newest))]
    Waived {
        /// In words.
        because: String,
        /// When the newest one ended that any agent knows of.
        newest: Option<Timestamp>,
    },
}

fn newest_in_words(newest: Option<Timestamp>) -> String {
    match newest {
        Some(newest) => format!("the newest known is of {newest:.0}"),
        None => "no agent knows of an earlier one".to_owned(),
    }
}

impl BackupFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::NotConfigured { .. } => Code::BackupNotConfigured,
            Self::Directory { .. } => Code::BackupNotWritable,
            Self::NoRoom { .. } => Code::BackupNoRoom,
            Self::NoProgram { .. } => Code::BackupNoProgram,
            Self::TooOld { .. } => Code::BackupProgramOld,
            Self::Unsupported { .. } => Code::BackupUnsupported,
            Self::Waived { .. } => Code::BackupWaived,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::NotConfigured { node }
            | Self::Directory { node, .. }
            | Self::NoRoom { node, .. }
            | Self::NoProgram { node, .. }
            | Self::TooOld { node, .. } => Some(node),
            Self::Unsupported { .. } | Self::Waived { .. } => None,
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::NotConfigured { node } => format!(
                "name backup.directory in agent.yaml on {node} and restart its agent, or another \
                 node under backup.node in cluster.yaml; or say why none is needed: plan \
                 --waive-backup WORDS"
            ),
            Self::Directory { node, .. } => {
                format!("quaymaster-agent check on {node} says what it needs")
            }
            Self::NoRoom { node, .. } => {
                format!("make room on {node}, or name another directory or another node")
            }
            Self::NoProgram { node, server } | Self::TooOld { node, server, .. } => format!(
                "install the client programs of PostgreSQL {} on {node}, or name another node \
                 under backup.node in cluster.yaml",
                PostgresVersion::read(server)
                    .map_or_else(|| server.clone(), |version| version.major_in_words())
            ),
            Self::Unsupported { .. } => {
                "back it up by its own means, and say so: plan --waive-backup WORDS".to_owned()
            }
            Self::Waived { .. } => String::new(),
        }
    }
}

pub(super) fn possible(situation: &Situation<'_>) -> Vec<BackupFinding> {
    if let Some(because) = situation.waived_backup {
        let (because, newest) = (because.to_owned(), situation.newest_backup());
        return vec![BackupFinding::Waived { because, newest }];
    }
    let node = &situation.cluster.backup;
    // A node that does not answer is a finding of its own.
    let Some(survey) = situation.facts.nodes.get(node) else { return Vec::new() };
    let Some(backup) = &survey.facts.backup else {
        return vec![BackupFinding::NotConfigured { node: node.clone() }];
    };
    let mut found = Vec::new();
    if !backup.problem.is_empty() {
        let (node, problem) = (node.clone(), backup.problem.clone());
        found.push(BackupFinding::Directory { node, problem });
    }
    let Some(look) = situation.facts.one_database() else { return found };
    let sizes = situation.facts.nodes.values().filter_map(|survey| survey.database()?.size_bytes);
    found.extend(sizes.max().and_then(|size| room(node, backup, needed_bytes(&look.kind, size))));
    match look.kind.as_str() {
        "postgresql" => found.extend(program(node, backup, &look.server_version)),
        "sqlite" => {}
        kind => found.push(BackupFinding::Unsupported { database: kind.to_owned() }),
    }
    found
}

fn room(node: &NodeName, backup: &BackupFacts, needed_bytes: u64) -> Option<BackupFinding> {
    let free_bytes = backup.free_bytes?;
    (free_bytes < needed_bytes).then(|| BackupFinding::NoRoom {
        node: node.clone(),
        directory: backup.directory.clone(),
        free_bytes,
        needed_bytes,
    })
}

fn program(node: &NodeName, backup: &BackupFacts, server: &str) -> Option<BackupFinding> {
    let versions = backup.dump_versions.iter().filter_map(|said| PostgresVersion::read(said));
    let versions: Vec<PostgresVersion> = versions.collect();
    let (node, found) = (node.clone(), backup.dump_versions.clone());
    let wanted = PostgresVersion::read(server)?;
    let server = wanted.to_string();
    match fitting(&wanted, &versions) {
        Some(_) => None,
        None if versions.is_empty() => Some(BackupFinding::NoProgram { node, server }),
        None => Some(BackupFinding::TooOld { node, server, found }),
    }
}
