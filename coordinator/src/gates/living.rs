//! Which containers live that are not the run's own.

use quaymaster_proto::node::NodeFacts;
use quaymaster_proto::{Component, ContainerId, NodeName};

/// What runs a Quay image, and may migrate.
pub const QUAYS: &[Component] = &[Component::Quay, Component::Mirror];

/// Everything that a window stops.
pub const ALL: &[Component] = &Component::ALL;

/// Every living container of a node that is one of `components`, in words;
/// `own` is the one that the run has staged there and that may live.
pub fn strangers(
    node: &NodeName,
    facts: &NodeFacts,
    components: &[Component],
    own: Option<&ContainerId>,
) -> Vec<String> {
    let of = |component: &Component| {
        facts.component(*component).into_iter().flat_map(|of| of.containers())
    };
    components
        .iter()
        .flat_map(of)
        .map(|container| &container.state)
        .filter(|state| state.status.is_alive() && own != Some(&state.id))
        .map(|state| {
            let (name, id, status) = (&state.name, state.id.short(), state.status);
            format!("{node}: container {name} ({id}) is {status}")
        })
        .collect()
}
