//! The names and labels that this agent gives, and how it knows what is its
//! own. Pure.

use std::collections::BTreeMap;

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

/// The name of the next container until its own gate.
pub(crate) fn staged(well_known: &str, run: RunId) -> String {
    format!("{well_known}.quaymaster-{}-next", run.short())
}

/// The name of the old container after its stop.
pub(crate) fn retired(well_known: &str, run: RunId) -> String {
    format!("{well_known}.quaymaster-{}-old", run.short())
}

/// Whether a name is one that this agent gives to containers of a component.
pub(crate) fn is_given(well_known: &str, name: &str) -> bool {
    name.strip_prefix(well_known)
        .and_then(|rest| rest.strip_prefix(".quaymaster-"))
        .is_some_and(|rest| rest.ends_with("-next") || rest.contains("-old"))
}

/// Whether a name is a retired container's.
pub(crate) fn is_retired(well_known: &str, name: &str) -> bool {
    is_given(well_known, name) && name.contains("-old")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN_ID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    #[test]
    fn given_names_are_known_again_and_others_are_not() {
        let run = RUN_ID.parse().unwrap();
        assert_eq!(staged("quay", run), "quay.quaymaster-q69g5fav-next");
        assert_eq!(retired("quay", run), "quay.quaymaster-q69g5fav-old");
        assert!(is_given("quay", &staged("quay", run)) && is_given("quay", &retired("quay", run)));
        assert!(is_retired("quay", &retired("quay", run)));
        assert!(!is_retired("quay", &staged("quay", run)));
        for other in ["quay", "quay-builder", "quay.quaymaster-x", "my-quay.quaymaster-x-next"] {
            assert!(!is_given("quay", other), "{other}");
        }
    }

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
