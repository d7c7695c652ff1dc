//! Which pg_dump programs this host has, and what version each says it is.
#![expect(clippy::disallowed_methods, reason = "an effect room: it looks for programs")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quaymaster_proto::postgres_version::{PostgresVersion as Version, fitting};
use tokio::process::Command;
use tokio::time::timeout;

use super::PgDump;
use super::error::BackupError;

/// Where Debian and Red Hat put one directory a major version.
const PLACES: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];

/// A program says its version at once.
const LIMIT: Duration = Duration::from_secs(5);

/// A pg_dump, with its pg_restore beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Program {
    pub(super) pg_dump: PathBuf,
    pub(super) version: Version,
}

impl Program {
    /// The program that reads what this one writes.
    pub(super) fn pg_restore(&self) -> PathBuf {
        self.pg_dump.with_file_name("pg_restore")
    }
}

/// One file at one time: it is asked again only when it is another one.
type Seen = (u64, i64, u64);

/// What programs said, as long as they are the same.
#[derive(Default, Debug)]
pub(super) struct Programs(Mutex<BTreeMap<PathBuf, (Seen, Option<Version>)>>);

impl Programs {
    /// Every pg_dump that may be used, with its version.
    pub(super) async fn find(&self, wanted: &PgDump) -> Vec<Program> {
        let paths = match wanted {
            PgDump::At(path) => vec![path.clone()],
            PgDump::Auto => candidates(),
        };
        let mut found = Vec::new();
        for pg_dump in paths {
            if let Some(version) = self.version(&pg_dump).await {
                found.push(Program { pg_dump, version });
            }
        }
        found
    }

    async fn version(&self, path: &Path) -> Option<Version> {
        let about = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let seen = (about.ino(), about.mtime_nsec() + about.mtime() * 1_000_000_000, about.len());
        if let Some((then, version)) = self.known().get(path)
            && *then == seen
        {
            return version.clone();
        }
        let version = ask(path).await;
        self.known().insert(path.to_owned(), (seen, version.clone()));
        version
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, (Seen, Option<Version>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program for this server, or why there is none.
pub(super) fn choose(server: &str, found: &[Program]) -> Result<Program, BackupError> {
    let none = || BackupError::NoProgram { server: server.to_owned() };
    let wanted = Version::read(server).ok_or_else(none)?;
    let versions: Vec<Version> = found.iter().map(|program| program.version.clone()).collect();
    if let Some(place) = fitting(&wanted, &versions) {
        return Ok(found[place].clone());
    }
    if found.is_empty() {
        return Err(none());
    }
    let shown = found
        .iter()
        .map(|Program { pg_dump, version }| format!("{version} (`{}`)", pg_dump.display()));
    let found = shown.collect::<Vec<_>>().join(", ");
    Err(BackupError::TooOld { server: server.to_owned(), found })
}

/// The directories of the distributions, then those of PATH.
fn candidates() -> Vec<PathBuf> {
    let mut all = Vec::new();
    for (place, inside) in PLACES {
        let Ok(entries) = std::fs::read_dir(place) else { continue };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let named = names.filter(|name| place != "/usr" || name.starts_with("pgsql-"));
        let mut paths: Vec<PathBuf> =
            named.map(|name| Path::new(place).join(name).join(inside).join("pg_dump")).collect();
        paths.sort();
        all.extend(paths);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    all.extend(std::env::split_paths(&path).map(|place| place.join("pg_dump")));
    all.retain(|path| path.is_file());
    // Debian's wrapper in PATH runs another program for each server.
    all.dedup();
    all
}

async fn ask(path: &Path) -> Option<Version> {
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let said = timeout(LIMIT, command.output()).await.ok()?.ok()?;
    Version::read(&String::from_utf8_lossy(&said.stdout))
}
