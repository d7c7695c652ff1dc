//! What becomes of a container's mounts.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::{Finding, Reason};
use crate::container::spec::StorageSpec;

/// Where a Quay's image wants a volume that holds nothing worth keeping, and
/// in /tmp even a socket that would keep the next Quay from its health
/// (quay-observed 6).
const PASSING: [&str; 2] = ["/tmp", "/var/log"];

/// The next container's mounts.
pub(super) fn next(storage: &StorageSpec, findings: &mut Vec<Finding>) -> StorageSpec {
    let StorageSpec { binds, mounts, anonymous_volumes, volumes_from } = storage;
    for destination in anonymous_volumes {
        findings.push(anonymous(destination));
    }
    for other in volumes_from {
        findings.push(Finding::new(format!("volumes from {other}"), Reason::TakesVolumesFrom));
    }
    let mut next = StorageSpec::default();
    for bind in binds {
        let (source, destination, _) = StorageSpec::bind_parts(bind);
        let kind = if source.starts_with('/') { "bind" } else { "volume" };
        if destination.is_empty() {
            findings.push(Finding::new(format!("bind {bind}"), Reason::UnknownMount));
        } else {
            findings.push(Finding::carried(format!("{kind} {destination}")));
            next.binds.push(bind.clone());
        }
    }
    for mount in mounts {
        match (word(mount, "Type"), word(mount, "Target")) {
            (Some(kind), Some(target)) => {
                findings.push(Finding::carried(format!("{kind} {target}")));
                next.mounts.push(mount.clone());
            }
            (_, target) => {
                let subject = format!("mount {}", target.unwrap_or("without target"));
                findings.push(Finding::new(subject, Reason::UnknownMount));
            }
        }
    }
    next.anonymous_volumes = BTreeSet::new();
    next
}

fn anonymous(destination: &str) -> Finding {
    let reason = if PASSING.contains(&destination.trim_end_matches('/')) {
        Reason::FreshVolume
    } else {
        Reason::DataInAnonymousVolume
    };
    Finding::new(format!("volume {destination}"), reason)
}

fn word<'a>(mount: &'a Value, key: &str) -> Option<&'a str> {
    mount.get(key)?.as_str().filter(|word| !word.is_empty())
}
