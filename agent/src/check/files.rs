//! The files: config.yaml, the state directory with its ledger, and logins.
#![expect(clippy::disallowed_methods, reason = "an effect room: it tries what can be written")]

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use quaymaster_proto::Refusal;

use super::Finding;
use crate::backup::storage;
use crate::config::{AgentConfig, BackupConfig, Repository};
use crate::config_file::{ConfigFile, ConfigFileError};
use crate::jobs::logins;
use crate::ledger::{self, Looked};
use crate::quay::settings::Settings;
use crate::reserve::{self, Reserve};
use crate::{floor, spec_key};

pub(super) fn check(config: &AgentConfig) -> Vec<Finding> {
    let mut findings = quay_config(&config.quay_config);
    findings.extend(state(&config.state));
    findings.extend(ledger(&config.state));
    findings.push(floor(&config.state));
    findings.push(reserve(&config.state));
    findings.extend(config.backup.as_ref().map(backups));
    let hook = config.backup.as_ref().and_then(|backup| backup.storage_hook.as_deref());
    findings.extend(hook.map(storage_hook));
    if let Some(path) = &config.registries.credentials {
        findings.push(logins(config, path));
    }
    findings
}

/// A secret that everybody on this host can read.
pub(super) fn others_may_read(about: &'static str, path: &Path) -> Option<Finding> {
    // What cannot be looked at is told by whoever reads it.
    let mode = path.metadata().ok()?.permissions().mode() & 0o7777;
    let shown = path.display();
    if mode & 0o007 == 0 {
        return Some(Finding::good(about, format!("`{shown}` is not for everybody ({mode:04o})")));
    }
    let text = format!("everybody on this host may use `{shown}` (mode {mode:04o})");
    Some(Finding::bad(about, text, format!("chmod o= {shown}; and renew it if anybody did")))
}

fn quay_config(path: &Path) -> Vec<Finding> {
    let about = "config.yaml";
    let file = match ConfigFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            let is_denied = matches!(&error, ConfigFileError::Disk { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied);
            let remedy = if is_denied {
                "run the agent with CAP_DAC_OVERRIDE, as its unit does, or let its user read it"
            } else {
                "set components.quay.config to the file that Quay reads at /conf/stack"
            };
            return vec![Finding::bad(about, quaymaster_proto::in_a_line(&error), remedy)];
        }
    };
    let shown = file.path.display();
    let read = match Settings::read(&file.bytes) {
        Ok(settings) => Finding::good(
            about,
            format!("`{shown}`: {}, mode {}", file.digest.short(), settings.mode()),
        ),
        Err(error) => {
            let text = format!("cannot read `{shown}`: {}", quaymaster_proto::in_a_line(&error));
            Finding::bad(about, text, "Quay reads the same text")
        }
    };
    let replace = match file.try_sibling() {
        Ok(()) => Finding::good(
            about,
            format!(
                "a file like it can be put in its place (owner {}, group {}, mode {:04o})",
                file.owner, file.group, file.permissions
            ),
        ),
        Err(error) => {
            Finding::bad(about, quaymaster_proto::in_a_line(&error), irreplaceable(&error))
        }
    };
    vec![read, replace]
}

/// What to do where config.yaml can be read and not replaced.
fn irreplaceable(error: &ConfigFileError) -> &'static str {
    match error {
        ConfigFileError::Disk { source, .. }
            if source.kind() == io::ErrorKind::ReadOnlyFilesystem =>
        {
            "name its directory in ReadWritePaths= of the unit (systemctl edit quaymaster-agent)"
        }
        ConfigFileError::Disk { .. } => {
            "run the agent with CAP_DAC_OVERRIDE, as its unit does; on NFS capabilities of this \
             host count for nothing: let the agent's user write there"
        }
        ConfigFileError::Attribute { .. } => {
            "run the agent with CAP_CHOWN and CAP_FOWNER, as its unit does; on NFS capabilities of \
             this host count for nothing: give config.yaml to the agent's user"
        }
        ConfigFileError::NotAFile { .. }
        | ConfigFileError::TooLong { .. }
        | ConfigFileError::Unfaithful { .. } => "see what else uses that directory",
    }
}

