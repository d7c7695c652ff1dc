//! Brings together what a lab has seen and has the witness judge it.
#![expect(clippy::disallowed_methods, reason = "an effect room: the disk is its job")]

mod backups;
mod journal;
mod ledger;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quaymaster::cluster::{Cluster, ClusterFileError};
use quaymaster::plan::file::PlanFileError;

use crate::cluster::Lab;
use crate::cluster::lab_file::{DatabaseKind, Role};
use crate::quay::{DatabaseError, DatabaseState, inspect};
use crate::witness::{
    self, BackupSeen, DarkGate, LabFacts, LoadError, Secret, SecretFound, Verdict,
};

pub use journal::JournalReadError;

/// The application name of the lab's own sessions.
pub(crate) const LAB_SESSION: &str = "quaymaster-lab";
/// The application names of the agents' sessions begin so.
const AGENT_SESSION: &str = "quaymaster-agent";

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("cannot load what the lab saw")]
    Records { source: LoadError },
    #[error("the lab in `{}` has seen nothing; its observer never ran", dir.display())]
    NothingSeen { dir: PathBuf },
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot understand `{}`", path.display())]
    ClusterFile { path: PathBuf, source: ClusterFileError },
    #[error("cannot understand the plan `{}`", path.display())]
    Plan { path: PathBuf, source: Box<PlanFileError> },
    #[error("cannot read the coordinator's journal under `{}`", state.display())]
    Journal { state: PathBuf, source: JournalReadError },
    #[error("cannot understand line {line} of the agent's ledger `{}`", path.display())]
    Ledger { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("cannot look at the lab's database")]
    Database { source: Box<DatabaseError> },
}

/// Judges a lab, standing or down. It changes nothing.
pub async fn check(lab: &Lab) -> Result<Verdict, CheckError> {
    let layout = lab.layout();
    let records = witness::load(&[&layout.witness(), &layout.observed()])
        .map_err(|source| CheckError::Records { source })?;
    if records.is_empty() {
        return Err(CheckError::NothingSeen { dir: layout.dir().to_owned() });
    }
    let mut facts = LabFacts::of(lab.nodes().iter().map(|node| node.name.clone()).collect());
    let cluster = cluster_file(lab)?;
    facts.named_sessions = [AGENT_SESSION, LAB_SESSION].map(str::to_owned).into();
    facts.named_sessions.extend(cluster.expected_sessions.clone());
    facts.backfill_threshold = cluster.timings.backfill.threshold;
    let state = layout.state();
    let journal =
        journal::read(&state).await.map_err(|source| CheckError::Journal { state, source })?;
    facts.ledgers = ledger::read(layout, &facts.nodes)?;
    facts.crossings = backups::crossings(lab, &cluster, &facts.ledgers, &journal)?;
    facts.backups = backups::read(lab)?;
    facts.dark_gates = dark_gates(&journal.dark_gates, &facts.backups);
    facts.journal = journal.claims;
    facts.ordered_retries = journal.ordered_retries;
    (facts.restores, facts.rollbacks) = (journal.restores, journal.rollbacks);
    facts.is_backfill_waived = journal.is_backfill_waived;
    facts.secrets_found = secrets_found(lab)?;
    facts.database = database(lab).await?;
    Ok(witness::judge(&records, &facts))
}

/// How long each window looked whether it is dark, by its journal, and how long it backed up, by
/// the backup itself: what the coordinator needs to hear of its end is not the backup's.
fn dark_gates(gates: &[(String, f64)], backups: &[BackupSeen]) -> Vec<DarkGate> {
    let backed_up = |run: &String| {
        let backup = backups.iter().find(|backup| backup.run == *run);
        backup.map_or(0.0, |backup| backup.ended.duration_since(backup.begun).as_secs_f64())
    };
    let gate = |(run, seconds): &(String, f64)| DarkGate {
        seconds: *seconds,
        backup_seconds: backed_up(run),
    };
    gates.iter().map(gate).collect()
}

fn cluster_file(lab: &Lab) -> Result<Cluster, CheckError> {
    let path = lab.layout().cluster_file();
    let text = read_text(&path)?;
    Cluster::parse(&text, lab.layout().dir())
        .map_err(|source| CheckError::ClusterFile { path, source })
}

/// The database as it is now; `None` where its server is down.
async fn database(lab: &Lab) -> Result<Option<DatabaseState>, CheckError> {
    let uri = match lab.file().database {
        DatabaseKind::Sqlite => {
            let path = lab.layout().database_file();
            if !path.exists() {
                return Ok(None);
            }
            format!("sqlite:///{}", path.display())
        }
        DatabaseKind::Postgres => match is_running(lab, Role::Postgres) {
            true => lab.file().database_uri.clone(),
            false => return Ok(None),
        },
        DatabaseKind::Mariadb => match is_running(lab, Role::Mariadb) {
            true => lab.file().database_uri.clone(),
            false => return Ok(None),
        },
    };
    inspect(&uri)
        .await
        .map(Some)
        .map_err(|source| CheckError::Database { source: Box::new(source) })
}

fn is_running(lab: &Lab, role: Role) -> bool {
    lab.process(role, None).is_some_and(|process| process.is_running())
}

/// Looks through everything that the product writes for people and machines to read: journal,
/// plans, reports and logs. An agent's ledger is not among it: it may keep a container's spec.
fn secrets_found(lab: &Lab) -> Result<Vec<SecretFound>, CheckError> {
    let layout = lab.layout();
    let mut paths = Vec::new();
    list_files(&layout.state(), &mut paths)?;
    paths.extend(lab.nodes().iter().map(|node| layout.agent_log(&node.name)));
    let secrets: Vec<Secret> = lab
        .file()
        .secrets
        .iter()
        .map(|secret| Secret { name: secret.name.clone(), value: secret.value.clone() })
        .collect();
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.exists()) {
        let bytes =
            fs::read(path).map_err(|source| CheckError::Read { path: path.clone(), source })?;
        let place = path.strip_prefix(layout.dir()).unwrap_or(path).display().to_string();
        found.extend(witness::find_secrets(&secrets, [(place.as_str(), bytes.as_slice())]));
    }
    Ok(found)
}

fn read_text(path: &Path) -> Result<String, CheckError> {
    fs::read_to_string(path).map_err(|source| CheckError::Read { path: path.to_owned(), source })
}

fn list_files(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<(), CheckError> {
    let failed = |source| CheckError::Read { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            list_files(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}
