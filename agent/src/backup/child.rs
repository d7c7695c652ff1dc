//! A program that is run for a backup: in a process group of its own, which
//! ends when whoever waits for it is gone.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::error::BackupError;
use crate::secret::Secret;

/// Of a program's words so many bytes, the last ones.
const WORDS: usize = 2000;

/// Between two looks at how far a program has come.
const LOOK: Duration = Duration::from_millis(250);

/// A program with its arguments and its whole environment. Nothing prints it:
/// it holds a password.
pub(super) struct Job<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, OsString)>,
    /// What no error may show, however it is written.
    pub(super) secrets: Vec<Secret>,
    /// What it reads; otherwise nothing.
    pub(super) input: Option<File>,
}

/// A program whose words are read.
pub(super) struct Open<'a> {
    /// What it prints.
    pub(super) printed: BufReader<ChildStdout>,
    job: Job<'a>,
    running: Running,
    words: JoinHandle<String>,
}

impl Open<'_> {
    /// Waits for its end; what was `read` of it counts only where it ended well.
    pub(super) async fn close<T>(self, read: std::io::Result<T>) -> Result<T, BackupError> {
        let Self { printed, job, mut running, words } = self;
        drop(printed);
        let status = running.child.wait().await;
        job.judge(status, words.await.unwrap_or_default())?;
        read.map_err(|source| BackupError::Run { program: job.program.to_owned(), source })
    }
}

/// It and its workers end with this value.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL); // ended by itself
        }
    }
}

impl<'a> Job<'a> {
    /// The same, reading this file.
    pub(super) fn fed(self, input: File) -> Self {
        Self { input: Some(input), ..self }
    }

    /// Runs it to its end; `look` is called every now and then.
    pub(super) async fn run(mut self, look: impl Fn()) -> Result<(), BackupError> {
        let (mut running, _, stderr) = self.start(Stdio::null())?;
        let words = tokio::spawn(last_words(stderr));
        let status = loop {
            match tokio::time::timeout(LOOK, running.child.wait()).await {
                Ok(status) => break status,
                Err(_) => look(),
            }
        };
        self.judge(status, words.await.unwrap_or_default())
    }

    /// Runs it, for whoever reads what it prints and then closes it.
    pub(super) fn open(mut self) -> Result<Open<'a>, BackupError> {
        let (running, stdout, stderr) = self.start(Stdio::piped())?;
        let words = tokio::spawn(last_words(stderr));
        let program = self.program.to_owned();
        let none = std::io::ErrorKind::BrokenPipe.into();
        let stdout = stdout.ok_or(BackupError::Run { program, source: none })?;
        let printed = BufReader::with_capacity(256 * 1024, stdout);
        Ok(Open { printed, job: self, running, words })
    }

    fn start(
        &mut self,
        stdout: Stdio,
    ) -> Result<(Running, Option<ChildStdout>, Option<ChildStderr>), BackupError> {
        let Self { program, arguments, environment, secrets: _, input } = self;
        let input = input.take().map_or_else(Stdio::null, Stdio::from);
        let program = *program;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(input).stdout(stdout).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let failed = |source| BackupError::Run { program: PathBuf::from(program), source };
        let mut child = command.spawn().map_err(failed)?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Ok((Running { child, group }, stdout, stderr))
    }

    fn judge(&self, status: std::io::Result<ExitStatus>, words: String) -> Result<(), BackupError> {
        let failed = |source| BackupError::Run { program: self.program.to_owned(), source };
        let status = status.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let program = self.program.display().to_string();
        let secrets = self.secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty());
        let words = secrets.fold(words, |words, secret| words.replace(secret, "***"));
        let said = words.split_whitespace().collect::<Vec<_>>().join(" ");
        Err(BackupError::Program { program, status: status.to_string(), said })
    }
}

/// The end of what it says, however much that is.
async fn last_words(stderr: Option<ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let (mut words, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        words.extend_from_slice(&buffer[..count]);
        let surplus = words.len().saturating_sub(WORDS);
        words.drain(..surplus);
    }
    String::from_utf8_lossy(&words).into_owned()
}
