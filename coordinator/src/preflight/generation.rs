//! What runs: known, and the same everywhere.

use quaymaster_proto::{ContainerStatus, Mode, NodeName};
use serde::Serialize;

use super::{Code, grouped, groups_in_words};
use crate::plan::ReleaseInMode;
use crate::survey::{ClusterFacts, NodeSurvey, Reader, Unclear};

/// Why there is no one generation to start from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum GenerationFinding {
    /// The agent names no Quay.
    #[error("{node}: its agent.yaml names no component `quay`")]
    NoQuay {
        /// Where.
        node: NodeName,
    },
    /// There is no container of the well-known name.
    #[error("{node}: there is no container named `{name}`")]
    NoContainer {
        /// Where.
        node: NodeName,
        /// The name in agent.yaml.
        name: String,
    },
    /// There is one and it does not run.
    #[error("{node}: container `{name}` is {status}, not running")]
    NotRunning {
        /// Where.
        node: NodeName,
        /// Its name.
        name: String,
        /// What it does instead.
        status: ContainerStatus,
    },
    /// The image is none of the catalogue's.
    #[error("{node}: image `{image}` is no release that this program knows")]
    UnknownRelease {
        /// Where.
        node: NodeName,
        /// What the container was created from.
        image: String,
    },
    /// The running Quay does not show its mode.
    #[error("{node}: its Quay {release} does not show in which mode it runs")]
    NoMode {
        /// Where.
        node: NodeName,
        /// Its release.
        release: String,
    },
    /// It shows one that the release does not have.
    #[error("{node}: its Quay {release} runs in mode {mode}, which no documented upgrade uses")]
    OddMode {
        /// Where.
        node: NodeName,
        /// Its release.
        release: String,
        /// What it shows.
        mode: Mode,
    },
    /// Several at once.
    #[error("the nodes do not all run the same: {}", groups_in_words(.generations))]
    Mixed {
        /// Each, and where.
        generations: Vec<(ReleaseInMode, Vec<NodeName>)>,
    },
}

impl GenerationFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::NoQuay { .. } => Code::NoQuay,
            Self::NoContainer { .. } => Code::NoContainer,
            Self::NotRunning { .. } => Code::QuayNotRunning,
            Self::UnknownRelease { .. } => Code::UnknownRelease,
            Self::NoMode { .. } => Code::NoMode,
            Self::OddMode { .. } => Code::OddMode,
            Self::Mixed { .. } => Code::MixedGenerations,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::NoQuay { node, .. }
            | Self::NoContainer { node, .. }
            | Self::NotRunning { node, .. }
            | Self::UnknownRelease { node, .. }
            | Self::NoMode { node, .. }
            | Self::OddMode { node, .. } => Some(node),
            Self::Mixed { .. } => None,
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::NoQuay { node } => format!("add components.quay to agent.yaml on {node}"),
            Self::NoContainer { node, .. } => {
                format!(
                    "compare components.quay.container in agent.yaml on {node} with docker ps -a"
                )
            }
            Self::NotRunning { node, .. } => {
                format!("bring its Quay up on {node}, or take the node out of cluster.yaml")
            }
            Self::UnknownRelease { .. } => "bring the cluster to a release in the catalogue \
                first; a mirror must be listed under mirrors in cluster.yaml"
                .to_owned(),
            Self::NoMode { node, .. } => {
                format!("look at the health and the log of Quay on {node}")
            }
            Self::OddMode { node, .. } => {
                format!("set V3_UPGRADE_MODE on {node} to background or complete, as documented")
            }
            Self::Mixed { .. } => "finish or take back what was begun by hand, so that every node \
                runs the same; never let two of these serve at once"
                .to_owned(),
        }
    }
}

pub(super) fn known(
    reader: Reader<'_>,
    facts: &ClusterFacts,
    name: &NodeName,
    survey: &NodeSurvey,
) -> Option<GenerationFinding> {
    let node = name.clone();
    Some(match reader.generation(facts, survey).err()? {
        Unclear::NoComponent => GenerationFinding::NoQuay { node },
        Unclear::NoContainer { name } => GenerationFinding::NoContainer { node, name },
        Unclear::NotRunning { name, status } => {
            GenerationFinding::NotRunning { node, name, status }
        }
        Unclear::UnknownImage { image } => GenerationFinding::UnknownRelease { node, image },
        Unclear::NoMode { release } => GenerationFinding::NoMode { node, release },
        Unclear::OddMode { release, mode } => GenerationFinding::OddMode { node, release, mode },
    })
}

pub(super) fn mixed(reader: Reader<'_>, facts: &ClusterFacts) -> Option<GenerationFinding> {
    let generations = generations(reader, facts);
    (generations.len() > 1).then_some(GenerationFinding::Mixed { generations })
}

/// Groups of nodes by what they run, those left out of which it is not known.
fn generations(reader: Reader<'_>, facts: &ClusterFacts) -> Vec<(ReleaseInMode, Vec<NodeName>)> {
    let known = facts.nodes.iter().filter_map(|(name, survey)| {
        let ReleaseInMode { release, mode } = reader.generation(facts, survey).ok()?;
        Some(((release, mode), name.clone()))
    });
    grouped(known)
        .into_iter()
        .map(|((release, mode), nodes)| (ReleaseInMode { release, mode }, nodes))
        .collect()
}

pub(super) fn common(reader: Reader<'_>, facts: &ClusterFacts) -> Option<ReleaseInMode> {
    match generations(reader, facts).as_slice() {
        [(generation, nodes)] if nodes.len() == facts.nodes.len() => Some(generation.clone()),
        _ => None,
    }
}
