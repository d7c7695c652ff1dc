//! The next container's spec out of the running one's.
//!
//! Everything that the owner asked for is carried over, changed for a reason,
//! dropped for a reason, or refused by name: nothing is lost in silence.
//!
//! | row | what its owner asked of it | what becomes of it |
//! |---|---|---|
//! | `plain` | what its image brings, and the engine of itself | nothing: the next image brings its own |
//! | `environment` | variables that are not the image's, or have another value | carried |
//! | `labels` | the same with labels; those of this agent are given anew | carried |
//! | `command` | a command of its own | carried |
//! | `entrypoint` | an entrypoint of its own, with its command | carried |
//! | `no-entrypoint` | the image's entrypoint switched off | carried |
//! | `user` | a user of its own | carried |
//! | `working-directory` | a directory of its own | carried |
//! | `hostname` | a host name or domain that was given; not the generated one | carried |
//! | `stop-signal` | a signal, and how long a stop waits | carried |
//! | `health-check` | a check of its own | carried |
//! | `no-health-check` | the image's check switched off | carried |
//! | `terminal` | a terminal, an open input | carried |
//! | `bind` | a directory of the host, with its options | carried |
//! | `bind-moved` | a directory that the next image looks for elsewhere: mounted there too | changed |
//! | `bind-above-a-moved-one` | one that holds such a directory among others | refused |
//! | `named-volume` | a volume with a name | carried |
//! | `mount` | mounts in the long form, of directories and named volumes | carried |
//! | `tmpfs` | file systems in memory, in either form | carried |
//! | `read-only` | a root file system that cannot be written | carried |
//! | `anonymous-passing` | volumes without a name at /tmp and /var/log, which every Quay image wants | dropped |
//! | `anonymous-config` | one at /conf/stack | refused |
//! | `anonymous-storage` | one at /datastorage | refused |
//! | `anonymous-elsewhere` | one anywhere else: nobody can say that nothing lies there | refused |
//! | `volumes-from` | another container's mounts | refused |
//! | `port-moved` | a port that the release moves inside; outside it stays | changed |
//! | `port` | any other published port | carried |
//! | `port-of-the-engines-choice` | a port published where the engine chooses | refused |
//! | `all-ports` | all ports published where the engine chooses | refused |
//! | `exposed-port` | a port exposed beside the image's | carried |
//! | `network` | a network of its own, and names in it | carried |
//! | `several-networks` | further networks: connected when the container is created, before it has its name | carried |
//! | `default-network-and-another` | the usual network and a further one | carried |
//! | `fixed-address` | addresses in a network that were chosen | carried |
//! | `endpoint-options` | chosen in a further network: addresses, those of the link alone, options of the driver | carried |
//! | `mac-address` | a hardware address that was chosen; not a generated one | carried |
//! | `links` | links to other containers | refused |
//! | `links-in-a-network` | the same within a network | refused |
//! | `host-network` | the host's network: the next Quay would listen on other ports | refused |
//! | `network-of-another-container` | another container's network | refused |
//! | `no-network` | no network but the loopback | carried |
//! | `network-switched-off` | networks switched off altogether | refused |
//! | `name-resolution` | DNS servers, search domains, options | carried |
//! | `extra-hosts` | lines of /etc/hosts | carried |
//! | `privileged` | all rights | carried |
//! | `capabilities` | rights added and dropped | carried |
//! | `security-options` | seccomp, SELinux, AppArmor, no new privileges | carried |
//! | `system-paths` | /proc unmasked | carried |
//! | `groups` | further groups | carried |
//! | `devices` | devices of the host, rules for others | carried |
//! | `device-requests` | devices by a driver's name (GPUs) | carried |
//! | `ulimits` | limits of its processes | carried |
//! | `sysctls` | settings of its kernel namespace | carried |
//! | `memory` | memory, swap, shared memory, and who dies first | carried |
//! | `kernel-memory` | kernel memory, which later engines have no more | carried |
//! | `processors` | shares and sets of processors | carried |
//! | `block-devices` | rates of block devices | carried |
//! | `processes` | how many processes, and an init of the engine's | carried |
//! | `cgroup` | the parent of its control group | carried |
//! | `runtime` | an OCI runtime other than the usual | carried |
//! | `host-namespaces` | namespaces of the host: processes, names, messages, users | carried |
//! | `ipc-of-another-container` | another container's messages | refused |
//! | `pid-of-another-container` | another container's processes | refused |
//! | `logs` | the log driver and its options | carried |
//! | `restart-policy` | `no` until the container is healthy, then as it was | changed |
//! | `automatic-removal` | removed by the engine when it ends: no way back | refused |
//!
//! And a setting that the engine shows and this agent does not know is refused
//! by its path; so is what Podman has and does not show (its sysctls, to name
//! one, as of 4.3.1). Every row is a test on what a real engine showed
//! (`engine::inspect::rows`); a row without one fails.
//!
//! What cannot be known: an engine of API 1.44 or later keeps a chosen hardware
//! address with the network, where a generated one looks alike. Such an address
//! is not carried over.

