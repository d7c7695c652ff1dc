//! Everything a plan is made from: the facts, the window that is wanted, and
//! what the agents answered to questions about it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::footing::Footing;
use quaymaster_proto::preview::Preview;
use quaymaster_proto::storage::{StorageFooting, StoragePlace, StorageSize};
use quaymaster_proto::{Component, ContainerId, ImageId, MountCopy, NodeName, PortMove};

use super::{Fate, Window};
use crate::catalogue::{Catalogue, Entry, Release};
use crate::cluster::{Auxiliaries, Cluster};
use crate::measured::Measured;
use crate::nodes::{ImageQuestion, PreviewQuestion, ResolvedImage};
use crate::survey::{ClusterFacts, Companion, NodeSurvey};

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
    /// Why no backup is taken, in an operator's words.
    pub waived_backup: Option<&'a str>,
    /// What earlier windows of this cluster took.
    pub measured: &'a Measured,
}

/// What the agents answered about a window, by node and component.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answers {
    /// To `preview_question`.
    pub previews: BTreeMap<(NodeName, Component), Result<Preview, Unanswered>>,
    /// To `image_question`; empty where there is no question.
    pub images: BTreeMap<(NodeName, Component), Result<ResolvedImage, Unanswered>>,
    /// What the registry says to a client; `None` = it was not asked.
    pub registry: Option<RegistryAnswer>,
}

/// What the window's verification will be able to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegistryAnswer {
    /// All of it.
    Whole,
    /// What anybody may do: there is no login.
    InPart,
    /// Nothing as it is.
    NotReady(Unanswered),
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
    /// When the newest backup ended that any agent knows of.
    pub fn newest_backup(&self) -> Option<Timestamp> {
        let nodes = self.facts.nodes.values();
        nodes.filter_map(|survey| survey.facts.backup.as_ref()?.newest).max()
    }

    /// The storage as the node sees it that backs up; `None` = it was not asked,
    /// or did not answer.
    pub fn storage(&self) -> Option<&'a StorageFooting> {
        let preview = self.preview(&self.cluster.backup, Component::Quay)?;
        preview.footing.as_ref().map(|footing| &footing.storage)
    }

    /// Each directory of it, and what a copy of that would be.
    pub fn local_storage(&self) -> impl Iterator<Item = (&'a str, Option<StorageSize>)> {
        let locations = self.storage().into_iter().flat_map(|storage| &storage.locations);
        locations.filter_map(|location| match &location.place {
            StoragePlace::Local { directory, size } => Some((directory.as_str(), *size)),
            StoragePlace::Unseen { .. } | StoragePlace::Elsewhere { .. } => None,
        })
    }

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

    /// What each node did answer about its Quay's change.
    pub fn previews(&self) -> impl Iterator<Item = (&'a NodeName, &'a Preview)> {
        self.answers.previews.iter().filter_map(|((node, component), answer)| {
            (*component == Component::Quay).then_some((node, answer.as_ref().ok()?))
        })
    }

    /// What a node did answer about a component's change.
    pub fn preview(&self, node: &NodeName, component: Component) -> Option<&'a Preview> {
        self.answers.previews.get(&(node.clone(), component))?.as_ref().ok()
    }

    /// What each node's window would stand on, where its agent says.
    pub fn footings(&self) -> impl Iterator<Item = (&'a NodeName, &'a Footing)> {
        self.previews().filter_map(|(node, preview)| Some((node, preview.footing.as_ref()?)))
    }

    /// Whether the first node's start changes tables that are there, and does
    /// not move data alone.
    pub fn changes_schema(&self) -> bool {
        self.window.from.release != self.window.to.release
    }

    /// What each node answered about a component's image.
    pub fn images(
        &self,
        component: Component,
    ) -> impl Iterator<Item = (&'a NodeName, &'a Result<ResolvedImage, Unanswered>)> {
        // A mirror's image is Quay's.
        let asked = match component {
            Component::Mirror => Component::Quay,
            Component::Quay | Component::Clair | Component::Builder => component,
        };
        let answers = self.answers.images.iter();
        answers.filter(move |((_, of), _)| *of == asked).map(|((node, _), answer)| (node, answer))
    }

    /// A component's image that is taken by its id alone: at least one node
    /// reaches no registry, and all have the same image under the name.
    pub fn loaded(&self, component: Component) -> Option<&'a ImageId> {
        self.reach_no_registry(component).next()?;
        let mut images = self.images(component).map(|(_, answer)| on_node(answer.as_ref().ok()?));
        let first = images.next()??;
        images.all(|image| image == Some(first)).then_some(first)
    }

    /// Nodes that have a component's image and reach no registry, and why.
    pub fn reach_no_registry(
        &self,
        component: Component,
    ) -> impl Iterator<Item = (&'a NodeName, &'a str)> {
        self.images(component).filter_map(|(node, answer)| match answer.as_ref().ok()? {
            ResolvedImage::OnNode { image: _, silence } => Some((node, silence.as_str())),
            ResolvedImage::InRegistry { .. } => None,
        })
    }

    /// What the release demands of a component's published ports.
    pub fn port_moves(&self, component: Component) -> Vec<PortMove> {
        port_moves(self.catalogue, self.window, component)
    }

    /// What the release demands of a component's mounts.
    pub fn mount_copies(&self, component: Component) -> Vec<MountCopy> {
        self.catalogue.mount_copies(component, &self.window.to.release)
    }

    /// Where a component's next image comes from; `None` = the release has
    /// none, or nobody runs it.
    pub fn image_source(&self, component: Component) -> Option<ImageSource> {
        match image_question(self.catalogue, self.cluster, self.window, component) {
            Some(question) => Some(ImageSource::Registry(question)),
            None if component.migrates() => {
                let running = self.facts.nodes.values().find_map(NodeSurvey::quay_container);
                running.map(|container| ImageSource::Running(container.state.image.clone()))
            }
            None => None,
        }
    }

    /// What is to be asked about Quay's next image; `None` = the one that runs
    /// stays.
    pub fn image_question(&self) -> Option<ImageQuestion> {
        image_question(self.catalogue, self.cluster, self.window, Component::Quay)
    }

    /// What becomes of a container beside a Quay.
    pub fn fate(&self, companion: &Companion<'_>) -> Fate {
        fate(self.catalogue, self.cluster, self.window, companion)
    }
}

