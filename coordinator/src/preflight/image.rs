//! The image: which one runs, whether the next one may and can be had.

use quaymaster_proto::{Component, NodeName};
use serde::Serialize;

use super::{Code, grouped, groups_in_words, names};
use crate::nodes::{ImageQuestion, ResolvedImage};
use crate::plan::situation::{ImageSource, Situation, on_node};
use crate::survey::NodeSurvey;

/// What is wrong with an image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ImageFinding {
    /// One release from two images.
    #[error("the nodes run one release from several images: {}", groups_in_words(.images))]
    Differ {
        /// Each image's id, and where it runs.
        images: Vec<(String, Vec<NodeName>)>,
    },
    /// Agents may not pull from there.
    #[error(
        "`{repository}` is not among the repositories of {component} in agent.yaml on {}",
        names(.nodes)
    )]
    NotAllowed {
        /// Where.
        nodes: Vec<NodeName>,
        /// For which component.
        component: Component,
        /// Which, mirrors applied.
        repository: String,
    },
    /// It cannot be had.
    #[error("{node}: image `{image}` cannot be pulled: {problem}")]
    Unavailable {
        /// Where.
        node: NodeName,
        /// Repository and tag.
        image: String,
        /// Why.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// Nodes see several images behind one tag.
    #[error("`{image}` is not the same image for every node: {}", groups_in_words(.digests))]
    Ambiguous {
        /// Repository and tag.
        image: String,
        /// Each digest, and who sees it.
        digests: Vec<(String, Vec<NodeName>)>,
    },
    /// No registry for all of them, and they do not have one image either.
    #[error(
        "not every node reaches a registry, and not all have the same `{image}`: {}",
        groups_in_words(.images)
    )]
    NotLoadedEverywhere {
        /// Repository and tag.
        image: String,
        /// Each image's id, and where it is.
        images: Vec<(String, Vec<NodeName>)>,
    },
    /// No registry vouches for it.
    #[error(
        "no registry answers {} for `{image}`; image {id}, which every node has under that name, is \
         taken ({silence})",
        names(.nodes)
    )]
    Loaded {
        /// Repository and tag.
        image: String,
        /// Its id, in short.
        id: String,
        /// Who gets no answer.
        nodes: Vec<NodeName>,
        /// What the first of them heard.
        silence: String,
    },
}

impl ImageFinding {
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Differ { .. } => Code::ImagesDiffer,
            Self::NotAllowed { .. } => Code::RepositoryNotAllowed,
            Self::Unavailable { .. } => Code::ImageUnavailable,
            Self::Ambiguous { .. } => Code::ImageAmbiguous,
            Self::NotLoadedEverywhere { .. } => Code::ImageNotEverywhere,
            Self::Loaded { .. } => Code::ImageLoaded,
        }
    }

    pub(super) fn node(&self) -> Option<&NodeName> {
        match self {
            Self::Unavailable { node, .. } => Some(node),
            Self::Differ { .. }
            | Self::NotAllowed { .. }
            | Self::Ambiguous { .. }
            | Self::NotLoadedEverywhere { .. }
            | Self::Loaded { .. } => None,
        }
    }

    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Differ { .. } => {
                "recreate the odd containers from the image that most nodes run".to_owned()
            }
            Self::NotAllowed { repository, component, .. } => format!(
                "add {repository} to components.{component}.repositories in agent.yaml there, and \
                 restart the agent; a mirror belongs under mirrors in cluster.yaml"
            ),
            Self::Unavailable { remedy, image, .. } if remedy.is_empty() => {
                format!("try it there by hand: docker pull {image}")
            }
            Self::Unavailable { remedy, .. } => remedy.clone(),
            Self::Ambiguous { .. } => {
                "find out which mirror is behind, and let all nodes use the same".to_owned()
            }
            Self::NotLoadedEverywhere { image, .. } => format!(
                "let all nodes reach the registry; or none of them, and load the same file on every \
                 node (docker save {image} where it is right, docker load elsewhere)"
            ),
            Self::Loaded { id, .. } => {
                format!("compare {id} with the image that you meant to load")
            }
        }
    }
}

