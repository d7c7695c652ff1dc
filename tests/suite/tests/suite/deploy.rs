//! What is installed on a host: unit, users and directories, examples and the
//! guide, and the agent as systemd runs it. There is no systemd as process 1
//! here: its tools judge the files, and the tests play its part.

mod certificates;
mod check;
mod notify;
mod rights;
mod units;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_suite::TestLab;
use quaymaster_suite::service::Service;
use rustix::process::Signal;

/// No wait in these tests is longer than a broken product.
const BOUND: Duration = Duration::from_secs(30);

/// The command line of a node's agent.
fn agent(lab: &TestLab, node: &str) -> Vec<OsString> {
    vec![
        lab.binaries().agent.clone().into(),
        "run".into(),
        "--config".into(),
        lab.lab().layout().agent_file(node).into(),
    ]
}

/// A node's agent as a service of this test, in place of the lab's, after
/// `before` (a program that starts another).
fn serve(lab: &TestLab, node: &str, before: Vec<OsString>) -> Service {
    let line = before.into_iter().chain(agent(lab, node));
    Service::start(line, &lab.lab().layout().agent_log(node))
}

/// The same for an agent that sees this directory as its host's root.
pub(crate) fn serve_below(lab: &TestLab, node: &str, root: &Path) -> Service {
    let line = agent(lab, node).into_iter().chain(["--host-root".into(), root.into()]);
    Service::start(line, &lab.lab().layout().agent_log(node))
}

/// Ends the lab's own agent of a node.
pub(crate) async fn end_agent(lab: &TestLab, node: &str) {
    let agent = lab.lab().process(Role::Agent, Some(node)).expect("the lab has started it");
    agent.end(Signal::TERM, BOUND).await.unwrap();
}

/// Ends the traced agent itself: the first process of the trace.
fn end_traced(calls: &Path) {
    let text = fs::read_to_string(calls).unwrap();
    let id = text.split_whitespace().next().and_then(|id| id.parse().ok());
    let id = id.and_then(rustix::process::Pid::from_raw).expect("a trace begins with an id");
    rustix::process::kill_process(id, Signal::TERM).unwrap();
}
