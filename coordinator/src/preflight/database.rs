//! The database: one for all, reachable, a primary, and where the window may
//! start.

use std::collections::BTreeSet;

use quaymaster_proto::NodeName;
use serde::Serialize;

use super::{Code, gigabytes, grouped, groups_in_words, numbers};
use crate::plan::ReleaseInMode;
use crate::plan::situation::Situation;
use crate::survey::{ClusterFacts, DatabaseAnswer, NodeSurvey};

/// Below this many bytes a rewrite is no matter of room.
const MUCH: u64 = 1_000_000_000;

/// The documented one (quay-facts 3.4).
const LEAST_POSTGRESQL: (u32, u32) = (9, 6);

/// The documented one (quay-facts 3.4).
const LEAST_REDIS: (u32, u32) = (3, 2);

/// What is wrong with the database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum DatabaseFinding {
    /// A node does not reach it.
    #[error("{node}: its database cannot be read: {problem}")]
    Unreadable {
        /// Where.
        node: NodeName,
        /// Why.
        problem: String,
    },
    /// Nodes on several databases.
    #[error("the nodes are not on one database: {}", groups_in_words(.databases))]
    Several {
        /// Each, as people call it, and who reaches it.
        databases: Vec<(String, Vec<NodeName>)>,
    },
    /// A standby.
    #[error("{node}: {database} is in recovery: a standby, which nothing may migrate")]
    InRecovery {
        /// Where.
        node: NodeName,
        /// As people call it.
        database: String,
    },
    /// It is not where this window may start.
    #[error("the database is at revision {revision}; from {from} a window starts at {}", .accepted.join(" or "))]
    WrongRevision {
        /// What runs.
        from: ReleaseInMode,
        /// What was read.
        revision: String,
        /// What would be right.
        accepted: Vec<String>,
    },
    /// An extension that the migration needs.
    #[error("the database has no extension pg_trgm, which Quay needs since 2.1")]
    NoTrigrams,
    /// Large tables are written anew.
    #[error(
        "the migration rewrites {}: the database's server needs as much free room, and nobody can \
         see its disk from here",
        tables_in_words(.tables)
    )]
    TablesRewritten {
        /// Each, with its size in bytes.
        tables: Vec<(String, u64)>,
    },
    /// An old Redis.
    #[error("{node}: its Redis is {version}; the release is documented for 3.2")]
    OldRedis {
        /// Whose config.yaml names it.
        node: NodeName,
        /// As it says.
        version: String,
    },
    /// An old server.
    #[error("the database's server is PostgreSQL {version}; the release is documented for 9.6")]
    OldServer {
        /// As the server says it.
        version: String,
    },
}

fn tables_in_words(tables: &[(String, u64)]) -> String {
    let table = |(name, bytes): &(String, u64)| format!("{name} ({})", gigabytes(*bytes));
    tables.iter().map(table).collect::<Vec<_>>().join(" and ")
}

impl DatabaseFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => Code::DatabaseUnreadable,
            Self::Several { .. } => Code::SeveralDatabases,
            Self::InRecovery { .. } => Code::DatabaseInRecovery,
            Self::WrongRevision { .. } => Code::WrongRevision,
            Self::NoTrigrams => Code::NoTrigrams,
            Self::TablesRewritten { .. } => Code::TablesRewritten,
            Self::OldServer { .. } => Code::PostgresqlOld,
            Self::OldRedis { .. } => Code::RedisOld,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Unreadable { node, .. }
            | Self::InRecovery { node, .. }
            | Self::OldRedis { node, .. } => Some(node),
            Self::Several { .. }
            | Self::WrongRevision { .. }
            | Self::NoTrigrams
            | Self::TablesRewritten { .. }
            | Self::OldServer { .. } => None,
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Unreadable { node, .. } => {
                format!("look at DB_URI in config.yaml on {node}, and at the way to the server")
            }
            Self::Several { .. } => "make DB_URI the same on every node".to_owned(),
            Self::InRecovery { node, .. } => {
                format!("let DB_URI on {node} name the primary, or promote the standby")
            }
            Self::WrongRevision { .. } => "a migration was begun or went further than what runs: \
                do not start anything; compare alembic_version with the last upgrade's record"
                .to_owned(),
            Self::NoTrigrams => {
                "as a superuser of the database: CREATE EXTENSION pg_trgm".to_owned()
            }
            Self::TablesRewritten { .. } => {
                "look at the free room of the server's data directory".to_owned()
            }
            Self::OldRedis { .. } => {
                "bring the Redis to 3.2 or newer before; it keeps nothing that lasts".to_owned()
            }
            Self::OldServer { .. } => {
                "bring the server to 9.6 or newer before, in a window of its own".to_owned()
            }
        }
    }
}

