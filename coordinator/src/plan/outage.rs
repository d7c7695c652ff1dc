//! What is expected of an outage and why, as a plan keeps it.

use std::time::Duration;

use quaymaster_proto::{Mode, RunId};
use serde::{Deserialize, Serialize};

/// What is expected of the outage.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// The likely outage.
    #[serde(with = "crate::duration_text")]
    pub outage: Duration,
    /// At best.
    #[serde(with = "crate::duration_text")]
    pub at_best: Duration,
    /// At worst.
    #[serde(with = "crate::duration_text")]
    pub at_worst: Duration,
    /// What the outage consists of, one after the other.
    pub parts: Vec<ForecastPart>,
    /// Visible tags of the old model, where they were counted.
    pub tags: Option<i64>,
    /// Of the database on its server's disk, where that was seen.
    pub database_bytes: Option<u64>,
    /// The likely backfill after this window, where there is one.
    pub backfill: Option<ForecastBackfill>,
    /// Which way is advised, where this window begins one of two.
    pub advice: Option<Advice>,
}

/// A part of the outage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForecastPart {
    /// Which.
    pub what: PartOfOutage,
    /// As a rule.
    #[serde(with = "crate::duration_text")]
    pub likely: Duration,
    /// At best.
    #[serde(with = "crate::duration_text")]
    pub at_best: Duration,
    /// At worst.
    #[serde(with = "crate::duration_text")]
    pub at_worst: Duration,
    /// What it rests on.
    pub basis: Basis,
}

/// What an outage consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartOfOutage {
    /// The slowest stop of a Quay.
    Stop,
    /// The slowest stop of what stops after the Quays.
    CompanionStop,
    /// The backup, reading it back included.
    Backup,
    /// A copy of the storage byte for byte, reading it back included.
    StorageCopy,
    /// A copy of the storage that shares its bytes: by the number of files.
    StorageReflinks,
    /// The operator's program for the storage.
    StorageHook,
    /// The first node's schema changes.
    Schema,
    /// The tags that the first node moves before it serves.
    Tags,
    /// The first node's start, and its lasting health.
    FirstStart,
    /// The slowest start of the others.
    RestStart,
}

/// What a part's forecast rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// What the catalogue knows of the release.
    Catalogue,
    /// The grace of a stop: all of it, or at best none.
    Grace {
        /// Whether such a stop always takes all of it.
        is_burned: bool,
    },
    /// So much at so much a second.
    Rate {
        /// How many bytes or tags.
        amount: u64,
        /// A second, whole ones: a plan's digest bears no other figures.
        slowest: u64,
        /// A second.
        fastest: u64,
        /// The window of this cluster where that was measured; `None` = the
        /// rate is a guess, or another cluster's.
        measured: Option<RunId>,
    },
    /// As long as in an earlier window of this cluster.
    Measured {
        /// Its run.
        run: RunId,
    },
    /// Nothing: what it takes is not known.
    Unknown,
}

/// What the nodes do together after this window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForecastBackfill {
    /// Once it has begun.
    #[serde(with = "crate::duration_text")]
    pub likely: Duration,
    /// Tags a second of one node.
    pub tags_per_second: f64,
    /// How long a node may idle before it begins.
    #[serde(with = "crate::duration_text")]
    pub first_run_within: Duration,
}

/// Two ways lead on: what each would take, and which is advised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// The mode that the first window of the advised way brings.
    pub first_mode: Mode,
    /// Dark in one go.
    #[serde(with = "crate::duration_text")]
    pub in_one: Duration,
    /// The same at worst.
    #[serde(with = "crate::duration_text")]
    pub in_one_at_worst: Duration,
    /// Dark in the first of two windows.
    #[serde(with = "crate::duration_text")]
    pub in_first: Duration,
    /// Dark in the second of them.
    #[serde(with = "crate::duration_text")]
    pub in_second: Duration,
    /// What lies between them.
    #[serde(with = "crate::duration_text")]
    pub between: Duration,
}
