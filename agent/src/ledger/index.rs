//! What a ledger's records add up to: how far each run has come, and which
//! containers were asked to migrate. Pure.

use std::collections::{BTreeMap, BTreeSet};

use quaymaster_proto::act::Order;
use quaymaster_proto::node::LedgerHead;
use quaymaster_proto::{
    Act, ContainerId, Epoch, PlanDigest, Reason, Refusal, RestartPolicy, RunId, StepNumber,
};

use super::{Event, Record, Work};

/// How far one run has come on this node.
#[derive(Clone, Debug)]
pub(crate) struct RunEntry {
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
    /// The last refusal of each step, while nothing else became of it.
    refusals: BTreeMap<(RunId, StepNumber), (Work, Refusal)>,
    /// Started on proof that they find nothing to migrate.
    plain: BTreeSet<ContainerId>,
    /// What their owners had given to containers that were stopped.
    policies: BTreeMap<ContainerId, RestartPolicy>,
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
        if let Event::Refused(refusal) = &record.event {
            self.refusals.insert((*run, *step), (record.work.clone(), refusal.clone()));
            return;
        }
        self.refusals.remove(&(*run, *step));
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
            (Work::Act(Order::EnsureRunning(order)), Event::Intended) => {
                self.plain.insert(order.container.clone());
            }
            // A second stop finds `no`, which is not their owner's.
            (Work::Act(Order::EnsureStopped(order)), Event::Intended)
                if order.restart_policy != RestartPolicy::No =>
            {
                self.policies.insert(order.container.clone(), order.restart_policy);
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

    /// Whether `container` was started on proof that it finds nothing to
    /// migrate, and never to migrate.
    pub(crate) fn was_started_plainly(&self, container: &ContainerId) -> bool {
        self.plain.contains(container) && !self.migrating.contains(container)
    }

    /// The restart policy that its owner had given to a container that this
    /// agent stopped.
    pub(crate) fn owner_policy(&self, container: &ContainerId) -> Option<RestartPolicy> {
        self.policies.get(container).copied()
    }

    /// Whether this is the refusal that this step got last.
    pub(super) fn is_known_refusal(&self, act: &Act, work: &Work, event: &Event) -> bool {
        let Event::Refused(refusal) = event else { return false };
        self.refusals
            .get(&(act.run, act.step))
            .is_some_and(|(known, before)| known == work && before == refusal)
    }

    /// Whether this order may still be taken from this process of this run.
    pub(crate) fn admit(&self, act: &Act, work: &Work) -> Result<Admission, Refusal> {
        let Some(entry) = self.admit_process(act)? else {
            return Ok(Admission::New);
        };
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

    /// Whether this process may still drive this run, whatever the step.
    pub(crate) fn admit_process(&self, act: &Act) -> Result<Option<&RunEntry>, Refusal> {
        let Some(entry) = self.runs.get(&act.run) else { return Ok(None) };
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
        Ok(Some(entry))
    }
}
