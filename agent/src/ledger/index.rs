//! What a ledger's records add up to: how far each run has come, and which
//! containers were asked to migrate. Pure.

use std::collections::{BTreeMap, BTreeSet};

use quaymaster_proto::act::{Order, TakeDown};
use quaymaster_proto::lease::{ClaimLease, LedgerEntry, RunLedger};
use quaymaster_proto::node::LedgerHead;
use quaymaster_proto::{
    Act, Component, ContainerId, Epoch, Floor, Generation, Lease, Reason, Refusal, RestartPolicy,
    RunId,
};

use super::lease::LastLease;
use super::run::RunEntry;
use super::{Entry, Event, Record, Step, Work};

/// The sum of a ledger's records.
#[derive(Clone, Default, Debug)]
pub(crate) struct Index {
    runs: BTreeMap<RunId, RunEntry>,
    lease: LastLease,
    /// Of the last act accepted.
    last: Option<RunId>,
    /// Asked to migrate, by which run, and their end is not on record.
    migrating: BTreeMap<ContainerId, RunId>,
    /// Started on proof that they find nothing to migrate.
    plain: BTreeSet<ContainerId>,
    /// Removed, or about to be, on proof that they never started.
    given_up: BTreeMap<ContainerId, RunId>,
    /// Whatever these runs staged of a component.
    given_up_all: BTreeSet<(RunId, Component)>,
    /// What these runs brought of a component and took down: a rollback.
    taken_down: Vec<(RunId, Component, Generation)>,
    /// Seen to have started, whatever was given up before.
    started: BTreeSet<ContainerId>,
    /// What their owners had given to containers that were stopped.
    policies: BTreeMap<ContainerId, RestartPolicy>,
    /// As it was set or lowered last, by whichever run.
    floor: Option<Floor>,
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
        let Record { version: _, at, what } = record;
        match what {
            Entry::Step(step) => {
                let Step { act, work, event } = &**step;
                let run = self.runs.entry(act.run).or_insert_with(|| RunEntry::begun(&act.plan));
                if run.add(*at, act, work, event) {
                    self.last = Some(act.run);
                    self.add_accepted(act, work, event);
                }
                if let Some(container) = seen_started(work, event) {
                    self.started.insert(container.clone());
                }
            }
            Entry::Claimed(lease) => {
                let run = self.runs.entry(lease.run);
                run.or_insert_with(|| RunEntry::begun(&lease.plan)).claimed(lease.epoch);
                self.lease.grant(lease.clone());
            }
            Entry::Released { run, epoch } => self.lease.release(*run, *epoch),
        }
    }

    /// What an accepted order says of its container.
    fn add_accepted(&mut self, act: &Act, work: &Work, event: &Event) {
        match (work, event) {
            (Work::Act(Order::StartMigrating(order)), Event::Intended) => {
                self.migrating.insert(order.container.clone(), act.run);
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
            (Work::Act(Order::RemoveStaged(order)), Event::Intended) => match &order.container {
                Some(container) => {
                    self.given_up.insert(container.clone(), act.run);
                }
                None => {
                    self.given_up_all.insert((act.run, order.component));
                }
            },
            (Work::Act(Order::SetFloor(order)), Event::Settled(_)) => {
                self.floor = Some(order.to.clone());
            }
            (Work::Act(Order::LowerFloor(order)), Event::Settled(_)) => {
                self.floor.clone_from(&order.to);
            }
            (Work::Act(Order::TakeDown(order)), Event::Intended | Event::Settled(_)) => {
                self.take_down(act, order, event);
            }
            // It is gone, and never started.
            (Work::Act(Order::RemoveStaged(order)), Event::Settled(_)) => {
                order.container.iter().for_each(|container| _ = self.migrating.remove(container));
            }
            (
                Work::Act(
                    Order::StageContainer(_)
                    | Order::StageConfig(_)
                    | Order::EnsureStopped(_)
                    | Order::PutConfig(_)
                    | Order::StartMigrating(_)
                    | Order::EnsureRunning(_)
                    | Order::Promote(_)
                    | Order::SetFloor(_)
                    | Order::LowerFloor(_)
                    | Order::RestoreConfig(_)
                    | Order::RemoveStagedConfig(_)
                    | Order::RemoveStaged(_)
                    | Order::Recreate(_)
                    | Order::TakeDown(_),
                )
                | Work::Pull(_)
                | Work::BackUp(_)
                | Work::CheckBackup(_)
                | Work::Restore(_),
                _,
            ) => {}
        }
    }

    fn take_down(&mut self, act: &Act, order: &TakeDown, event: &Event) {
        let what = (act.run, order.component, order.generation.clone());
        if !self.taken_down.contains(&what) {
            self.taken_down.push(what);
        }
        // The end of all that the run brought is seen, whatever it was at.
        if order.component == Component::Quay && matches!(event, Event::Settled(_)) {
            self.migrating.retain(|_, run| *run != act.run);
        }
    }

    /// The last act accepted.
    pub(crate) fn head(&self) -> Option<LedgerHead> {
        self.head_of(self.last?)
    }

    /// The furthest that a run has come here.
    pub(crate) fn head_of(&self, run: RunId) -> Option<LedgerHead> {
        self.runs.get(&run)?.head(run)
    }

    /// The run's step that was heard of last.
    pub(crate) fn last_of(&self, run: RunId) -> Option<LedgerEntry> {
        self.runs.get(&run)?.last(run)
    }

    /// All that is on record of a run; `None` = the run that holds the lease,
    /// or else the last one. Without its plan's bytes.
    pub(crate) fn run(&self, run: Option<RunId>) -> Result<RunLedger, Refusal> {
        let wanted = run.or_else(|| self.lease.last().map(|lease| lease.run)).or(self.last);
        let wanted = wanted.ok_or_else(|| {
            Refusal::new(Reason::Invalid, "this agent's ledger knows of no run").with_remedy(
                "ask another node; if this one had a part in a run, its ledger was lost",
            )
        })?;
        let entry = self.runs.get(&wanted).ok_or_else(|| {
            let known: Vec<String> = self.runs.keys().rev().take(3).map(RunId::to_string).collect();
            let known = if known.is_empty() {
                "it knows of none".to_owned()
            } else {
                format!("the latest that it knows: {}", known.join(", "))
            };
            Refusal::new(
                Reason::Invalid,
                format!("this agent's ledger knows of no run {wanted}; {known}"),
            )
            .with_remedy("see the run's id in the plan or the report, or ask another node")
        })?;
        Ok(entry.ledger(wanted))
    }

    /// Who drives.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        self.lease.current()
    }

    /// The lease, where this very claim was granted before.
    pub(super) fn held(&self, claim: &ClaimLease) -> Option<&Lease> {
        self.lease.current().filter(|lease| {
            lease.is_of(claim.run, claim.epoch)
                && (lease.process, &lease.plan) == (claim.process, &claim.plan)
        })
    }

    /// Compare and set: whether a claim may be granted.
    pub(super) fn admit_claim(&self, claim: &ClaimLease) -> Result<(), Refusal> {
        let run = self.runs.get(&claim.run);
        if let Some(run) = run {
            run.admit_plan(claim.run, &claim.plan)?;
        }
        self.lease.admit_seen(claim.seen.as_ref())?;
        match run.map(RunEntry::epoch) {
            Some(known) if claim.epoch <= known => Err(Refusal::new(
                Reason::Lease,
                format!(
                    "run {} was driven in epoch {known} here; epoch {} is over",
                    claim.run, claim.epoch
                ),
            )
            .with_remedy("read this agent's ledger, and claim a higher epoch")),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether this process of this run had the lease last and gave it back.
    pub(super) fn is_released(&self, run: RunId, epoch: Epoch) -> bool {
        self.lease.is_released(run, epoch)
    }

    /// Refuses everybody but the process that holds the lease.
    pub(super) fn admit_holder(&self, run: RunId, epoch: Epoch) -> Result<(), Refusal> {
        self.lease.admit(run, epoch).map(|_| ())
    }

    /// The run that gave `container` up: it is removed, or about to be, and is
    /// never started.
    pub(crate) fn given_up(&self, container: &ContainerId) -> Option<RunId> {
        self.given_up.get(container).copied()
    }

    /// Whether `run` gave `container` up, and nothing on record says that it
    /// started all the same, before its removal.
    pub(crate) fn gave_up_unstarted(&self, run: RunId, container: &ContainerId) -> bool {
        self.given_up(container) == Some(run) && !self.started.contains(container)
    }

    /// The run itself, where it gave up whatever it staged of a component.
    pub(crate) fn gave_up_all(&self, run: RunId, component: Component) -> Option<RunId> {
        self.given_up_all.contains(&(run, component)).then_some(run)
    }

    /// Whether a rollback took down what `run` brought of this generation.
    pub(crate) fn took_down(
        &self,
        run: RunId,
        component: Component,
        generation: &Generation,
    ) -> bool {
        self.taken_down
            .iter()
            .any(|(of, what, it)| (*of, *what, it) == (run, component, generation))
    }

    /// Whether `container` was asked to migrate and its end is not on record.
    pub(crate) fn may_be_migrating(&self, container: &ContainerId) -> bool {
        self.migrating.contains_key(container)
    }

    /// Whether `container` was started on proof that it finds nothing to
    /// migrate, and never to migrate.
    pub(crate) fn was_started_plainly(&self, container: &ContainerId) -> bool {
        self.plain.contains(container) && !self.migrating.contains_key(container)
    }

    /// The floor that was set last; `None` = none ever was, or it was taken back.
    pub(crate) fn floor(&self) -> Option<&Floor> {
        self.floor.as_ref()
    }

    /// The restart policy that its owner had given to a container that this
    /// agent stopped.
    pub(crate) fn owner_policy(&self, container: &ContainerId) -> Option<RestartPolicy> {
        self.policies.get(container).copied()
    }

    /// Whether this is the refusal that this step got last.
    pub(super) fn is_known_refusal(&self, act: &Act, work: &Work, event: &Event) -> bool {
        self.runs.get(&act.run).is_some_and(|run| run.is_known_refusal(act, work, event))
    }

    /// Whether this order may still be taken from this process of this run.
    pub(crate) fn admit(&self, act: &Act, work: &Work) -> Result<Admission, Refusal> {
        self.admit_process(act)?;
        self.runs.get(&act.run).map_or(Ok(Admission::New), |run| run.admit(act, work))
    }

    /// Whether this process drives this run, whatever the step.
    pub(crate) fn admit_process(&self, act: &Act) -> Result<(), Refusal> {
        self.admit_holder(act.run, act.epoch)?;
        self.runs.get(&act.run).map_or(Ok(()), |run| run.admit_plan(act.run, &act.plan))
    }
}

/// The container that had started by the word of this record.
fn seen_started<'a>(work: &'a Work, event: &Event) -> Option<&'a ContainerId> {
    let Work::Act(order) = work else { return None };
    let already_ran =
        matches!(event, Event::Refused(refusal) if refusal.reason == Reason::AlreadyRan);
    let is_met = matches!(event, Event::Settled(_));
    match order {
        Order::RemoveStaged(order) if already_ran => order.container.as_ref(),
        Order::EnsureRunning(order) if already_ran || is_met => Some(&order.container),
        Order::StartMigrating(order) if is_met => Some(&order.container),
        Order::StageContainer(_)
        | Order::StageConfig(_)
        | Order::EnsureStopped(_)
        | Order::PutConfig(_)
        | Order::StartMigrating(_)
        | Order::EnsureRunning(_)
        | Order::Promote(_)
        | Order::SetFloor(_)
        | Order::LowerFloor(_)
        | Order::RestoreConfig(_)
        | Order::RemoveStagedConfig(_)
        | Order::RemoveStaged(_)
        | Order::Recreate(_)
        | Order::TakeDown(_) => None,
    }
}
