//! Backups of Quay's database: what an agent is asked, what came of it, and
//! what it says of itself beforehand.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::act::{ExpectedDatabase, Ordered};
use crate::database::DatabaseIdentity;
use crate::id::FileDigest;
use crate::invalid::{
    InvalidField, or_empty, parsed, parsed_if_any, required, within, within_if_any,
};
use crate::storage::{KeptStorage, StorageOrder};
use crate::wire;

/// The application name of a dump's and a restore's sessions: one that outlives
/// its agent is seen in the dark under this name.
pub const BACKUP_APPLICATION: &str = "quaymaster-backup";

/// Dump the database, and read the dump back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackUp {
    /// As the plan found it.
    pub database: ExpectedDatabase,
    /// Over what had run on all nodes until it was dark. A backup of the run that
    /// was made over anything else lacks what has run since, and is made anew.
    pub ran: FileDigest,
    /// What is done about the storage.
    #[serde(default)]
    pub storage: StorageOrder,
}

/// Replace what the database holds by what a backup holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Where the backup came from and where it goes.
    pub identity: DatabaseIdentity,
    /// Of the backup's manifest.
    pub manifest: FileDigest,
    /// Application names or addresses of sessions that may stay on the database.
    #[serde(default)]
    pub expected_sessions: Vec<String>,
}

/// A backup that was written and read back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// On its node.
    pub directory: String,
    /// Of the file that names all others with their digests.
    pub manifest: FileDigest,
    /// Of which database.
    pub identity: DatabaseIdentity,
    /// At which revision; empty while the table is empty.
    pub revision: String,
    /// Of all its files.
    pub bytes: u64,
    /// In the tables that were counted in the database and in the dump.
    pub rows: u64,
    /// Its node's clock.
    pub begun: Timestamp,
    /// The same.
    pub ended: Timestamp,
    /// `None` = nothing was kept of the storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<KeptStorage>,
}

impl Backup {
    /// How long it took, reading it back included.
    pub fn took(&self) -> SignedDuration {
        self.ended.duration_since(self.begun)
    }

    /// The same without the storage: of the database alone.
    pub fn took_without_storage(&self) -> SignedDuration {
        let millis = self.storage.as_ref().map(KeptStorage::millis).unwrap_or_default();
        self.took() - SignedDuration::from_millis(i64::try_from(millis).unwrap_or(0))
    }
}

/// Whether a node could back up the database, and what it has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupFacts {
    /// Where backups are put.
    pub directory: String,
    /// Free bytes there; `None` = cannot be seen.
    pub free_bytes: Option<u64>,
    /// Of the pg_dump programs that it would choose from, as they say it.
    pub dump_versions: Vec<String>,
    /// Of the mysqldump and mariadb-dump programs, each with whose it is.
    pub mysql_dump_versions: Vec<String>,
    /// Why nothing can be written there; empty = it can.
    pub problem: String,
    /// When the newest whole backup there ended.
    pub newest: Option<Timestamp>,
}

/// Read a backup back, and change nothing: also while Quays serve.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckBackup {
    /// Where the backup came from and would go.
    pub identity: DatabaseIdentity,
    /// Of the backup's manifest.
    pub manifest: FileDigest,
}

impl TryFrom<wire::CheckBackupRequest> for Ordered<CheckBackup> {
    type Error = InvalidField;

