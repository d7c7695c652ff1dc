//! What stands against healing a node, in words.

use std::time::Duration;

use quaymaster_proto::{ContainerId, Lease, Mode, NodeName};

use crate::plan::ReleaseInMode;
use crate::render;

/// One reason, and what to do about it.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Against {
    /// Its agent does not answer.
    #[error("{node} does not answer")]
    Silent {
        /// Which.
        node: NodeName,
    },
    /// Its agent names no Quay.
    #[error("{node}: its agent.yaml names no component `quay`")]
    NoQuay {
        /// Which.
        node: NodeName,
    },
    /// A run holds a lease.
    #[error(
        "{node} is held by {} for run {} since {}",
        lease.holder, lease.run, render::moment(lease.since)
    )]
    Leased {
        /// Which.
        node: NodeName,
        /// By whom.
        lease: Box<Lease>,
    },
    /// An earlier healing of this node did not come to its end.
    #[error(
        "{node} is being healed by {} since {}", lease.holder, render::moment(lease.since)
    )]
    BeingHealed {
        /// Which.
        node: NodeName,
        /// By whom.
        lease: Box<Lease>,
    },
    /// There is nothing to heal.
    #[error("{node}: `{name}` ({}) lives and is healthy", container.short())]
    Healthy {
        /// Which.
        node: NodeName,
        /// The container.
        name: String,
        /// The container.
        container: ContainerId,
    },
    /// It lives, and nobody can say how it is.
    #[error("{node}: `{name}` lives, and its health cannot be asked for")]
    HealthUnknown {
        /// Which.
        node: NodeName,
        /// The container.
        name: String,
    },
    /// It may become healthy yet.
    #[error(
        "{node}: `{name}` started {} ago, and a start takes up to {}",
        render::duration(*lived), render::duration(*at_worst)
    )]
    StillStarting {
        /// Which.
        node: NodeName,
        /// The container.
        name: String,
        /// Since its start.
        lived: Duration,
        /// What a start takes.
        at_worst: Duration,
    },
    /// Another Quay of the node lives.
    #[error("{node}: `{name}` ({}) lives beside what is to be healed", container.short())]
    OtherLives {
        /// Which.
        node: NodeName,
        /// The container.
        name: String,
        /// The container.
        container: ContainerId,
    },
    /// The well-known name is another generation's.
    #[error("{node}: `{name}` ({}) is of another release or mode than the registry", container.short())]
    NameTaken {
        /// Which.
        node: NodeName,
        /// The well-known name.
        name: String,
        /// Who has it.
        container: ContainerId,
    },
    /// No container whose spec could be carried over.
    #[error("{node} has no container of {wanted} whose settings could be carried over")]
    NoSpec {
        /// Which.
        node: NodeName,
        /// What the registry runs.
        wanted: ReleaseInMode,
    },
    /// Nothing says what the registry runs.
    #[error(
        "no other node serves, there is no floor, and what the nodes ran last does not tell what \
         the registry runs"
    )]
    Untold,
    /// The others do not agree.
    #[error(
        "the other nodes do not all run the same: {node} runs {}",
        .found.iter().rev().map(ToString::to_string).collect::<Vec<_>>().join(", another one ")
    )]
    Mixed {
        /// What runs.
        found: Vec<ReleaseInMode>,
        /// Where the second one does.
        node: NodeName,
    },
    /// The floor is of another generation than what runs.
    #[error("{node}: its floor is that of {floor}, and the other nodes run {running}")]
    Floor {
        /// Which.
        node: NodeName,
        /// The floor's.
        floor: ReleaseInMode,
        /// The others'.
        running: ReleaseInMode,
    },
    /// config.yaml cannot be used.
    #[error("{node}: `{path}`: {problem}")]
    Config {
        /// Which.
        node: NodeName,
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
    /// The danger of quay-facts 2.3.
    #[error("{node}: config.yaml does not say SETUP_COMPLETE: true")]
    NotSetUp {
        /// Which.
        node: NodeName,
    },
    /// A start would bring another mode.
    #[error("{node}: config.yaml says mode {file}, and the registry is {wanted}")]
    Mode {
        /// Which.
        node: NodeName,
        /// The file's.
        file: Mode,
        /// The registry's.
        wanted: ReleaseInMode,
    },
    /// The node does not reach its database.
    #[error("{node}: its database cannot be read")]
    Unreadable {
        /// Which.
        node: NodeName,
    },
    /// A standby.
    #[error("{node}: {database} is in recovery: a standby")]
    InRecovery {
        /// Which.
        node: NodeName,
        /// As people call it.
        database: String,
    },
    /// Not the others' database.
    #[error("{node} reaches {}, and {other} another database ({})", databases.0, databases.1)]
    OtherDatabase {
        /// Which.
        node: NodeName,
        /// Another node.
        other: NodeName,
        /// What the two reach.
        databases: (String, String),
    },
    /// A start would migrate, or fail.
    #[error(
        "the database is at `{revision}`, and {wanted} runs at {}: a start would migrate or fail",
        expected.join(" or ")
    )]
    Revision {
        /// What was read.
        revision: String,
        /// What the registry runs.
        wanted: ReleaseInMode,
        /// Where it runs.
        expected: Vec<String>,
    },
}

impl Against {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Silent { node } => format!("start the agent on {node}"),
            Self::NoQuay { node } => format!("add components.quay to agent.yaml on {node}"),
            Self::Leased { .. } => {
                "a window is under way: finish it, or take it back; it brings its nodes up itself"
                    .to_owned()
            }
            Self::BeingHealed { .. } => {
                "see that whoever does it is gone, then add: --take-over".to_owned()
            }
            Self::Healthy { .. } => "there is nothing to heal".to_owned(),
            Self::HealthUnknown { node, .. } => {
                format!("look at components.quay.probe in agent.yaml on {node}")
            }
            Self::StillStarting { .. } => "wait for it".to_owned(),
            Self::OtherLives { node, container, .. } => {
                format!("find out whose it is; then on {node}: docker stop {}", container.short())
            }
            Self::NameTaken { node, name, container } => format!(
                "find out who put it there; then on {node}: docker rename {} {name}.other",
                container.short()
            ),
            Self::NoSpec { node, .. } => {
                format!("create the container by hand on {node}, as its neighbours have it")
            }
            Self::Untold => {
                "bring one node up by hand, as it was documented; then heal the rest".to_owned()
            }
            Self::Mixed { .. } => "never let two of these serve at once: finish or take back what \
                was begun by hand"
                .to_owned(),
            Self::Floor { .. } => {
                "find out how the others came to run what they run before anything is started"
                    .to_owned()
            }
            Self::Config { node, .. } => format!("mend the file on {node}"),
            Self::NotSetUp { node } => {
                format!("mend config.yaml on {node}: without it a start ruins the database")
            }
            Self::Mode { node, .. } => format!(
                "put the registry's V3_UPGRADE_MODE back into config.yaml on {node}; a mode \
                 changes in a window"
            ),
            Self::Unreadable { node } => {
                format!("look at DB_URI in config.yaml on {node}, and at the way to the server")
            }
            Self::InRecovery { node, .. } => {
                format!("let DB_URI on {node} name the primary, or promote the standby")
            }
            Self::OtherDatabase { .. } => "make DB_URI the same on every node".to_owned(),
            Self::Revision { .. } => {
                "a migration was begun or went further than what runs: start nothing".to_owned()
            }
        }
    }
}
