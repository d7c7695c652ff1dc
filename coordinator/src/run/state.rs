//! The one fold of a run's events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use quaymaster_proto::{ClusterName, Epoch, NodeName, PlanDigest, RunId, StepNumber};

use crate::plan::Gate;
use crate::run::act_state::{ActEvent, ActState, Intent, may_be_done};
use crate::run::event::{Event, Evidence, GateFailure, Problem, TagsLeft, WaitingOn};
use crate::run::illegal::IllegalEvent;
use crate::run::turn::{Cause, Crossing};
use crate::verify::Sampling;

mod direction;
mod questions;

pub use direction::{Before, Direction};

/// No plan has so many steps: what tells two attempts of a step apart.
pub(in crate::run) const ATTEMPT: u32 = 1000;

/// Where a run stands.
#[derive(Clone, PartialEq, Debug)]
pub struct RunState {
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub plan: PlanDigest,
    /// The plan's cluster.
    pub cluster: ClusterName,
    /// Since when.
    pub started_at: Timestamp,
    /// The latest process's; `None` before the first one took it in hand.
    pub epoch: Option<Epoch>,
    /// Acts that were begun.
    pub acts: BTreeMap<(StepNumber, NodeName), ActState>,
    /// Every step that was ever intended on a node, also where it has to be
    /// asked again.
    pub begun: BTreeSet<(StepNumber, NodeName)>,
    /// Whether it goes to what the window wants, or back to what it found.
    pub direction: Direction,
    /// Whether an attempt before the present one may have changed the database.
    pub may_have_applied: bool,
    /// How often a node's part was begun anew; absent = never.
    pub attempts: BTreeMap<NodeName, u32>,
    /// The highest number of a step that each node was ever told.
    pub told: BTreeMap<NodeName, StepNumber>,
    /// Who has the first node's part, where that was handed over.
    pub handed_over: Option<NodeName>,
    /// Nodes that a person gave up, and how their Quay is kept from the database.
    pub left_out: BTreeMap<NodeName, String>,
    /// Who drives it, or did last: user@host.
    pub driver: String,
    /// Gates that were looked at.
    pub gates: BTreeMap<StepNumber, GateState>,
    /// Gates that the latest process has itself seen open. What an earlier one
    /// saw may have changed since.
    pub seen_open: BTreeSet<StepNumber>,
    /// For whom each health gate was open, and since when they were healthy.
    pub healthy: BTreeMap<StepNumber, BTreeMap<NodeName, Timestamp>>,
    /// What nodes answered to the latest process. What an earlier one was told
    /// may have changed since.
    pub settled_now: BTreeSet<(StepNumber, NodeName)>,
    /// What people agreed to, latest first by gate.
    pub approvals: Vec<Approval>,
    /// What the registry held before the first stop; `None` = that is not known
    /// here. Shared, for a state is copied at every record.
    pub sampling: Option<Arc<Sampling>>,
    /// Tags that were counted at the end.
    pub tags_left: Option<TagsLeft>,
    /// When every step was done.
    pub finished_at: Option<Timestamp>,
    /// When the last event happened.
    pub last_at: Timestamp,
}

/// A person's word on a gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval {
    /// Which gate.
    pub gate: Gate,
    /// Who.
    pub by: String,
    /// In words.
    pub because: Option<String>,
}

/// Where a gate stands.
#[derive(Clone, PartialEq, Debug)]
pub enum GateState {
    /// Not open yet.
    Waiting {
        /// What for.
        on: WaitingOn,
        /// Since this gate was first looked at.
        since: Timestamp,
    },
    /// Open.
    Passed {
        /// Why.
        evidence: Evidence,
        /// When it was first looked at.
        since: Timestamp,
        /// When.
        at: Timestamp,
    },
    /// It will not open by itself.
    Closed {
        /// Why.
        failure: GateFailure,
        /// When.
        at: Timestamp,
    },
}

fn out_of_place(event: &Event) -> IllegalEvent {
    IllegalEvent::OutOfPlace { event: format!("{event:?}") }
}

