//! The next container's spec out of the running one's.
//!
//! Everything that the owner asked for is carried over, changed for a reason,
//! dropped for a reason, or refused by name: nothing is lost in silence.

mod finding;
mod network;
mod storage;

use std::collections::BTreeMap;

use quaymaster_proto::{ImageId, MountCopy, PortMove, RestartPolicy};

pub use self::finding::{Finding, Reason};
use super::difference::OWN_LABELS;
use super::spec::{ContainerSpec, ProcessSpec};

/// What the next container must be.
#[derive(Clone, PartialEq, Debug)]
pub struct Demands {
    /// What it runs.
    pub image: ImageId,
    /// Container ports that the release moves.
    pub port_moves: Vec<PortMove>,
    /// Mounts that the release looks for at another path.
    pub mount_copies: Vec<MountCopy>,
    /// The agent's own labels.
    pub labels: BTreeMap<String, String>,
}

/// What becomes of a container.
#[derive(Clone, PartialEq, Debug)]
pub struct CarryOver {
    next: ContainerSpec,
    findings: Vec<Finding>,
}

impl CarryOver {
    /// What becomes of each part.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The next container's spec, or everything that stands against it.
    pub fn into_next(self) -> Result<ContainerSpec, Vec<Finding>> {
        let refused: Vec<Finding> =
            self.findings.into_iter().filter(|finding| finding.reason.is_refusal()).collect();
        if refused.is_empty() { Ok(self.next) } else { Err(refused) }
    }
}

/// Options that the engine chooses when nobody does, and that say nothing to
/// an operator. They are carried over like any other.
const QUIET: [&str; 6] =
    ["CgroupnsMode", "IpcMode", "MaskedPaths", "ReadonlyPaths", "Runtime", "ShmSize"];

/// Options that may name another container, which would then have to live as
/// long as this one.
const NAMESPACES: [&str; 3] = ["IpcMode", "PidMode", "UTSMode"];

/// Makes the next container's spec.
pub fn carry_over(running: &ContainerSpec, demands: &Demands) -> CarryOver {
    let ContainerSpec {
        image: _,
        environment,
        labels,
        process,
        hostname,
        domainname,
        storage,
        network,
        restart_policy,
        auto_remove,
        options,
    } = running;
    let mut findings = Vec::new();
    let names = environment.keys();
    findings.extend(names.map(|name| Finding::carried(format!("environment {name}"))));
    let foreign = labels.keys().filter(|key| !key.starts_with(OWN_LABELS));
    findings.extend(foreign.map(|key| Finding::carried(format!("label {key}"))));
    findings.extend(process_findings(process));
    let names = [("hostname", hostname), ("domain", domainname)];
    findings.extend(
        names
            .iter()
            .filter(|(_, name)| name.is_some())
            .map(|(subject, _)| Finding::carried((*subject).to_owned())),
    );
    let storage = storage::next(storage, &demands.mount_copies, &mut findings);
    let network = network::next(network, &demands.port_moves, &mut findings);
    findings.extend(options.iter().flat_map(|(name, value)| option_findings(name, value)));
    findings.extend(restart_finding(*restart_policy));
    if *auto_remove {
        findings.push(Finding::new("automatic removal", Reason::RemovesItself));
    }
    let mut labels = labels.clone();
    labels.retain(|key, _| !key.starts_with(OWN_LABELS));
    labels.extend(demands.labels.clone());
    let next = ContainerSpec {
        image: demands.image.clone(),
        environment: environment.clone(),
        labels,
        process: process.clone(),
        hostname: hostname.clone(),
        domainname: domainname.clone(),
        storage,
        network,
        // The wanted policy comes with the container's own health.
        restart_policy: RestartPolicy::No,
        auto_remove: false,
        options: options.clone(),
    };
    CarryOver { next, findings }
}

fn process_findings(process: &ProcessSpec) -> Vec<Finding> {
    let ProcessSpec {
        entrypoint,
        command,
        user,
        working_dir,
        stop_signal,
        stop_timeout,
        healthcheck,
        tty,
        open_stdin,
        stdin_once: _, // goes with the open input
    } = process;
    let parts = [
        ("entrypoint", entrypoint.is_some()),
        ("command", command.is_some()),
        ("user", user.is_some()),
        ("working directory", working_dir.is_some()),
        ("stop signal", stop_signal.is_some()),
        ("stop timeout", stop_timeout.is_some()),
        ("health check", healthcheck.is_some()),
        ("terminal", *tty),
        ("open input", *open_stdin),
    ];
    let own = parts.into_iter().filter(|(_, is_own)| *is_own);
    own.map(|(subject, _)| Finding::carried(subject.to_owned())).collect()
}

/// One finding for each sysctl, limit and host; one for any other option.
fn option_findings(name: &str, value: &serde_json::Value) -> Vec<Finding> {
    if NAMESPACES.contains(&name)
        && let Some(other) = value.as_str().and_then(|mode| mode.strip_prefix("container:"))
    {
        let reason = Reason::SharesNamespace { container: other.to_owned() };
        return vec![Finding::new(name, reason)];
    }
    if name == "PublishAllPorts" {
        return vec![Finding::new("all exposed ports", Reason::PortOfEnginesChoice)];
    }
    if QUIET.contains(&name) {
        return Vec::new();
    }
    let subjects: Vec<String> = match (name, value) {
        ("Sysctls", serde_json::Value::Object(entries)) => {
            entries.keys().map(|key| format!("sysctl {key}")).collect()
        }
        ("Ulimits", serde_json::Value::Array(limits)) => limits
            .iter()
            .filter_map(|limit| limit.get("Name")?.as_str())
            .map(|limit| format!("ulimit {limit}"))
            .collect(),
        ("Privileged", _) => vec!["privileged".to_owned()],
        ("LogConfig", _) => vec!["log options".to_owned()],
        (name, _) => vec![format!("option {name}")],
    };
    subjects.into_iter().map(Finding::carried).collect()
}

fn restart_finding(policy: RestartPolicy) -> Option<Finding> {
    (policy != RestartPolicy::No)
        .then(|| Finding::new("restart policy", Reason::RestartPolicyWaits { policy }))
}
