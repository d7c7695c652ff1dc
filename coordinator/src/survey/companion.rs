//! The containers beside the Quays that a survey found.

use quaymaster_proto::Component;
use quaymaster_proto::container_name::is_retired;
use quaymaster_proto::node::{ComponentFacts, ContainerFacts};

use super::NodeSurvey;

/// One of a node's containers beside its Quay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Companion<'a> {
    /// What it is.
    pub component: Component,
    /// The one that has the well-known name, or else the one that was retired
    /// last.
    pub container: &'a ContainerFacts,
    /// Stopped by an earlier window, and not yet followed by another.
    pub is_retired: bool,
}

impl NodeSurvey {
    /// What agent.yaml names beside Quay, and what there is of it.
    pub fn companion_facts(&self) -> impl Iterator<Item = &ComponentFacts> {
        self.facts.components.iter().filter(|facts| facts.component != Component::Quay)
    }

    /// The containers beside the Quay.
    pub fn companions(&self) -> impl Iterator<Item = Companion<'_>> {
        self.companion_facts().filter_map(companion)
    }
}

fn companion(facts: &ComponentFacts) -> Option<Companion<'_>> {
    let ComponentFacts { component, container_name, repositories: _, container, others } = facts;
    let component = *component;
    if let Some(container) = container {
        return Some(Companion { component, container, is_retired: false });
    }
    let retired = others
        .iter()
        .filter(|other| is_retired(container_name, &other.state.name))
        .filter(|other| !other.state.status.is_alive());
    let container = retired.max_by_key(|other| other.state.finished_at)?;
    Some(Companion { component, container, is_retired: true })
}
