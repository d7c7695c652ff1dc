//! A node for tests of looks: a Quay and a Clair, on an engine in memory.

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::AgentConfig;
use crate::engine::fake::FakeEngine;
use crate::ledger::LedgerSlot;
use crate::node::{Kept, Node};
use crate::quay::http::QuayClient;
use crate::starters::files::Starters;
use crate::surroundings::Surroundings;

/// Its files lie in `directory`, its host's in `host` there.
pub(crate) fn node(directory: &tempfile::TempDir) -> Arc<Node<FakeEngine>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let yaml = "version: 1\ncluster: prod\nnode: quay-1\nlisten: 127.0.0.1:9643\n\
        tls: { ca: ca.crt, certificate: agent.crt, key: agent.key }\n\
        engine: unix:///run/none.sock\nstate: state\ncomponents:\n  quay: { container: quay, \
        config: config.yaml, repositories: [quay.io/redhat/quay] }\n  clair: { container: clair, \
        repositories: [quay.io/redhat/clair-jwt] }\n";
    let config = AgentConfig::parse(yaml, directory.path()).unwrap();
    let ledger = LedgerSlot::open(&config.state);
    let surroundings = Surroundings::of_host(QuayClient::new().unwrap());
    let starters = Starters::under(directory.path().join("host"));
    let kept = Kept { starters, ..Kept::in_tests(ledger) };
    Arc::new(Node::new(config, FakeEngine::default(), surroundings, Timestamp::UNIX_EPOCH, kept))
}
