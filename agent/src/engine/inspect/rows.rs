//! Every row of the table in `container::carry_over`, on what a Docker engine
//! 20.10.24 showed of a container made with that option. The files are under
//! `tests/fixtures/inspect/rows`, and `tests/fixtures/inspect/record` made them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bollard::models::ImageInspect;
use quaymaster_proto::preview::{SpecFinding, SpecVerdict};
use quaymaster_proto::{MountCopy, PortMove};
use serde_json::Value;

use super::{container_spec, create_body, further_networks};
use crate::container::{ContainerSpec, Demands, carry_over};

const TABLE: &str = include_str!("../../container/carry_over.rs");
const IMAGE: &str = include_str!("../../../tests/fixtures/inspect/rows/image.json");
const PLAIN: &str = include_str!("../../../tests/fixtures/inspect/rows/plain.json");

/// One test for each row, and their names.
macro_rules! rows {
    ($($test:ident = $row:literal),* $(,)?) => {
        const ROWS: &[&str] = &[$($row),*];
        $(
            #[test]
            fn $test() {
                let shown = include_str!(concat!(
                    "../../../tests/fixtures/inspect/rows/", $row, ".json"
                ));
                insta::assert_snapshot!($row, golden($row, shown));
            }
        )*
    };
}

rows! {
    plain = "plain",
    environment = "environment",
    labels = "labels",
    command = "command",
    entrypoint = "entrypoint",
    no_entrypoint = "no-entrypoint",
    user = "user",
    working_directory = "working-directory",
    hostname = "hostname",
    stop_signal = "stop-signal",
    health_check = "health-check",
    no_health_check = "no-health-check",
    terminal = "terminal",
    bind = "bind",
    bind_moved = "bind-moved",
    bind_above_a_moved_one = "bind-above-a-moved-one",
    named_volume = "named-volume",
    mount = "mount",
    tmpfs = "tmpfs",
    read_only = "read-only",
    anonymous_passing = "anonymous-passing",
    anonymous_config = "anonymous-config",
    anonymous_storage = "anonymous-storage",
    anonymous_elsewhere = "anonymous-elsewhere",
    volumes_from = "volumes-from",
    port_moved = "port-moved",
    port = "port",
    port_of_the_engines_choice = "port-of-the-engines-choice",
    all_ports = "all-ports",
    exposed_port = "exposed-port",
    network = "network",
    several_networks = "several-networks",
    default_network_and_another = "default-network-and-another",
    fixed_address = "fixed-address",
    endpoint_options = "endpoint-options",
    mac_address = "mac-address",
    links = "links",
    links_in_a_network = "links-in-a-network",
    host_network = "host-network",
    network_of_another_container = "network-of-another-container",
    no_network = "no-network",
    network_switched_off = "network-switched-off",
    name_resolution = "name-resolution",
    extra_hosts = "extra-hosts",
    privileged = "privileged",
    capabilities = "capabilities",
    security_options = "security-options",
    system_paths = "system-paths",
    groups = "groups",
    devices = "devices",
    device_requests = "device-requests",
    ulimits = "ulimits",
    sysctls = "sysctls",
    memory = "memory",
    kernel_memory = "kernel-memory",
    processors = "processors",
    block_devices = "block-devices",
    processes = "processes",
    cgroup = "cgroup",
    runtime = "runtime",
    host_namespaces = "host-namespaces",
    ipc_of_another_container = "ipc-of-another-container",
    pid_of_another_container = "pid-of-another-container",
    logs = "logs",
    restart_policy = "restart-policy",
    automatic_removal = "automatic-removal",
}

/// What the table says of each row.
fn table() -> BTreeMap<&'static str, &'static str> {
    let lines = TABLE.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let rows = lines.map(|line| {
        let (row, rest) = line.split_once("` |").unwrap();
        let (_, becomes) = rest.trim_end_matches(" |").rsplit_once("| ").unwrap();
        (row, becomes)
    });
    rows.collect()
}

#[test]
fn every_row_of_the_table_has_its_test_and_every_test_its_row() {
    let documented: BTreeSet<&str> = table().into_keys().collect();
    assert_eq!(documented, ROWS.iter().copied().collect());
}

fn spec(shown: &str) -> ContainerSpec {
    let found: Value = serde_json::from_str(shown).unwrap();
    let image: ImageInspect = serde_json::from_str(IMAGE).unwrap();
    container_spec(&found, &image).unwrap()
}

/// What becomes of the container that a plain one has not, what more or less
/// is asked of the engine, and that it is what the table says.
fn golden(row: &str, shown: &str) -> String {
    let demands = Demands {
        mount_copies: [
            ("/config", "/clair/config"),
            ("/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors"),
        ]
        .map(|(from, to)| MountCopy { from: from.to_owned(), to: to.to_owned() })
        .to_vec(),
        image: format!("sha256:{}", "b".repeat(64)).parse().unwrap(),
        port_moves: [(80, 8080), (443, 8443)].map(|(from, to)| PortMove { from, to }).to_vec(),
        labels: BTreeMap::new(),
    };
    let (asked, plain) = (carry_over(&spec(shown), &demands), carry_over(&spec(PLAIN), &demands));
    let told = |carried: &crate::container::CarryOver| -> Vec<SpecFinding> {
        carried.findings().iter().cloned().map(SpecFinding::from).collect()
    };
    let (findings, usual) = (told(&asked), told(&plain));
    let own: Vec<&SpecFinding> = findings
        .iter()
        .filter(|finding| row == "anonymous-passing" || !usual.contains(finding))
        .collect();
    let mut text = String::new();
    for SpecFinding { verdict, subject, reason } in &own {
        writeln!(text, "{} {subject}: {reason}", word(*verdict)).unwrap();
    }
    let becomes = table()[row];
    let is_said = own.iter().any(|finding| becomes == word(finding.verdict));
    assert!(is_said || own.is_empty() && becomes.starts_with("nothing"), "{row}: {text}");
    match asked.into_next() {
        Ok(next) => {
            assert_ne!(becomes, "refused", "{row}");
            let usual =
                if row == "plain" { BTreeSet::new() } else { orders(plain.into_next().unwrap()) };
            let next = orders(next);
            for line in next.difference(&usual) {
                writeln!(text, "+ {line}").unwrap();
            }
            for line in usual.difference(&next) {
                writeln!(text, "- {line}").unwrap();
            }
        }
        Err(_) => assert_eq!(becomes, "refused", "{row}"),
    }
    text
}

fn word(verdict: SpecVerdict) -> &'static str {
    match verdict {
        SpecVerdict::Carried => "carried",
        SpecVerdict::Changed => "changed",
        SpecVerdict::Dropped => "dropped",
        SpecVerdict::Refused => "refused",
    }
}

/// What the engine is asked for, a line each.
fn orders(next: ContainerSpec) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    flatten("create", &create_body(&next), &mut lines);
    for further in further_networks(&next) {
        let endpoint = serde_json::to_value(&further.endpoint).unwrap();
        flatten(&format!("connect {}", further.name), &endpoint, &mut lines);
    }
    lines
}

fn flatten(path: &str, value: &Value, lines: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                flatten(&format!("{path} {name}"), value, lines);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            lines.insert(format!("{path} = {value}"));
        }
    }
}