mod finding;
mod network;
mod storage;

use std::collections::BTreeMap;

use quaymaster_proto::{ImageId, MountCopy, PortMove, RestartPolicy};
use serde_json::Value;

pub use self::finding::{Finding, Reason};
use super::difference::OWN_LABELS;
use super::spec::{ContainerSpec, ProcessSpec, Unknown};

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

/// Whether an option says what the engine chooses when nobody does, which is
/// nothing to an operator. It is carried over like any other.
fn is_usual(name: &str, value: &Value) -> bool {
    match name {
        "CgroupnsMode" => true,
        // Empty = everything of /proc is shown, because somebody wanted that.
        "MaskedPaths" | "ReadonlyPaths" => value.as_array().is_some_and(|paths| !paths.is_empty()),
        "IpcMode" => matches!(value.as_str(), Some("private" | "shareable")),
        "Runtime" => matches!(value.as_str(), Some("runc" | "crun" | "oci")),
        "ShmSize" => value.as_u64() == Some(USUAL_SHM_SIZE),
        _ => false,
    }
}

/// 64 MiB, on every engine.
const USUAL_SHM_SIZE: u64 = 64 * 1024 * 1024;

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
        unknown,
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
    findings.extend(unknown.iter().map(|(path, why)| {
        let reason = match why {
            Unknown::ToAgent => Reason::NotUnderstood,
            Unknown::NotShown => Reason::NotShown,
        };
        Finding::new(format!("setting {path}"), reason)
    }));
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
        unknown: unknown.clone(),
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
fn option_findings(name: &str, value: &Value) -> Vec<Finding> {
    if NAMESPACES.contains(&name)
        && let Some(other) = value.as_str().and_then(|mode| mode.strip_prefix("container:"))
    {
        let reason = Reason::SharesNamespace { container: other.to_owned() };
        return vec![Finding::new(name, reason)];
    }
    if name == "PublishAllPorts" {
        return vec![Finding::new("all exposed ports", Reason::PortOfEnginesChoice)];
    }
    if is_usual(name, value) {
        return Vec::new();
    }
    let subjects: Vec<String> = match (name, value) {
        ("Sysctls", Value::Object(entries)) => {
            entries.keys().map(|key| format!("sysctl {key}")).collect()
        }
        ("Ulimits", Value::Array(limits)) => limits
            .iter()
            .filter_map(|limit| limit.get("Name")?.as_str())
            .map(|limit| format!("ulimit {limit}"))
            .collect(),
        ("Privileged", _) => vec!["privileged".to_owned()],
        ("LogConfig", config) => log_subjects(config),
        (name, _) => vec![format!("option {name}")],
    };
    subjects.into_iter().map(Finding::carried).collect()
}

/// The driver, and each of its options.
fn log_subjects(config: &Value) -> Vec<String> {
    let driver = config.get("Type").and_then(Value::as_str).unwrap_or("of the engine's choice");
    let options = config.get("Config").and_then(Value::as_object).into_iter().flatten();
    let options = options.map(|(name, _)| format!("log option {name}"));
    [format!("log driver {driver}")].into_iter().chain(options).collect()
}

fn restart_finding(policy: RestartPolicy) -> Option<Finding> {
    (policy != RestartPolicy::No)
        .then(|| Finding::new("restart policy", Reason::RestartPolicyWaits { policy }))
}
