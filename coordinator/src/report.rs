//! What a run took, read off its events: the outage, and the limit that no
//! order of the same steps could beat.

use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::backup::Backup;
use quaymaster_proto::{Component, NodeName, RunId};

use crate::plan::companion::STOPS_AFTER_QUAY;
use crate::plan::{Gate, Plan, Step, Verb, What};
use crate::run::{ActState, Evidence, GateState, RunState, Settlement, TagsLeft, Word};
use crate::verify::Account;

/// The figures of a window.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// Its run.
    pub run: RunId,
    /// From the first event to the last.
    pub took: Duration,
    /// From the first stop asked until the last node was healthy; `None` = not
    /// all are.
    pub outage: Option<Duration>,
    /// From the first stop asked until the first node was healthy.
    pub first_healthy: Option<Duration>,
    /// What it consists of at least.
    pub limit: Option<Limit>,
    /// How many nodes are done.
    pub nodes_done: usize,
    /// Nodes that a person gave up, and how their Quay is kept from the database.
    pub left_out: Vec<(NodeName, String)>,
    /// Gates that a person opened against the figures, and why.
    pub waived: Vec<Waiver>,
    /// Who agreed to cross the point of no return.
    pub approved_by: Option<String>,
    /// What was left of the backfill when its gate opened.
    pub backfill: Option<BackfillPassed>,
    /// Tags that complete mode has lost.
    pub tags_left: Option<TagsLeft>,
    /// The backup that this run made.
    pub backup: Option<Backup>,
    /// What a client found at the end, and who waived the faults among it.
    pub verified: Option<(Account, Option<Word>)>,
}

/// The slowest node of several, and what it took.
pub type Slowest = (NodeName, Duration);

/// The parts that no order of the same steps could save.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Stop asked until the container had ended, of the slowest.
    pub slowest_stop: Slowest,
    /// The same of what stops after the Quays.
    pub slowest_companion: Option<Slowest>,
    /// All looks at the dark.
    pub dark_gates: Duration,
    /// The backup between two of them; `None` = it was waived.
    pub backup: Option<Duration>,
    /// The first node's start asked until it was healthy.
    pub first_node: Slowest,
    /// The same of the slowest of the others.
    pub slowest_rest: Option<Slowest>,
}

impl Limit {
    /// All parts together.
    pub fn sum(&self) -> Duration {
        let Self { slowest_stop, slowest_companion, dark_gates, backup, first_node, slowest_rest } =
            self;
        let took = |of: &Option<(NodeName, Duration)>| {
            of.as_ref().map(|(_, took)| *took).unwrap_or_default()
        };
        slowest_stop.1
            + took(slowest_companion)
            + *dark_gates
            + backup.unwrap_or_default()
            + first_node.1
            + took(slowest_rest)
    }
}

/// A gate that a person opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiver {
    /// Which.
    pub gate: Gate,
    /// Who.
    pub by: String,
    /// In words.
    pub because: Option<String>,
}

/// The backfill as its gate saw it last.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BackfillPassed {
    /// A fraction.
    pub progress: f64,
    /// May be negative.
    pub tags_remaining: i64,
    /// Of so many.
    pub total_tags: i64,
}

/// Reads the figures of a run.
pub fn report(plan: &Plan, state: &RunState) -> Report {
    let read = Reading { plan, state };
    let begun = read.asked(Verb::Stop).into_iter().map(|(_, since, _)| since).min();
    let first = read.first_healthy();
    let last = if plan.nodes.len() > 1 { read.last_healthy() } else { first };
    let from_stop = |end: Option<Timestamp>| Some(between(begun?, end?));
    Report {
        run: state.run,
        took: between(state.started_at, state.finished_at.unwrap_or(state.last_at)),
        outage: from_stop(last),
        first_healthy: from_stop(first),
        limit: read.limit(),
        nodes_done: read.asked(Verb::Promote).len(),
        left_out: state.left_out.clone().into_iter().collect(),
        waived: read.waived(),
        approved_by: read.approved_by(),
        backfill: read.backfill(),
        tags_left: state.tags_left.clone(),
        backup: state.backup(plan).cloned(),
        verified: verified(state, &plan.steps),
    }
}