    fn try_from(message: wire::CheckBackupRequest) -> Result<Self, InvalidField> {
        let wire::CheckBackupRequest { act, identity, manifest_sha256 } = message;
        let order = CheckBackup {
            identity: required("identity", DatabaseIdentity::new(identity))?,
            manifest: parsed("manifest_sha256", &manifest_sha256)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<CheckBackup>> for wire::CheckBackupRequest {
    fn from(ordered: Ordered<CheckBackup>) -> Self {
        let Ordered { act, order: CheckBackup { identity, manifest } } = ordered;
        let (identity, manifest_sha256) = (identity.to_string(), manifest.into());
        Self { act: Some(act.into()), identity, manifest_sha256 }
    }
}

impl TryFrom<wire::RestoreRequest> for Ordered<Restore> {
    type Error = InvalidField;

    fn try_from(message: wire::RestoreRequest) -> Result<Self, InvalidField> {
        let wire::RestoreRequest { act, identity, manifest_sha256, expected_sessions } = message;
        let order = Restore {
            identity: required("identity", DatabaseIdentity::new(identity))?,
            manifest: parsed("manifest_sha256", &manifest_sha256)?,
            expected_sessions,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<Restore>> for wire::RestoreRequest {
    fn from(ordered: Ordered<Restore>) -> Self {
        let Ordered { act, order: Restore { identity, manifest, expected_sessions } } = ordered;
        let (identity, manifest_sha256) = (identity.to_string(), manifest.into());
        Self { act: Some(act.into()), identity, manifest_sha256, expected_sessions }
    }
}

impl TryFrom<wire::BackUpRequest> for Ordered<BackUp> {
    type Error = InvalidField;

    fn try_from(message: wire::BackUpRequest) -> Result<Self, InvalidField> {
        let wire::BackUpRequest { act, database, ran_sha256, storage } = message;
        let order = BackUp {
            database: within("database", database)?,
            ran: parsed("ran_sha256", &ran_sha256)?,
            storage: StorageOrder::from_wire("storage", storage)?,
        };
        Ok(Self { act: within("act", act)?, order })
    }
}

impl From<Ordered<BackUp>> for wire::BackUpRequest {
    fn from(ordered: Ordered<BackUp>) -> Self {
        let Ordered { act, order: BackUp { database, ran, storage } } = ordered;
        let (ran_sha256, storage) = (ran.into(), storage.to_wire());
        Self { act: Some(act.into()), database: Some(database.into()), ran_sha256, storage }
    }
}

impl TryFrom<wire::Backup> for Backup {
    type Error = InvalidField;

    fn try_from(message: wire::Backup) -> Result<Self, InvalidField> {
        let wire::Backup {
            directory,
            manifest_sha256,
            identity,
            revision,
            bytes,
            rows,
            begun,
            ended,
            storage,
        } = message;
        Ok(Self {
            directory,
            manifest: parsed("manifest_sha256", &manifest_sha256)?,
            identity: required("identity", DatabaseIdentity::new(identity))?,
            revision,
            bytes,
            rows,
            begun: parsed("begun", &begun)?,
            ended: parsed("ended", &ended)?,
            storage: within_if_any("storage", storage)?,
        })
    }
}

impl From<Backup> for wire::Backup {
    fn from(backup: Backup) -> Self {
        let Backup { directory, manifest, identity, revision, bytes, rows, begun, ended, storage } =
            backup;
        Self {
            directory,
            manifest_sha256: manifest.into(),
            identity: identity.to_string(),
            revision,
            bytes,
            rows,
            begun: begun.to_string(),
            ended: ended.to_string(),
            storage: storage.map(Into::into),
        }
    }
}

impl TryFrom<wire::BackupDescription> for BackupFacts {
    type Error = InvalidField;

    fn try_from(message: wire::BackupDescription) -> Result<Self, InvalidField> {
        let wire::BackupDescription {
            directory,
            free_bytes,
            dump_versions,
            mysql_dump_versions,
            problem,
            newest,
        } = message;
        let newest = parsed_if_any("newest", &newest)?;
        Ok(Self { directory, free_bytes, dump_versions, mysql_dump_versions, problem, newest })
    }
}

impl From<BackupFacts> for wire::BackupDescription {
    fn from(facts: BackupFacts) -> Self {
        let BackupFacts {
            directory,
            free_bytes,
            dump_versions,
            mysql_dump_versions,
            problem,
            newest,
        } = facts;
        let newest = or_empty(newest);
        Self { directory, free_bytes, dump_versions, mysql_dump_versions, problem, newest }
    }
}

/// What a dump of a database may take, in bytes, of which its server's disk
/// holds `size` bytes. PostgreSQL's dumps are compressed and hold no index, so
/// that half is a careful guess; MySQL's hold no index either, and are plain
/// text; a file's copy is as large as the file.
pub fn needed_bytes(kind: &str, size: u64) -> u64 {
    const AT_LEAST: u64 = 16 * 1024 * 1024;
    let dump = if kind == "postgresql" { size / 2 } else { size };
    dump.saturating_add(AT_LEAST)
}
