//! The program that agent.yaml names for the storage: an object store's
//! snapshot, whatever its operator knows to make. It is given no argument and no
//! secret, and says by its end whether it is done.

use std::path::Path;
use std::time::Duration;

use quaymaster_proto::storage::HookFooting;
use rustix::fs::{Access, AtFlags, CWD};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::error::StorageError;
use crate::backup::Subject;
use crate::backup::child::Job;
use crate::backup::error::BackupError;

/// Where it finds its own programs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Of the line that it is known by, so many letters.
const LONGEST: usize = 200;

/// A longer line is taken for several.
const LINE: u64 = 64 * 1024;

/// The registry is down while it runs.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Whether there is one, and it could be run.
pub(super) fn look(program: Option<&Path>) -> HookFooting {
    match program.map(can_be_run) {
        None => HookFooting::Unnamed,
        Some(Ok(())) => HookFooting::Ready,
        Some(Err(error)) => HookFooting::Unusable { problem: quaymaster_proto::in_a_line(&error) },
    }
}

/// Refuses a program that this process may not run.
pub(crate) fn can_be_run(program: &Path) -> Result<(), StorageError> {
    let asked = rustix::fs::accessat(CWD, program, Access::EXEC_OK, AtFlags::EACCESS);
    asked.map_err(|error| StorageError::HookUnusable {
        program: program.to_owned(),
        source: error.into(),
    })
}

/// Runs it to its end; what it calls what it made.
pub(super) async fn run(program: &Path, subject: &Subject<'_>) -> Result<String, BackupError> {
    let secrets = subject.settings.secrets();
    let environment = [
        ("PATH", PATH.to_owned()),
        ("QUAYMASTER_CLUSTER", subject.cluster.to_string()),
        ("QUAYMASTER_NODE", subject.node.to_string()),
        ("QUAYMASTER_RUN", subject.run.to_string()),
    ];
    let job = Job {
        program,
        arguments: Vec::new(),
        environment: environment.map(|(name, value)| (name, value.into())).into(),
        secrets: secrets.clone(),
        input: None,
        within: None,
    };
    (subject.progress)(0, "the storage's hook runs");
    let running = async {
        let mut open = job.open().map_err(of_the_hook)?;
        let masked = |line: String| {
            let masks = secrets.iter().map(|secret| secret.expose());
            let masks = masks.filter(|secret| !secret.is_empty());
            masks.fold(line, |line, secret| line.replace(secret, "***"))
        };
        let read = last_line(&mut open.printed, masked).await;
        open.close(read).await.map_err(of_the_hook)
    };
    // Dropped, it ends with all that it has started.
    tokio::time::timeout(LIMIT, running).await.unwrap_or_else(|_| {
        let said = "it, or what it started, has not closed its output".to_owned();
        let status = format!("no end within {} min", LIMIT.as_secs() / 60);
        Err(StorageError::HookFailed { program: program.display().to_string(), status, said }
            .into())
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "nothing else comes of a program")]
fn of_the_hook(error: BackupError) -> BackupError {
    match error {
        BackupError::Program { program, status, said } => {
            StorageError::HookFailed { program, status, said }.into()
        }
        BackupError::Run { program, source } => {
            StorageError::HookUnusable { program, source }.into()
        }
        other => other,
    }
}

/// The last line that is not empty, in plain letters: masked before it is cut.
async fn last_line(
    printed: &mut (impl AsyncBufRead + Unpin),
    masked: impl Fn(String) -> String,
) -> std::io::Result<String> {
    let (mut line, mut last) = (Vec::new(), String::new());
    while printed.take(LINE).read_until(b'\n', &mut line).await? > 0 {
        let text = String::from_utf8_lossy(&line);
        let plain: String = text.trim().chars().filter(|letter| !letter.is_control()).collect();
        if !plain.is_empty() {
            last = masked(plain).chars().take(LONGEST).collect();
        }
        line.clear();
    }
    Ok(last)
}
