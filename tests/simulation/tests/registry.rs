//! The registry as its clients find it: a node serves where a Quay of it is well,
//! in the mode that the registry should be in.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use quaymaster::survey::ClusterFacts;
use quaymaster::verifier::fake::{good, sample};
use quaymaster::verifier::{Asked, Verifies};
use quaymaster::verify::account::{Failed, PlaceAccount};
use quaymaster::verify::{Account, Check, Sampling};
use quaymaster_proto::{Mode, NodeName};
use quaymaster_simulation::world::{Phase, World};

/// Verifies by looking into the world.
#[derive(Debug)]
pub(crate) struct Registry(pub(crate) World);

impl Registry {
    fn serves(&self, node: &NodeName, mode: Mode) -> bool {
        let state = self.0.state();
        state.quays().any(|(host, _, quay)| {
            let is_in_mode = match mode {
                Mode::Background => quay.mode.as_deref() == Some("background"),
                Mode::Complete => quay.mode.as_deref() == Some("complete"),
                Mode::Absent => quay.mode.is_none(),
                Mode::Other => false,
            };
            state.hosts[host].name == node.as_str() && quay.phase == Phase::Well && is_in_mode
        })
    }

    fn look(&self, node: &NodeName, mode: Mode) -> PlaceAccount {
        let mut account = good(node.as_str());
        if !self.serves(node, mode) {
            account.passed.clear();
            account.failed.push(Failed {
                check: Check::Api,
                fault: format!("no Quay of {node} serves in the mode of the registry"),
                remedy: "start it".to_owned(),
            });
        }
        account
    }
}

impl Verifies for Registry {
    fn sample(&self, _: ClusterFacts, now: Timestamp) -> BoxFuture<'_, Result<Sampling, String>> {
        async move { Ok(Sampling::Taken(sample(now))) }.boxed()
    }

    fn verify(&self, asked: Asked) -> BoxFuture<'_, Account> {
        let Asked { nodes, facts: _, mode, sampling: _, tell: _ } = asked;
        let places = nodes.iter().map(|node| self.look(node, mode)).collect();
        async move { Account { places } }.boxed()
    }
}