pub(super) fn readable(name: &NodeName, survey: &NodeSurvey) -> Option<DatabaseFinding> {
    match &survey.database {
        DatabaseAnswer::Looked(_) => None,
        DatabaseAnswer::Problem(problem) => {
            Some(DatabaseFinding::Unreadable { node: name.clone(), problem: problem.clone() })
        }
    }
}

pub(super) fn primary(name: &NodeName, survey: &NodeSurvey) -> Option<DatabaseFinding> {
    let look = survey.database()?;
    look.in_recovery.then(|| DatabaseFinding::InRecovery {
        node: name.clone(),
        database: look.shown_as.clone(),
    })
}

pub(super) fn one(facts: &ClusterFacts) -> Option<DatabaseFinding> {
    let pairs = facts.nodes.iter().filter_map(|(name, survey)| {
        Some(((&survey.database()?.identity, &survey.database()?.shown_as), name.clone()))
    });
    let databases = grouped(pairs);
    let identities: BTreeSet<_> = databases.iter().map(|((identity, _), _)| identity).collect();
    if identities.len() < 2 {
        return None;
    }
    let databases =
        databases.into_iter().map(|((_, shown_as), nodes)| (shown_as.clone(), nodes)).collect();
    Some(DatabaseFinding::Several { databases })
}

pub(super) fn revision(situation: &Situation<'_>) -> Option<DatabaseFinding> {
    let look = situation.facts.one_database()?;
    let accepted = situation.accepted();
    (!accepted.contains(&look.revision)).then(|| DatabaseFinding::WrongRevision {
        from: situation.window.from.clone(),
        revision: look.revision.clone(),
        accepted: accepted.to_vec(),
    })
}

/// A migration that makes an index with it dies midway (quay-facts 3.4,
/// quay-observed 4).
pub(super) fn trigrams(situation: &Situation<'_>) -> Option<DatabaseFinding> {
    let mut footings = situation.footings().filter_map(|(_, footing)| footing.database.as_ref());
    footings.any(|database| !database.has_trigrams).then_some(DatabaseFinding::NoTrigrams)
}

/// quay-facts 3.1, 7.2: of the tables whose ids grow, all that is there is
/// written once more.
pub(super) fn rewritten(situation: &Situation<'_>) -> Option<DatabaseFinding> {
    let mut footings = situation.footings().filter_map(|(_, footing)| footing.database.as_ref());
    let sizes = &footings.next()?.rewritten;
    let all: u64 = sizes.iter().map(|size| size.bytes).sum();
    if !situation.changes_schema() || all < MUCH {
        return None;
    }
    let tables = sizes.iter().map(|size| (size.table.clone(), size.bytes)).collect();
    Some(DatabaseFinding::TablesRewritten { tables })
}

/// The documented server (quay-facts 3.4).
pub(super) fn server(situation: &Situation<'_>) -> Option<DatabaseFinding> {
    let look = situation.facts.one_database()?;
    let is_old = numbers(&look.server_version).is_some_and(|version| version < LEAST_POSTGRESQL);
    (look.kind == "postgresql" && is_old)
        .then(|| DatabaseFinding::OldServer { version: look.server_version.clone() })
}

/// The documented Redis (quay-facts 3.4), once for each node that names an older
/// one.
pub(super) fn redis(situation: &Situation<'_>) -> Vec<DatabaseFinding> {
    let is_old = |version: &&String| numbers(version).is_some_and(|found| found < LEAST_REDIS);
    let old = situation.footings().filter_map(|(node, footing)| {
        let version = footing.redis_versions.iter().find(is_old)?;
        Some(DatabaseFinding::OldRedis { node: node.clone(), version: version.clone() })
    });
    old.collect()
}
