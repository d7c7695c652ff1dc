//! The containers beside the Quays: what agent.yaml names is there, runs, and
//! is what it should be.

use quaymaster_proto::{Component, ContainerStatus, NodeName};
use serde::Serialize;

use super::Code;
use crate::plan::situation::Situation;
use crate::survey::NodeSurvey;

/// What is wrong with a container beside a Quay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum CompanionFinding {
    /// agent.yaml names one that is not there.
    #[error("{node}: there is no container named `{name}`, which agent.yaml names as {component}")]
    Missing {
        /// Where.
        node: NodeName,
        /// What it should be.
        component: Component,
        /// Its name.
        name: String,
    },
    /// It is there and does not run.
    #[error("{node}: container `{name}` ({component}) is {status}, not running")]
    NotRunning {
        /// Where.
        node: NodeName,
        /// What it is.
        component: Component,
        /// Its name.
        name: String,
        /// What it does instead.
        status: ContainerStatus,
    },
    /// A mirror of another generation than the Quay beside it.
    #[error("{node}: its mirror runs another image than its Quay")]
    OtherImage {
        /// Where.
        node: NodeName,
    },
    /// The release has none, or none that is known.
    #[error("{node} runs a {component}, and release {release} has none that this program knows")]
    NoSuccessor {
        /// Where.
        node: NodeName,
        /// What it is.
        component: Component,
        /// The release.
        release: String,
    },
}

impl CompanionFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Missing { .. } => Code::CompanionMissing,
            Self::NotRunning { .. } => Code::CompanionNotRunning,
            Self::OtherImage { .. } => Code::MirrorOtherImage,
            Self::NoSuccessor { .. } => Code::NoSuccessor,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Missing { node, .. }
            | Self::NotRunning { node, .. }
            | Self::OtherImage { node, .. }
            | Self::NoSuccessor { node, .. } => Some(node),
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Missing { node, component, .. } => format!(
                "compare components.{component}.container in agent.yaml on {node} with docker ps \
                 -a, or take {component} out of agent.yaml and restart the agent"
            ),
            Self::NotRunning { node, component, name, .. } => format!(
                "on {node}: docker start {name}; or, if it is not wanted, take {component} out of \
                 agent.yaml and restart the agent"
            ),
            Self::OtherImage { node } => {
                format!("on {node}: create the mirror anew from the image that its Quay runs")
            }
            Self::NoSuccessor { node, component, .. } => format!(
                "on {node}: stop the {component}, take it out of agent.yaml and restart the agent"
            ),
        }
    }
}

pub(super) fn there(name: &NodeName, survey: &NodeSurvey) -> Vec<CompanionFinding> {
    let found: Vec<Component> = survey.companions().map(|companion| companion.component).collect();
    let missing = survey.companion_facts().filter(|facts| !found.contains(&facts.component));
    let missing = missing.map(|facts| CompanionFinding::Missing {
        node: name.clone(),
        component: facts.component,
        name: facts.container_name.clone(),
    });
    let down = survey.companions().filter_map(|companion| {
        let state = &companion.container.state;
        let is_up = state.status == ContainerStatus::Running;
        (!is_up && !companion.is_retired).then(|| CompanionFinding::NotRunning {
            node: name.clone(),
            component: companion.component,
            name: state.name.clone(),
            status: state.status,
        })
    });
    missing.chain(down).collect()
}

/// A mirror migrates as a Quay does: it is of the same generation or a second
/// one.
pub(super) fn mirror(name: &NodeName, survey: &NodeSurvey) -> Option<CompanionFinding> {
    let quay = &survey.quay_container()?.state.image;
    let differs = survey.companions().any(|companion| {
        companion.component == Component::Mirror && companion.container.state.image != *quay
    });
    differs.then(|| CompanionFinding::OtherImage { node: name.clone() })
}

pub(super) fn successors(situation: &Situation<'_>) -> Vec<CompanionFinding> {
    let mut found = Vec::new();
    for (node, survey) in &situation.facts.nodes {
        for companion in survey.companions() {
            let component = companion.component;
            if situation.fate(&companion).starts() && situation.image_source(component).is_none() {
                let release = situation.window.to.release.clone();
                found.push(CompanionFinding::NoSuccessor {
                    node: node.clone(),
                    component,
                    release,
                });
            }
        }
    }
    found
}
