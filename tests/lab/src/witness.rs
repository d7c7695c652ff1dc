//! Judges what a lab saw: invariants 1 to 7, 9, 10 and 11, from the records of the stand-in Quays
//! and of the observer, what agents took down before they acted, and never from what the coordinator
//! says. Pure; loading is `witness/load.rs`.

mod backups;
mod configs;
mod generation;
mod history;
mod journal;
mod leases;
mod load;
mod migrations;
mod moves;
mod running;
mod secrets;
mod windows;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::Serialize;

use crate::quay::DatabaseState;
use crate::record::Record;

pub use backups::{BackupSeen, Crossing, Promised};
pub use journal::{JournalClaim, Occurrence};
pub use leases::{Entry, LedgerLine};
pub use load::{LoadError, load};
pub use moves::{Move, Turn};
pub use secrets::{Secret, SecretFound, find_secrets};
pub use windows::Window;

use history::History;

/// The version of the verdict's JSON.
pub const VERSION: u32 = 1;

/// Everything that was seen, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Records(Vec<Record>);

impl Records {
    pub fn new(mut records: Vec<Record>) -> Self {
        records.sort_by_key(Record::moment);
        Self(records)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the records alone do not tell.
#[derive(Clone, Debug)]
pub struct LabFacts {
    /// Every node of the cluster.
    pub nodes: Vec<String>,
    /// Application names and addresses of the sessions that a run can name: the agents' own, those
    /// that cluster.yaml expects, those waived in words. A name also covers what follows it behind
    /// a `/`, as agents add their cluster and node.
    pub named_sessions: Vec<String>,
    /// The part of the tags, 0 to 1, that the backfill gate asks for.
    pub backfill_threshold: f64,
    /// A person waived the backfill gate in words.
    pub is_backfill_waived: bool,
    /// Containers whose migrating start a person ordered after an earlier one had failed.
    pub ordered_retries: Vec<String>,
    /// When the database was that of a backup again, which a person ordered.
    pub restores: Vec<Timestamp>,
    /// When a person ordered a rollback, which ends a migration.
    pub rollbacks: Vec<Timestamp>,
    /// How long each window's dark gate and backup took, in the order of the windows; 0 s where it is
    /// unknown.
    pub dark_gates: Vec<DarkGate>,
    /// Each run that came to its migrating start (invariant 7).
    pub crossings: Vec<Crossing>,
    /// The backups that lie on the nodes.
    pub backups: Vec<BackupSeen>,
    /// What the journal says happened (invariant 9).
    pub journal: Vec<JournalClaim>,
    /// What the agents took down, each node's in its order (invariant 6).
    pub ledgers: Vec<LedgerLine>,
    /// Where secrets were found (invariant 10); see `find_secrets`.
    pub secrets_found: Vec<SecretFound>,
    /// The database at the end, where the caller could look.
    pub database: Option<DatabaseState>,
}

impl LabFacts {
    /// A cluster of these nodes, with the product's defaults and nothing else known.
    pub fn of(nodes: Vec<String>) -> Self {
        Self {
            nodes,
            named_sessions: Vec::new(),
            backfill_threshold: 0.99,
            is_backfill_waived: false,
            ordered_retries: Vec::new(),
            restores: Vec::new(),
            rollbacks: Vec::new(),
            dark_gates: Vec::new(),
            crossings: Vec::new(),
            backups: Vec::new(),
            journal: Vec::new(),
            ledgers: Vec::new(),
            secrets_found: Vec::new(),
            database: None,
        }
    }
}

/// What a window did in the dark before its migrating start.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct DarkGate {
    /// All looks whether it is dark.
    pub seconds: f64,
    /// The backup, by its own manifest.
    pub backup_seconds: f64,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Verdict {
    pub version: u32,
    /// Oldest first; empty where no invariant was broken.
    pub violations: Vec<Violation>,
    pub observed: Observed,
}

/// One invariant broken at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// The number in the list of invariants, 1 to 11.
    pub invariant: u8,
    /// `None` for what has no moment, such as a secret in a file.
    pub at: Option<Timestamp>,
    pub nodes: Vec<String>,
    /// What was seen, in words.
    pub evidence: String,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Observed {
    pub windows: Vec<Window>,
    pub backfill: Option<Backfill>,
    /// What was stopped and started, and in which order.
    pub moves: Vec<Move>,
    pub processes: Vec<Process>,
    pub database: Option<DatabaseState>,
    /// What the stand-ins themselves saw broken in the database.
    pub damage: Vec<String>,
}

/// The last progress that was seen.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Backfill {
    /// 1.0 is all; as in Quay's own answer it is not held below that.
    pub progress: f64,
    pub total_tags: i64,
}

/// One process of Quay, from its start to its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Process {
    pub node: String,
    pub container_id: String,
    pub generation: String,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub has_migrated: bool,
    pub was_healthy: bool,
    pub refused: Option<String>,
}

/// Judges the records of one lab.
pub fn judge(records: &Records, facts: &LabFacts) -> Verdict {
    let mut history = History::of(&records.0);
    history.restores.clone_from(&facts.restores);
    history.rollbacks.clone_from(&facts.rollbacks);
    let mut violations = running::violations(&history);
    violations.extend(migrations::violations(&history, facts));
    violations.extend(backups::violations(&history, facts));
    violations.extend(configs::violations(&history, facts));
    violations.extend(journal::violations(&history, &facts.journal));
    violations.extend(leases::violations(&history, &facts.ledgers));
    violations.extend(secrets::violations(&facts.secrets_found));
    violations.sort_by_key(|violation| (violation.at, violation.invariant));
    let observed = Observed {
        windows: windows::windows(&history, &facts.dark_gates),
        backfill: history.backfill_before(None).map(|(mapped, total)| Backfill {
            progress: history::fraction(mapped, total),
            total_tags: total,
        }),
        moves: moves::moves(&history.events),
        processes: history.runs.iter().map(history::Run::process).collect(),
        database: facts.database.clone(),
        damage: history.damage.iter().map(|(_, node, what)| format!("{node}: {what}")).collect(),
    };
    Verdict { version: VERSION, violations, observed }
}
