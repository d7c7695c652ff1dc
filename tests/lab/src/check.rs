//! Brings together what a lab has seen and has the witness judge it.
#![expect(clippy::disallowed_methods, reason = "an effect room: the disk is its job")]

mod journal;
mod ledger;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use quaymaster::cluster::{Cluster, ClusterFileError};

use crate::cluster::Lab;
use crate::cluster::lab_file::{DatabaseKind, Role};
use crate::quay::{DatabaseError, DatabaseState, inspect};
use crate::witness::{self, LabFacts, LoadError, Secret, SecretFound, Verdict};

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
    facts.named_sessions.extend(cluster.expected_sessions);
    facts.backfill_threshold = cluster.timings.backfill.threshold;
    let state = layout.state();
    let journal =
        journal::read(&state).await.map_err(|source| CheckError::Journal { state, source })?;
    facts.journal = journal.claims;
    facts.backups = backups(lab, journal.dark_gates.is_empty())?;
    facts.dark_gates = journal.dark_gates;
    facts.ordered_retries = journal.ordered_retries;
    (facts.restores, facts.rollbacks) = (journal.restores, journal.rollbacks);
    facts.is_backfill_waived = journal.is_backfill_waived;
    facts.ledgers = ledger::read(layout, &facts.nodes)?;
    facts.secrets_found = secrets_found(lab)?;
    facts.database = database(lab).await?;
    Ok(witness::judge(&records, &facts))
}

fn cluster_file(lab: &Lab) -> Result<Cluster, CheckError> {
    let path = lab.layout().cluster_file();
    let text = read_text(&path)?;
    Cluster::parse(&text, lab.layout().dir())
        .map_err(|source| CheckError::ClusterFile { path, source })
}

/// When each backup that has a manifest was begun and ended.
fn backups(lab: &Lab, by_hand: bool) -> Result<Option<Vec<(Timestamp, Timestamp)>>, CheckError> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        begun: Timestamp,
        ended: Timestamp,
    }
    let layout = lab.layout();
    let mut plans = Vec::new();
    if layout.plans().exists() {
        list_files(&layout.plans(), &mut plans)?;
    }
    let texts: Vec<String> = plans.iter().map(|path| read_text(path)).collect::<Result<_, _>>()?;
    if by_hand || texts.iter().any(|text| text.contains("\"kind\": \"waived\"")) {
        return Ok(None);
    }
    let mut all = Vec::new();
    for node in lab.nodes() {
        let mut paths = Vec::new();
        let directory = layout.backups(&node.name);
        if directory.exists() {
            list_files(&directory, &mut paths)?;
        }
        for path in paths.iter().filter(|path| path.ends_with("manifest.json")) {
            let unreadable = |source: serde_json::Error| CheckError::Read {
                path: path.clone(),
                source: source.into(),
            };
            let manifest: Manifest = serde_json::from_str(&read_text(path)?).map_err(unreadable)?;
            all.push((manifest.begun, manifest.ended));
        }
    }
    Ok(Some(all))
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
