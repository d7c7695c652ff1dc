//! Invariants 1 and 4: what may run beside what, and what may not come back. Pure.

use jiff::Timestamp;

use super::Violation;
use super::history::{History, Run};
use super::windows::{Segment, segments};

pub(super) fn violations(history: &History) -> Vec<Violation> {
    let mut found = beside_another_generation(history);
    for segment in segments(&history.runs).into_iter().filter(|segment| segment.is_forward) {
        found.extend(before_the_first_gate(&segment));
    }
    found.extend(below_the_floor(history));
    found
}

/// 1: no Quay of one generation runs while one of another runs.
fn beside_another_generation(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, later) in history.runs.iter().enumerate() {
        let beside = |earlier: &&Run| {
            earlier.generation != later.generation && earlier.runs_at(later.started)
        };
        let others: Vec<&Run> = history.runs[..index].iter().filter(beside).collect();
        if let Some(other) = others.first() {
            found.push(Violation {
                invariant: 1,
                at: Some(later.started),
                nodes: nodes(later, &others),
                evidence: format!(
                    "{} started on {} while {} still ran on {}",
                    later.generation,
                    later.node,
                    other.generation,
                    names(&others)
                ),
            });
        }
    }
    found
}

/// 1: in the dark no second one starts before the first is healthy on the migrated database.
fn before_the_first_gate(segment: &Segment<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, later) in segment.runs.iter().enumerate() {
        let earlier = &segment.runs[..index];
        let is_gate_passed =
            earlier.iter().any(|run| run.healthy.is_some_and(|healthy| healthy <= later.started));
        let running: Vec<&Run> =
            earlier.iter().copied().filter(|run| run.runs_at(later.started)).collect();
        if !is_gate_passed && !running.is_empty() {
            found.push(Violation {
                invariant: 1,
                at: Some(later.started),
                nodes: nodes(later, &running),
                evidence: format!(
                    "{} started on {} before the one on {} was healthy",
                    later.generation,
                    later.node,
                    names(&running)
                ),
            });
        }
    }
    found
}

/// 4: once a generation has changed the database or has been healthy, no older one starts.
fn below_the_floor(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for run in &history.runs {
        let floor = history
            .runs
            .iter()
            .filter(|other| other.generation > run.generation)
            .filter_map(|other| Some((arrival(other)?, other)))
            .filter(|(arrived, _)| *arrived < run.started)
            .min_by_key(|(arrived, _)| *arrived);
        if let Some((_, newer)) = floor {
            found.push(Violation {
                invariant: 4,
                at: Some(run.started),
                nodes: vec![run.node.clone()],
                evidence: format!(
                    "{} came back on {} after {} had taken the database over",
                    run.generation, run.node, newer.generation
                ),
            });
        }
    }
    found
}

/// When a run made its generation the floor.
fn arrival(run: &Run) -> Option<Timestamp> {
    let changed = run.migration.as_ref().and_then(|migration| migration.changed);
    [changed, run.healthy].into_iter().flatten().min()
}

fn nodes(later: &Run, others: &[&Run]) -> Vec<String> {
    let mut nodes: Vec<String> = others.iter().map(|run| run.node.clone()).collect();
    nodes.push(later.node.clone());
    nodes.sort();
    nodes.dedup();
    nodes
}

fn names(runs: &[&Run]) -> String {
    let mut names: Vec<&str> = runs.iter().map(|run| run.node.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
