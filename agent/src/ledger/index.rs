//! What a ledger's records add up to: how far each run has come, and which
//! containers were asked to migrate. Pure.

use std::collections::{BTreeMap, BTreeSet};

use quaymaster_proto::act::Order;
use quaymaster_proto::node::LedgerHead;
use quaymaster_proto::{Act, ContainerId, Epoch, PlanDigest, Reason, Refusal, RunId, StepNumber};

use super::{Event, Record, Work};

/// How far one run has come on this node.
#[derive(Clone, Debug)]
struct RunEntry {
    plan: PlanDigest,
    /// The highest accepted.
    epoch: Epoch,
    /// The highest accepted in that epoch.
    step: StepNumber,
    /// What each step was, whatever its epoch.
    steps: BTreeMap<StepNumber, Work>,
}

/// The sum of a ledger's records.
#[derive(Clone, Default, Debug)]
pub(crate) struct Index {
    runs: BTreeMap<RunId, RunEntry>,
    last: Option<RunId>,
    migrating: BTreeSet<ContainerId>,
}

/// An act that may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// Not asked before.
    New,
    /// Asked before, in the same words: answered by a look.
    Repeated,
}

impl Index {
    /// Takes one more record into the sum.
    pub(super) fn add(&mut self, record: &Record) {
        let Act { cluster: _, run, epoch, step, plan } = &record.act;
        // What was refused was not accepted; where the refusal came after the
        // intent, the intent counts.
        if matches!(record.event, Event::Refused(_)) {
            return;
        }
        let entry = self.runs.entry(*run).or_insert_with(|| RunEntry {
            plan: plan.clone(),
            epoch: *epoch,
            step: *step,
            steps: BTreeMap::new(),
        });
        if *epoch > entry.epoch {
            (entry.epoch, entry.step) = (*epoch, *step);
        } else if *epoch == entry.epoch {
            entry.step = entry.step.max(*step);
        }
        entry.steps.insert(*step, record.work.clone());
        self.last = Some(*run);
        match (&record.work, &record.event) {
            (Work::Act(Order::StartMigrating(order)), Event::Intended) => {
                self.migrating.insert(order.container.clone());
            }
            // Promote asks Quay itself first: it serves, so its migration is over.
            (Work::Act(Order::Promote(order)), Event::Settled(_)) => {
                self.migrating.remove(&order.container);
            }
            (
                Work::Act(
                    Order::StageContainer(_)
                    | Order::StageConfig(_)
                    | Order::EnsureStopped(_)
                    | Order::PutConfig(_)
                    | Order::StartMigrating(_)
                    | Order::EnsureRunning(_)
                    | Order::Promote(_),
                )
                | Work::Pull(_),
                _,
            ) => {}
        }
    }

    /// The run that was last heard of, with the furthest it has come.
    pub(crate) fn head(&self) -> Option<LedgerHead> {
        let run = self.last?;
        let RunEntry { plan, epoch, step, steps: _ } = self.runs.get(&run)?;
        Some(LedgerHead { run, epoch: *epoch, step: *step, plan: plan.clone() })
    }

    /// Whether `container` was asked to migrate and its end is not on record.
    pub(crate) fn may_be_migrating(&self, container: &ContainerId) -> bool {
        self.migrating.contains(container)
    }

    /// Whether this order may still be taken from this process of this run.
    pub(crate) fn admit(&self, act: &Act, work: &Work) -> Result<Admission, Refusal> {
        let Some(entry) = self.runs.get(&act.run) else {
            return Ok(Admission::New);
        };
        if act.plan != entry.plan {
            return Err(Refusal::new(
                Reason::Invalid,
                format!(
                    "run {} was begun with plan {}, not with {}",
                    act.run,
                    entry.plan.short(),
                    act.plan.short()
                ),
            )
            .with_remedy("a run has one plan; start another run for another plan"));
        }
        if act.epoch < entry.epoch {
            return Err(Refusal::new(
                Reason::Superseded,
                format!(
                    "run {} is driven with epoch {} now; epoch {} is over",
                    act.run, entry.epoch, act.epoch
                ),
            )
            .with_remedy("another process has taken this run over; see who before resuming it"));
        }
        if act.epoch == entry.epoch && act.step < entry.step {
            return Err(Refusal::new(
                Reason::Superseded,
                format!(
                    "run {} has come to step {} here; step {} is over",
                    act.run, entry.step, act.step
                ),
            )
            .with_remedy("resume the run, so that it looks at the nodes again"));
        }
        match entry.steps.get(&act.step) {
            None => Ok(Admission::New),
            Some(known) if known == work => Ok(Admission::Repeated),
            Some(known) => Err(Refusal::new(
                Reason::Superseded,
                format!(
                    "step {} of run {} was another order before ({}, now {})",
                    act.step,
                    act.run,
                    known.verb(),
                    work.verb()
                ),
            )
            .with_remedy("a step is one order for good; plan again")),
        }
    }
}
