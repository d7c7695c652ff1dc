//! What the agents of a cluster said at one moment, and what follows from it.
//! Values only: asking is done elsewhere. Nothing here is a secret, and the
//! same answers always give the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook};
use quaymaster_proto::node::{ComponentFacts, ContainerFacts, NodeFacts};
use quaymaster_proto::{ClusterName, Component, ImageDigest, NodeName};
use serde::{Deserialize, Serialize};

use crate::cluster::NodeAddress;

mod companion;
#[cfg(test)]
pub(crate) mod fixture;
mod kept;
mod standing;

pub use companion::Companion;
pub use kept::Alike;
pub use standing::{DigestQuestion, Reader, Unclear};

/// The label that a lab gives its Quay containers.
pub const LAB_LABEL: &str = "quaymaster.lab";

/// What came back from every node of the cluster file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    /// What those said that answered.
    pub facts: ClusterFacts,
    /// Those that did not.
    pub silent: BTreeMap<NodeName, Silence>,
}

impl Survey {
    /// The facts, if every node answered.
    pub fn complete(self) -> Result<ClusterFacts, BTreeMap<NodeName, Silence>> {
        if self.silent.is_empty() { Ok(self.facts) } else { Err(self.silent) }
    }
}

/// A node that did not answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Where it was asked.
    pub address: NodeAddress,
    /// What was tried and why there is no answer.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// What nodes said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterFacts {
    /// Which cluster was asked.
    pub cluster: ClusterName,
    /// By the clock of the machine that asked.
    pub taken_at: Timestamp,
    /// Each node that answered.
    pub nodes: BTreeMap<NodeName, NodeSurvey>,
    /// What the site's registry says of names in the catalogue
    /// (`repository:tag`), where a container's image has no tag of its own.
    pub digests: BTreeMap<String, ImageDigest>,
}

/// What one node said.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSurvey {
    /// Where it was asked.
    pub address: NodeAddress,
    /// When it answered, by the clock of the machine that asked.
    pub answered_at: Timestamp,
    /// Its description.
    pub facts: NodeFacts,
    /// Quay's database as it reaches it.
    pub database: DatabaseAnswer,
}

/// A look at a database, or why there is none.
#[expect(clippy::large_enum_variant, reason = "one a node, and most are the large one")]
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseAnswer {
    /// What it saw.
    Looked(DatabaseLook),
    /// It could not look.
    Problem(String),
}

impl NodeSurvey {
    /// What is known of the node's Quay, where agent.yaml names one.
    pub fn quay(&self) -> Option<&ComponentFacts> {
        self.facts.component(Component::Quay)
    }

    /// The Quay container that has the well-known name.
    pub fn quay_container(&self) -> Option<&ContainerFacts> {
        self.quay()?.container.as_ref()
    }

    /// The look at the database, where there was one.
    pub fn database(&self) -> Option<&DatabaseLook> {
        match &self.database {
            DatabaseAnswer::Looked(look) => Some(look),
            DatabaseAnswer::Problem(_) => None,
        }
    }

    /// How far the node's clock is ahead of the asking machine's, in
    /// milliseconds; the time that the answer took is in it.
    pub fn clock_offset_millis(&self) -> i64 {
        self.facts.now.as_millisecond() - self.answered_at.as_millisecond()
    }
}

impl ClusterFacts {
    /// Every database that a node reaches, and by whom.
    pub fn databases(&self) -> BTreeMap<&DatabaseIdentity, Vec<&NodeName>> {
        let mut databases: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, node) in &self.nodes {
            if let Some(look) = node.database() {
                databases.entry(&look.identity).or_default().push(name);
            }
        }
        databases
    }

    /// The one database that every node reaches; `None` when there are several
    /// or a node reaches none.
    pub fn one_database(&self) -> Option<&DatabaseLook> {
        let identities: BTreeSet<_> =
            self.nodes.values().map(|node| node.database().map(|look| &look.identity)).collect();
        match (identities.len(), self.nodes.values().next()) {
            (1, Some(node)) => node.database(),
            _ => None,
        }
    }

    /// Whether every Quay container of the cluster is a lab's.
    pub fn is_lab(&self) -> bool {
        let mut containers = self.nodes.values().map(NodeSurvey::quay_container).peekable();
        containers.peek().is_some()
            && containers.all(|container| {
                container.is_some_and(|container| container.labels.contains_key(LAB_LABEL))
            })
    }

    /// The nodes whose Quay container is alive.
    pub fn serving(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.iter().filter_map(|(name, node)| {
            let container = node.quay_container()?;
            container.state.status.is_alive().then_some(name)
        })
    }

    /// The widest difference between two nodes' clocks, in milliseconds.
    pub fn clock_skew_millis(&self) -> i64 {
        let offsets = || self.nodes.values().map(NodeSurvey::clock_offset_millis);
        offsets().max().unwrap_or_default() - offsets().min().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
