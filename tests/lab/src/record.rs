//! What the lab saw: one JSON object a line, written by the stand-in Quay about itself and by the
//! observer about engine events, probes and config files. This room holds the types and their
//! meaning; it never judges (that is `witness`), and the disk is `record/file.rs`.

mod file;

use jiff::Timestamp;
use quaymaster_proto::Component;
use serde::{Deserialize, Serialize};

pub use file::{ReadError, RecordWriter, WriteError, read_directory};

/// The version that every record carries. A reader refuses any other.
pub const VERSION: u32 = 1;

/// One line of a record file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub version: u32,
    /// The wall clock when the line was written, RFC 3339.
    pub at: Timestamp,
    /// `/proc/sys/kernel/random/boot_id` of the machine.
    pub boot_id: String,
    /// CLOCK_MONOTONIC when the line was written; comparable between processes of one boot.
    pub monotonic_nanos: u64,
    pub seen: Seen,
}

/// Who saw what.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// A stand-in Quay about itself.
    Quay(QuayRecord),
    /// The observer, from an engine's event stream.
    Engine(EngineEvent),
    /// The observer's prober; written when the answer differs from the one before.
    Probe(ProbeChange),
    /// The observer, about one node's config.yaml; written when the bytes differ from before.
    Config(ConfigSeen),
    /// The lab about itself: what it did to a node that no engine can tell of.
    Lab(LabAct),
}

/// Something that one Quay process did or met.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuayRecord {
    pub node: String,
    /// The full id where it is known; a real container knows only the first 12 digits of its own.
    pub container_id: String,
    pub release: String,
    pub pid: u32,
    /// A mirror's process: a Quay that migrates and serves nobody.
    #[serde(default)]
    pub is_mirror: bool,
    pub event: QuayEvent,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum QuayEvent {
    /// The process has read its configuration, and nothing else has happened yet.
    Started {
        /// `V3_UPGRADE_MODE` in effect, the override config included; `None` if not set.
        mode: Option<String>,
        /// Of the config.yaml's bytes; `None` if there is none.
        config_sha256: Option<String>,
        /// `alembic_version.version_num`; `None` if the database has none or did not answer.
        revision: Option<String>,
    },
    /// The start was refused before anything else was done.
    Refused {
        reason: String,
        exit_code: i32,
    },
    /// `alembic upgrade` with something to do is about to change the database.
    MigrationBegun {
        from: Option<String>,
        target: String,
        /// Every other session on the database. Always empty on SQLite, which cannot tell.
        sessions: Vec<Session>,
    },
    RevisionApplied {
        from: Option<String>,
        to: String,
    },
    MigrationEnded {
        result: MigrationResult,
        revision: Option<String>,
    },
    /// The listeners are open (nginx answers 502 from here on).
    Listening {
        addresses: Vec<String>,
    },
    /// `/health/instance` answers 200 from here on.
    Healthy,
    /// The backfill has mapped another block of tags.
    BackfillMoved {
        mapped: i64,
        total: i64,
    },
    /// The process leaves because of this signal. SIGKILL leaves no such record.
    EndedBySignal {
        signal: String,
    },
    /// The database was found or left damaged.
    Damaged {
        what: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MigrationResult {
    Completed,
    Failed,
}

/// A session that the database server lists beside the one asking.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    pub pid: i64,
    pub user: String,
    pub application: String,
    /// `None` for a session over the server's unix socket.
    pub address: Option<String>,
}

/// An event of a container that belongs to a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineEvent {
    pub node: String,
    pub component: Component,
    pub container_id: String,
    /// The container's name at the event; on a rename the new one.
    pub name: String,
    pub action: EngineAction,
    /// Only on `die`.
    pub exit_code: Option<i64>,
    /// The engine's own time of the event, in nanoseconds since 1970.
    pub engine_nanos: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineAction {
    Create,
    Start,
    /// A signal was sent: the first one of a stop is the moment at which the stop was asked for.
    Kill,
    /// The container's first process has ended, however.
    Die,
    Stop,
    Rename,
    Destroy,
}

/// What a node answered; a status is `None` where there was no HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeChange {
    pub node: String,
    /// Of `/health/instance`.
    pub instance: Option<u16>,
    /// Of `/health/endtoend`.
    pub endtoend: Option<u16>,
    /// Both answered 200.
    pub healthy: bool,
}

/// A node's config.yaml as it was found in place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigSeen {
    pub node: String,
    /// `None` if there was no file to read at that moment.
    pub sha256: Option<String>,
    /// The whole `V3_UPGRADE_MODE: ...` line without its line end; `None` if there is none.
    pub mode_line: Option<String>,
    /// Every byte outside that line is as it was when the observer began.
    pub rest_is_original: bool,
}

/// What befell a node by the lab's own hand.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabAct {
    pub node: String,
    pub act: Act,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// All that ran on the node has been killed; written when nothing of it was left.
    CutPower,
    /// The node's engine is about to be ended; what it does to its containers is its own doing.
    EngineEnding,
    /// It runs again.
    EngineBack,
    /// All of the lab is about to be ended, the node's containers with it.
    TakenDown,
    /// Somebody who is not the product is about to start a container, as a cron job would.
    StartByHand { container_id: String },
    /// Somebody has a container's engine start it whenever it can, until it is told to stop.
    AlwaysByHand { container_id: String },
}

impl Record {
    /// When this was seen, in nanoseconds since 1970. An engine event counts from the engine's own
    /// time, not from the moment at which the observer heard of it.
    pub fn nanos(&self) -> i128 {
        self.moment().as_nanosecond()
    }

    /// The same as a timestamp.
    pub fn moment(&self) -> Timestamp {
        match &self.seen {
            Seen::Engine(event) => {
                Timestamp::from_nanosecond(i128::from(event.engine_nanos)).unwrap_or(self.at)
            }
            Seen::Quay(_) | Seen::Probe(_) | Seen::Config(_) | Seen::Lab(_) => self.at,
        }
    }
}

impl ConfigSeen {
    /// The value on the mode line, without quotes or a comment behind it.
    pub fn mode(&self) -> Option<&str> {
        let (_, value) = self.mode_line.as_deref()?.split_once(':')?;
        let value = value.split(" #").next().unwrap_or(value).trim();
        Some(value.trim_matches(|quote| quote == '"' || quote == '\''))
    }
}
