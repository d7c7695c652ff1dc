//! What becomes of a container's mounts.

use std::collections::BTreeSet;

use quaymaster_proto::MountCopy;
use serde_json::Value;

use super::finding::{Finding, Reason};
use crate::container::spec::StorageSpec;

/// Where a Quay's image wants a volume that holds nothing worth keeping, and
/// in /tmp even a socket that would keep the next Quay from its health
/// (quay-observed 6).
const PASSING: [&str; 2] = ["/tmp", "/var/log"];

/// The next container's mounts.
pub(super) fn next(
    storage: &StorageSpec,
    copies: &[MountCopy],
    findings: &mut Vec<Finding>,
) -> StorageSpec {
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
    for copy in copies {
        mount_twice(&mut next, copy, findings);
    }
    next
}

/// Mounts at or below `from` appear at or below `to` too, where nothing is
/// mounted there yet.
fn mount_twice(next: &mut StorageSpec, copy: &MountCopy, findings: &mut Vec<Finding>) {
    let MountCopy { from, to } = copy;
    let mut taken = destinations(next);
    let mut add = |destination: &str| {
        let Some(at) = elsewhere(destination, from, to) else {
            if from.strip_prefix(destination).is_some_and(|rest| rest.starts_with('/')) {
                let reason = Reason::HoldsMovedPath { from: from.clone(), to: to.clone() };
                findings.push(Finding::new(format!("mount {destination}"), reason));
            }
            return None;
        };
        if !taken.insert(at.clone()) {
            return None;
        }
        let reason = Reason::MountedTwice { at: at.clone() };
        findings.push(Finding::new(format!("mount {destination}"), reason));
        Some(at)
    };
    let binds: Vec<String> = next
        .binds
        .iter()
        .filter_map(|bind| {
            let (source, destination, options) = StorageSpec::bind_parts(bind);
            let at = add(destination)?;
            let colon = if options.is_empty() { "" } else { ":" };
            Some(format!("{source}:{at}{colon}{options}"))
        })
        .collect();
    let mounts: Vec<Value> = next
        .mounts
        .iter()
        .filter_map(|mount| {
            let at = add(word(mount, "Target")?)?;
            let mut twin = mount.clone();
            *twin.get_mut("Target")? = Value::String(at);
            Some(twin)
        })
        .collect();
    next.binds.extend(binds);
    next.mounts.extend(mounts);
}

fn destinations(storage: &StorageSpec) -> BTreeSet<String> {
    let binds = storage.binds.iter().map(|bind| StorageSpec::bind_parts(bind).1);
    let mounts = storage.mounts.iter().filter_map(|mount| word(mount, "Target"));
    binds.chain(mounts).map(|path| path.trim_end_matches('/').to_owned()).collect()
}

/// The same place below `to` as `path` has below `from`.
fn elsewhere(path: &str, from: &str, to: &str) -> Option<String> {
    let rest = path.trim_end_matches('/').strip_prefix(from)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(binds: &[&str]) -> (Vec<String>, String) {
        let binds = binds.iter().map(|bind| (*bind).to_owned()).collect();
        let storage = StorageSpec { binds, ..StorageSpec::default() };
        let copies = [
            ("/config", "/clair/config"),
            ("/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors"),
        ];
        let copies = copies.map(|(from, to)| MountCopy { from: from.into(), to: to.into() });
        let mut findings = Vec::new();
        let next = next(&storage, &copies, &mut findings);
        let words = |finding: &Finding| format!("{}: {}\n", finding.subject, finding.reason);
        let notable = findings.iter().filter(|finding| finding.reason != Reason::AsItIs);
        (next.binds, notable.map(words).collect())
    }

    #[test]
    fn clairs_mounts_are_found_at_both_paths() {
        let (binds, told) = copied(&[
            "/mnt/clair/config:/config:Z",
            "/etc/ssl/site.crt:/usr/local/share/ca-certificates/site.crt:ro",
            "/mnt/other:/configuration",
        ]);
        assert_eq!(
            binds[3..],
            [
                "/mnt/clair/config:/clair/config:Z",
                "/etc/ssl/site.crt:/etc/pki/ca-trust/source/anchors/site.crt:ro",
            ]
        );
        insta::assert_snapshot!(told, @r"
        mount /config: mounted at /clair/config too, where the next image looks for it
        mount /usr/local/share/ca-certificates/site.crt: mounted at /etc/pki/ca-trust/source/anchors/site.crt too, where the next image looks for it
        ");
    }

    #[test]
    fn a_mount_that_is_there_already_is_left_and_one_too_wide_is_refused() {
        let both = ["/mnt/clair/config:/config", "/mnt/clair/config:/clair/config/"];
        assert_eq!(copied(&both), (both.map(str::to_owned).to_vec(), String::new()));
        let (binds, told) = copied(&["/mnt/share:/usr/local/share"]);
        assert_eq!(binds, ["/mnt/share:/usr/local/share"]);
        assert!(told.contains("create the container anew with a mount of its own"), "{told}");
    }
}
