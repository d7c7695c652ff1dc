//! The database: one for all, reachable, a primary, and where the window may
//! start.

use std::collections::BTreeSet;

use quaymaster_proto::NodeName;
use serde::Serialize;

use super::{Code, grouped, groups_in_words};
use crate::plan::ReleaseInMode;
use crate::plan::situation::Situation;
use crate::survey::{ClusterFacts, DatabaseAnswer, NodeSurvey};

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
}

impl DatabaseFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => Code::DatabaseUnreadable,
            Self::Several { .. } => Code::SeveralDatabases,
            Self::InRecovery { .. } => Code::DatabaseInRecovery,
            Self::WrongRevision { .. } => Code::WrongRevision,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Unreadable { node, .. } | Self::InRecovery { node, .. } => Some(node),
            Self::Several { .. } | Self::WrongRevision { .. } => None,
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
