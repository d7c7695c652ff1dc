//! Everything a plan is made from: the facts, the window that is wanted, and
//! what the agents answered to questions about it.

use std::collections::BTreeMap;

use quaymaster_proto::preview::Preview;
use quaymaster_proto::{Component, NodeName};

use super::Window;
use crate::catalogue::{Catalogue, Entry, Release};
use crate::cluster::Cluster;
use crate::nodes::{ImageQuestion, PreviewQuestion, ResolvedImage};
use crate::survey::ClusterFacts;

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What releases there are.
    pub catalogue: &'a Catalogue,
    /// What the agents said.
    pub facts: &'a ClusterFacts,
    /// What is wanted.
    pub window: &'a Window,
    /// What the agents answered about it.
    pub answers: &'a Answers,
}

/// What the agents answered about a window.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answers {
    /// To `preview_question`, of every node.
    pub previews: BTreeMap<NodeName, Result<Preview, Unanswered>>,
    /// To `image_question`, of every node; empty where there is no question.
    pub images: BTreeMap<NodeName, Result<ResolvedImage, Unanswered>>,
}

/// A question that an agent did not answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unanswered {
    /// Why.
    pub problem: String,
    /// What to do; may be empty.
    pub remedy: String,
}

impl<'a> Situation<'a> {
    /// The release that is left.
    pub fn from(&self) -> Option<&'a Release> {
        self.catalogue.release(&self.window.from.release)
    }

    /// The release that is wanted.
    pub fn to(&self) -> Option<&'a Release> {
        self.catalogue.release(&self.window.to.release)
    }

    /// What the catalogue knows of the way between them.
    pub fn entry(&self) -> Option<&'a Entry> {
        self.catalogue.entry(&self.window.from, &self.window.to)
    }

    /// The revisions from which the window may start.
    pub fn accepted(&self) -> &'a [String] {
        self.catalogue.accepted(&self.window.from)
    }

    /// What each node did answer about its change.
    pub fn previews(&self) -> impl Iterator<Item = (&'a NodeName, &'a Preview)> {
        self.answers
            .previews
            .iter()
            .filter_map(|(node, answer)| Some((node, answer.as_ref().ok()?)))
    }

    /// What every node is to be asked about its change.
    pub fn preview_question(&self) -> PreviewQuestion {
        preview_question(self.catalogue, self.window)
    }

    /// What every node is to be asked about the image; `None` = the image that
    /// runs stays.
    pub fn image_question(&self) -> Option<ImageQuestion> {
        image_question(self.catalogue, self.cluster, self.window)
    }
}

/// What every node is to be asked about its change.
pub fn preview_question(catalogue: &Catalogue, window: &Window) -> PreviewQuestion {
    PreviewQuestion {
        component: Component::Quay,
        mode: window.to.mode,
        port_moves: catalogue.port_moves(&window.from, &window.to),
    }
}

/// What every node is to be asked about the image; `None` = the image that
/// runs stays.
pub fn image_question(
    catalogue: &Catalogue,
    cluster: &Cluster,
    window: &Window,
) -> Option<ImageQuestion> {
    if window.from.release == window.to.release {
        return None;
    }
    let image = catalogue.release(&window.to.release)?.images.get(&Component::Quay)?;
    Some(ImageQuestion {
        component: Component::Quay,
        repository: cluster.mirrors.mirrored(&image.repository),
        tag: image.tag.clone(),
    })
}
