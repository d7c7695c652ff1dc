//! Invariants 1 and 4: what may run beside what, and what may not come back. Pure.

use jiff::Timestamp;

use super::Violation;
use super::history::{History, Run};
use super::windows::{Segment, segments};
use crate::record::EngineAction;

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
        if later.is_by_hand {
            continue;
        }
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

/// 4: once a newer generation has been started, no older one starts, unless the newer one was taken
/// back; and what somebody starts by hand is not left to run.
fn below_the_floor(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for run in &history.runs {
        let Some((newer, standing)) = floor_of(history, run) else { continue };
        let Run { node, generation, .. } = run;
        let evidence = match standing {
            _ if run.is_by_hand && run.ended.is_some() => continue,
            _ if run.is_by_hand => format!(
                "{generation} was started by hand on {node} below {} and left to run",
                newer.generation
            ),
            Standing::Arrived => format!(
                "{generation} came back on {node} after {} had taken the database over",
                newer.generation
            ),
            Standing::Migrating => format!(
                "{generation} came back on {node} after {} had begun to migrate on {}",
                newer.generation, newer.node
            ),
            Standing::Started => format!(
                "{generation} came back on {node} while the container on {} in which {} was \
                 started was still there",
                newer.node, newer.generation
            ),
        };
        found.push(Violation {
            invariant: 4,
            at: Some(run.started),
            nodes: vec![node.clone()],
            evidence,
        });
    }
    found
}

/// How far a newer generation had got; the further, the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Its container was there, and could have run on or again.
    Started,
    Migrating,
    /// It had changed the database, or been healthy on it.
    Arrived,
}

/// The newer run that was furthest when this one started. One that never touched the database, had
/// ended and whose container was gone had been taken back: the way back is open until then.
fn floor_of<'a>(history: &'a History, run: &Run) -> Option<(&'a Run, Standing)> {
    let standing = |newer: &Run| {
        let is_before = |at: Timestamp| at < run.started;
        let changed = newer.migration.as_ref().and_then(|migration| migration.changed);
        if [changed, newer.healthy].into_iter().flatten().any(is_before) {
            return Some(Standing::Arrived);
        }
        if newer.migration.as_ref().is_some_and(|migration| is_before(migration.begun)) {
            return Some(Standing::Migrating);
        }
        let is_gone = newer.ended.is_some_and(is_before)
            && history.events_of(newer).any(|(at, event)| {
                event.action == EngineAction::Destroy && *at >= newer.started && is_before(*at)
            });
        (!is_gone).then_some(Standing::Started)
    };
    let newer = history
        .runs
        .iter()
        .filter(|newer| newer.generation > run.generation && newer.started < run.started)
        .filter(|newer| !history.is_restored_between(newer, run));
    // Of equals the first, who is the one that made the floor.
    newer
        .filter_map(|newer| Some((newer, standing(newer)?)))
        .reduce(|first, next| if next.1 > first.1 { next } else { first })
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
