//! What is other than a plan saw it. Disks and counts may change; whatever a
//! step relies on may not.

use std::fmt;

use quaymaster_proto::node::{ConfigFacts, ContainerFacts};
use quaymaster_proto::{Component, NodeName};
use serde::Serialize;

use super::{Plan, PlannedContainer, PlannedNode};
use crate::survey::{ClusterFacts, Companion, NodeSurvey};

/// One thing that changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Drift {
    /// Where; `None` = the cluster.
    pub node: Option<NodeName>,
    /// What.
    pub what: Drifted,
    /// Whose container, where it is one.
    pub component: Option<Component>,
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
    /// A container's id.
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
            Self::Container => "container",
            Self::Spec => "container's spec",
            Self::Image => "container's image",
            Self::Config => "config.yaml",
            Self::Database => "database",
            Self::Revision => "database revision",
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, what, component, from, to } = self;
        if let Some(node) = node {
            write!(formatter, "{node}: ")?;
        }
        match component {
            Some(Component::Quay) => formatter.write_str("Quay ")?,
            Some(component) => write!(formatter, "{component} ")?,
            None => {}
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
                component: None,
                from: "planned".to_owned(),
                to: "not in the cluster file".to_owned(),
            }),
        }
    }
    for name in facts.nodes.keys().filter(|name| plan.node(name).is_none()) {
        drifts.push(Drift {
            node: Some(name.clone()),
            what: Drifted::Membership,
            component: None,
            from: "not planned".to_owned(),
            to: "in the cluster file".to_owned(),
        });
    }
    drifts
}

fn of_node(plan: &Plan, planned: &PlannedNode, survey: &NodeSurvey, drifts: &mut Vec<Drift>) {
    let name = &planned.name;
    let mut compare = |what, from: &str, to: &str| {
        drifts.extend(compared(name, what, None, from, to));
    };
    compare(Drifted::Engine, &planned.engine, &survey.facts.engine.id);
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
    of_container(name, &planned.quay, survey.quay_container(), drifts);
    let companions: Vec<Companion<'_>> = survey.companions().collect();
    for companion in &planned.companions {
        let planned = &companion.container;
        let found = companions.iter().find(|found| found.component == planned.component);
        of_container(name, planned, found.map(|found| found.container), drifts);
    }
    for found in companions.iter().filter(|found| planned.companion(found.component).is_none()) {
        drifts.extend(appeared(name, found.component, &found.container.state.name));
    }
    for facts in &survey.facts.components {
        let alive = facts.others.iter().filter(|other| other.state.status.is_alive());
        drifts.extend(alive.filter_map(|other| appeared(name, facts.component, &other.state.name)));
    }
}

/// A container that the plan knows nothing of, and so would not stop.
fn appeared(node: &NodeName, component: Component, container: &str) -> Option<Drift> {
    compared(node, Drifted::Container, Some(component), "none", container)
}

fn of_container(
    node: &NodeName,
    planned: &PlannedContainer,
    found: Option<&ContainerFacts>,
    drifts: &mut Vec<Drift>,
) {
    let mut compare = |what, from: &str, to: &str| {
        drifts.extend(compared(node, what, Some(planned.component), from, to));
    };
    match found {
        Some(container) => {
            let state = &container.state;
            compare(Drifted::Container, planned.container.as_str(), state.id.as_str());
            compare(Drifted::Spec, planned.spec.as_str(), container.spec.as_str());
            compare(Drifted::Image, planned.image.as_str(), state.image.as_str());
        }
        None => compare(Drifted::Container, planned.container.as_str(), "none"),
    }
}

fn compared(
    node: &NodeName,
    what: Drifted,
    component: Option<Component>,
    from: &str,
    to: &str,
) -> Option<Drift> {
    let node = Some(node.clone());
    (from != to).then(|| Drift { node, what, component, from: from.into(), to: to.into() })
}

#[cfg(test)]
mod tests;
