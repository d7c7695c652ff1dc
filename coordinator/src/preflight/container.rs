//! Containers: who starts them, who lives beside them, and whether the next one
//! can be made from them.

use quaymaster_proto::node::OtherStarter;
use quaymaster_proto::preview::SpecVerdict;
use quaymaster_proto::{Component, ContainerStatus, Mode, NodeName};
use serde::Serialize;

use super::Code;
use crate::plan::situation::{Situation, Unanswered};
use crate::survey::NodeSurvey;

/// What is wrong with a Quay container.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ContainerFinding {
    /// Somebody else starts it.
    #[error(
        "{node}: not only its engine's policy decides when container `{container}` runs, but also {}",
        .starter.what
    )]
    OtherStarter {
        /// Where.
        node: NodeName,
        /// Its name.
        container: String,
        /// A unit, a compose project or the like.
        starter: OtherStarter,
    },
    /// A second one lives on the node.
    #[error("{node}: container `{container}` is {status} beside the known {component}")]
    Stray {
        /// Where.
        node: NodeName,
        /// What it is.
        component: Component,
        /// Its name.
        container: String,
        /// What it does.
        status: ContainerStatus,
    },
    /// The environment decides the mode, whatever config.yaml says.
    #[error("{node}: QUAY_OVERRIDE_CONFIG sets V3_UPGRADE_MODE ({mode}) over config.yaml")]
    OverrideSetsMode {
        /// Where.
        node: NodeName,
        /// What it sets.
        mode: Mode,
    },
    /// The environment overrides some of config.yaml.
    #[error("{node}: QUAY_OVERRIDE_CONFIG overrides keys of config.yaml; it is carried over")]
    OverrideSet {
        /// Where.
        node: NodeName,
    },
    /// The container cannot be carried over.
    #[error(
        "{node}: the next {component} container cannot be made like the present one: {subject}: \
         {reason}"
    )]
    SpecRefused {
        /// Where.
        node: NodeName,
        /// What it is.
        component: Component,
        /// The part of its spec.
        subject: String,
        /// Why not.
        reason: String,
    },
    /// The agent could not say what the change would make of its node.
    #[error("{node}: what the change would make of it is not known: {problem}")]
    NoPreview {
        /// Where.
        node: NodeName,
        /// Why not.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

impl ContainerFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::OtherStarter { .. } => Code::OtherStarter,
            Self::Stray { .. } => Code::StrayContainer,
            Self::OverrideSetsMode { .. } => Code::OverrideSetsMode,
            Self::OverrideSet { .. } => Code::OverrideConfig,
            Self::SpecRefused { .. } => Code::ContainerNotCarried,
            Self::NoPreview { .. } => Code::NoPreview,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::OtherStarter { node, .. }
            | Self::Stray { node, .. }
            | Self::OverrideSetsMode { node, .. }
            | Self::OverrideSet { node, .. }
            | Self::SpecRefused { node, .. }
            | Self::NoPreview { node, .. } => Some(node),
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::OtherStarter { node, starter, .. } => format!("on {node}: {}", starter.remedy),
            Self::Stray { node, container, .. } => format!(
                "on {node}: find out who started it, set its restart policy to no, and stop it: \
                 docker update --restart=no {container}; docker stop {container}"
            ),
            Self::OverrideSetsMode { node, .. } => format!(
                "on {node}: create the container anew without that key in QUAY_OVERRIDE_CONFIG"
            ),
            Self::OverrideSet { node } => {
                format!("look at it on {node}: it must not change the database's migration")
            }
            Self::SpecRefused { node, .. } => {
                format!("on {node}: create that container anew, on the present release")
            }
            Self::NoPreview { remedy, .. } => remedy.clone(),
        }
    }
}

pub(super) fn starters(name: &NodeName, survey: &NodeSurvey) -> Vec<ContainerFinding> {
    let known = survey.facts.components.iter().filter_map(|facts| facts.container.as_ref());
    // Whoever starts a resting one starts an old release beside the new.
    let resting = survey.companions().filter(|found| found.is_retired);
    known
        .chain(resting.map(|found| found.container))
        .flat_map(|container| container.other_starters.iter().map(move |by| (container, by)))
        .map(|(container, starter)| ContainerFinding::OtherStarter {
            node: name.clone(),
            container: container.state.name.clone(),
            starter: starter.clone(),
        })
        .collect()
}

/// A container that lives beside the well-known one would go on through the
/// dark, a Quay on the same database.
pub(super) fn strays(name: &NodeName, survey: &NodeSurvey) -> Vec<ContainerFinding> {
    let components = survey.facts.components.iter();
    let others = components
        .flat_map(|facts| facts.others.iter().map(move |other| (facts.component, &other.state)));
    others
        .filter(|(_, state)| state.status.is_alive())
        .map(|(component, state)| ContainerFinding::Stray {
            node: name.clone(),
            component,
            container: state.name.clone(),
            status: state.status,
        })
        .collect()
}

/// A mirror reads config.yaml as a Quay does, and its environment overrides it.
pub(super) fn overrides(name: &NodeName, survey: &NodeSurvey) -> Vec<ContainerFinding> {
    let components = survey.facts.components.iter().filter(|facts| facts.component.migrates());
    let containers = components.filter_map(|facts| facts.container.as_ref());
    containers
        .filter_map(|container| {
            let node = name.clone();
            match container.override_mode {
                Some(mode) => Some(ContainerFinding::OverrideSetsMode { node, mode }),
                None => {
                    container.has_override_config.then_some(ContainerFinding::OverrideSet { node })
                }
            }
        })
        .collect()
}

pub(super) fn carried_over(situation: &Situation<'_>) -> Vec<ContainerFinding> {
    let mut found = Vec::new();
    for ((node, component), answer) in &situation.answers.previews {
        let preview = match answer {
            Ok(preview) => preview,
            Err(Unanswered { problem, remedy }) => {
                found.push(ContainerFinding::NoPreview {
                    node: node.clone(),
                    problem: problem.clone(),
                    remedy: remedy.clone(),
                });
                continue;
            }
        };
        for finding in &preview.spec {
            match finding.verdict {
                SpecVerdict::Refused => found.push(ContainerFinding::SpecRefused {
                    node: node.clone(),
                    component: *component,
                    subject: finding.subject.clone(),
                    reason: finding.reason.clone(),
                }),
                SpecVerdict::Carried | SpecVerdict::Changed | SpecVerdict::Dropped => {}
            }
        }
    }
    found
}
