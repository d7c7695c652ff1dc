//! What a gate waits for, why it opened, and why it will not.

use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::database::Session;
use quaymaster_proto::{Mode, NodeName};
use serde::{Deserialize, Serialize};

use crate::run::log::LogTail;
use crate::run::ran::Ran;
use crate::verify::{Account, Check};

/// What a gate waits for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitingOn {
    /// More tags.
    Backfill {
        /// A fraction, as Quay says it; `None` = no count could be had.
        progress: Option<f64>,
        /// What is left; may be negative.
        tags_remaining: i64,
        /// Of so many.
        total_tags: i64,
        /// Samples in a row at or above the threshold.
        good_samples: u32,
        /// In words, when there was no count.
        problem: String,
    },
    /// A person.
    Approval,
    /// Quay containers that still live.
    Containers {
        /// On these nodes.
        nodes: Vec<NodeName>,
    },
    /// The edited config.yaml, where not every node sees it yet.
    Config {
        /// Each, with what it has.
        nodes: Vec<(NodeName, String)>,
    },
    /// Sessions that should be gone.
    Sessions {
        /// Each.
        sessions: Vec<Session>,
    },
    /// The first node's migration.
    Migration {
        /// What the database shows.
        revision: String,
        /// Where it goes.
        target: String,
    },
    /// Nodes that are not healthy yet.
    Health {
        /// Each, with why.
        nodes: Vec<(NodeName, String)>,
    },
    /// Health has to last.
    Lasting {
        /// So long in all.
        #[serde(with = "crate::duration_text")]
        needed: Duration,
    },
    /// Nodes that do not answer.
    Answer {
        /// Each, with why.
        nodes: Vec<(NodeName, String)>,
    },
    /// The checks of a registry's client.
    Verification {
        /// What is checked just now, by place: a node, or the public name.
        places: Vec<(String, Check)>,
    },
}

/// Why a gate opened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Enough tags are mapped.
    Backfill {
        /// A fraction, as Quay says it.
        progress: f64,
        /// What the second window has to do.
        tags_remaining: i64,
        /// Of so many.
        total_tags: i64,
    },
    /// A person agreed, or waived the gate.
    Person {
        /// Who.
        by: String,
        /// In words.
        because: Option<String>,
    },
    /// The fresh survey is as the plan saw it.
    Unchanged,
    /// Nothing runs.
    Dark {
        /// Sessions that were expected to stay; `None` = this database has no
        /// list, so the gate rests on the nodes alone.
        sessions: Option<Vec<Session>>,
        /// Every Quay that had run by then.
        #[serde(default)]
        ran: Vec<Ran>,
    },
    /// The migrating container has been started already, as its engine says,
    /// and no other Quay runs: there is nothing left to be dark for, and the
    /// start is asked for only to hear what became of it.
    Begun,
    /// The first node is at the target and healthy.
    FirstNode {
        /// The target.
        revision: String,
        /// The mode that the running Quay shows.
        mode: Option<Mode>,
        /// Its node's clock.
        healthy_at: Timestamp,
    },
    /// The others are healthy.
    Healthy {
        /// Each node's own clock.
        healthy_at: Vec<(NodeName, Timestamp)>,
    },
    /// A client found the registry to do what it has to, or what it found does
    /// not hold the run.
    Verified {
        /// What it found.
        account: Account,
        /// Who lets the run end with the faults among it, and why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waived: Option<Word>,
    },
}

/// What a person said, for the record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// Who: user@host.
    pub by: String,
    /// In words.
    pub because: Option<String>,
}

/// Why a gate will not open by itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateFailure {
    /// Something changed after the survey.
    Drifted {
        /// Each, in words.
        changes: Vec<String>,
    },
    /// A Quay lives that should not.
    Alive {
        /// Node and container, in words.
        containers: Vec<String>,
    },
    /// Nodes whose config.yaml is not the edited one.
    Config {
        /// Each, with what it has.
        nodes: Vec<(NodeName, String)>,
    },
    /// Nodes that have not written down what may not run there any more.
    NoFloor {
        /// Each.
        nodes: Vec<NodeName>,
    },
    /// A Quay ran behind the backup, which lacks what it may have written.
    StaleBackup {
        /// Each, in words.
        since: Vec<String>,
    },
    /// The database is another one, or not where it should be.
    Database {
        /// In words.
        problem: String,
    },
    /// Sessions that the run cannot name.
    ForeignSessions {
        /// Each.
        sessions: Vec<Session>,
    },
    /// A container ended instead of becoming healthy.
    Exited {
        /// On which node.
        node: NodeName,
        /// With what.
        exit_code: i64,
        /// What the database shows, where it can be read.
        revision: Option<String>,
        /// What its log says last, where it can be read.
        #[serde(default)]
        log: Option<LogTail>,
    },
    /// The container is not there any more.
    Gone {
        /// On which node.
        node: NodeName,
    },
    /// A container was restarted by someone.
    Restarted {
        /// On which node.
        node: NodeName,
    },
    /// A Quay runs in another mode than planned.
    WrongMode {
        /// On which node.
        node: NodeName,
        /// What it shows.
        mode: Mode,
    },
    /// Longer than allowed. Nothing is killed.
    TooLong {
        /// The limit.
        #[serde(with = "crate::duration_text")]
        limit: Duration,
        /// What was waited for.
        on: Box<WaitingOn>,
    },
    /// A client found that the registry does not do what it has to.
    NotVerified {
        /// What it found.
        account: Account,
    },
}
