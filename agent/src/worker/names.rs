//! The names and labels that this agent gives, and how it knows what is its
//! own. Pure.

use std::collections::BTreeMap;

pub(crate) use quaymaster_proto::container_name::{
    back, is_given, is_retired, is_undone, retired, staged, undone,
};
use quaymaster_proto::{ClusterName, Component, Generation, NodeName, RunId};

/// Label with the cluster's name.
pub(crate) const CLUSTER: &str = "io.quaymaster.cluster";
/// Label with the node's name.
pub(crate) const NODE: &str = "io.quaymaster.node";
/// Label with the component.
pub(crate) const COMPONENT: &str = "io.quaymaster.component";
/// Label with the run that staged a container.
pub(crate) const RUN: &str = "io.quaymaster.run";
/// Label with what it was staged to be.
pub(crate) const GENERATION: &str = "io.quaymaster.generation";
/// Label with the name that it was created under: promoted, it has another.
pub(crate) const NAME: &str = "io.quaymaster.name";

/// Whose a container is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    /// Its cluster.
    pub(crate) cluster: &'a ClusterName,
    /// Its node.
    pub(crate) node: &'a NodeName,
    /// Its component.
    pub(crate) component: Component,
}

impl Owner<'_> {
    /// Whether the labels say so.
    pub(crate) fn is_on(self, labels: &BTreeMap<String, String>) -> bool {
        let says = |key: &str, value: &str| labels.get(key).is_some_and(|found| found == value);
        says(CLUSTER, self.cluster.as_str())
            && says(NODE, self.node.as_str())
            && says(COMPONENT, self.component.as_str())
    }

    /// The labels of a container staged by `run` to be `generation`.
    pub(crate) fn labels(self, run: RunId, generation: &Generation) -> BTreeMap<String, String> {
        [
            (CLUSTER, self.cluster.to_string()),
            (NODE, self.node.to_string()),
            (COMPONENT, self.component.to_string()),
            (RUN, run.to_string()),
            (GENERATION, generation_text(generation)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
}

/// Whether the labels hold all of `expected`.
pub(crate) fn carries(
    labels: &BTreeMap<String, String>,
    expected: &BTreeMap<String, String>,
) -> bool {
    expected.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn generation_text(generation: &Generation) -> String {
    let Generation { image, mode } = generation;
    format!("{image}/{mode}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN_ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    #[test]
    fn another_nodes_container_is_not_ours() {
        let (cluster, node, other) =
            ("prod".parse().unwrap(), "quay-1".parse().unwrap(), "quay-2".parse().unwrap());
        let owner = Owner { cluster: &cluster, node: &node, component: Component::Quay };
        let generation = Generation {
            image: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            mode: quaymaster_proto::Mode::Complete,
        };
        let labels = owner.labels(RUN_ID.parse().unwrap(), &generation);
        assert!(owner.is_on(&labels));
        assert!(!Owner { node: &other, ..owner }.is_on(&labels));
        assert!(!Owner { component: Component::Mirror, ..owner }.is_on(&labels));
        assert!(!owner.is_on(&BTreeMap::new()));
    }
}
