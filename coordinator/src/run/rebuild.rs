//! A run's events, made again from what its nodes keep: for a machine that
//! never saw it. Pure. What no agent keeps (a person's word, a gate's evidence)
//! follows from what was begun after it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::Timestamp;
use quaymaster_proto::job::JobState;
use quaymaster_proto::lease::{LedgerEnd, LedgerEntry};
use quaymaster_proto::{Epoch, NodeName, Reason, RunId, StepNumber};

use crate::plan::{CheckedPlan, Gate, Plan, Step, Verb, What};
use crate::run::attempt;
use crate::run::event::{Event, Evidence, Problem, Settlement};
use crate::run::state::ATTEMPT;
use crate::run::turn::{Cause, Crossing};

/// What the nodes say.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: CheckedPlan,
    /// The highest epoch that any node knows.
    pub epoch: Epoch,
    /// Each node's entries.
    pub nodes: BTreeMap<NodeName, Vec<LedgerEntry>>,
}

/// Who is said to have driven it before.
pub const BY: &str = "rebuilt from the nodes";

/// The events of the run, as far as its nodes know.
pub fn rebuild(kept: &Kept, now: Timestamp) -> Vec<Event> {
    let plan = kept.plan.plan();
    let begun = kept.nodes.values().flatten().map(|entry| entry.at).min().unwrap_or(now);
    let (run, cluster) = (kept.run, plan.cluster.clone());
    let waivers = plan.waivers.clone();
    let (digest, by) = (kept.plan.digest().clone(), BY.to_owned());
    let mut events = vec![
        Event::Started { run, plan: digest, cluster, waivers, at: begun },
        Event::Driven { epoch: kept.epoch, by, at: begun },
    ];
    let attempts = 1..=last_attempt(kept);
    for attempt in attempts.clone() {
        anew(kept, attempt, &plan.steps, &mut events);
        there(kept, attempt, &mut events);
    }
    // One that was called off came before any way back, one that was not came
    // in its place.
    roll_back(kept, attempts.clone(), &mut events);
    back(kept, attempts, &mut events);
    events
}

/// Nodes whose part was begun anew, there or on the way back.
fn anew(kept: &Kept, attempt: u32, way: &[Step], events: &mut Vec<Event>) {
    if attempt == 1 {
        return;
    }
    for (node, entries) in &kept.nodes {
        let is_on_it = |step: &StepNumber| way.iter().any(|of| of.number == *step);
        // Its first step says on which way it was ordered.
        let first = of(entries, attempt).find_map(|entry| number(entry.step));
        let at = of(entries, attempt).map(|entry| entry.at).min();
        if let (true, Some(at)) = (first.as_ref().is_some_and(is_on_it), at) {
            let (node, by) = (node.clone(), BY.to_owned());
            let steps = attempt::anew(way, &node).map(|step| step.number).collect();
            // What was known of the one before is not on record.
            let is_clean = node != kept.plan.plan().first;
            events.push(Event::Retried { node, attempt, steps, is_clean, by, at });
        }
    }
}

fn last_attempt(kept: &Kept) -> u32 {
    kept.nodes.values().flatten().map(|entry| attempt_of(entry.step)).max().unwrap_or(1)
}

fn attempt_of(step: StepNumber) -> u32 {
    step.get() / ATTEMPT + 1
}

fn number(step: StepNumber) -> Option<StepNumber> {
    StepNumber::new(step.get() % ATTEMPT)
}

fn of(entries: &[LedgerEntry], attempt: u32) -> impl Iterator<Item = &LedgerEntry> {
    entries.iter().filter(move |entry| attempt_of(entry.step) == attempt)
}

/// Every step in the plan's order.
fn there(kept: &Kept, attempt: u32, events: &mut Vec<Event>) {
    for step in &kept.plan.plan().steps {
        if let What::Gate(gate) = step.what
            && attempt == 1
        {
            pass(kept, &kept.plan.plan().steps, step, gate, events);
        }
        answers(kept, step, attempt, events);
    }
}

/// The same of the way back, where the run turned.
fn back(kept: &Kept, attempts: RangeInclusive<u32>, events: &mut Vec<Event>) {
    let plan = kept.plan.plan();
    let Some(proof) = plan.back.first() else { return };
    for attempt in attempts.clone() {
        answers(kept, proof, attempt, events);
    }
    // Of a later attempt a removed container proves nothing.
    let is_proven = is_met(kept, proof, &plan.first) && !migrated_anew(kept);
    let is_on = plan.back.iter().skip(1).any(|step| began(kept, step).is_some());
    if !is_proven && !is_on {
        return;
    }
    let at = began(kept, proof).or_else(|| plan.back.iter().find_map(|step| began(kept, step)));
    let Some(at) = at else { return };
    let crossing = crossing(kept, plan, is_proven);
    let because = Cause::Person { by: BY.to_owned(), because: None };
    events.push(Event::TurnedBack { because, crossing, at });
    for attempt in attempts {
        anew(kept, attempt, &plan.back, events);
        for step in plan.back.iter().skip(1) {
            answers(kept, step, attempt, events);
        }
    }
}

