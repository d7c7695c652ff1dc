//! What a backup says of itself. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use quaymaster_proto::act::ExpectedDatabase;
use quaymaster_proto::backup::needed_bytes;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook};
use quaymaster_proto::storage::KeptStorage;
use quaymaster_proto::{ClusterName, FileDigest, NodeName, RunId};
use serde::{Deserialize, Serialize};

use super::error::{BackupError, Unsound};

/// The only version so far.
pub(super) const VERSION: u32 = 1;

/// Rows by table.
pub(super) type Rows = BTreeMap<String, u64>;

/// What was counted in a database.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) rows: Rows,
    pub(super) size_bytes: u64,
    /// Where Quay's tables are; empty where there are no schemas.
    pub(super) schema: String,
    /// Every table, where whoever reads a dump back looks for all of them.
    pub(super) tables: BTreeSet<String>,
}

/// A database at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Live {
    pub(super) identity: DatabaseIdentity,
    pub(super) kind: String,
    pub(super) shown_as: String,
    pub(super) revision: String,
    pub(super) server_version: String,
    pub(super) size_bytes: u64,
    pub(super) schema: String,
    pub(super) rows: Rows,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) tables: BTreeSet<String>,
}

impl Live {
    pub(super) fn new(look: DatabaseLook, counted: Counted) -> Self {
        let Counted { rows, size_bytes, schema, tables } = counted;
        let DatabaseLook { identity, kind, shown_as, revision, server_version, .. } = look;
        Self {
            identity,
            kind,
            shown_as,
            revision,
            server_version,
            size_bytes,
            schema,
            rows,
            tables,
        }
    }

    /// What a dump of it may take, in bytes.
    pub(super) fn needed_bytes(&self) -> u64 {
        needed_bytes(&self.kind, self.size_bytes)
    }

    /// Refuses a database that is not the plan's.
    pub(super) fn is_wanted(&self, wanted: &ExpectedDatabase) -> Result<(), BackupError> {
        if self.identity != wanted.identity {
            return Err(BackupError::OtherDatabase {
                wanted: wanted.identity.to_string(),
                found: self.identity.to_string(),
            });
        }
        if wanted.revisions.contains(&self.revision) {
            return Ok(());
        }
        Err(BackupError::Revision {
            shown_as: self.shown_as.clone(),
            found: self.revision.clone(),
            wanted: wanted.revisions.clone(),
        })
    }

    /// Refuses a database that has become another one, or changed.
    pub(super) fn is_like(&self, later: &Self) -> Result<(), BackupError> {
        if self.identity != later.identity {
            return Err(BackupError::OtherDatabase {
                wanted: self.identity.to_string(),
                found: later.identity.to_string(),
            });
        }
        let revisions = (self.revision != later.revision)
            .then(|| ("alembic_version", self.revision.clone(), later.revision.clone()));
        let counts = differing(&self.rows, &later.rows)
            .map(|(table, before, after)| (table, in_words(before), in_words(after)));
        match revisions.or(counts) {
            None => Ok(()),
            Some((table, before, after)) => {
                Err(BackupError::Changed { table: table.to_owned(), before, after })
            }
        }
    }

    /// Refuses a dump that does not hold what the database held.
    pub(super) fn has_rows(&self, dumped: &Rows) -> Result<(), BackupError> {
        if dumped.values().sum::<u64>() == 0 {
            return Err(Unsound::Empty.into());
        }
        match differing(&self.rows, dumped) {
            None => Ok(()),
            Some((table, live, dump)) => {
                let (live, dump) = (in_words(live), in_words(dump));
                Err(Unsound::Rows { table: table.to_owned(), live, dump }.into())
            }
        }
    }
}

fn in_words(rows: Option<u64>) -> String {
    rows.map_or_else(|| "not there".to_owned(), |rows| format!("{rows} rows"))
}

/// The first table that is not alike.
fn differing<'a>(one: &'a Rows, other: &'a Rows) -> Option<(&'a str, Option<u64>, Option<u64>)> {
    one.keys()
        .chain(other.keys())
        .map(|table| (table.as_str(), one.get(table).copied(), other.get(table).copied()))
        .find(|(_, one, other)| one != other)
}

/// Whose backup it is, and what made it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    pub(super) cluster: ClusterName,
    pub(super) node: NodeName,
    pub(super) run: RunId,
    /// Over what had run on all nodes until it was dark.
    pub(super) ran: FileDigest,
    pub(super) tool: String,
}

/// One file of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptFile {
    pub(super) bytes: u64,
    pub(super) sha256: FileDigest,
}

/// A whole backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) version: u32,
    #[serde(rename = "made_by")]
    pub(super) origin: Origin,
    #[serde(rename = "database")]
    pub(super) live: Live,
    pub(super) begun: Timestamp,
    pub(super) ended: Timestamp,
    /// By path below the backup's directory.
    pub(super) files: BTreeMap<String, KeptFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) storage: Option<KeptStorage>,
}

impl Manifest {
    /// Of all its files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// Refuses a backup of another database.
    pub(super) fn is_of(&self, identity: &DatabaseIdentity) -> Result<(), BackupError> {
        if self.live.identity == *identity {
            return Ok(());
        }
        let found = self.live.identity.to_string();
        Err(Unsound::Foreign { found, wanted: identity.to_string() }.into())
    }

    /// Compares the files that are there with those that should be.
    pub(super) fn has_files(&self, found: &BTreeMap<String, KeptFile>) -> Result<(), Unsound> {
        if self.files.is_empty() {
            return Err(Unsound::Empty);
        }
        for (name, kept) in &self.files {
            let file = name.clone();
            match found.get(name) {
                None => return Err(Unsound::Missing { file }),
                Some(now) if now.bytes < kept.bytes => {
                    return Err(Unsound::Truncated { file, kept: kept.bytes, found: now.bytes });
                }
                Some(now) if now != kept => return Err(Unsound::Corrupted { file }),
                Some(_) => {}
            }
        }
        match found.keys().find(|name| !self.files.contains_key(*name)) {
            Some(name) => Err(Unsound::Stranger { file: name.clone() }),
            None => Ok(()),
        }
    }
}
