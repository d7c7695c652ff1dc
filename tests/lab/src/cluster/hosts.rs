//! The lab's side of a node with a private Docker Engine: its host is started, restarted and cut
//! off from power. What runs in it is `crate::host`.
#![expect(clippy::disallowed_methods, reason = "an effect room: processes and the disk")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::binaries::Binaries;
use super::layout::Layout;
use super::process::{EndError, Job, ProcessId, children_of, name_of};

/// How long all of a host may take to be gone, and an engine to end; a busy disk takes seconds.
const GONE: Duration = Duration::from_secs(30);
/// Where the kernel shows control groups.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// A private engine may only ever meet a network that was made for it: one in the machine's own
/// was once seen to take that one's bridge away. A new network leads nowhere.
pub(super) fn is_in_new_network() -> bool {
    let routes = fs::read_to_string("/proc/thread-self/net/route");
    routes.is_ok_and(|table| table.lines().count() <= 1)
}

/// Starts a host; its end comes with the end of the thread that calls this, so that no engine
/// outlives a test that is killed.
pub(super) fn job(layout: &Layout, binaries: &Binaries, node: &str, log: PathBuf) -> Job {
    let mut arguments: Vec<OsString> = [
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    .map(OsString::from)
    .into();
    arguments.push(binaries.lab.clone().into_os_string());
    arguments.extend(["host".into(), "--dir".into(), layout.dir().as_os_str().to_owned()]);
    arguments.extend(["--node".into(), node.into()]);
    Job { program: "setpriv".into(), arguments, environment: Vec::new(), log }
}

/// Kills all of a host at once, without warning, and returns when none of it is left. `outer` is
/// the process that made the namespaces and waits for the one within.
pub(super) async fn cut_power(outer: ProcessId) -> Result<(), EndError> {
    let first = children_of(outer);
    for process in &first {
        process.signal(Signal::KILL)?;
    }
    if first.is_empty() {
        outer.signal(Signal::KILL)?;
    }
    outer.ended(GONE).await
}

/// Ends the engine alone, and returns when that process has ended; the host starts it again.
pub(super) async fn end_engine(outer: ProcessId, signal: Signal) -> Result<(), EndError> {
    for engine in engines(outer) {
        engine.signal(signal)?;
        engine.ended(GONE).await?;
    }
    Ok(())
}

/// The engine of a host, which is its first process's child as all is that has lost its parent.
pub(super) fn engines(outer: ProcessId) -> impl Iterator<Item = ProcessId> {
    let first = children_of(outer).into_iter();
    first.flat_map(children_of).filter(|one| name_of(*one) == "dockerd")
}

/// Removes the control groups that a host's containers were in.
pub(super) fn remove_control_groups(layout: &Layout, node: &str) -> io::Result<()> {
    let root = Path::new(CONTROL_GROUPS);
    let name = layout.control_group(node);
    let hierarchies = fs::read_dir(root)?.filter_map(|entry| Some(entry.ok()?.path()));
    for group in hierarchies.chain([root.to_owned()]).map(|dir| dir.join(&name)) {
        if group.is_dir() {
            remove_group(&group)?;
        }
    }
    Ok(())
}

/// Only directories can be removed; the files in them are the kernel's.
fn remove_group(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_group(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