/// What a client found at the end of a way.
pub fn verified(state: &RunState, way: &[Step]) -> Option<(Account, Option<Word>)> {
    let step = way.iter().rfind(|step| step.what == What::Gate(Gate::Verified))?;
    match state.gates.get(&step.number)? {
        GateState::Passed { evidence: Evidence::Verified { account, waived }, .. } => {
            Some((account.clone(), waived.clone()))
        }
        GateState::Passed { .. } | GateState::Waiting { .. } | GateState::Closed { .. } => None,
    }
}

/// How long from one moment to a later one; nothing when it is not later.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

struct Reading<'a> {
    plan: &'a Plan,
    state: &'a RunState,
}

impl Reading<'_> {
    /// Every node that did the step of that verb: when it was asked, and when
    /// it was done.
    fn asked(&self, verb: Verb) -> Vec<(NodeName, Timestamp, Timestamp)> {
        self.asked_of(Component::Quay, verb)
    }

    fn asked_of(&self, component: Component, verb: Verb) -> Vec<(NodeName, Timestamp, Timestamp)> {
        let Some(step) = self.plan.step_of(component, What::Act(verb)) else { return Vec::new() };
        let done =
            step.nodes.iter().filter_map(|node| match self.state.act_state(step.number, node) {
                ActState::Done { settlement, since, at } => {
                    Some((node.clone(), *since, clamped(engine_time(settlement), *since, *at)))
                }
                ActState::Pending | ActState::InFlight { .. } | ActState::Failed { .. } => None,
            });
        done.collect()
    }

    /// When a gate opened, and what for.
    fn passed(&self, gate: Gate) -> Option<(&Evidence, Timestamp)> {
        let step = self.plan.first_step(What::Gate(gate))?;
        match self.state.gates.get(&step.number)? {
            GateState::Passed { evidence, since: _, at } => Some((evidence, *at)),
            GateState::Waiting { .. } | GateState::Closed { .. } => None,
        }
    }

    fn first_start(&self) -> Option<(NodeName, Timestamp)> {
        let asked = self.asked(Verb::StartMigrating).into_iter().next();
        asked.map(|(node, since, _)| (node, since))
    }

    fn first_healthy(&self) -> Option<Timestamp> {
        let (_, since) = self.first_start()?;
        match self.passed(Gate::FirstNode)? {
            (Evidence::FirstNode { healthy_at, .. }, at) => {
                Some(clamped(Some(*healthy_at), since, at))
            }
            (
                Evidence::Backfill { .. }
                | Evidence::Person { .. }
                | Evidence::Unchanged
                | Evidence::Dark { .. }
                | Evidence::Begun
                | Evidence::Healthy { .. }
                | Evidence::Verified { .. },
                at,
            ) => Some(at),
        }
    }

    /// Each of the others: when its start was asked, and when it was healthy.
    fn rest(&self) -> Vec<(NodeName, Timestamp, Timestamp)> {
        let Some((Evidence::Healthy { healthy_at }, at)) = self.passed(Gate::Healthy) else {
            return Vec::new();
        };
        let asked = self.asked(Verb::Start).into_iter().map(|(node, since, _)| {
            let healthy = healthy_at.iter().find(|(name, _)| *name == node);
            let healthy = clamped(healthy.map(|(_, at)| *at), since, at);
            (node, since, healthy)
        });
        asked.collect()
    }

    fn last_healthy(&self) -> Option<Timestamp> {
        self.rest().into_iter().map(|(_, _, healthy)| healthy).max()
    }

    fn limit(&self) -> Option<Limit> {
        let (first, since) = self.first_start()?;
        let slowest_rest = slowest(self.rest());
        if slowest_rest.is_none() && self.plan.nodes.len() > 1 {
            return None;
        }
        Some(Limit {
            slowest_stop: slowest(self.asked(Verb::Stop))?,
            slowest_companion: slowest(
                STOPS_AFTER_QUAY
                    .into_iter()
                    .flat_map(|component| self.asked_of(component, Verb::Stop))
                    .collect(),
            ),
            dark_gates: self.dark_gates(),
            backup: self.asked(Verb::BackUp).first().map(|(_, since, at)| between(*since, *at)),
            first_node: (first, between(since, self.first_healthy()?)),
            slowest_rest,
        })
    }

    fn dark_gates(&self) -> Duration {
        let steps = self.plan.steps.iter().filter(|step| step.what == What::Gate(Gate::Dark));
        let gates = steps.filter_map(|step| self.state.gates.get(&step.number));
        gates
            .map(|gate| match gate {
                GateState::Passed { since, at, .. } => between(*since, *at),
                GateState::Waiting { .. } | GateState::Closed { .. } => Duration::ZERO,
            })
            .sum()
    }

    fn waived(&self) -> Vec<Waiver> {
        let steps = self.plan.steps.iter().filter_map(|step| match step.what {
            What::Gate(Gate::Approval) | What::Act(_) => None,
            What::Gate(gate) => Some((gate, self.state.gates.get(&step.number)?)),
        });
        steps
            .filter_map(|(gate, gate_state)| match gate_state {
                GateState::Passed { evidence: Evidence::Person { by, because }, .. } => {
                    Some(Waiver { gate, by: by.clone(), because: because.clone() })
                }
                GateState::Passed {
                    evidence: Evidence::Verified { account: _, waived: Some(Word { by, because }) },
                    ..
                } => Some(Waiver { gate, by: by.clone(), because: because.clone() }),
                GateState::Passed { .. } | GateState::Waiting { .. } | GateState::Closed { .. } => {
                    None
                }
            })
            .collect()
    }

    fn approved_by(&self) -> Option<String> {
        match self.passed(Gate::Approval)?.0 {
            Evidence::Person { by, because: _ } => Some(by.clone()),
            Evidence::Backfill { .. }
            | Evidence::Unchanged
            | Evidence::Dark { .. }
            | Evidence::Begun
            | Evidence::FirstNode { .. }
            | Evidence::Healthy { .. }
            | Evidence::Verified { .. } => None,
        }
    }

    fn backfill(&self) -> Option<BackfillPassed> {
        match *self.passed(Gate::Backfill)?.0 {
            Evidence::Backfill { progress, tags_remaining, total_tags } => {
                Some(BackfillPassed { progress, tags_remaining, total_tags })
            }
            Evidence::Person { .. }
            | Evidence::Unchanged
            | Evidence::Dark { .. }
            | Evidence::Begun
            | Evidence::FirstNode { .. }
            | Evidence::Healthy { .. }
            | Evidence::Verified { .. } => None,
        }
    }
}

fn engine_time(settlement: &Settlement) -> Option<Timestamp> {
    match settlement {
        Settlement::Met(outcome) => outcome.engine_time,
        Settlement::Pulled { .. } | Settlement::BackedUp { .. } | Settlement::Restored { .. } => {
            None
        }
    }
}

/// A node's clock is believed only as far as ours allows.
fn clamped(theirs: Option<Timestamp>, since: Timestamp, at: Timestamp) -> Timestamp {
    theirs.filter(|theirs| (since..=at).contains(theirs)).unwrap_or(at)
}

fn slowest(nodes: Vec<(NodeName, Timestamp, Timestamp)>) -> Option<(NodeName, Duration)> {
    nodes
        .into_iter()
        .map(|(node, since, until)| (node, between(since, until)))
        .max_by_key(|(_, took)| *took)
}

#[cfg(test)]
pub(crate) mod fixture;
