//! Which programs this host has that dump, and what version each says it is.
#![expect(clippy::disallowed_methods, reason = "an effect room: it looks for programs")]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use quaymaster_proto::ImageId;
use quaymaster_proto::mysql_version::{self, Misfit, MysqlKind, MysqlVersion};
use quaymaster_proto::postgres_version::{PostgresVersion as Version, fitting};
use tokio::process::Command;
use tokio::time::timeout;

use super::DumpProgram;
use super::error::{BackupError, POSTGRES};

/// What dumps MySQL and MariaDB; in newer packages the one is a link to the other.
const MYSQL_DUMPS: [&str; 2] = ["mariadb-dump", "mysqldump"];

/// Where MySQL's own archives are unpacked, beside the agent's PATH.
const MYSQL_PLACES: [&str; 2] = ["/usr/bin", "/usr/local/mysql/bin"];

/// Where Debian and Red Hat put one directory a major version.
const PLACES: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];

/// A program says its version at once.
const LIMIT: Duration = Duration::from_secs(5);

/// A pg_dump, with its pg_restore beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Program {
    pub(super) pg_dump: PathBuf,
    pub(super) version: Version,
    /// The image that both are in; `None` = they are the host's.
    pub(super) image: Option<ImageId>,
}

impl Program {
    /// The program that reads what this one writes, as it says itself.
    pub(super) async fn pg_restore(&self) -> Result<PathBuf, BackupError> {
        let path = self.pg_dump.with_file_name("pg_restore");
        if self.image.is_some() {
            return Ok(path); // it read the dump back in there
        }
        let said = ask(&path).await;
        let is_one = said.is_some_and(|said| said.starts_with("pg_restore"));
        is_one.then_some(path).ok_or_else(|| BackupError::NoRestorer {
            dump: self.pg_dump.clone(),
            wanted: "pg_restore".to_owned(),
        })
    }
}

/// A mysqldump or mariadb-dump, with its client beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MysqlProgram {
    pub(super) dump: PathBuf,
    pub(super) version: MysqlVersion,
}

impl MysqlProgram {
    /// The program that takes what this one writes, of its own kind as it says
    /// itself: the other kind's would refuse the option file.
    pub(super) async fn client(&self) -> Result<PathBuf, BackupError> {
        let names: &[&str] = match self.version.kind {
            MysqlKind::Mysql => &["mysql"],
            // Older packages know it by the other one's name.
            MysqlKind::Mariadb => &["mariadb", "mysql"],
        };
        for name in names {
            let path = self.dump.with_file_name(name);
            let said = ask(&path).await;
            let version = said.as_deref().and_then(MysqlVersion::read);
            if version.is_some_and(|version| version.kind == self.version.kind) {
                return Ok(path);
            }
        }
        Err(BackupError::NoRestorer { dump: self.dump.clone(), wanted: names.join(" or ") })
    }
}

/// One file at one time: it is asked again only when it is another one.
type Seen = (u64, i64, u64);

/// What programs said, as long as they are the same.
#[derive(Default, Debug)]
pub(super) struct Programs(Mutex<BTreeMap<PathBuf, (Seen, String)>>);

impl Programs {
    /// Every pg_dump that may be used, with its version.
    pub(super) async fn find(&self, wanted: &DumpProgram) -> Vec<Program> {
        let paths = match wanted {
            DumpProgram::At(path) => vec![path.clone()],
            DumpProgram::Auto => candidates(),
            // It is the engine that is asked.
            DumpProgram::Image(_) => Vec::new(),
        };
        let mut found = Vec::new();
        for pg_dump in paths {
            if let Some(version) = self.said(&pg_dump).await.as_deref().and_then(Version::read) {
                found.push(Program { pg_dump, version, image: None });
            }
        }
        found
    }

    /// The same of MySQL's and MariaDB's.
    pub(super) async fn find_mysql(&self, wanted: &DumpProgram) -> Vec<MysqlProgram> {
        let paths = match wanted {
            DumpProgram::At(path) => vec![path.clone()],
            DumpProgram::Auto => mysql_candidates(),
            // agent.yaml cannot say so.
            DumpProgram::Image(_) => Vec::new(),
        };
        let mut found = Vec::new();
        for dump in paths {
            let said = self.said(&dump).await;
            if let Some(version) = said.as_deref().and_then(MysqlVersion::read) {
                found.push(MysqlProgram { dump, version });
            }
        }
        found
    }

    /// What it says of its version.
    async fn said(&self, path: &Path) -> Option<String> {
        let about = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let seen = (about.ino(), about.mtime_nsec() + about.mtime() * 1_000_000_000, about.len());
        if let Some((then, said)) = self.known().get(path)
            && *then == seen
        {
            return Some(said.clone());
        }
        let said = ask(path).await.unwrap_or_default();
        self.known().insert(path.to_owned(), (seen, said.clone()));
        Some(said)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, (Seen, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program for this server, or why there is none.
pub(super) fn choose(server: &str, found: &[Program]) -> Result<Program, BackupError> {
    let shown = format!("PostgreSQL {server}");
    let none = || BackupError::NoProgram { program: POSTGRES, server: shown.clone() };
    let wanted = Version::read(server).ok_or_else(none)?;
    let versions: Vec<Version> = found.iter().map(|program| program.version.clone()).collect();
    if let Some(place) = fitting(&wanted, &versions) {
        return Ok(found[place].clone());
    }
    if found.is_empty() {
        return Err(none());
    }
    let all = found.iter().map(|Program { pg_dump, version, image: _ }| {
        format!("{version} (`{}`)", pg_dump.display())
    });
    let found = all.collect::<Vec<_>>().join(", ");
    Err(BackupError::TooOld { program: POSTGRES, server: shown, found })
}

/// The same for MySQL and MariaDB.
pub(super) fn choose_mysql(
    server: &str,
    found: &[MysqlProgram],
) -> Result<MysqlProgram, BackupError> {
    let none = |program: &'static str, server: String| BackupError::NoProgram { program, server };
    let Some(wanted) = MysqlVersion::read(server) else {
        return Err(none(MYSQL_DUMPS[1], server.to_owned()));
    };
    let versions: Vec<MysqlVersion> = found.iter().map(|program| program.version.clone()).collect();
    let (program, server) = (wanted.kind.program(), wanted.to_string());
    let shown = |kind: Option<MysqlKind>| {
        let all = found
            .iter()
            .filter(|one| kind.is_none_or(|kind| one.version.kind == kind))
            .map(|MysqlProgram { dump, version }| format!("{version} (`{}`)", dump.display()));
        all.collect::<Vec<_>>().join(", ")
    };
    match mysql_version::fitting(&wanted, &versions) {
        Ok(place) => Ok(found[place].clone()),
        Err(Misfit::None) => Err(none(program, server)),
        Err(Misfit::OtherKind) => Err(BackupError::OtherKind { server, found: shown(None) }),
        Err(Misfit::Older) => {
            Err(BackupError::TooOld { program, server, found: shown(Some(wanted.kind)) })
        }
    }
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

/// Each file once, however many names it has.
fn mysql_candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = MYSQL_PLACES.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    let mut seen = Vec::new();
    let mut all = Vec::new();
    for place in places {
        for candidate in MYSQL_DUMPS.map(|name| place.join(name)) {
            let Ok(file) = candidate.canonicalize() else { continue };
            if !seen.contains(&file) {
                seen.push(file);
                all.push(candidate);
            }
        }
    }
    all
}

async fn ask(path: &Path) -> Option<String> {
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let said = timeout(LIMIT, command.output()).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&said.stdout).into_owned())
}
