//! What a person reads before a rollback: what is destroyed, what is lost, what
//! is restored, and how long the registry will be down.

use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::backup::Backup;
use quaymaster_proto::storage::KeptStorage;

use super::figures::{about, bytes, count, duration, moment};
use super::text::labelled;
use crate::plan::{PartOfOutage, Plan};
use crate::report::between;
use crate::run::RunState;

/// The warning, whole lines.
pub fn rollback(plan: &Plan, state: &RunState, backup: &Backup, now: Timestamp) -> String {
    let window = &plan.window;
    let lost = format!(
        "everything that was written since {}, {} ago: pushes, tags, users, permissions. The \
         blobs of those pushes stay in the storage",
        moment(backup.ended),
        duration(between(backup.ended, now))
    );
    let rows = i64::try_from(backup.rows).map_or_else(|_| backup.rows.to_string(), count);
    let node = plan.backup.node().unwrap_or(&plan.first);
    let restored = format!(
        "the backup of that time: revision {}, {rows} rows, {}, in {} on {node}; digest {}",
        backup.revision,
        bytes(backup.bytes),
        backup.directory,
        backup.manifest.short()
    );
    let mut out = format!(
        "Rollback of window {} of {}, from {} back to {}, on {} nodes\n",
        window.number,
        window.of,
        window.to,
        window.from,
        plan.nodes.len()
    );
    out.push_str(&labelled("run", &state.run.to_string()));
    out.push_str(&labelled(
        "ends",
        &format!("every {} of this window, a migration included; their logs are kept", window.to),
    ));
    out.push_str(&labelled("lost", &lost));
    out.push_str(&labelled("restored", &restored));
    out.push_str(&labelled(
        "beware",
        &format!(
            "the storage stays as it is. Blobs that garbage collection has removed since then may \
             be named by the restored rows: pulls of those will fail{}",
            storage(backup)
        ),
    ));
    let down = format!(
        "{}; before that the backup is read back while what serves still serves",
        about(downtime(plan, backup))
    );
    out.push_str(&labelled("down for", &down));
    out
}

/// Where those blobs are, as far as anybody kept them.
fn storage(backup: &Backup) -> String {
    match &backup.storage {
        None => String::new(),
        Some(KeptStorage::Copied { .. }) => {
            format!(" until they are put back by hand from {}/storage", backup.directory)
        }
        Some(KeptStorage::Hooked { said, .. }) => {
            format!(" until they are put back by hand from what your program made: `{said}`")
        }
    }
}

/// The stop, the restore (which reads the backup back once more, fills the
/// database and builds its indexes) and the start. A guess for people.
fn downtime(plan: &Plan, backup: &Backup) -> Duration {
    let took = Duration::try_from(backup.took_without_storage()).unwrap_or_default();
    let is_start = |what: &PartOfOutage| matches!(what, PartOfOutage::FirstStart);
    let start = plan.forecast.parts.iter().find(|part| is_start(&part.what));
    let grace = Duration::from_secs(plan.timings.stop_grace_seconds.into());
    grace + took * 3 + start.map(|part| part.likely).unwrap_or_default()
}