/// The same of a rollback, where one was ordered: whoever did that said so to
/// the nodes alone.
fn roll_back(kept: &Kept, attempts: RangeInclusive<u32>, events: &mut Vec<Event>) {
    let plan = kept.plan.plan();
    let Some(check) = plan.rollback.first() else { return };
    let Some(at) = plan.rollback.iter().filter_map(|step| began(kept, step)).min() else {
        return;
    };
    let (epoch, by) = (kept.epoch.next(), BY.to_owned());
    let because = "its nodes have begun it".to_owned();
    // No agent keeps who was left out: that has to be said again.
    let without = BTreeMap::new();
    let check = check.number;
    events.push(Event::RollbackOrdered { check, epoch, by, because, without, at });
    for attempt in attempts {
        anew(kept, attempt, &plan.rollback, events);
        for step in &plan.rollback {
            // Nobody looks whether it is dark where something serves again.
            if let What::Gate(gate @ Gate::Dark) = step.what
                && attempt == 1
            {
                pass(kept, &plan.rollback, step, gate, events);
            }
            answers(kept, step, attempt, events);
        }
    }
    // Of a look at the backup alone nobody has to come back.
    if !plan.rollback.iter().skip(1).any(|step| began(kept, step).is_some()) {
        let because = "nothing of it was begun but the look at the backup".to_owned();
        events.push(Event::RollbackCalledOff { because, at });
    }
}

/// Whether the first node's part was begun more than once.
fn migrated_anew(kept: &Kept) -> bool {
    let plan = kept.plan.plan();
    let entries = kept.nodes.get(&plan.first).into_iter().flatten();
    let mut later = entries.filter(|entry| attempt_of(entry.step) > 1);
    later.any(|entry| {
        number(entry.step).is_some_and(|step| plan.steps.iter().any(|of| of.number == step))
    })
}

fn crossing(kept: &Kept, plan: &Plan, is_proven: bool) -> Crossing {
    let start = plan.first_step(What::Act(Verb::StartMigrating));
    match (start.and_then(|start| began(kept, start)), is_proven) {
        (None, _) => Crossing::NotIntended,
        (Some(_), true) => Crossing::NeverStarted,
        // Nothing else lets a run turn back behind its start.
        (Some(_), false) => Crossing::NothingApplied,
    }
}

/// A gate was open if anything was begun behind it.
fn pass(kept: &Kept, way: &[Step], step: &Step, gate: Gate, events: &mut Vec<Event>) {
    let later = way.iter().filter(|later| later.number > step.number);
    let Some(at) = later.filter_map(|later| began(kept, later)).min() else { return };
    let by = BY.to_owned();
    if gate == Gate::Approval {
        events.push(Event::Approved { gate, by: by.clone(), because: None, at });
    }
    let because = Some("steps behind this gate were begun".to_owned());
    let evidence = Evidence::Person { by, because };
    events.push(Event::Passed { step: step.number, evidence, since: at, at });
}

/// When a step was first begun anywhere.
fn began(kept: &Kept, step: &Step) -> Option<Timestamp> {
    let all = kept.nodes.values().flatten();
    all.filter(|entry| number(entry.step) == Some(step.number)).map(|entry| entry.at).min()
}

fn is_met(kept: &Kept, step: &Step, node: &NodeName) -> bool {
    let entries = kept.nodes.get(node).into_iter().flatten();
    let mut entries = entries.filter(|entry| number(entry.step) == Some(step.number));
    entries.any(|entry| matches!(entry.end, Some(LedgerEnd::Met(_))))
}

fn answers(kept: &Kept, step: &Step, attempt: u32, events: &mut Vec<Event>) {
    for (node, entries) in &kept.nodes {
        let mut entries = of(entries, attempt);
        let Some(entry) = entries.find(|entry| number(entry.step) == Some(step.number)) else {
            continue;
        };
        let (step, node, at) = (step.number, node.clone(), entry.at);
        events.push(Event::Intended { step, node: node.clone(), at });
        events.extend(entry.end.as_ref().and_then(|end| match settled(end) {
            Ok(settlement) => Some(Event::Settled { step, node, settlement: settlement?, at }),
            Err(problem) => Some(Event::Failed { step, node, problem, at }),
        }));
    }
}

/// How it ended; `None` = a job that had not.
fn settled(end: &LedgerEnd) -> Result<Option<Settlement>, Problem> {
    let failed = |message: String| Problem::Refused {
        reason: Reason::Image,
        message,
        remedy: String::new(),
    };
    match end {
        LedgerEnd::Met(outcome) => Ok(Some(Settlement::Met(outcome.clone()))),
        LedgerEnd::Refused(refusal) => Err(Problem::Refused {
            reason: refusal.reason,
            message: refusal.message.clone(),
            remedy: refusal.remedy.clone(),
        }),
        LedgerEnd::Job(report) => match &report.state {
            JobState::Done { image } => Ok(Some(Settlement::Pulled { image: image.clone() })),
            JobState::BackedUp(backup) => {
                Ok(Some(Settlement::BackedUp { backup: (**backup).clone() }))
            }
            JobState::Restored { rows } => Ok(Some(Settlement::Restored { rows: *rows })),
            JobState::Running => Ok(None),
            JobState::Failed { problem } => Err(failed(problem.clone())),
            JobState::Cancelled => Err(failed("it was cancelled".to_owned())),
        },
    }
}
