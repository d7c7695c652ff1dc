//! What is expected of an outage, as a plan keeps it.

use std::time::Duration;

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
    /// The likely backfill after this window, where there is one.
    #[serde(with = "crate::duration_text::if_any")]
    pub backfill: Option<Duration>,
    /// The likely outage, were the backfill done in it.
    #[serde(with = "crate::duration_text::if_any")]
    pub synchronous: Option<Duration>,
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
    /// The first node's schema changes.
    Schema,
    /// The tags that the first node moves before it serves.
    Tags,
    /// The first node's start, and its lasting health.
    FirstStart,
    /// The slowest start of the others.
    RestStart,
}
