//! The machine that tests run on, and a network aside from it for labs whose engines are their own:
//! the machine's Docker Engine has to stand before and after as if nothing had been.
#![expect(clippy::disallowed_methods, reason = "an effect room: processes and the disk")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Makes a network namespace in which loopback works, says so, and stays until it is ended.
const HOLDER: &str = "ip link set lo up && echo ready && exec sleep 60";

/// This thread is in a network of its own. Everything that it starts is in it too, and with the
/// last of them it goes. Dropped, it fails the test where the machine has lost or gained anything.
#[derive(Debug)]
pub struct Aside {
    before: Machine,
}

/// What a careless engine was seen to take from the machine's own.
#[derive(PartialEq, Eq, Debug)]
struct Machine {
    interfaces: BTreeSet<String>,
    routes: BTreeSet<String>,
    /// Those of no lab, with whether they run.
    containers: BTreeSet<String>,
}

impl Aside {
    /// Moves this thread, and no other.
    pub fn step() -> Self {
        let before = Machine::look();
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", HOLDER])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a network namespace can be made");
        let mut ready = String::new();
        let output = holder.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut ready).expect("its output can be read");
        assert_eq!(ready, "ready\n", "loopback comes up in the new network");
        let network = File::open(format!("/proc/{}/ns/net", holder.id()))
            .expect("the new network can be opened");
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("this thread may enter it");
        holder.kill().and_then(|()| holder.wait()).expect("the holder ends");
        Self { before }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(Machine::look(), self.before, "what the machine has is as it was");
        }
    }
}

impl Machine {
    /// By the first process's own tables, wherever this thread is.
    fn look() -> Self {
        let table = |name: &str| -> BTreeSet<String> {
            let text = fs::read_to_string(format!("/proc/1/net/{name}"));
            let text = text.expect("the machine's own network can be read");
            text.lines()
                .filter_map(|line| line.split([':', '\t']).next())
                .map(|name| name.trim().to_owned())
                // What another lab's networks and containers bring comes and goes.
                .filter(|name| !["veth", "br-"].iter().any(|other| name.starts_with(other)))
                .collect()
        };
        Self {
            interfaces: table("dev"),
            routes: table("route"),
            containers: containers().into_iter().collect(),
        }
    }
}

fn containers() -> Vec<String> {
    let listed = Command::new("docker")
        .args(["--host", "unix:///var/run/docker.sock", "ps", "--all", "--no-trunc"])
        .args(["--format", "{{.ID}} {{.State}} {{.Label \"quaymaster.lab\"}}"])
        .stdin(Stdio::null())
        .output()
        .expect("docker can be run");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let of_no_lab = text.lines().filter(|line| line.split(' ').nth(2).is_none_or(str::is_empty));
    of_no_lab.map(|line| line.trim().to_owned()).collect()
}
