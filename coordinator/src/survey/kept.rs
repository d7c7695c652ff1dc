//! What the agents keep of runs: who holds their leases, and what may not run on
//! their nodes any more. Nodes that say the same are told together.

use std::collections::BTreeMap;

use quaymaster_proto::{Floor, ImageId, Lease, NodeName};

use super::{ClusterFacts, Reader};

/// Nodes that say the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alike<'a, T> {
    /// What they say; `None` = that they have none.
    pub what: Option<&'a T>,
    /// Each, in the order of their names.
    pub nodes: Vec<&'a NodeName>,
}

impl ClusterFacts {
    /// Who holds the nodes' leases: the largest group first. Two nodes' clocks
    /// do not tell two leases apart.
    pub fn leases(&self) -> Vec<Alike<'_, Lease>> {
        let key = |lease: &Lease| (lease.run, lease.epoch, lease.process);
        let same = |one: &Lease, other: &Lease| key(one) == key(other);
        let nodes = self.nodes.iter();
        alike(nodes.map(|(name, node)| (name, node.facts.lease.as_ref())), same)
    }

    /// What may not run on the nodes any more: the largest group first, and of
    /// equal ones the one that has a floor.
    pub fn floors(&self) -> Vec<Alike<'_, Floor>> {
        let nodes = self.nodes.iter();
        alike(nodes.map(|(name, node)| (name, node.facts.floor.as_ref())), |one, other| {
            one == other
        })
    }
}

fn alike<'a, T>(
    said: impl Iterator<Item = (&'a NodeName, Option<&'a T>)>,
    same: impl Fn(&T, &T) -> bool,
) -> Vec<Alike<'a, T>> {
    let mut groups: Vec<Alike<'a, T>> = Vec::new();
    for (node, what) in said {
        let is_same = |group: &&mut Alike<'a, T>| match (group.what, what) {
            (Some(one), Some(other)) => same(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.nodes.push(node),
            None => groups.push(Alike { what, nodes: vec![node] }),
        }
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group.nodes.len()), group.what.is_none()));
    groups
}

impl Reader<'_> {
    /// What people call the images of the cluster's Quay containers, running or
    /// not.
    pub fn image_names(&self, facts: &ClusterFacts) -> BTreeMap<ImageId, String> {
        let quays = facts.nodes.values().filter_map(super::NodeSurvey::quay);
        let containers = quays.flat_map(|quay| quay.containers());
        containers
            .filter_map(|container| {
                let release = self.release(facts, container)?;
                Some((container.state.image.clone(), release.name.clone()))
            })
            .collect()
    }
}
