//! Invariant 6: an agent acts for the run and the epoch of its lease alone, and of itself it only
//! stops what is below the floor. Judged from what agents took down before they acted, and from what
//! their engines showed. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Violation;
use super::history::{History, Run, is_same};
use crate::record::{EngineAction, EngineEvent};

/// One line of an agent's ledger, in plain values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerLine {
    pub node: String,
    /// By the node's clock, which in a lab is everybody's.
    pub at: Timestamp,
    pub run: String,
    pub epoch: u64,
    /// The run's plan, by its digest; empty where the line does not say it.
    pub plan: String,
    pub what: Entry,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    Claimed,
    Released,
    /// A step is about to be done.
    Intended {
        step: u64,
        verb: String,
    },
    /// It was done, or was not, or was refused at once.
    Ended {
        step: u64,
        verb: String,
        is_met: bool,
    },
}

/// Between two clocks that are one: what an engine's time may be off.
const CLOCKS: jiff::SignedDuration = jiff::SignedDuration::from_millis(200);

pub(super) fn violations(history: &History, ledgers: &[LedgerLine]) -> Vec<Violation> {
    let mut nodes: BTreeMap<&str, Vec<&LedgerLine>> = BTreeMap::new();
    for line in ledgers {
        nodes.entry(&line.node).or_default().push(line);
    }
    let mut found = Vec::new();
    for (node, lines) in nodes {
        found.extend(without_lease(node, &lines));
        found.extend(of_itself(history, node, &lines));
    }
    found
}

/// Acts for a run or in an epoch that was not the lease's.
fn without_lease(node: &str, lines: &[&LedgerLine]) -> Vec<Violation> {
    let mut lease: Option<(&str, u64)> = None;
    let mut found = Vec::new();
    for LedgerLine { at, run, epoch, what, node: _, plan: _ } in lines {
        match what {
            Entry::Claimed => lease = Some((run, *epoch)),
            Entry::Released => lease = None,
            Entry::Ended { .. } => {}
            Entry::Intended { .. } if lease == Some((run, *epoch)) => {}
            Entry::Intended { step, verb } => {
                let held = match lease {
                    Some((run, epoch)) => format!("was held by run {run} in epoch {epoch}"),
                    None => "was nobody's".to_owned(),
                };
                found.push(violation(
                    node,
                    *at,
                    format!(
                        "the agent on {node} did {verb}, step {step} of run {run}, in epoch \
                         {epoch}, while its lease {held}"
                    ),
                ));
            }
        }
    }
    found
}

/// Containers that were ended, renamed or removed while the agent was at no step.
fn of_itself(history: &History, node: &str, lines: &[&LedgerLine]) -> Vec<Violation> {
    // What the lab does before the first run and after it, is the lab's own.
    let Some(first) = lines.iter().find(|line| line.what == Entry::Claimed) else {
        return Vec::new();
    };
    let is_of_agent = |at: Timestamp| first.at <= at && !history.is_taken_down(node, at);
    let steps = steps(lines);
    let mut found = Vec::new();
    for (at, event) in
        history.events.iter().filter(|(at, event)| event.node == node && is_of_agent(*at))
    {
        let what = match event.action {
            EngineAction::Kill => "told to stop",
            EngineAction::Rename => "renamed",
            EngineAction::Destroy => "removed",
            // Whoever started it, the engine too, is judged by what it was; the rest follows.
            EngineAction::Create | EngineAction::Start | EngineAction::Die | EngineAction::Stop => {
                continue;
            }
        };
        let is_at_work = steps
            .iter()
            .any(|(from, to)| *from <= *at + CLOCKS && to.is_none_or(|to| *at <= to + CLOCKS));
        let is_allowed = event.action == EngineAction::Kill
            && (is_below_floor(history, lines, event, *at)
                || history.is_engine_restarting(node, *at));
        if !is_at_work && !is_allowed {
            let id: String = event.container_id.chars().take(12).collect();
            found.push(violation(
                node,
                *at,
                format!("container {id} on {node} was {what} while its agent was at no step, and it was not below the floor"),
            ));
        }
    }
    found
}

/// From each intent to its end, if that is on record.
fn steps(lines: &[&LedgerLine]) -> Vec<(Timestamp, Option<Timestamp>)> {
    let mut steps = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if let Entry::Intended { step, .. } = line.what {
            let end = lines[index + 1..].iter().find(|later| {
                later.run == line.run
                    && matches!(later.what, Entry::Ended { step: ended, .. } if ended == step)
            });
            steps.push((line.at, end.map(|end| end.at)));
        }
    }
    steps
}

/// Whether a floor was in force and the container's Quay was of a generation that had run before it
/// was set.
fn is_below_floor(
    history: &History,
    lines: &[&LedgerLine],
    event: &EngineEvent,
    at: Timestamp,
) -> bool {
    let mut floor = None;
    for line in lines.iter().filter(|line| line.at <= at + CLOCKS) {
        match &line.what {
            Entry::Ended { verb, is_met: true, .. } if verb == "set-floor" => floor = Some(line.at),
            Entry::Ended { verb, is_met: true, .. } if verb == "lower-floor" => floor = None,
            Entry::Ended { .. } | Entry::Intended { .. } | Entry::Claimed | Entry::Released => {}
        }
    }
    let Some(set) = floor else { return false };
    let found =
        history.runs.iter().filter(|run| run.started < set).map(|run| &run.generation).max();
    let is_it = |run: &&Run| is_same(&run.container_id, &event.container_id);
    let generation = history.runs.iter().rev().find(is_it).map(|run| &run.generation);
    generation.zip(found).is_some_and(|(generation, found)| generation <= found)
}

fn violation(node: &str, at: Timestamp, evidence: String) -> Violation {
    Violation { invariant: 6, at: Some(at), nodes: vec![node.to_owned()], evidence }
}