/// A generation is an image and a mode: nodes of one release on two images are
/// of two generations, unless all of them leave both.
pub(super) fn one_generation(situation: &Situation<'_>) -> Option<ImageFinding> {
    if situation.image_question().is_some() {
        return None;
    }
    let images = situation.facts.nodes.iter().filter_map(|(name, survey)| {
        Some((survey.quay_container()?.state.image.to_string(), name.clone()))
    });
    let images = grouped(images);
    (images.len() > 1).then_some(ImageFinding::Differ { images })
}

/// Every component whose image is asked of a registry, with its repository.
fn asked(situation: &Situation<'_>) -> impl Iterator<Item = (Component, ImageQuestion)> {
    Component::ALL.into_iter().filter_map(move |component| {
        match situation.image_source(component)? {
            ImageSource::Registry(question) => Some((component, question)),
            ImageSource::Running(_) => None,
        }
    })
}

/// Whether a node gets a container of a component in this window.
fn gets(situation: &Situation<'_>, survey: &NodeSurvey, component: Component) -> bool {
    component == Component::Quay
        || survey.companions().any(|companion| {
            companion.component == component && situation.fate(&companion).starts()
        })
}

pub(super) fn allowed(situation: &Situation<'_>) -> Vec<ImageFinding> {
    let mut found = Vec::new();
    for (component, ImageQuestion { repository, .. }) in asked(situation) {
        let is_allowed = |survey: &NodeSurvey| {
            let facts = survey.facts.component(component);
            facts.is_none_or(|facts| facts.repositories.contains(&repository))
        };
        let nodes: Vec<NodeName> = situation
            .facts
            .nodes
            .iter()
            .filter(|(_, survey)| gets(situation, survey, component) && !is_allowed(survey))
            .map(|(name, _)| name.clone())
            .collect();
        if !nodes.is_empty() {
            found.push(ImageFinding::NotAllowed { nodes, component, repository });
        }
    }
    found
}

pub(super) fn available(situation: &Situation<'_>) -> Vec<ImageFinding> {
    let mut found = Vec::new();
    // A mirror's image is Quay's.
    for (component, question) in asked(situation).filter(|(of, _)| *of != Component::Mirror) {
        let image = format!("{}:{}", question.repository, question.tag);
        let mut digests = Vec::new();
        for (name, answer) in situation.images(component) {
            match answer {
                Ok(ResolvedImage::InRegistry { digest, present: _ }) => {
                    digests.push((digest.to_string(), name.clone()));
                }
                Ok(ResolvedImage::OnNode { .. }) => {}
                Err(unanswered) => found.push(ImageFinding::Unavailable {
                    node: name.clone(),
                    image: image.clone(),
                    problem: unanswered.problem.clone(),
                    remedy: unanswered.remedy.clone(),
                }),
            }
        }
        let digests = grouped(digests);
        if digests.len() > 1 {
            found.push(ImageFinding::Ambiguous { image: image.clone(), digests });
        }
        found.extend(loaded(situation, component, image));
    }
    found
}

/// Where a node reaches no registry, an image is known by its id alone.
fn loaded(situation: &Situation<'_>, component: Component, image: String) -> Option<ImageFinding> {
    let silent: Vec<(&NodeName, &str)> = situation.reach_no_registry(component).collect();
    let (_, silence) = *silent.first()?;
    if let Some(id) = situation.loaded(component) {
        let nodes = silent.iter().map(|(node, _)| (*node).clone()).collect();
        let (id, silence) = (id.short().to_owned(), silence.to_owned());
        return Some(ImageFinding::Loaded { image, id, nodes, silence });
    }
    // A node that could not answer at all has its own finding.
    let images = situation.images(component).filter_map(|(name, answer)| {
        let id = on_node(answer.as_ref().ok()?);
        Some((id.map_or_else(|| "none".to_owned(), |id| id.short().to_owned()), name.clone()))
    });
    let images = grouped(images);
    (images.len() > 1).then_some(ImageFinding::NotLoadedEverywhere { image, images })
}
