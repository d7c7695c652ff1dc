//! The first process of a host of its own: what a node with a private Docker Engine is in the lab.
//! It runs in fresh namespaces of processes and mounts, so that its end is a power cut: the kernel
//! kills all that it has started, containers too, and takes their mounts along. What lay in `/run`
//! is gone then, as after a reboot; the engine's data, which lie in the lab's directory, stay.
#![expect(
    clippy::disallowed_methods,
    reason = "an effect room: programs, the disk and waiting are its job"
)]

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};

use crate::cluster::lab_file::LabNode;
use crate::cluster::layout::Layout;

/// Before an engine that has ended is started again, as its unit would.
const RESTART: Duration = Duration::from_millis(100);
/// In the host's own `/run`, which nobody else sees.
const EXEC_ROOT: &str = "/run/quaymaster-lab/docker";
const PID_FILE: &str = "/run/quaymaster-lab/docker.pid";

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("a host's first process is only ever started by the lab, in namespaces of its own")]
    NotFirst,
    #[error("cannot run `{program}`")]
    Run { program: &'static str, source: io::Error },
    #[error("`{command}` failed: {said}")]
    Failed { command: String, said: String },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot wait for what this host runs")]
    Wait { source: Errno },
}

/// Runs the engine for as long as the host stands. Only returns where it fails.
pub fn run(layout: &Layout, node: &LabNode) -> Result<Infallible, HostError> {
    if std::process::id() != 1 {
        return Err(HostError::NotFirst);
    }
    call("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"])?;
    let bridge = make_bridge(node)?;
    let data = layout.engine_data(&node.name);
    let settings = data.join("daemon.json");
    // What the machine's own engine is set to is not for this one; what a test has set it to stays.
    if !settings.exists() {
        fs::create_dir_all(&data)
            .and_then(|()| fs::write(&settings, "{}\n"))
            .map_err(|source| HostError::Write { path: settings.clone(), source })?;
    }
    loop {
        let engine = start_engine(layout, node, &bridge)?;
        reap_until_ended(&engine)?;
        thread::sleep(RESTART);
    }
}

/// A bridge of the host's own in the lab's network namespace; an earlier boot's is replaced.
fn make_bridge(node: &LabNode) -> Result<String, HostError> {
    let [.., number] = node.address.octets();
    let bridge = format!("qm{number}");
    output("ip", &["link", "delete", "dev", &bridge])?;
    call("ip", &["link", "add", "name", &bridge, "type", "bridge"])?;
    call("ip", &["address", "add", &format!("10.231.{number}.1/24"), "dev", &bridge])?;
    call("ip", &["link", "set", "dev", &bridge, "up"])?;
    Ok(bridge)
}

fn start_engine(layout: &Layout, node: &LabNode, bridge: &str) -> Result<Child, HostError> {
    let data = layout.engine_data(&node.name);
    let path = |path: &Path| path.display().to_string();
    Command::new("dockerd")
        .args(["--host", &format!("unix://{}", path(&layout.engine_socket(&node.name)))])
        .args(["--config-file", &path(&data.join("daemon.json"))])
        .args(["--data-root", &path(&data.join("data"))])
        .args(["--exec-root", EXEC_ROOT, "--pidfile", PID_FILE])
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs"])
        .args(["--cgroup-parent", &format!("/{}", layout.control_group(&node.name))])
        // Its own proxy publishes the ports: nobody's packet filter is touched.
        .args(["--bridge", bridge, "--iptables=false", "--ip6tables=false"])
        .args(["--ip-masq=false", "--ip-forward=false"])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|source| HostError::Run { program: "dockerd", source })
}

/// A first process inherits all whose parent has ended, and has to wait for them.
fn reap_until_ended(engine: &Child) -> Result<(), HostError> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((id, _))) if u32::try_from(id.as_raw_pid()) == Ok(engine.id()) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(source) => return Err(HostError::Wait { source }),
        }
    }
}

fn call(program: &'static str, arguments: &[&str]) -> Result<(), HostError> {
    let output = output(program, arguments)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(HostError::Failed { command: format!("{program} {}", arguments.join(" ")), said })
}

fn output(program: &'static str, arguments: &[&str]) -> Result<Output, HostError> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| HostError::Run { program, source })
}
