#![expect(clippy::disallowed_methods, reason = "an effect room: it runs and signals processes")]
//! A container's process: started in a group of its own, signalled, and waited
//! for until the whole group is gone, as a container's processes are.

use super::{
    container::Container,
    log::{LogWriter, Stream},
    refusal::Refusal,
    store::{Store, create_directory},
};
use jiff::Timestamp;
use rustix::process::{
    Pid, Signal, kill_process, kill_process_group, test_kill_process, test_kill_process_group,
};
use serde_json::json;
use std::{
    env, fs, io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long the last of a dead container's processes may take to vanish.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// The variable by which a process is known as a container's.
const CONTAINER_ID: &str = "STANDIN_CONTAINER_ID";

/// A container's process and the tasks that write down what it prints.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pid: i32,
    pumps: JoinSet<()>,
}

impl Running {
    /// Starts the container's program.
    pub(crate) fn start(
        container: &Container,
        store: &Store,
        grown: watch::Sender<u64>,
    ) -> Result<Self, Refusal> {
        let words = container.config.words();
        let (name, arguments) = words.split_first().ok_or(Refusal::NoCommand)?;
        if container.program_name.as_ref() != Some(name) || !container.program.exists() {
            return Err(Refusal::NoSuchProgram(name.clone()));
        }
        let broken = |error: &dyn std::error::Error| Refusal::CannotRun(error.to_string());
        let root = store.container_root(&container.id);
        for path in [&root].into_iter().chain(&sources(container, store)) {
            // The source of a bind may also be a file, which is there already.
            if !path.exists() {
                create_directory(path).map_err(|error| broken(&error))?;
            }
        }
        let log = LogWriter::open(&store.log_path(&container.id), grown)
            .map_err(|error| broken(&error))?;
        let mut child = Command::new(&container.program)
            .arg0(name)
            .args(arguments)
            .env_clear()
            .envs(environment(container, store, &root))
            .current_dir(&root)
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| broken(&error))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0);
        let mut pumps = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            pumps.spawn(log.clone().drain(Stream::Stdout, stdout));
        }
        if let Some(stderr) = child.stderr.take() {
            pumps.spawn(log.drain(Stream::Stderr, stderr));
        }
        Ok(Self { child, pid, pumps })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the end of the process, ends what it left behind, and tells
    /// the exit code and the moment.
    pub(crate) async fn ended(mut self) -> (i64, Timestamp) {
        let status = self.child.wait().await;
        let at = Timestamp::now();
        kill_everything(self.pid);
        let gone = async {
            while group_has_life(self.pid) {
                sleep(Duration::from_millis(5)).await;
            }
            while self.pumps.join_next().await.is_some() {}
        };
        // Whoever left the group keeps the log open; it is not waited for.
        let _ = timeout(STRAGGLERS, gone).await;
        (status.map_or(128, exit_code), at)
    }
}

/// The directories of this machine that the container's mounts come from.
fn sources(container: &Container, store: &Store) -> Vec<std::path::PathBuf> {
    container.mounts.iter().map(|mount| mount.host_path(&store.volumes())).collect()
}

/// The program's whole environment: where to find itself, what image and
/// container say, and what the engine says about the container.
fn environment(container: &Container, store: &Store, root: &Path) -> Vec<(String, String)> {
    let inherited = ["PATH", "HOME"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), env::var(name).ok()?)));
    let given = container.config.env.iter().flatten().map(|line| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        (name.to_owned(), value.to_owned())
    });
    let binds: Vec<_> = container
        .mounts
        .iter()
        .map(|mount| {
            json!({
                "source": mount.host_path(&store.volumes()), "target": mount.target,
                "read_only": mount.read_only,
            })
        })
        .collect();
    let ports: Vec<_> = container
        .ports
        .iter()
        .map(|port| {
            json!({
                "container_port": port.container_port, "host_address": port.host_address,
                "host_port": port.host_port,
            })
        })
        .collect();
    let own = [
        ("STANDIN_BINDS", json!(binds).to_string()),
        ("STANDIN_PORTS", json!(ports).to_string()),
        ("STANDIN_ROOT", root.display().to_string()),
        (CONTAINER_ID, container.id.clone()),
        ("STANDIN_CONTAINER_NAME", container.name.clone()),
        ("HOSTNAME", container.short_id().to_owned()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    inherited.chain(given).chain(own).collect()
}

/// Docker's exit code: a signal's number comes on top of 128.
fn exit_code(status: ExitStatus) -> i64 {
    let of_signal = status.signal().map(|signal| 128 + i64::from(signal));
    of_signal.or_else(|| status.code().map(i64::from)).unwrap_or(128)
}

/// Sends a signal to a container's first process, as Docker does.
pub(crate) fn signal(pid: i32, signal: Signal) -> Result<(), io::Error> {
    match Pid::from_raw(pid) {
        Some(pid) => Ok(kill_process(pid, signal)?),
        None => Ok(()),
    }
}

/// Kills every process of a container. One that is gone already is fine.
pub(crate) fn kill_everything(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Whether a group still has a process that is not just waiting to be reaped;
/// not every machine's first process reaps at once.
fn group_has_life(group: i32) -> bool {
    let is_empty = Pid::from_raw(group).is_none_or(|pid| test_kill_process_group(pid).is_err());
    if is_empty {
        return false;
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("stat")).any(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        // After the name, which may hold anything: state, parent, group.
        let mut fields = text.rsplit(") ").next().unwrap_or_default().split(' ');
        let (state, own_group) = (fields.next(), fields.nth(1));
        own_group.is_some_and(|own| own == group.to_string()) && !matches!(state, Some("Z" | "X"))
    })
}

/// Kills what an engine that was itself killed left running. Tells whether
/// there was anything; a process that only has the same number is left alone.
pub(crate) async fn kill_leftover(pid: i32, container: &str) -> bool {
    let wanted = format!("{CONTAINER_ID}={container}");
    let is_ours = || {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
            environment.split(|byte| *byte == 0).any(|line| line == wanted.as_bytes())
        })
    };
    if !is_ours() {
        return false;
    }
    kill_everything(pid);
    let gone = async {
        while Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok()) && is_ours() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(STRAGGLERS, gone).await;
    true
}

/// Reads a signal's name, with or without `SIG`, or its number.
pub(crate) fn parse_signal(text: &str) -> Option<Signal> {
    let upper = text.to_ascii_uppercase();
    match upper.strip_prefix("SIG").unwrap_or(&upper) {
        "HUP" | "1" => Some(Signal::HUP),
        "INT" | "2" => Some(Signal::INT),
        "QUIT" | "3" => Some(Signal::QUIT),
        "KILL" | "9" => Some(Signal::KILL),
        "USR1" | "10" => Some(Signal::USR1),
        "USR2" | "12" => Some(Signal::USR2),
        "TERM" | "15" => Some(Signal::TERM),
        "CONT" | "18" => Some(Signal::CONT),
        "STOP" | "19" => Some(Signal::STOP),
        _ => None,
    }
}
