//! What a fake agent keeps: its lease, and what it was asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::lease::{
    ClaimLease, Claimed, LedgerEnd, LedgerEntry, ReleaseLease, RunLedger,
};
use quaymaster_proto::node::LedgerHead;
use quaymaster_proto::{Act, Epoch, Floor, Lease, PlanDigest, Reason, Refusal, RunId, StepNumber};

#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) lease: Option<Lease>,
    pub(super) floor: Option<Floor>,
    epochs: BTreeMap<RunId, Epoch>,
    plans: BTreeMap<RunId, (PlanDigest, Vec<u8>)>,
    entries: BTreeMap<(RunId, StepNumber), LedgerEntry>,
    last: Option<(RunId, Epoch, StepNumber)>,
}

fn refused(message: &str) -> Refusal {
    Refusal::new(Reason::Lease, message).with_remedy("see who drives")
}

impl Kept {
    pub(super) fn claim(&mut self, claim: ClaimLease, at: Timestamp) -> Result<Claimed, Refusal> {
        let ClaimLease { cluster: _, run, epoch, holder, process, plan, plan_bytes, seen } = claim;
        let key = |lease: &Lease| (lease.run, lease.epoch, lease.process);
        // The very claim that was granted: its answer was lost.
        let is_held = self.lease.as_ref().map(key) == Some((run, epoch, process));
        if !is_held && self.lease.as_ref().map(key) != seen.as_ref().map(key) {
            return Err(refused("the lease is another's"));
        }
        if !is_held && self.epochs.get(&run).is_some_and(|known| *known >= epoch) {
            return Err(refused("the epoch is not fresh"));
        }
        let lease = Lease { run, epoch, holder, since: at, process, plan: plan.clone() };
        self.epochs.insert(run, epoch);
        self.plans.insert(run, (plan, plan_bytes));
        self.lease = Some(lease.clone());
        let last = self.entries.range((run, StepNumber::FIRST)..).last();
        Ok(Claimed {
            lease,
            ledger: self.head().filter(|head| head.run == run),
            last: last.filter(|((of, _), _)| *of == run).map(|(_, entry)| entry.clone()),
        })
    }

    pub(super) fn release(&mut self, release: &ReleaseLease) -> Result<(), Refusal> {
        match &self.lease {
            Some(lease) if lease.is_of(release.run, release.epoch) => self.lease = None,
            Some(_) => return Err(refused("the lease is another's")),
            None => {}
        }
        Ok(())
    }

    pub(super) fn admit(&mut self, act: &Act) -> Result<(), Refusal> {
        match &self.lease {
            Some(lease) if lease.is_of(act.run, act.epoch) => Ok(()),
            Some(_) => Err(refused("another process drives this node")),
            None => Err(refused("nobody drives this node")),
        }
    }

    pub(super) fn settle(&mut self, act: &Act, end: Option<LedgerEnd>, at: Timestamp) {
        let Act { cluster: _, run, epoch, step, plan: _ } = act;
        self.entries.insert((*run, *step), LedgerEntry { step: *step, epoch: *epoch, at, end });
        let furthest = match self.last {
            Some((known, at, furthest)) if (known, at) == (*run, *epoch) => furthest.max(*step),
            Some(_) | None => *step,
        };
        self.last = Some((*run, *epoch, furthest));
    }

    /// A run that came here and has ended.
    pub(super) fn drive_by(&mut self, run: RunId) {
        let plan = self.plans.values().next_back().map(|(plan, _)| plan.clone()).unwrap();
        self.plans.insert(run, (plan, Vec::new()));
        self.last = Some((run, Epoch::FIRST, StepNumber::FIRST));
    }

    pub(super) fn head(&self) -> Option<LedgerHead> {
        let (run, epoch, step) = self.last?;
        Some(LedgerHead { run, epoch, step, plan: self.plans.get(&run)?.0.clone() })
    }

    pub(super) fn read(&self, run: Option<RunId>) -> Result<RunLedger, Refusal> {
        let led = self.lease.as_ref().map(|lease| lease.run);
        let run = run.or(led).or_else(|| self.last.map(|(run, _, _)| run));
        let run = run.ok_or_else(|| Refusal::new(Reason::Invalid, "no run"))?;
        let (plan, plan_bytes) = self
            .plans
            .get(&run)
            .cloned()
            .ok_or_else(|| Refusal::new(Reason::Invalid, "this run never came here"))?;
        let entries = self.entries.iter().filter(|((of, _), _)| *of == run);
        Ok(RunLedger {
            run,
            plan,
            plan_bytes,
            epoch: self.epochs.get(&run).copied().unwrap_or(Epoch::FIRST),
            entries: entries.map(|(_, entry)| entry.clone()).collect(),
        })
    }
}
