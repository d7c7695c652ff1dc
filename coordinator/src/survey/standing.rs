//! Which release a node runs and in which mode, read off its container and off
//! the running Quay itself, never off config.yaml.

use std::collections::BTreeMap;

use quaymaster_proto::node::ContainerFacts;
use quaymaster_proto::{Component, ContainerStatus, ImageDigest, Mode, NodeName};
use serde::Serialize;

use super::{ClusterFacts, NodeSurvey};
use crate::catalogue::{Catalogue, ImageName, Release};
use crate::cluster::Mirrors;
use crate::nodes::ImageQuestion;
use crate::plan::ReleaseInMode;

/// Reads facts with the catalogue and the site's mirrors at hand.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// What releases there are.
    pub catalogue: &'a Catalogue,
    /// How the site names their images.
    pub mirrors: &'a Mirrors,
}

/// Why nobody can say what a node runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Unclear {
    /// Its agent.yaml names no Quay.
    NoComponent,
    /// There is no container of the well-known name.
    NoContainer {
        /// The name.
        name: String,
    },
    /// It does not run.
    NotRunning {
        /// The container's name.
        name: String,
        /// What it does instead.
        status: ContainerStatus,
    },
    /// Its image is none of the catalogue's.
    UnknownImage {
        /// What the container was created from.
        image: String,
    },
    /// The running Quay does not show its mode.
    NoMode {
        /// Its release.
        release: String,
    },
    /// Its release has no such mode.
    OddMode {
        /// Its release.
        release: String,
        /// What it shows.
        mode: Mode,
    },
}

/// Something to ask a registry, so that an image without a tag gets a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestQuestion {
    /// Through which node.
    pub node: NodeName,
    /// What to ask.
    pub question: ImageQuestion,
    /// The key in `ClusterFacts::digests` for the answer.
    pub name: String,
}

impl<'a> Reader<'a> {
    /// The release of a Quay container, running or not.
    pub fn release(&self, facts: &ClusterFacts, container: &ContainerFacts) -> Option<&'a Release> {
        let named = self
            .names(container)
            .find_map(|name| self.catalogue.release_of(Component::Quay, &name));
        named.or_else(|| self.release_by_digest(&facts.digests, container))
    }

    /// What a node runs.
    pub fn generation(
        &self,
        facts: &ClusterFacts,
        node: &NodeSurvey,
    ) -> Result<ReleaseInMode, Unclear> {
        let quay = node.quay().ok_or(Unclear::NoComponent)?;
        let container = quay
            .container
            .as_ref()
            .ok_or_else(|| Unclear::NoContainer { name: quay.container_name.clone() })?;
        let release = self
            .release(facts, container)
            .ok_or_else(|| Unclear::UnknownImage { image: container.image_reference.clone() })?;
        let status = container.state.status;
        if status != ContainerStatus::Running {
            return Err(Unclear::NotRunning { name: container.state.name.clone(), status });
        }
        let release_name = || release.name.clone();
        let mode = match container.effective_mode {
            // Before 3.0 there is no mode to show.
            _ if release.mode(Mode::Absent).is_some() => Mode::Absent,
            Some(mode) => mode,
            None => return Err(Unclear::NoMode { release: release_name() }),
        };
        if release.mode(mode).is_none() {
            return Err(Unclear::OddMode { release: release_name(), mode });
        }
        Ok(ReleaseInMode { release: release_name(), mode })
    }

    /// What to ask a registry before images can be told: nothing while every
    /// Quay's image has a tag.
    pub fn digest_questions(&self, facts: &ClusterFacts) -> Vec<DigestQuestion> {
        let mut questions: BTreeMap<String, DigestQuestion> = BTreeMap::new();
        for (node, survey) in &facts.nodes {
            let Some(container) = survey.quay_container() else { continue };
            if self.release(facts, container).is_some() {
                continue;
            }
            for release in self.catalogue.releases() {
                let Some(image) = release.images.get(&Component::Quay) else { continue };
                let is_of_it = |name: ImageName| {
                    name.digest().is_some() && name.repository() == image.repository
                };
                if self.names(container).any(is_of_it) {
                    let name = image.to_string();
                    questions.entry(name.clone()).or_insert_with(|| DigestQuestion {
                        node: node.clone(),
                        question: ImageQuestion {
                            component: Component::Quay,
                            repository: self.mirrors.mirrored(&image.repository),
                            tag: image.tag.clone(),
                        },
                        name,
                    });
                }
            }
        }
        questions.into_values().collect()
    }

    /// Every name of a container's image, as the world has it.
    fn names(&self, container: &ContainerFacts) -> impl Iterator<Item = ImageName> {
        std::iter::once(&container.image_reference)
            .chain(&container.image_tags)
            .chain(&container.image_digests)
            .filter_map(|reference| self.mirrors.unmirrored(reference).parse().ok())
    }

    fn release_by_digest(
        &self,
        digests: &BTreeMap<String, ImageDigest>,
        container: &ContainerFacts,
    ) -> Option<&'a Release> {
        let names: Vec<ImageName> = self.names(container).collect();
        self.catalogue.releases().iter().find(|release| {
            release.images.get(&Component::Quay).is_some_and(|image| {
                digests.get(&image.to_string()).is_some_and(|digest| {
                    names.iter().any(|name| {
                        name.repository() == image.repository && name.digest() == Some(digest)
                    })
                })
            })
        })
    }
}
