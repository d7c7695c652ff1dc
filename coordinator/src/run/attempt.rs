//! A node's part once more: which steps that is.

use quaymaster_proto::{Component, NodeName};

use crate::plan::{Gate, Step, Verb, What};

/// The steps that begin anew for a node: what concerns its next container.
pub fn anew<'a>(steps: &'a [Step], node: &'a NodeName) -> impl Iterator<Item = &'a Step> {
    steps.iter().filter(|step| {
        step.component == Component::Quay
            && step.nodes.contains(node)
            && match step.what {
                What::Act(
                    Verb::StageContainer
                    | Verb::Recreate
                    | Verb::StartMigrating
                    | Verb::Start
                    | Verb::Promote,
                )
                | What::Gate(Gate::FirstNode | Gate::Healthy) => true,
                What::Act(_) | What::Gate(_) => false,
            }
    })
}
