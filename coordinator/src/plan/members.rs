//! Whether a cluster file still names the nodes that a plan was made for.

use std::fmt;

use super::Plan;
use crate::cluster::{Cluster, ListedNode};

/// What is other in the cluster file than in the plan; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Differences(Vec<String>);

impl std::error::Error for Differences {}

impl fmt::Display for Differences {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("; "))
    }
}

/// Compares names and addresses; `None` = they are the same.
pub fn differences(plan: &Plan, cluster: &Cluster) -> Option<Differences> {
    let mut lines = Vec::new();
    for planned in &plan.nodes {
        let (name, planned) = (&planned.name, &planned.address);
        match cluster.node(name) {
            None => lines.push(format!("{name} is planned, and is not in cluster.yaml")),
            Some(listed) if listed.address.to_string() != *planned => {
                lines.push(format!(
                    "{name} is planned at {planned}, and listed at {}",
                    listed.address
                ));
            }
            Some(_) => {}
        }
    }
    let unplanned = cluster.names().filter(|name| plan.node(name).is_none());
    lines.extend(unplanned.map(|name| format!("{name} is in cluster.yaml, and is not planned")));
    (!lines.is_empty()).then_some(Differences(lines))
}

/// The cluster with the plan's nodes: those that the file lists are reached
/// where it says, the others where the plan says. Whoever answers there proves
/// by its certificate which node it is.
pub fn with_planned_nodes(plan: &Plan, cluster: &Cluster) -> Cluster {
    let nodes = plan.nodes.iter().filter_map(|planned| {
        let listed = cluster.node(&planned.name).cloned();
        listed.or_else(|| {
            let address = planned.address.parse().ok()?;
            Some(ListedNode { name: planned.name.clone(), address })
        })
    });
    Cluster { nodes: nodes.collect(), ..cluster.clone() }
}

#[cfg(test)]
mod tests {
    use quaymaster_proto::Mode;

    use super::*;
    use crate::survey::fixture;

    #[test]
    fn nodes_that_came_went_or_moved_are_named_and_the_plans_nodes_stay() {
        let planned = fixture::cluster(3);
        let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
        let plan = fixture::plan(&planned, &fixture::on_2_9_5(&planned), &window);
        assert_eq!(differences(&plan, &planned), None);

        let mut edited = fixture::cluster(4);
        edited.nodes.remove(1);
        edited.nodes[0].address = "10.0.9.9".parse().unwrap();
        insta::assert_snapshot!(differences(&plan, &edited).unwrap(), @"quay-1 is planned at 10.0.0.11:9643, and listed at 10.0.9.9:9643; quay-2 is planned, and is not in cluster.yaml; quay-4 is in cluster.yaml, and is not planned");

        let kept = with_planned_nodes(&plan, &edited);
        let addresses: Vec<_> =
            kept.nodes.iter().map(|node| format!("{} {}", node.name, node.address)).collect();
        let expected = ["quay-1 10.0.9.9:9643", "quay-2 10.0.0.12:9643", "quay-3 10.0.0.13:9643"];
        assert_eq!(addresses, expected);
    }
}
