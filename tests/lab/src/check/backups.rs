//! The backups that lie on the nodes, read back file by file, and what each run's own plan says of
//! its backup.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use quaymaster::cluster::Cluster;
use quaymaster::plan::{self, CheckedPlan, PlannedBackup};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::journal::JournalSays;
use super::{CheckError, read_text};
use crate::cluster::Lab;
use crate::witness::{BackupSeen, Crossing, Entry, LedgerLine, Promised};

const MANIFEST: &str = "manifest.json";
/// As agents call the order that migrates.
const MIGRATES: &str = "start-migrating";

#[derive(Deserialize)]
struct Manifest {
    made_by: MadeBy,
    database: Database,
    begun: Timestamp,
    ended: Timestamp,
    files: BTreeMap<String, KeptFile>,
}

#[derive(Deserialize)]
struct MadeBy {
    run: String,
}

#[derive(Deserialize)]
struct Database {
    identity: String,
    revision: String,
}

#[derive(Deserialize)]
struct KeptFile {
    bytes: u64,
    sha256: String,
}

/// Every backup that has the name of its run; drafts and what one replaced have others.
pub(super) fn read(lab: &Lab) -> Result<Vec<BackupSeen>, CheckError> {
    let mut all = Vec::new();
    for node in lab.nodes() {
        let directory = lab.layout().backups(&node.name);
        if !directory.is_dir() {
            continue;
        }
        let failed = |source| CheckError::Read { path: directory.clone(), source };
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.join(MANIFEST).is_file() {
                all.extend(backup(&path)?);
            }
        }
    }
    Ok(all)
}

fn backup(directory: &Path) -> Result<Option<BackupSeen>, CheckError> {
    let path = directory.join(MANIFEST);
    let unreadable =
        |source: serde_json::Error| CheckError::Read { path: path.clone(), source: source.into() };
    let manifest: Manifest = serde_json::from_str(&read_text(&path)?).map_err(unreadable)?;
    let Manifest { made_by: MadeBy { run }, database, begun, ended, files } = manifest;
    if directory.file_name().is_none_or(|name| name != run.as_str()) {
        return Ok(None);
    }
    let Database { identity, revision } = database;
    let problem = problem(directory, &files);
    Ok(Some(BackupSeen { run, identity, revision, begun, ended, problem }))
}

/// What is not as the manifest says.
fn problem(directory: &Path, files: &BTreeMap<String, KeptFile>) -> Option<String> {
    if files.is_empty() {
        return Some("its manifest names no file".to_owned());
    }
    files.iter().find_map(|(name, KeptFile { bytes, sha256 })| {
        let found = match fs::read(directory.join(name)) {
            Ok(found) => found,
            Err(error) => return Some(format!("{name}: {error}")),
        };
        let length = u64::try_from(found.len()).unwrap_or(u64::MAX);
        if length != *bytes {
            return Some(format!("{name} has {length} bytes instead of {bytes}"));
        }
        let digest: String =
            Sha256::digest(&found).iter().map(|byte| format!("{byte:02x}")).collect();
        (digest != *sha256).then(|| format!("{name} holds other bytes"))
    })
}

/// Each run's first migrating start, as its agent took it down, and as the coordinator did before.
pub(super) fn crossings(
    lab: &Lab,
    cluster: &Cluster,
    ledgers: &[LedgerLine],
    journal: &JournalSays,
) -> Result<Vec<Crossing>, CheckError> {
    let mut crossings: BTreeMap<&str, Crossing> = BTreeMap::new();
    for LedgerLine { node, at, run, plan, what, .. } in ledgers {
        let Entry::Intended { verb, .. } = what else { continue };
        if verb != MIGRATES || crossings.get(run.as_str()).is_some_and(|first| first.at <= *at) {
            continue;
        }
        let plan = self::plan(lab, cluster, plan)?;
        let step = plan.as_ref().and_then(|plan| plan.plan().point_of_no_return());
        let said = journal.intents.iter().filter(|intent| intent.run == *run);
        let said = said.filter(|intent| Some(intent.step) == step).map(|intent| intent.at).min();
        let crossing = Crossing {
            run: run.clone(),
            node: node.clone(),
            at: said.map_or(*at, |said| said.min(*at)),
            promised: promised(plan.as_ref()),
        };
        crossings.insert(run, crossing);
    }
    Ok(crossings.into_values().collect())
}

fn promised(plan: Option<&CheckedPlan>) -> Promised {
    let Some(plan) = plan.map(CheckedPlan::plan) else { return Promised::Unknown };
    match &plan.backup {
        PlannedBackup::Taken { .. } => Promised::Backup {
            identity: plan.database.identity.to_string(),
            revision: plan.database.revision.clone(),
        },
        PlannedBackup::Waived { because, .. } => Promised::Waived { because: because.clone() },
    }
}

/// A run's own plan, as the coordinator keeps it.
fn plan(lab: &Lab, cluster: &Cluster, digest: &str) -> Result<Option<CheckedPlan>, CheckError> {
    let Some(short) = digest.get(..12) else { return Ok(None) };
    let path = lab.layout().plans().join(format!("{short}.json"));
    if !path.is_file() {
        return Ok(None);
    }
    let read = plan::file::read(&read_text(&path)?, &cluster.name);
    read.map(Some).map_err(|source| CheckError::Plan { path, source: Box::new(source) })
}
