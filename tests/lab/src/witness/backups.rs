//! Invariant 7: before a run's point of no return there is a backup of its database, made in that
//! window's dark and whole, and nobody has written into the database since; or the run's own plan
//! waives it. Pure.

use jiff::{SignedDuration, Timestamp};

use super::history::{History, Run};
use super::{LabFacts, Violation};

/// A run was about to make its migrating start, for the first time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crossing {
    pub run: String,
    /// Whose agent was to make it.
    pub node: String,
    /// When the first one took it down: the coordinator or the agent.
    pub at: Timestamp,
    pub promised: Promised,
}

/// What a run's own plan says of its backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Promised {
    /// One of this database at this revision.
    Backup { identity: String, revision: String },
    /// None, in an operator's words.
    Waived { because: String },
    /// Nobody has the plan any more.
    Unknown,
}

/// A backup that lies on a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupSeen {
    pub run: String,
    pub identity: String,
    pub revision: String,
    pub begun: Timestamp,
    pub ended: Timestamp,
    /// Why its files are not what its manifest says, where they are not.
    pub problem: Option<String>,
}

/// What starts so shortly before an intent nobody could have seen any more.
const INSTANT: SignedDuration = SignedDuration::from_millis(500);

pub(super) fn violations(history: &History, facts: &LabFacts) -> Vec<Violation> {
    let flaws = facts.crossings.iter().filter_map(|crossing| {
        let Crossing { run, node, at, promised } = crossing;
        let flaw = flaw(history, facts, crossing)?;
        let waived = match promised {
            Promised::Waived { .. } => "its plan waives it without a word, and ",
            Promised::Backup { .. } | Promised::Unknown => "",
        };
        Some(Violation {
            invariant: 7,
            at: Some(*at),
            nodes: vec![node.clone()],
            evidence: format!("run {run} was about to migrate on {node}, and {waived}{flaw}"),
        })
    });
    flaws.collect()
}

/// What is wrong with the backup of a run; with its best one, where it has several.
fn flaw(history: &History, facts: &LabFacts, crossing: &Crossing) -> Option<String> {
    if let Promised::Waived { because } = &crossing.promised
        && !because.trim().is_empty()
    {
        return None;
    }
    let mut found = "it had no backup of its own".to_owned();
    for backup in facts.backups.iter().filter(|backup| backup.run == crossing.run) {
        found = flaw_of(history, crossing, backup)?;
    }
    Some(found)
}

fn flaw_of(history: &History, crossing: &Crossing, backup: &BackupSeen) -> Option<String> {
    let BackupSeen { run: _, identity, revision, begun, ended, problem } = backup;
    if let Some(problem) = problem {
        return Some(format!("its backup is not whole: {problem}"));
    }
    if let Promised::Backup { identity: wanted, revision: at } = &crossing.promised
        && (identity, revision) != (wanted, at)
    {
        return Some(format!("its backup is of {identity} at {revision}, not of {wanted} at {at}"));
    }
    if *ended > crossing.at {
        return Some(format!("its backup ended only at {ended}"));
    }
    let writes = |run: &&Run| {
        run.started + INSTANT < crossing.at && run.ended.is_none_or(|ended| ended > *begun)
    };
    let writer = history.runs.iter().find(writes)?;
    Some(format!(
        "{} on {} ran from {} on, and its backup was begun at {begun}",
        writer.generation, writer.node, writer.started
    ))
}
