//! What to do about a journal that cannot be used.

use std::io::ErrorKind;
use std::path::Path;

use super::told::UNCHANGED;
use crate::journal::Damage;
use crate::journal::store::JournalError;

const LOOK: &str = "look at the state directory: its owner, its space";

/// What is so now, where a reader may wonder.
pub(super) fn standing(error: &JournalError) -> &'static str {
    match error {
        JournalError::OtherCluster { .. } | JournalError::InUse { .. } => UNCHANGED,
        JournalError::Damaged { .. } => "the file is left as it is; nothing was changed",
        JournalError::Absent { .. }
        | JournalError::Disk { .. }
        | JournalError::Sqlite { .. }
        | JournalError::Event { .. } => "",
    }
}

pub(super) fn next(error: &JournalError, program: &str) -> String {
    match error {
        JournalError::OtherCluster { .. } => "look at `state` in cluster.yaml: each cluster has a \
            state directory of its own"
            .to_owned(),
        JournalError::InUse { .. } => {
            format!("another process drives this cluster; see what it does: {program} explain")
        }
        JournalError::Absent { .. } => "nothing was ever run with this state directory".to_owned(),
        JournalError::Damaged { path: _, source: Damage::Newer { .. } } => {
            "a later version of this program wrote it: use that one".to_owned()
        }
        JournalError::Damaged { path: _, source: Damage::File { .. } }
        | JournalError::Damaged { path: _, source: Damage::Middle { .. } }
        | JournalError::Damaged { path: _, source: Damage::Meaning { .. } } => format!(
            "see what the nodes say: {program} status. They know what was done: {program} resume \
             --from-nodes keeps this file beside a new one"
        ),
        JournalError::Disk { what: _, path, source } => disk_next(path, source.kind()),
        JournalError::Sqlite { .. } | JournalError::Event { .. } => LOOK.to_owned(),
    }
}

fn disk_next(path: &Path, kind: ErrorKind) -> String {
    let other = "or name another directory as `state` in cluster.yaml";
    if kind == ErrorKind::PermissionDenied {
        format!("run it as the user who owns `{}`, {other}", path.display())
    } else if kind == ErrorKind::ReadOnlyFilesystem {
        format!("mount it so that it can be written to, {other}")
    } else if [ErrorKind::StorageFull, ErrorKind::QuotaExceeded].contains(&kind) {
        "make room in the state directory".to_owned()
    } else {
        LOOK.to_owned()
    }
}
