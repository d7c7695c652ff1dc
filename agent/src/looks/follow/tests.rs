use crate::node::Kept;
use std::time::Duration;

use quaymaster_proto::health::HealthVerdict;
use quaymaster_proto::{Component, Reason};

use super::*;
use crate::config::AgentConfig;
use crate::engine::fake::{FakeEngine, image_id, spec};
use crate::ledger::LedgerSlot;
use crate::quay::http::QuayClient;

fn node(directory: &tempfile::TempDir) -> Arc<Node<FakeEngine>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let yaml = "version: 1\ncluster: prod\nnode: quay-1\nlisten: 127.0.0.1:9643\n\
        tls: { ca: ca.crt, certificate: agent.crt, key: agent.key }\n\
        engine: unix:///run/none.sock\nstate: state\ncomponents:\n  quay: { container: quay, \
        config: config.yaml, repositories: [quay.io/redhat/quay] }\n  clair: { container: clair, \
        repositories: [quay.io/redhat/clair-jwt] }\n";
    let config = AgentConfig::parse(yaml, directory.path()).unwrap();
    let ledger = LedgerSlot::open(&config.state);
    let client = QuayClient::new().unwrap();
    Arc::new(Node::new(
        config,
        FakeEngine::default(),
        client,
        Timestamp::UNIX_EPOCH,
        Kept::in_tests(ledger),
    ))
}

type Reports = ReceiverStream<Result<HealthReport, Refusal>>;

/// Reads reports until one has this verdict, with a bound.
async fn until(reports: &mut Reports, verdict: HealthVerdict) -> HealthReport {
    let waiting = async {
        loop {
            let report = reports.next().await.unwrap().unwrap();
            if report.verdict == verdict {
                return report;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap()
}

#[tokio::test]
async fn a_component_is_followed_through_its_life() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(&directory);
    let mut reports = follow(Arc::clone(&node), Component::Clair, None);
    // There is no container yet, and that is no error.
    assert_eq!(until(&mut reports, HealthVerdict::Down).await.container, None);
    let id = node.engine.run(3, "clair", spec(image_id(1), &[]));
    assert_eq!(until(&mut reports, HealthVerdict::Healthy).await.container.unwrap().id, id);
    node.engine.end(&id, 1);
    let down = until(&mut reports, HealthVerdict::Down).await;
    assert_eq!(down.container.unwrap().exit_code, 1);
}

#[tokio::test]
async fn a_quay_that_cannot_be_asked_is_not_healthy_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(&directory);
    let id = node.engine.run(3, "quay", spec(image_id(1), &[]));
    let mut reports = follow(Arc::clone(&node), Component::Quay, Some(id));
    let report = until(&mut reports, HealthVerdict::Unhealthy).await;
    assert!(report.instance.problem.contains("probe"), "{}", report.instance.problem);
    let foreign = node.engine.run(4, "postgres", spec(image_id(1), &[]));
    let mut reports = follow(node, Component::Quay, Some(foreign));
    assert_eq!(reports.next().await.unwrap().unwrap_err().reason, Reason::NotOurs);
}
