//! What is other than a plan saw it. Disks and counts may change; whatever a
//! step relies on may not.

use std::fmt;

use quaymaster_proto::NodeName;
use quaymaster_proto::node::ConfigFacts;
use serde::Serialize;

use super::{Plan, PlannedNode};
use crate::survey::{ClusterFacts, NodeSurvey};

/// One thing that changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Drift {
    /// Where; `None` = the cluster.
    pub node: Option<NodeName>,
    /// What.
    pub what: Drifted,
    /// As the plan saw it.
    pub from: String,
    /// As it is.
    pub to: String,
}

/// What can change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drifted {
    /// Whether the node is in the cluster.
    Membership,
    /// The engine's own id.
    Engine,
    /// The Quay container's id.
    Container,
    /// Its owner's part of its spec.
    Spec,
    /// Its image.
    Image,
    /// config.yaml.
    Config,
    /// Which database.
    Database,
    /// Its revision.
    Revision,
}

impl Drifted {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Membership => "place in the cluster",
            Self::Engine => "container engine",
            Self::Container => "Quay container",
            Self::Spec => "Quay container's spec",
            Self::Image => "Quay container's image",
            Self::Config => "config.yaml",
            Self::Database => "database",
            Self::Revision => "database revision",
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, what, from, to } = self;
        if let Some(node) = node {
            write!(formatter, "{node}: ")?;
        }
        write!(formatter, "{} changed: {} -> {}", what.as_str(), short(from), short(to))
    }
}

/// Digests and ids as people compare them.
fn short(text: &str) -> &str {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let is_hex = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { &hex[..12] } else { text }
}

/// Compares a plan with fresh facts; empty = nothing changed.
pub fn drift(plan: &Plan, facts: &ClusterFacts) -> Vec<Drift> {
    let mut drifts = Vec::new();
    for planned in &plan.nodes {
        match facts.nodes.get(&planned.name) {
            Some(survey) => of_node(plan, planned, survey, &mut drifts),
            None => drifts.push(Drift {
                node: Some(planned.name.clone()),
                what: Drifted::Membership,
                from: "planned".to_owned(),
                to: "not in the cluster file".to_owned(),
            }),
        }
    }
    for name in facts.nodes.keys().filter(|name| plan.node(name).is_none()) {
        drifts.push(Drift {
            node: Some(name.clone()),
            what: Drifted::Membership,
            from: "not planned".to_owned(),
            to: "in the cluster file".to_owned(),
        });
    }
    drifts
}

fn of_node(plan: &Plan, planned: &PlannedNode, survey: &NodeSurvey, drifts: &mut Vec<Drift>) {
    let mut compare = |what, from: &str, to: &str| {
        if from != to {
            let node = Some(planned.name.clone());
            drifts.push(Drift { node, what, from: from.to_owned(), to: to.to_owned() });
        }
    };
    compare(Drifted::Engine, &planned.engine, &survey.facts.engine.id);
    match survey.quay_container() {
        Some(container) => {
            let state = &container.state;
            compare(Drifted::Container, planned.quay.container.as_str(), state.id.as_str());
            compare(Drifted::Spec, planned.quay.spec.as_str(), container.spec.as_str());
            compare(Drifted::Image, planned.quay.image.as_str(), state.image.as_str());
        }
        None => compare(Drifted::Container, planned.quay.container.as_str(), "none"),
    }
    match &survey.facts.config {
        ConfigFacts::Readable(config) => {
            compare(Drifted::Config, planned.config.from.as_str(), config.sha256.as_str());
        }
        ConfigFacts::Unusable { problem, .. } => {
            compare(Drifted::Config, planned.config.from.as_str(), problem);
        }
    }
    match survey.database() {
        Some(look) => {
            let database = &plan.database;
            compare(Drifted::Database, database.identity.as_str(), look.identity.as_str());
            compare(Drifted::Revision, &database.revision, &look.revision);
        }
        None => compare(Drifted::Database, &plan.database.shown_as, "cannot be read"),
    }
}

#[cfg(test)]
mod tests;
