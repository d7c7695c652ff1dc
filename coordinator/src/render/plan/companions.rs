//! What a plan says of the containers beside the Quays.

use quaymaster_proto::{Component, NodeName};

use super::super::text::{labelled, names};
use super::image_in_words;
use crate::plan::{Fate, Gate, Plan, Step, Verb, What};

/// What becomes of each of them, and where.
pub(super) fn lines(plan: &Plan) -> String {
    let mut out = String::new();
    for component in plan.companions.keys() {
        for fate in [Fate::Replaced, Fate::Rests, Fate::Returns] {
            let on = nodes(plan, *component, fate);
            if !on.is_empty() {
                let words = format!("{} (on {})", becomes(plan, *component, fate), names(&on));
                out.push_str(&labelled(component.as_str(), &words));
            }
        }
    }
    out
}

fn nodes(plan: &Plan, component: Component, fate: Fate) -> Vec<&NodeName> {
    let having = plan
        .nodes
        .iter()
        .filter(|node| node.companion(component).is_some_and(|companion| companion.fate == fate));
    having.map(|node| &node.name).collect()
}

fn becomes(plan: &Plan, component: Component, fate: Fate) -> String {
    let image = || plan.image_of(component).map(image_in_words).unwrap_or_default();
    match fate {
        Fate::Replaced => format!("stopped with the cluster, started after it on {}", image()),
        Fate::Rests => "stopped with the cluster; a later window starts its successor".to_owned(),
        Fate::Returns => {
            format!("stopped since an earlier window; its successor is started on {}", image())
        }
    }
}

/// The verb and the rest of a step's line.
pub(super) fn describe(plan: &Plan, step: &Step) -> (&'static str, String) {
    let component = step.component;
    match step.what {
        What::Act(Verb::Pull) => ("pull", format!("the image of {component}, by its digest")),
        What::Act(Verb::StageContainer) => ("stage", format!("the next {component}, not started")),
        What::Act(Verb::Stop) => {
            let grace = plan.stop_grace_seconds(component);
            ("stop", format!("{component}: restart policy no, then {grace} s grace"))
        }
        What::Act(Verb::Start) if component.migrates() => {
            ("start", format!("{component}, on proof of its own database"))
        }
        What::Act(Verb::Start) => ("start", format!("{component}, on its next image")),
        What::Act(Verb::Promote) => {
            ("promote", format!("{component}: the known name and the restart policy back"))
        }
        What::Gate(Gate::Healthy) => ("gate", format!("{component} healthy")),
        What::Act(
            Verb::StageConfig
            | Verb::BackUp
            | Verb::PutConfig
            | Verb::StartMigrating
            | Verb::SetFloor
            | Verb::RemoveStaged
            | Verb::RemoveStagedConfig
            | Verb::RestoreConfig
            | Verb::LowerFloor
            | Verb::Recreate
            | Verb::CheckBackup
            | Verb::TakeDown
            | Verb::Restore,
        )
        | What::Gate(_) => ("", format!("{component}: nothing")),
    }
}
