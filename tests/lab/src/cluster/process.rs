//! Processes that outlive the command which started them, known by id and start time.
#![expect(clippy::disallowed_methods, reason = "an effect room: processes and waiting are its job")]

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// One process of this boot: an id alone can be given to another process later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessId {
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks between the machine's boot and the start.
    pub start_ticks: u64,
}

/// What to start.
#[derive(Debug)]
pub struct Job {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    /// Gets standard output and error, appended.
    pub log: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot open log `{}`", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("cannot start `{}`", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("`{}` ended as soon as it was started; its output is in `{}`", program.display(), log.display())]
    Ended { program: PathBuf, log: PathBuf },
}

#[derive(Debug, thiserror::Error)]
pub enum EndError {
    #[error("may not signal process {pid}")]
    Signal { pid: i32, source: io::Error },
    #[error("process {pid} is still there {} s after it was ended", waited.as_secs())]
    Stays { pid: i32, waited: Duration },
}

/// Starts `job` in a session of its own through `detacher`, the lab's own executable. The started
/// program keeps the process id (`detach` replaces itself by it).
pub fn start_detached(detacher: &Path, job: Job) -> Result<ProcessId, StartError> {
    let Job { program, arguments, environment, log } = job;
    let open = || OpenOptions::new().append(true).create(true).open(&log);
    let outputs = open().and_then(|output| Ok((output.try_clone()?, output)));
    let (output, errors) = match outputs {
        Ok(outputs) => outputs,
        Err(source) => return Err(StartError::Log { path: log, source }),
    };
    let spawned = Command::new(detacher)
        .arg("detach")
        .arg("--")
        .arg(&program)
        .args(arguments)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn();
    let child = match spawned {
        Ok(child) => child,
        Err(source) => {
            return Err(StartError::Spawn { program: detacher.to_owned(), source });
        }
    };
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    match look(pid) {
        Some(stat) if !stat.ended => Ok(ProcessId { pid, start_ticks: stat.start_ticks }),
        Some(_) | None => Err(StartError::Ended { program, log }),
    }
}

impl ProcessId {
    /// A zombie counts as ended: it does nothing any more.
    pub fn is_running(self) -> bool {
        look(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.ended)
    }

    /// Sends a signal, if this very process is still there.
    pub fn signal(self, signal: Signal) -> Result<(), EndError> {
        let Some(descriptor) = self.open() else { return Ok(()) };
        match pidfd_send_signal(descriptor, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(EndError::Signal { pid: self.pid, source: error.into() }),
        }
    }

    /// Waits until it has ended, by whatever.
    pub(super) async fn ended(self, bound: Duration) -> Result<(), EndError> {
        match self.has_ended_within(bound).await {
            true => Ok(()),
            false => Err(EndError::Stays { pid: self.pid, waited: bound }),
        }
    }

    /// Asks with `signal`, waits up to `grace`, then kills. Done when the process has ended.
    pub async fn end(self, signal: Signal, grace: Duration) -> Result<(), EndError> {
        self.signal(signal)?;
        if self.has_ended_within(grace).await {
            return Ok(());
        }
        self.signal(Signal::KILL)?;
        self.ended(Duration::from_secs(10)).await
    }

    async fn has_ended_within(self, bound: Duration) -> bool {
        let ended = async {
            while self.is_running() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(bound, ended).await.is_ok()
    }

    /// The descriptor stands for one process for ever, so checking the start time after opening it
    /// leaves no moment in which another process could be meant.
    fn open(self) -> Option<OwnedFd> {
        let descriptor = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        self.is_running().then_some(descriptor)
    }
}

/// The processes whose environment holds `name=<dir>...`: what a killed stand-in engine leaves.
pub fn with_environment_under(name: &str, dir: &Path) -> Vec<ProcessId> {
    let wanted = format!("{name}={}/", dir.display());
    all()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
                environment.split(|byte| *byte == 0).any(|one| one.starts_with(wanted.as_bytes()))
            })
        })
        .filter_map(|pid| Some(ProcessId { pid, start_ticks: look(pid)?.start_ticks }))
        .filter(|process| process.is_running())
        .collect()
}

/// The running processes that `parent` has started, or inherited.
pub(super) fn children_of(parent: ProcessId) -> Vec<ProcessId> {
    all()
        .filter_map(|pid| Some((pid, look(pid)?)))
        .filter(|(_, stat)| stat.parent == parent.pid && !stat.ended)
        .map(|(pid, stat)| ProcessId { pid, start_ticks: stat.start_ticks })
        .collect()
}

/// What the kernel calls it: its program's file name, cut at 15 bytes.
pub(super) fn name_of(process: ProcessId) -> String {
    fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default().trim().to_owned()
}

fn all() -> impl Iterator<Item = i32> {
    let listing = fs::read_dir("/proc").into_iter().flatten();
    listing.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Which boot of the machine this is.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stat {
    ended: bool,
    parent: i32,
    start_ticks: u64,
}

fn look(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The program's name, in brackets, may itself hold brackets and spaces: count from the last one.
fn parse_stat(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    // The first thread is a zombie before the others have let go of what they hold.
    let threads: u32 = fields.nth(15)?.parse().ok()?;
    let ended = is_zombie && threads <= 1;
    let start_ticks = fields.nth(1)?.parse().ok()?;
    Some(Stat { ended, parent, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_a_name_with_brackets() {
        let line = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 2 3";
        assert_eq!(parse_stat(line), Some(Stat { ended: false, parent: 1, start_ticks: 98765 }));
        assert_eq!(parse_stat("42 (gone) Z 1"), None);
        let zombie = |threads: u32| {
            format!("42 (a) Z 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 {threads} 0 98765 1 2 3")
        };
        assert!(parse_stat(&zombie(1)).unwrap().ended);
        assert!(!parse_stat(&zombie(2)).unwrap().ended, "its ports are still taken");
    }

    #[tokio::test]
    async fn only_the_process_with_the_same_start_time_is_signalled() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let own = ProcessId { pid, start_ticks: look(pid).unwrap().start_ticks };
        let other = ProcessId { pid, start_ticks: own.start_ticks + 1 };
        other.end(Signal::KILL, Duration::from_secs(1)).await.unwrap();
        assert!(own.is_running());
        own.end(Signal::TERM, Duration::from_secs(5)).await.unwrap();
        assert!(!own.is_running());
        child.wait().unwrap();
    }
}