/// The state directory holds what must outlive the agent.
fn state(path: &Path) -> Vec<Finding> {
    let shown = path.display();
    let trial = path.join(".check");
    let tried = std::fs::write(&trial, b"").and_then(|()| std::fs::remove_file(&trial));
    let writable = match tried {
        Ok(()) => Finding::good("state", format!("`{shown}` can be written")),
        Err(error) => Finding::bad(
            "state",
            format!("cannot write in `{shown}`: {error}"),
            format!(
                "the unit's StateDirectory= makes it; by hand: install -d -o quaymaster \
                 -g quaymaster -m 0700 {shown}"
            ),
        ),
    };
    let key = spec_key::look(path).err().map(|error| {
        Finding::bad(
            "state",
            quaymaster_proto::in_a_line(&error),
            "let the agent's user read it; a damaged one may be moved aside: the agent makes \
             another, and plans that were made before are stale",
        )
    });
    std::iter::once(writable).chain(key).collect()
}

fn ledger(state: &Path) -> Vec<Finding> {
    let about = "ledger";
    let (records, lease) = match ledger::look(state) {
        Ok(Looked { records, lease, floor: _ }) => (records, lease),
        Err(error) => {
            let refusal = error.refusal();
            return vec![Finding::bad(about, refusal.message, refusal.remedy)];
        }
    };
    let text = match records {
        0 => "no record yet".to_owned(),
        1 => "1 record, whole".to_owned(),
        _ => format!("{records} records, whole"),
    };
    let driver = lease.as_ref().map_or_else(|| "nobody".to_owned(), ledger::lease_in_words);
    vec![
        Finding::good(about, text),
        Finding::good("lease", format!("this node is driven by {driver}")),
    ]
}

/// What may not run here any more.
fn floor(state: &Path) -> Finding {
    // What keeps the ledger from being read is told of the ledger.
    let recorded = ledger::look(state).ok().and_then(|looked| looked.floor);
    match floor::read(state, recorded) {
        Ok(None) => Finding::good("floor", "none is set"),
        Ok(floor) => Finding::good("floor", floor::in_words(floor.as_ref())),
        Err(error) => {
            let refusal = Refusal::from(error);
            Finding::bad("floor", refusal.message, refusal.remedy)
        }
    }
}

/// Where backups go: written by this very process, and for nobody else.
fn backups(config: &BackupConfig) -> Finding {
    let about = "backup";
    let directory = config.directory.display();
    let make = format!("by hand: install -d -o quaymaster -g quaymaster -m 0700 {directory}");
    let trial = config.directory.join(".check");
    let tried = std::fs::write(&trial, b"").and_then(|()| std::fs::remove_file(&trial));
    if let Err(error) = tried {
        let remedy = if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
            "name it in ReadWritePaths= of the unit (systemctl edit quaymaster-agent)".to_owned()
        } else {
            make
        };
        let text = format!("cannot write backups in `{directory}`: {error}");
        return Finding::bad(about, text, remedy);
    }
    if let Some(seen) = others_may_read(about, &config.directory).filter(Finding::is_bad) {
        return seen;
    }
    Finding::good(about, format!("`{directory}` can be written, and is for nobody else"))
}

/// Whoever may write it is the agent, which is root's equal.
fn storage_hook(path: &Path) -> Finding {
    let about = "storage";
    let shown = path.display();
    if let Err(error) = storage::can_be_run(path) {
        return Finding::bad(about, quaymaster_proto::in_a_line(&error), error.remedy());
    }
    let mode = path.metadata().map(|about| about.permissions().mode() & 0o7777).unwrap_or_default();
    if mode & 0o022 != 0 {
        let text = format!("others on this host may write `{shown}` (mode {mode:04o})");
        return Finding::bad(about, text, format!("chmod go-w {shown}; and see who wrote it"));
    }
    Finding::good(about, format!("`{shown}` can be run, and is for nobody else to write"))
}

/// Room for the way back.
fn reserve(state: &Path) -> Finding {
    let about = "reserve";
    match reserve::look(state) {
        Reserve::Kept => Finding::good(about, "room is kept for the way back"),
        Reserve::Missing => Finding::good(
            about,
            "there is room for the way back; the agent keeps some when it runs",
        ),
        Reserve::NoRoom => Finding::bad(
            about,
            format!("no room can be kept for the way back in `{}`", state.display()),
            format!("make room there: {} bytes at least", reserve::ROOM),
        ),
    }
}

/// The file with the registries' logins.
fn logins(config: &AgentConfig, path: &Path) -> Finding {
    let all = config.components.values().flat_map(|component| &component.repositories);
    let all: BTreeSet<&str> = all.map(Repository::as_str).collect();
    let mut count = 0;
    for repository in &all {
        match logins::login(path, repository) {
            Ok(login) => count += usize::from(login.is_some()),
            Err(error) => {
                return Finding::bad("logins", quaymaster_proto::in_a_line(&error), error.remedy());
            }
        }
    }
    let known = all.len();
    Finding::good("logins", format!("`{}`: for {count} of {known} repositories", path.display()))
}
