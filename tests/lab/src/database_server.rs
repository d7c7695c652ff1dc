//! What the lab's own database servers share: how one is made, and why that may fail.
#![expect(clippy::disallowed_methods, reason = "an effect room: disk and programs are its job")]

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::process::StartError;
use crate::cluster::wait::TimedOut;
use crate::run_as::RunAs;

/// A kind of server, as Debian has it.
#[derive(Debug)]
pub struct Kind {
    pub(crate) name: &'static str,
    /// Where its programs are.
    pub(crate) place: &'static str,
    pub(crate) package: &'static str,
    /// As whom it runs where the lab runs as root.
    pub(crate) user: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(
        "there is no {} server `{}`; install it: apt-get install {}",
        .kind.name, .kind.place, .kind.package
    )]
    NotInstalled { kind: &'static Kind },
    #[error(
        "the user `{}`, as whom the server would run, does not exist; install it: \
         apt-get install {}",
        .kind.user, .kind.package
    )]
    NoUser { kind: &'static Kind },
    #[error("cannot write {}'s files under `{}`", .kind.name, dir.display())]
    Files { kind: &'static Kind, dir: PathBuf, source: io::Error },
    #[error("cannot run `{}`", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error(
        "{made_by} failed in `{}` (can the user `{}` reach that directory?): {said}",
        dir.display(), .kind.user
    )]
    Failed { kind: &'static Kind, made_by: &'static str, dir: PathBuf, said: String },
    #[error("cannot start {}", .kind.name)]
    Start { kind: &'static Kind, source: StartError },
    #[error("{} does not take sessions; its log is `{}`", .kind.name, log.display())]
    Silent { kind: &'static Kind, log: PathBuf, source: TimedOut },
    #[error("cannot make {}'s database `quay`", .kind.name)]
    Database { kind: &'static Kind, source: sqlx::Error },
}

impl Kind {
    pub(crate) fn run_as(&'static self) -> Result<RunAs, ServerError> {
        RunAs::decide(self.user).ok_or(ServerError::NoUser { kind: self })
    }

    /// Makes the server's directory, for its user alone, and a file there that nobody else reads: no
    /// password stands on a command line.
    pub(crate) fn write_secret(
        &'static self,
        dir: &Path,
        name: &str,
        text: &str,
        run_as: RunAs,
    ) -> Result<PathBuf, ServerError> {
        let secret = dir.join(name);
        let write = || -> io::Result<()> {
            fs::create_dir_all(dir)?;
            run_as.give(dir)?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&secret)?.write_all(text.as_bytes())?;
            run_as.give(&secret)
        };
        write().map_err(|source| ServerError::Files { kind: self, dir: dir.to_owned(), source })?;
        Ok(secret)
    }

    /// Runs a program that makes something under `dir`, to its end.
    pub(crate) fn run(
        &'static self,
        made_by: &'static str,
        dir: &Path,
        mut command: Command,
    ) -> Result<(), ServerError> {
        let output = command.current_dir("/").output().map_err(|source| {
            let program = command.get_program().into();
            ServerError::Run { program, source }
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(ServerError::Failed { kind: self, made_by, dir: dir.to_owned(), said })
    }
}
