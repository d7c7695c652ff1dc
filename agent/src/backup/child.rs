//! A program that is run for a backup: in a process group of its own, which
//! ends when whoever waits for it is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::container::{self, Within};
use super::error::BackupError;
use crate::secret::Secret;

/// Of a program's words so many letters, the last ones.
const WORDS: usize = 2000;

/// So many bytes of them are kept until they are masked: what is cut of a secret
/// at their beginning is not shown.
const KEPT_WORDS: usize = 3 * WORDS;

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
    /// The image that it is in; `None` = it is the host's own.
    pub(super) within: Option<Within>,
}

/// A program whose words are read.
pub(super) struct Open<'a> {
    /// What it prints.
    pub(super) printed: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    job: Job<'a>,
    at_work: AtWork,
}

/// What prints it.
enum AtWork {
    /// A process of the agent's.
    Process { running: Running, words: JoinHandle<String> },
    /// A container.
    Container(Ending),
}

/// Ended with this value.
struct Ending(JoinHandle<Result<(), BackupError>>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A pipe of the host's, gone with this value.
struct Pipe(PathBuf);

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = rustix::fs::unlink(&self.0); // gone with its directory
    }
}

impl Open<'_> {
    /// Waits for its end; what was `read` of it counts only where it ended well.
    pub(super) async fn close<T>(self, read: io::Result<T>) -> Result<T, BackupError> {
        let Self { printed, job, at_work } = self;
        drop(printed);
        match at_work {
            AtWork::Process { mut running, words } => {
                let status = running.child.wait().await;
                job.judge(status, words.await.unwrap_or_default())?;
            }
            AtWork::Container(mut ending) => match (&mut ending.0).await {
                Ok(ended) => ended?,
                Err(error) => {
                    let (program, source) = (job.program.to_owned(), io::Error::other(error));
                    return Err(BackupError::Run { program, source });
                }
            },
        }
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
        if let Some(within) = self.within.take() {
            return watched(container::run(&self, &within), look).await;
        }
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
        if let Some(within) = self.within.take() {
            return self.open_within(within);
        }
        let (running, stdout, stderr) = self.start(Stdio::piped())?;
        let words = tokio::spawn(last_words(stderr));
        let program = self.program.to_owned();
        let none = io::ErrorKind::BrokenPipe.into();
        let stdout = stdout.ok_or(BackupError::Run { program, source: none })?;
        let stdout: Box<dyn AsyncRead + Send + Unpin> = Box::new(stdout);
        let printed = BufReader::with_capacity(256 * 1024, stdout);
        Ok(Open { printed, job: self, at_work: AtWork::Process { running, words } })
    }

    /// The same out of an image: it writes into a pipe, which is held open until
    /// it has ended, whether it ever opened that or not.
    fn open_within(self, mut within: Within) -> Result<Open<'a>, BackupError> {
        let path = within.pipes.join(".printed");
        let failed = || BackupError::files("make the pipe", &path);
        let _ = rustix::fs::unlink(&path); // left by an agent that died
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode)
            .map_err(|error| failed()(error.into()))?;
        let pipe = Pipe(path.clone());
        let receiver = pipe::OpenOptions::new().open_receiver(&path).map_err(failed())?;
        let kept_open = pipe::OpenOptions::new().open_sender(&path).map_err(failed())?;
        let mut file = OsString::from("--file=");
        file.push(&path);
        within.writes.push(path);
        let Self { program, mut arguments, environment, secrets, input: _, within: _ } = self;
        arguments.insert(0, file);
        let (program_there, of_it) = (program.to_owned(), environment.clone());
        let secrets_there = secrets.clone();
        let running = tokio::spawn(async move {
            let (environment, secrets) = (of_it, secrets_there);
            let (program, input) = (program_there.as_path(), None);
            let job = Job { program, arguments, environment, secrets, input, within: None };
            let ended = container::run(&job, &within).await;
            drop((kept_open, pipe));
            ended
        });
        let receiver: Box<dyn AsyncRead + Send + Unpin> = Box::new(receiver);
        let printed = BufReader::with_capacity(256 * 1024, receiver);
        let (arguments, input, within) = (Vec::new(), None, None);
        let job = Job { program, arguments, environment, secrets, input, within };
        Ok(Open { printed, job, at_work: AtWork::Container(Ending(running)) })
    }

    /// Words of its without its secrets, in one line.
    pub(super) fn masked(&self, words: &str) -> String {
        let secrets = self.secrets.iter().map(Secret::expose).filter(|secret| !secret.is_empty());
        let words = secrets.fold(words.to_owned(), |words, secret| words.replace(secret, "***"));
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let surplus = words.chars().count().saturating_sub(WORDS);
        words.chars().skip(surplus).collect()
    }

    fn start(
        &mut self,
        stdout: Stdio,
    ) -> Result<(Running, Option<ChildStdout>, Option<ChildStderr>), BackupError> {
        let Self { program, arguments, environment, secrets: _, input, within: _ } = self;
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

    fn judge(&self, status: io::Result<ExitStatus>, words: String) -> Result<(), BackupError> {
        let failed = |source| BackupError::Run { program: self.program.to_owned(), source };
        let status = status.map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        let program = self.program.display().to_string();
        let said = self.masked(&words);
        Err(BackupError::Program { program, status: status.to_string(), said })
    }
}

/// Waits for it; `look` is called every now and then.
async fn watched<T>(work: impl Future<Output = T>, look: impl Fn()) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(LOOK, &mut work).await {
            Ok(done) => return done,
            Err(_) => look(),
        }
    }
}

/// The end of what it says, however much that is.
async fn last_words(stderr: Option<ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let (mut words, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        words.extend_from_slice(&buffer[..count]);
        let surplus = words.len().saturating_sub(KEPT_WORDS);
        words.drain(..surplus);
    }
    String::from_utf8_lossy(&words).into_owned()
}
