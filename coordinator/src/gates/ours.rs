//! Before a rollback: whether the nodes are still as its run left them. What was
//! taken down in vain, or undid another run, would be worse than what serves.

use std::collections::BTreeMap;

use quaymaster_proto::node::{ComponentFacts, ConfigFacts, ContainerFacts, NodeFacts};
use quaymaster_proto::{Component, NodeName};

use crate::gates::living;
use crate::plan::{Plan, PlannedNode, Verb, What};
use crate::run::{RunState, order};

/// What keeps a run from being rolled back on its nodes.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum NotOurs {
    /// Another run has been over a node since.
    #[error(
        "{node} was driven by run {later}, a window or a healing, after run {run}: what that one \
         left is not what this one's backup belongs to. By hand it can still be restored"
    )]
    Later {
        /// Where.
        node: NodeName,
        /// Which.
        later: String,
        /// The one in question.
        run: String,
    },
    /// Somebody drives a node.
    #[error("{node} is driven by {holder} for run {run}: let that one end first")]
    Driven {
        /// Where.
        node: NodeName,
        /// Who: user@host.
        holder: String,
        /// For which run.
        run: String,
    },
    /// A node has another floor than this run set.
    #[error(
        "the floor of {node} is not the one that run {run} set there: its agent's disk was lost. \
         Stop its Quay, and leave it out: --without '{node}=HOW'"
    )]
    Floor {
        /// Where.
        node: NodeName,
        /// Which run.
        run: String,
    },
    /// Somebody edited the file.
    #[error(
        "config.yaml of {node} ({found}) is neither what the window put there nor what it found: \
         put {wanted} back first"
    )]
    Config {
        /// Where.
        node: NodeName,
        /// Its digest, or why it cannot be read.
        found: String,
        /// What the window put there.
        wanted: String,
    },
    /// What the fresh containers are to be made from is gone.
    #[error(
        "{node} has no container {container} any more, from whose settings its {component} would \
         be made again. Stop its Quay, leave it out with --without '{node}=HOW', and make it again \
         by hand from what the node kept of itself"
    )]
    OldGone {
        /// Where.
        node: NodeName,
        /// Of what.
        component: Component,
        /// Which, shortened.
        container: String,
    },
    /// Something lives that no step of the way would stop.
    #[error("a Quay lives that run {run} did not start: {}; stop it first", living.join("; "))]
    Strangers {
        /// In words, with their node.
        living: Vec<String>,
        /// Which run.
        run: String,
    },
    /// A Quay lives on a node that was to be left out.
    #[error(
        "{node} answers and has what lives, so it is taken down with the others: {}. Leave out \
         --without {node}, or stop it first",
        living.join("; ")
    )]
    Lives {
        /// Which.
        node: NodeName,
        /// In words.
        living: Vec<String>,
    },
    /// Nobody else has the backup.
    #[error("{node} has the backup, and without it there is nothing to restore from")]
    HasBackup {
        /// Which.
        node: NodeName,
    },
    /// The plan does not know it.
    #[error("the plan has no node {node}")]
    UnknownNode {
        /// As it was called.
        node: NodeName,
    },
    /// A node does not answer.
    #[error(
        "{node} does not answer, and nothing is taken down before every node does: {why}. Where \
         it is gone for good, say how its Quay is kept from the database: --without '{node}=HOW'"
    )]
    Silent {
        /// Which.
        node: NodeName,
        /// Why.
        why: String,
    },
}

/// Judges one look at every node of the plan; `without` are those that a person
/// gives up, and how their Quay is kept from the database.
pub fn judge(
    plan: &Plan,
    state: &RunState,
    looks: &[(NodeName, Result<NodeFacts, String>)],
    without: &BTreeMap<NodeName, String>,
) -> Result<(), NotOurs> {
    if let Some(node) = without.keys().find(|node| plan.node(node).is_none()) {
        return Err(NotOurs::UnknownNode { node: node.clone() });
    }
    for (node, facts) in looks {
        let node = node.clone();
        match (facts, without.contains_key(&node)) {
            (_, true) if plan.backup.node() == Some(&node) => {
                return Err(NotOurs::HasBackup { node });
            }
            (Ok(facts), true) => {
                let living = living::strangers(&node, facts, living::QUAYS, None);
                if !living.is_empty() {
                    return Err(NotOurs::Lives { node, living });
                }
            }
            (Ok(facts), false) => is_ours(plan, state, &node, facts)?,
            (Err(_), true) => {}
            (Err(why), false) => return Err(NotOurs::Silent { node, why: why.clone() }),
        }
    }
    Ok(())
}

/// Whether a node is still as this run left it: `Err` = no, and why.
fn is_ours(
    plan: &Plan,
    state: &RunState,
    node: &NodeName,
    facts: &NodeFacts,
) -> Result<(), NotOurs> {
    let run = state.run.to_string();
    if let Some(lease) = facts.lease.as_ref().filter(|lease| lease.run != state.run) {
        let holder = lease.holder.clone();
        return Err(NotOurs::Driven { node: node.clone(), holder, run: lease.run.to_string() });
    }
    if let Some(head) = facts.ledger.as_ref().filter(|head| head.run != state.run) {
        let later = head.run.to_string();
        return Err(NotOurs::Later { node: node.clone(), later, run });
    }
    if facts.floor != order::floor(plan, state, node) {
        return Err(NotOurs::Floor { node: node.clone(), run });
    }
    let living: Vec<String> = living::QUAYS
        .iter()
        .flat_map(|component| {
            let own = order::staged(plan, state, node, *component);
            living::strangers(node, facts, &[*component], own.as_ref())
        })
        .collect();
    if !living.is_empty() {
        return Err(NotOurs::Strangers { living, run });
    }
    let Some(planned) = plan.node(node) else { return Ok(()) };
    has_known_config(planned, facts)?;
    has_old_containers(plan, planned, facts)
}

fn has_known_config(planned: &PlannedNode, facts: &NodeFacts) -> Result<(), NotOurs> {
    let found = match &facts.config {
        ConfigFacts::Readable(config) => {
            if [&planned.config.to, &planned.config.from].contains(&&config.sha256) {
                return Ok(());
            }
            config.sha256.short().to_owned()
        }
        ConfigFacts::Unusable { problem, .. } => problem.clone(),
    };
    let (node, wanted) = (planned.name.clone(), planned.config.to.short().to_owned());
    Err(NotOurs::Config { node, found, wanted })
}

/// The way makes fresh containers from the settings of those that the window found.
fn has_old_containers(
    plan: &Plan,
    planned: &PlannedNode,
    facts: &NodeFacts,
) -> Result<(), NotOurs> {
    let made = plan.rollback.iter().filter(|step| {
        step.what == What::Act(Verb::Recreate) && step.nodes.contains(&planned.name)
    });
    for step in made {
        let Some(old) = planned.container(step.component) else { continue };
        let mut components = facts.components.iter().flat_map(ComponentFacts::containers);
        let is_there = |found: &ContainerFacts| found.state.id == old.container;
        if !components.any(is_there) {
            return Err(NotOurs::OldGone {
                node: planned.name.clone(),
                component: step.component,
                container: old.container.short().to_owned(),
            });
        }
    }
    Ok(())
}
