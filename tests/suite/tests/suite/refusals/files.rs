//! Files that an operator wrote: cluster.yaml and agent.yaml.

use std::fs;
use std::path::Path;

use quaymaster_lab::cluster::binaries::Binaries;
use quaymaster_suite::Outcome;
use quaymaster_suite::command::run_in;

use super::{PLAN, shown_in as shown};

const HEAD: &str = "version: 1\ncluster: lab\n\
    tls: { ca: ca.crt, certificate: operator.crt, key: operator.key }\n";

/// None of these gets as far as a node.
#[tokio::test]
async fn cluster_files() {
    let program = programs().coordinator;
    let dir = tempfile::tempdir().unwrap();
    let node =
        |name: &str, last: u8| format!("  - {{ name: {name}, address: 127.0.0.{last}:9643 }}\n");
    let two = format!("nodes:\n{}{}", node("quay-1", 1), node("quay-2", 2));
    let cases = [
        ("unknown-key", format!("{HEAD}{two}timing: {{ connect: 5s }}\nnodez: []\n")),
        ("one-name-twice", format!("{HEAD}nodes:\n{}{}", node("quay-1", 1), node("quay-1", 2))),
        ("one-address-twice", format!("{HEAD}nodes:\n{}{}", node("quay-1", 1), node("quay-2", 1))),
        ("empty-cluster", format!("{HEAD}nodes: []\n")),
        ("no-yaml", "nodes: [\n".to_owned()),
        ("missing-certificates", format!("{HEAD}{two}")),
    ];
    for (name, text) in cases {
        fs::write(dir.path().join("cluster.yaml"), text).unwrap();
        let outcome = plan(&program, dir.path(), "cluster.yaml").await;
        shown(dir.path(), name, &outcome);
    }
    let outcome = plan(&program, dir.path(), "missing.yaml").await;
    shown(dir.path(), "missing-file", &outcome);
}

/// An agent that misunderstands its file would act on the wrong thing: it does not begin.
#[tokio::test]
async fn agent_files() {
    let program = programs().agent;
    let dir = tempfile::tempdir().unwrap();
    let whole = "version: 1\ncluster: lab\nnode: quay-1\nlisten: 127.0.0.1:9643\n\
        tls: { ca: pki/ca.crt, certificate: pki/agent.crt, key: pki/agent.key }\n\
        engine: unix:///run/docker.sock\nstate: state\ncomponents:\n";
    let quay =
        "  quay: { container: quay, config: /conf/config.yaml, repositories: [quay.io/x/quay] }\n";
    let cases = [
        ("agent-unknown-key", format!("{whole}{quay}command: reboot\n")),
        (
            "agent-without-quay",
            format!("{whole}  clair: {{ container: clair, repositories: [a/b] }}\n"),
        ),
        ("agent-listens-everywhere", format!("{whole}{quay}").replace("127.0.0.1:9643", "nowhere")),
        ("agent-missing-certificates", format!("{whole}{quay}")),
    ];
    for (name, text) in cases {
        fs::write(dir.path().join("agent.yaml"), text).unwrap();
        let outcome = run_in(&program, dir.path(), ["run", "--config", "agent.yaml"]).await;
        shown(dir.path(), name, &outcome);
    }
    let outcome = run_in(&program, dir.path(), ["run", "--config", "missing.yaml"]).await;
    shown(dir.path(), "agent-missing-file", &outcome);
}

async fn plan(program: &Path, dir: &Path, cluster: &str) -> Outcome {
    run_in(program, dir, ["--cluster", cluster].into_iter().chain(PLAN)).await
}

fn programs() -> Binaries {
    Binaries::ready(&|text| eprintln!("{text}")).unwrap()
}
