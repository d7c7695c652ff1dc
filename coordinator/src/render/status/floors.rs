//! What may not run any more, and where nodes disagree about it.

use quaymaster_proto::{Below, Floor, NodeName};
use serde_json::{Value, json};

use super::StatusView;
use crate::render::text::names;
use crate::survey::{Alike, NodeSurvey};

/// One line, and one more for each node that says something else.
pub(super) fn words(view: &StatusView<'_>) -> Vec<String> {
    let groups = view.survey.facts.floors();
    let Some(Alike { what: Some(floor), nodes: _ }) = groups.iter().find(|it| it.what.is_some())
    else {
        return if groups.is_empty() { Vec::new() } else { vec!["no floor".to_owned()] };
    };
    let mut lines = vec![format!("{} may not run any more", below(view, floor))];
    for Alike { what, nodes } in &groups {
        let nodes = names(nodes);
        match what {
            Some(same) if same == floor => {}
            Some(other) => {
                lines.push(format!("{nodes}: another floor, below which is {}", below(view, other)))
            }
            None => lines.push(format!(
                "{nodes}: the floor is missing: an old Quay that came up there would not be stopped"
            )),
        }
    }
    lines
}

/// `2.9.5, 3.0.5 in background`
fn below(view: &StatusView<'_>, floor: &Floor) -> String {
    let known = view.reader.image_names(&view.survey.facts);
    let one = |below: &Below| match (known.get(&below.image), below.mode) {
        (Some(release), None) => release.clone(),
        (Some(release), Some(mode)) => format!("{release} in {mode}"),
        (None, _) => below.to_string(),
    };
    let mut told: Vec<String> = floor.below.iter().map(one).collect();
    told.sort();
    told.dedup();
    if told.is_empty() { "nothing".to_owned() } else { told.join(", ") }
}

/// What the agent met that stood against its floor.
pub(super) fn notes(node: &NodeSurvey) -> Vec<String> {
    node.facts.floor_sightings.iter().map(|seen| format!("floor: {seen}")).collect()
}

/// The same for programs.
pub(super) fn json(view: &StatusView<'_>) -> Value {
    let group =
        |nodes: &[&NodeName], floor: Option<&Floor>| json!({ "nodes": nodes, "floor": floor });
    view.survey.facts.floors().iter().map(|alike| group(&alike.nodes, alike.what)).collect()
}
