//! What a run has done, kept so that another process can go on with it.
//!
//! A journal is a chain of records: each carries the hash of everything before
//! it, so that damage shows and can be told apart. This room is pure; `store`
//! is the one place that touches the disk.

use quaymaster_proto::{ClusterName, RunId};
use sha2::{Digest as _, Sha256};

use crate::run::{Event, IllegalEvent, RunState};

mod reserve;
pub mod store;

/// The format that this code writes.
pub const FORMAT: Format = Format { major: 1, minor: 0 };

/// A version of the journal's format: a newer minor one can be read, a newer
/// major one cannot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Format {
    /// Changes that an older reader would misread.
    pub major: u32,
    /// Additions that an older reader can pass over.
    pub minor: u32,
}

impl std::fmt::Display for Format {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

/// One thing that happened, and its place among all that happened.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// 1 is the first of the journal.
    pub seq: i64,
    /// Of which run.
    pub run: RunId,
    /// What happened.
    pub event: Event,
}

/// A record as it lies on the disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) run: String,
    pub(crate) at: String,
    pub(crate) version: String,
    pub(crate) body: String,
    pub(crate) hash: String,
}

/// Where a chain stands: what the next record builds on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tail {
    pub(crate) seq: i64,
    pub(crate) hash: String,
}

impl Tail {
    /// Before the first record.
    pub(crate) fn empty() -> Self {
        Self { seq: 0, hash: "0".repeat(64) }
    }

    /// The next record of the chain.
    pub(crate) fn link(&self, run: RunId, event: &Event) -> Result<Row, serde_json::Error> {
        let mut row = Row {
            seq: self.seq + 1,
            run: run.to_string(),
            at: event.at().to_string(),
            version: FORMAT.to_string(),
            body: serde_json::to_string(event)?,
            hash: String::new(),
        };
        row.hash = self.hash_of(&row);
        Ok(row)
    }

    fn hash_of(&self, row: &Row) -> String {
        let Row { seq, run, at, version, body, hash: _ } = row;
        let mut hasher = Sha256::new();
        for part in [&self.hash, &seq.to_string(), run, at, version, body] {
            // The length first: no two chains may read the same.
            hasher.update(part.len().to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let hash = hasher.finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Everything a journal holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    records: Vec<Record>,
    damaged_end: Option<i64>,
}

/// What is wrong with a journal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// A record that others follow is not what was written.
    #[error("record {seq} of {of} was changed or is missing after it was written")]
    Middle {
        /// Which.
        seq: i64,
        /// The last one's number.
        of: i64,
    },
    /// A later version of this program wrote it.
    #[error("record {seq} is of format {found}, and this program reads {FORMAT}")]
    Newer {
        /// Which.
        seq: i64,
        /// The record's format.
        found: String,
    },
    /// No journal can be read from the file at all.
    #[error("the file is no journal any more: {problem}")]
    File {
        /// In SQLite's words.
        problem: String,
    },
    /// An intact record that has no meaning.
    #[error("record {seq} cannot be understood: {problem}")]
    Meaning {
        /// Which.
        seq: i64,
        /// Why.
        problem: String,
    },
}

impl History {
    /// Reads a chain from its beginning. A last record that is not what was
    /// written is left out and told; any other damage is refused.
    pub(crate) fn read(rows: Vec<Row>) -> Result<(Self, Tail), Damage> {
        let last = rows.last().map_or(0, |row| row.seq);
        let mut tail = Tail::empty();
        let mut history = Self::default();
        for row in rows {
            let is_next = row.seq == tail.seq + 1;
            if !is_next || tail.hash_of(&row) != row.hash {
                if is_next && row.seq == last {
                    history.damaged_end = Some(row.seq);
                    break;
                }
                return Err(Damage::Middle { seq: tail.seq + 1, of: last });
            }
            history.records.push(understand(&row)?);
            tail = Tail { seq: row.seq, hash: row.hash };
        }
        Ok((history, tail))
    }

    /// The number of a last record that had to be left out.
    pub fn damaged_end(&self) -> Option<i64> {
        self.damaged_end
    }

    /// Every run, in the order of their starts.
    pub fn runs(&self) -> Vec<RunId> {
        let mut runs = Vec::new();
        for record in &self.records {
            if !runs.contains(&record.run) {
                runs.push(record.run);
            }
        }
        runs
    }

    /// The cluster of each run.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterName> {
        self.records.iter().filter_map(|record| match &record.event {
            Event::Started { cluster, .. } => Some(cluster),
            Event::Driven { .. }
            | Event::Intended { .. }
            | Event::Settled { .. }
            | Event::Failed { .. }
            | Event::Waiting { .. }
            | Event::Passed { .. }
            | Event::Closed { .. }
            | Event::Approved { .. }
            | Event::LeftBehind { .. }
            | Event::TurnedBack { .. }
            | Event::Retried { .. }
            | Event::HandedOver { .. }
            | Event::LeftOut { .. }
            | Event::Sampled { .. }
            | Event::TagsCounted { .. }
            | Event::RollbackOrdered { .. }
            | Event::RollbackCalledOff { .. }
            | Event::RolledBack { .. }
            | Event::Finished { .. }
            | Event::WentBack { .. } => None,
        })
    }

    /// The run that started last.
    pub fn latest(&self) -> Option<RunId> {
        self.runs().pop()
    }

    /// Everything that happened in a run, in order.
    pub fn load(&self, run: RunId) -> Vec<&Record> {
        self.records.iter().filter(|record| record.run == run).collect()
    }

    /// Where a run stands; `None` = no such run.
    pub fn replay(&self, run: RunId) -> Option<Result<RunState, IllegalEvent>> {
        let mut events =
            self.records.iter().filter(|record| record.run == run).map(|record| &record.event);
        let first = events.next()?;
        Some(RunState::replay(std::iter::once(first).chain(events)))
    }
}

fn understand(row: &Row) -> Result<Record, Damage> {
    let Row { seq, run, at: _, version, body, hash: _ } = row;
    let newer = || Damage::Newer { seq: *seq, found: version.clone() };
    let format = Format::parse(version).ok_or_else(newer)?;
    if format.major > FORMAT.major {
        return Err(newer());
    }
    let meaning = |problem: String| {
        // What a newer minor format added may not be passed over in silence.
        if format > FORMAT { newer() } else { Damage::Meaning { seq: *seq, problem } }
    };
    let run = run.parse::<RunId>().map_err(|error| meaning(error.to_string()))?;
    let event = serde_json::from_str(body).map_err(|error| meaning(error.to_string()))?;
    Ok(Record { seq: *seq, run, event })
}

#[cfg(test)]
mod tests;
