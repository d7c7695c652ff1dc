//! The backup in the dark: whether the node that is to make it could.

use jiff::Timestamp;
use quaymaster_proto::NodeName;
use quaymaster_proto::backup::{BackupFacts, needed_bytes};
use quaymaster_proto::mysql_version::{self, Misfit, MysqlVersion};
use quaymaster_proto::postgres_version::{PostgresVersion, fitting};
use serde::Serialize;

use super::{Code, storage};
use crate::plan::situation::Situation;

/// As people call it.
const POSTGRESQL: &str = "PostgreSQL";

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
    /// A dump may not fit, or with it a copy of the storage.
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
        /// By the database's size, and the storage's where that is copied.
        needed_bytes: u64,
    },
    /// It has no such program.
    #[error("{node} has no {program}, and the server is {server}")]
    NoProgram {
        /// Which.
        node: NodeName,
        /// What dumps that server.
        program: &'static str,
        /// The server and its version.
        server: String,
    },
    /// Each such program is older than the server.
    #[error("{program} {} of {node} is older than the server, {server}", .found.join(" and "))]
    TooOld {
        /// Which.
        node: NodeName,
        /// What dumps that server.
        program: &'static str,
        /// The server and its version.
        server: String,
        /// Each.
        found: Vec<String>,
    },
    /// Each program is MySQL's for MariaDB, or the other way round.
    #[error(
        "{node} dumps with the programs of {}, and the server is {server}",
        .found.join(" and ")
    )]
    OtherKind {
        /// Which.
        node: NodeName,
        /// The server and its version.
        server: String,
        /// Each.
        found: Vec<String>,
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
            Self::OtherKind { .. } => Code::BackupProgramOther,
            Self::Waived { .. } => Code::BackupWaived,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::NotConfigured { node }
            | Self::Directory { node, .. }
            | Self::NoRoom { node, .. }
            | Self::NoProgram { node, .. }
            | Self::TooOld { node, .. }
            | Self::OtherKind { node, .. } => Some(node),
            Self::Waived { .. } => None,
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
            Self::NoProgram { node, server, .. }
            | Self::TooOld { node, server, .. }
            | Self::OtherKind { node, server, .. } => format!(
                "install the client programs of {} on {node}, or name another node under \
                 backup.node in cluster.yaml",
                series(server)
            ),
            Self::Waived { .. } => String::new(),
        }
    }
}

/// `PostgreSQL 15` of `PostgreSQL 15.6`, `MariaDB 10.11` of `MariaDB 10.11.6`.
fn series(server: &str) -> String {
    if server.starts_with(POSTGRESQL) {
        let version = PostgresVersion::read(server);
        let version = version.map(|version| format!("{POSTGRESQL} {}", version.major_in_words()));
        return version.unwrap_or_else(|| server.to_owned());
    }
    let version = MysqlVersion::read(server).map(|version| version.series_in_words());
    version.unwrap_or_else(|| server.to_owned())
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
    let copied = storage::copied_bytes(situation);
    let needed = |size| needed_bytes(&look.kind, size).saturating_add(copied);
    found.extend(sizes.max().and_then(|size| room(node, backup, needed(size))));
    match look.kind.as_str() {
        "postgresql" => found.extend(program(node, backup, &look.server_version)),
        "mysql" => found.extend(mysql_program(node, backup, &look.server_version)),
        // A lab's file, which the agent copies by itself.
        _ => {}
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
    let (program, server) = ("pg_dump", format!("{POSTGRESQL} {wanted}"));
    match fitting(&wanted, &versions) {
        Some(_) => None,
        None if versions.is_empty() => Some(BackupFinding::NoProgram { node, program, server }),
        None => Some(BackupFinding::TooOld { node, program, server, found }),
    }
}

/// The same for MySQL and MariaDB.
fn mysql_program(node: &NodeName, backup: &BackupFacts, server: &str) -> Option<BackupFinding> {
    let versions = backup.mysql_dump_versions.iter().filter_map(|said| MysqlVersion::read(said));
    let versions: Vec<MysqlVersion> = versions.collect();
    let wanted = MysqlVersion::read(server)?;
    let (node, found) = (node.clone(), backup.mysql_dump_versions.clone());
    let (program, server) = (wanted.kind.program(), wanted.to_string());
    match mysql_version::fitting(&wanted, &versions) {
        Ok(_) => None,
        Err(Misfit::None) => Some(BackupFinding::NoProgram { node, program, server }),
        Err(Misfit::OtherKind) => Some(BackupFinding::OtherKind { node, server, found }),
        Err(Misfit::Older) => {
            let of_its_kind = versions.iter().filter(|version| version.kind == wanted.kind);
            let found = of_its_kind.map(ToString::to_string).collect();
            Some(BackupFinding::TooOld { node, program, server, found })
        }
    }
}