impl RunState {
    /// Folds a whole run. The first event must be its start.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Self, IllegalEvent> {
        let mut events = events.into_iter();
        let first = events.next();
        let Some(Event::Started { run, plan, cluster, waivers: _, at }) = first else {
            return Err(IllegalEvent::OutOfPlace { event: format!("{first:?}") });
        };
        let mut state = Self::new(*run, plan.clone(), cluster.clone(), *at);
        for event in events {
            state.apply(event)?;
        }
        Ok(state)
    }

    fn new(run: RunId, plan: PlanDigest, cluster: ClusterName, at: Timestamp) -> Self {
        Self {
            run,
            plan,
            cluster,
            started_at: at,
            epoch: None,
            acts: BTreeMap::new(),
            begun: BTreeSet::new(),
            direction: Direction::There,
            may_have_applied: false,
            attempts: BTreeMap::new(),
            told: BTreeMap::new(),
            handed_over: None,
            left_out: BTreeMap::new(),
            driver: String::new(),
            gates: BTreeMap::new(),
            seen_open: BTreeSet::new(),
            healthy: BTreeMap::new(),
            settled_now: BTreeSet::new(),
            approvals: Vec::new(),
            sampling: None,
            tags_left: None,
            finished_at: None,
            last_at: at,
        }
    }

    /// Folds one more event.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        let reopens = matches!(event, Event::RollbackOrdered { .. });
        if self.finished_at.is_some() && !reopens {
            return Err(IllegalEvent::AfterEnd { event: format!("{event:?}") });
        }
        match event {
            Event::Started { .. } => return Err(out_of_place(event)),
            Event::Driven { epoch, by, at: _ } => self.take_in_hand(*epoch, by)?,
            Event::Intended { step, node, at } => self.intend(*step, node, *at)?,
            Event::Settled { step, node, settlement, at } => {
                let settled = ActEvent::Settled { settlement: settlement.clone(), at: *at };
                self.act(*step, node, settled)?;
            }
            Event::Failed { step, node, problem, at } => {
                self.act(*step, node, ActEvent::Failed { problem: problem.clone(), at: *at })?;
            }
            Event::Waiting { step, on, at } => self.wait(*step, on, *at)?,
            Event::Passed { step, evidence, since, at } => {
                self.pass(*step, evidence, *since, *at)?;
            }
            Event::Closed { step, failure, at } => self.close(*step, failure, *at)?,
            Event::LeftBehind { step, node, failure, at } => {
                self.leave_behind(*step, node, failure, *at)?;
            }
            Event::Approved { gate, by, because, at: _ } => {
                self.approve(*gate, by, because.as_deref());
            }
            Event::TurnedBack { because, crossing, at } => {
                self.turn_back(because, *crossing, *at)?;
            }
            Event::Retried { node, attempt, steps, is_clean, by: _, at: _ } => {
                self.retry(node, *attempt, steps, *is_clean)?;
            }
            Event::HandedOver { to, by: _, at: _ } => {
                self.only_on_the_way(event, Direction::is_there)?;
                self.handed_over = Some(to.clone());
            }
            Event::LeftOut { node, by: _, because, at: _ } => {
                self.left_out.insert(node.clone(), because.clone());
            }
            Event::Sampled { sampling, at: _ } => self.sampled(event, sampling)?,
            Event::TagsCounted { count, at: _ } => {
                self.only_on_the_way(event, Direction::is_there)?;
                self.tags_left = Some(count.clone());
            }
            Event::RollbackOrdered { check, epoch, by, because, without, at } => {
                self.only_on_the_way(event, Direction::is_there)?;
                self.take_in_hand(*epoch, by)?;
                let before = self.set_aside(without);
                let (by, because) = (by.clone(), because.clone());
                let (since, check) = (*at, *check);
                self.direction = Direction::Rollback { by, because, since, check, before };
            }
            Event::RollbackCalledOff { .. } => self.call_off(event)?,
            Event::Finished { at } | Event::WentBack { at } | Event::RolledBack { at } => {
                self.finish(event, *at)?;
            }
        }
        self.last_at = event.at();
        Ok(())
    }

    /// Each process takes it anew that looks before the first stop.
    fn sampled(&mut self, event: &Event, sampling: &Sampling) -> Result<(), IllegalEvent> {
        self.only_on_the_way(event, Direction::is_there)?;
        self.sampling = Some(Arc::new(sampling.clone()));
        Ok(())
    }

    fn approve(&mut self, gate: Gate, by: &str, because: Option<&str>) {
        let (by, because) = (by.to_owned(), because.map(str::to_owned));
        self.approvals.push(Approval { gate, by, because });
    }

    fn wait(
        &mut self,
        step: StepNumber,
        on: &WaitingOn,
        at: Timestamp,
    ) -> Result<(), IllegalEvent> {
        let since = self.gate_since(step, "waiting", at)?;
        self.gates.insert(step, GateState::Waiting { on: on.clone(), since });
        Ok(())
    }

    fn close(
        &mut self,
        step: StepNumber,
        failure: &GateFailure,
        at: Timestamp,
    ) -> Result<(), IllegalEvent> {
        self.gate_since(step, "closed", at)?;
        self.gates.insert(step, GateState::Closed { failure: failure.clone(), at });
        Ok(())
    }

    fn pass(
        &mut self,
        step: StepNumber,
        evidence: &Evidence,
        since: Timestamp,
        at: Timestamp,
    ) -> Result<(), IllegalEvent> {
        let since = self.gate_since(step, "passed", since)?;
        let evidence = self.joined(step, evidence);
        self.gates.insert(step, GateState::Passed { evidence, since, at });
        self.seen_open.insert(step);
        Ok(())
    }

    fn leave_behind(
        &mut self,
        step: StepNumber,
        node: &NodeName,
        failure: &GateFailure,
        at: Timestamp,
    ) -> Result<(), IllegalEvent> {
        self.gate_since(step, "left behind", at)?;
        let problem = Problem::AtGate { failure: Box::new(failure.clone()) };
        self.acts.insert((step, node.clone()), ActState::Failed { problem, at });
        Ok(())
    }

    fn intend(
        &mut self,
        step: StepNumber,
        node: &NodeName,
        at: Timestamp,
    ) -> Result<(), IllegalEvent> {
        self.act(step, node, ActEvent::Intended(Intent { at }))?;
        self.begun.insert((step, node.clone()));
        let told = self.wire_step(step, node);
        let furthest = self.told.entry(node.clone()).or_insert(told);
        *furthest = told.max(*furthest);
        Ok(())
    }

    /// A new process asks again what failed and looks again at what closed. It
    /// has seen nothing yet; which gates that an earlier one saw open have to be
    /// seen again is for `next` to say.
    fn take_in_hand(&mut self, epoch: Epoch, by: &str) -> Result<(), IllegalEvent> {
        if let Some(before) = self.epoch.filter(|before| epoch <= *before) {
            return Err(IllegalEvent::EpochNotHigher { epoch, before });
        }
        self.epoch = Some(epoch);
        by.clone_into(&mut self.driver);
        let mut behind = BTreeSet::new();
        for ((step, _), act) in &mut self.acts {
            if let ActState::Failed { problem, at } = act {
                if let Problem::AtGate { .. } = problem {
                    behind.insert(*step);
                }
                *act = if may_be_done(problem) {
                    ActState::InFlight { since: *at }
                } else {
                    ActState::Pending
                };
            }
        }
        self.seen_open.clear();
        self.settled_now.clear();
        // A gate that some nodes did not pass has to be passed by them.
        self.gates.retain(|step, gate| {
            !matches!(gate, GateState::Closed { .. }) && !behind.contains(step)
        });
        Ok(())
    }

    /// A gate may open for some nodes and, in a later process, for the others.
    fn joined(&mut self, step: StepNumber, evidence: &Evidence) -> Evidence {
        let Evidence::Healthy { healthy_at } = evidence else { return evidence.clone() };
        let healthy = self.healthy.entry(step).or_default();
        healthy.extend(healthy_at.iter().cloned());
        let all = healthy.iter().map(|(node, at)| (node.clone(), *at));
        Evidence::Healthy { healthy_at: all.collect() }
    }

    fn only_on_the_way(
        &self,
        event: &Event,
        is_legal: impl Fn(&Direction) -> bool,
    ) -> Result<(), IllegalEvent> {
        if is_legal(&self.direction) {
            return Ok(());
        }
        Err(out_of_place(event))
    }

    fn turn_back(
        &mut self,
        because: &Cause,
        crossing: Crossing,
        since: Timestamp,
    ) -> Result<(), IllegalEvent> {
        if !self.direction.is_there() {
            return Err(IllegalEvent::OutOfPlace { event: "a second turn back".to_owned() });
        }
        self.direction = Direction::Back { because: because.clone(), crossing, since };
        Ok(())
    }

    /// Each way has an end of its own.
    fn finish(&mut self, event: &Event, at: Timestamp) -> Result<(), IllegalEvent> {
        self.only_on_the_way(event, |direction| match direction {
            Direction::There => matches!(event, Event::Finished { .. }),
            Direction::Back { .. } => matches!(event, Event::WentBack { .. }),
            Direction::Rollback { .. } => matches!(event, Event::RolledBack { .. }),
        })?;
        self.finished_at = Some(at);
        Ok(())
    }

    /// Where the run is when it is to be rolled back, and whoever was left out
    /// takes part again.
    fn set_aside(&mut self, without: &BTreeMap<NodeName, String>) -> Before {
        Before {
            finished_at: self.finished_at.take(),
            left_out: std::mem::replace(&mut self.left_out, without.clone()),
        }
    }

    /// Back to where the run was, as long as nothing was changed.
    fn call_off(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        let illegal = || IllegalEvent::OutOfPlace { event: format!("{event:?}") };
        let Direction::Rollback { check, before, .. } = &self.direction else {
            return Err(illegal());
        };
        let (check, Before { finished_at, left_out }) = (*check, before.clone());
        if self.begun.iter().any(|(step, _)| *step > check) {
            return Err(illegal());
        }
        // Whoever orders another one has it looked at anew.
        self.acts.retain(|(step, _), _| *step != check);
        self.finished_at = finished_at;
        self.left_out = left_out;
        self.direction = Direction::There;
        Ok(())
    }

    /// The node's part begins anew: what it was asked is asked again, in other
    /// words, and what it was given is given once more.
    fn retry(
        &mut self,
        node: &NodeName,
        attempt: u32,
        steps: &[StepNumber],
        is_clean: bool,
    ) -> Result<(), IllegalEvent> {
        self.may_have_applied |= !is_clean;
        if attempt != self.attempt(node) + 1 {
            let event = format!("attempt {attempt} of {node}");
            return Err(IllegalEvent::OutOfPlace { event });
        }
        self.attempts.insert(node.clone(), attempt);
        for step in steps {
            self.acts.remove(&(*step, node.clone()));
            self.gates.remove(step);
            self.seen_open.remove(step);
            if let Some(healthy) = self.healthy.get_mut(step) {
                healthy.remove(node);
            }
        }
        Ok(())
    }

    fn act(
        &mut self,
        step: StepNumber,
        node: &NodeName,
        event: ActEvent,
    ) -> Result<(), IllegalEvent> {
        let key = (step, node.clone());
        let before = self.acts.remove(&key).unwrap_or(ActState::Pending);
        // A process may ask again what an earlier one was told.
        let before = match (before, &event) {
            (ActState::Done { .. }, ActEvent::Intended(_)) if !self.settled_now.contains(&key) => {
                ActState::Pending
            }
            (before, _) => before,
        };
        let name = before.name();
        let event_name = event.name();
        match before.after(event) {
            Some(after) => {
                if let ActState::Done { .. } = after {
                    self.settled_now.insert(key.clone());
                }
                self.acts.insert(key, after);
                Ok(())
            }
            None => Err(IllegalEvent::Act { step, node: key.1, state: name, event: event_name }),
        }
    }

    fn gate_since(
        &self,
        step: StepNumber,
        event: &'static str,
        at: Timestamp,
    ) -> Result<Timestamp, IllegalEvent> {
        match self.gates.get(&step) {
            Some(GateState::Passed { .. }) if self.seen_open.contains(&step) => {
                Err(IllegalEvent::Gate { step, event })
            }
            Some(GateState::Waiting { since, .. }) => Ok(*since),
            Some(GateState::Passed { .. } | GateState::Closed { .. }) | None => Ok(at),
        }
    }
}
