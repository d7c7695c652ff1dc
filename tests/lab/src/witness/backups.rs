//! Invariant 7: before the database changes there is a backup of it from that window's dark. Pure.

use super::history::History;
use super::windows::segments;
use super::{LabFacts, Violation};

pub(super) fn violations(history: &History, facts: &LabFacts) -> Vec<Violation> {
    let Some(backups) = &facts.backups else { return Vec::new() };
    let segments = segments(&history.runs);
    let mut found = Vec::new();
    for pair in segments.windows(2).filter(|pair| pair[1].is_forward) {
        let first = pair[1].runs.iter().find_map(|run| Some((run, run.migration.as_ref()?)));
        let Some((run, migration)) = first else { continue };
        let dark = pair[0].runs.iter().filter_map(|old| old.ended).max();
        let is_of_this_dark = |(begun, ended): &(_, _)| {
            dark.is_none_or(|dark| *begun >= dark) && *ended <= migration.begun
        };
        if !backups.iter().any(is_of_this_dark) {
            found.push(Violation {
                invariant: 7,
                at: Some(migration.begun),
                nodes: vec![run.node.clone()],
                evidence: format!(
                    "the Quay on {} began to migrate to {}, and nobody had backed the database up \
                     since the last Quay ended",
                    run.node, migration.target
                ),
            });
        }
    }
    found
}
