//! Invariants 3 and 5: which mode is in place when, and that config.yaml is always whole. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::history::{History, Run, fraction};
use super::windows::segments;
use super::{LabFacts, Violation};
use crate::record::ConfigSeen;

/// How much later than it happened the observer may have seen a file change. Only ever used to
/// take a change for earlier than it was seen.
const OBSERVER_LAG: SignedDuration = SignedDuration::from_millis(300);

pub(super) fn violations(history: &History, facts: &LabFacts) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut before: BTreeMap<&str, &ConfigSeen> = BTreeMap::new();
    let originals = originals(history);
    for (at, config) in &history.configs {
        let original = originals.get(config.node.as_str()).copied();
        found.extend(torn(*at, config, original));
        if let Some(before) = before.get(config.node.as_str()) {
            found.extend(too_early(history, *at, before, config));
            found.extend(unfinished(history, facts, *at, before, config));
        }
        before.insert(&config.node, config);
    }
    for segment in segments(&history.runs).iter().filter(|segment| segment.is_forward) {
        for run in &segment.runs {
            found.extend(unequal(history, facts, run));
        }
    }
    found
}

fn originals(history: &History) -> BTreeMap<&str, &ConfigSeen> {
    let mut originals = BTreeMap::new();
    for (_, config) in &history.configs {
        originals.entry(config.node.as_str()).or_insert(config);
    }
    originals
}

/// 5: at every instant the old file or the new one.
fn torn(at: Timestamp, config: &ConfigSeen, original: Option<&ConfigSeen>) -> Option<Violation> {
    let is_known_mode = match config.mode() {
        None | Some("background" | "complete") => true,
        mode => original.is_some_and(|original| original.mode() == mode),
    };
    let evidence = if config.sha256.is_none() {
        format!("there was no config.yaml on {}", config.node)
    } else if !config.rest_is_original {
        format!("config.yaml on {} differed outside its mode line", config.node)
    } else if !is_known_mode {
        format!(
            "config.yaml on {} had the mode line `{}`, which nobody wrote whole",
            config.node,
            config.mode_line.as_deref().unwrap_or_default()
        )
    } else {
        return None;
    };
    Some(Violation { invariant: 5, at: Some(at), nodes: vec![config.node.clone()], evidence })
}

/// 3: a new mode is in place while a Quay still runs.
fn too_early(
    history: &History,
    at: Timestamp,
    before: &ConfigSeen,
    config: &ConfigSeen,
) -> Option<Violation> {
    if before.mode() == config.mode() || config.sha256.is_none() || before.sha256.is_none() {
        return None;
    }
    // Seen late is still seen after: whoever runs now ran when the file was put in place.
    let running: Vec<&Run> = history
        .runs
        .iter()
        .filter(|run| run.runs_at(at) && run.started + OBSERVER_LAG <= at)
        .collect();
    let first = running.first()?;
    let mut nodes: Vec<String> = running.iter().map(|run| run.node.clone()).collect();
    nodes.push(config.node.clone());
    nodes.sort();
    nodes.dedup();
    Some(Violation {
        invariant: 3,
        at: Some(at),
        nodes,
        evidence: format!(
            "mode {} was put in place on {} while {} still ran on {}",
            config.mode().unwrap_or("(none)"),
            config.node,
            first.generation,
            first.node
        ),
    })
}

/// 3: `complete` in place of `background` before the backfill gate.
fn unfinished(
    history: &History,
    facts: &LabFacts,
    at: Timestamp,
    before: &ConfigSeen,
    config: &ConfigSeen,
) -> Option<Violation> {
    let is_flip = before.mode() == Some("background") && config.mode() == Some("complete");
    let has_served = history
        .runs
        .iter()
        .any(|run| run.generation.is_background() && run.healthy.is_some_and(|then| then <= at));
    if !is_flip || facts.is_backfill_waived || !has_served {
        return None;
    }
    let progress = history.backfill_before(Some(at));
    let evidence = match progress {
        Some((mapped, total)) if fraction(mapped, total) >= facts.backfill_threshold => {
            return None;
        }
        Some((mapped, total)) => format!(
            "complete was put in place on {} when {mapped} of {total} tags were mapped",
            config.node
        ),
        None => format!(
            "complete was put in place on {} before any backfill progress was seen",
            config.node
        ),
    };
    Some(Violation { invariant: 3, at: Some(at), nodes: vec![config.node.clone()], evidence })
}

/// 3: a new container starts while a node carries another mode than it.
fn unequal(history: &History, facts: &LabFacts, run: &Run) -> Option<Violation> {
    let wanted = run.generation.mode()?;
    let others: Vec<String> = facts
        .nodes
        .iter()
        .filter(|node| {
            history
                .config_at(node, run.started + OBSERVER_LAG)
                .is_some_and(|config| config.mode() != Some(wanted))
        })
        .cloned()
        .collect();
    if others.is_empty() {
        return None;
    }
    let evidence = format!(
        "{} started on {} while config.yaml did not say {wanted} on {}",
        run.generation,
        run.node,
        others.join(", ")
    );
    Some(Violation { invariant: 3, at: Some(run.started), nodes: others, evidence })
}