/// The image that a node has already, however it came there.
pub fn on_node(resolved: &ResolvedImage) -> Option<&ImageId> {
    match resolved {
        ResolvedImage::InRegistry { digest: _, present } => present.as_ref(),
        ResolvedImage::OnNode { image, silence: _ } => Some(image),
    }
}

/// Where the next image comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ImageSource {
    /// A registry, asked this.
    Registry(ImageQuestion),
    /// It is what runs already.
    Running(ImageId),
}

/// A mirror is a Quay that does not serve: it is back as soon as they are. The
/// documented order leaves the others stopped until the tags are mapped
/// (quay-facts 5.3), unless the operator wants them back before.
pub fn fate(
    catalogue: &Catalogue,
    cluster: &Cluster,
    window: &Window,
    companion: &Companion<'_>,
) -> Fate {
    let completes = catalogue
        .release(&window.to.release)
        .is_some_and(|release| release.last_mode() == Some(window.to.mode));
    let starts = companion.component.migrates()
        || completes
        || cluster.auxiliaries == Auxiliaries::FirstWindow;
    match (starts, companion.is_retired) {
        (true, false) => Fate::Replaced,
        (true, true) => Fate::Returns,
        (false, _) => Fate::Rests,
    }
}

/// What a node is to be asked about a component's change. `container` = whose
/// spec is carried over, where it has not the well-known name.
pub fn preview_question(
    catalogue: &Catalogue,
    window: &Window,
    component: Component,
    container: Option<ContainerId>,
) -> PreviewQuestion {
    PreviewQuestion {
        component,
        container,
        mode: window.to.mode,
        port_moves: port_moves(catalogue, window, component),
        mount_copies: catalogue.mount_copies(component, &window.to.release),
    }
}

fn port_moves(catalogue: &Catalogue, window: &Window, component: Component) -> Vec<PortMove> {
    if component.migrates() { catalogue.port_moves(&window.from, &window.to) } else { Vec::new() }
}

/// What a node is to be asked about a component's image; `None` = there is
/// nothing to ask: what runs stays, a mirror's is Quay's, or the release has
/// none.
pub fn image_question(
    catalogue: &Catalogue,
    cluster: &Cluster,
    window: &Window,
    component: Component,
) -> Option<ImageQuestion> {
    // A companion may come from an earlier release whatever the Quays run.
    let stays = component.migrates() && window.from.release == window.to.release;
    if stays {
        return None;
    }
    let image = catalogue.release(&window.to.release)?.image(component)?;
    Some(ImageQuestion {
        component,
        repository: cluster.mirrors.mirrored(&image.repository),
        tag: image.tag.clone(),
    })
}
