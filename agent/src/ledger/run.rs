//! What is on record of one run: how far it has come, and what became of each
//! of its steps. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use quaymaster_proto::job::JobReport;
use quaymaster_proto::lease::{LedgerEnd, LedgerEntry, RunLedger};
use quaymaster_proto::node::LedgerHead;
use quaymaster_proto::{Act, Epoch, PlanDigest, Reason, Refusal, RunId, StepNumber};

use super::{Admission, Event, Work};

/// How far one run has come on this node.
#[derive(Clone, Debug)]
pub(super) struct RunEntry {
    plan: PlanDigest,
    /// The highest claimed or accepted.
    epoch: Epoch,
    /// The highest epoch in which an order was accepted, and its highest step.
    head: Option<(Epoch, StepNumber)>,
    /// What was heard of last.
    last: Option<StepNumber>,
    steps: BTreeMap<StepNumber, StepEntry>,
}

/// One step, whatever its epochs.
#[derive(Clone, Debug)]
struct StepEntry {
    /// What it is for good: `None` = it was never accepted.
    accepted: Option<Work>,
    /// The latest record.
    at: Timestamp,
    epoch: Epoch,
    work: Work,
    event: Event,
}

impl RunEntry {
    pub(super) fn begun(plan: &PlanDigest) -> Self {
        Self {
            plan: plan.clone(),
            epoch: Epoch::FIRST,
            head: None,
            last: None,
            steps: BTreeMap::new(),
        }
    }

    pub(super) fn claimed(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes one more record in; whether it says that its order was accepted.
    /// What was refused was not; where the refusal came after the intent, the
    /// intent counts.
    pub(super) fn add(&mut self, at: Timestamp, act: &Act, work: &Work, event: &Event) -> bool {
        let is_accepted = match event {
            Event::Refused(_) => false,
            Event::Intended | Event::Settled(_) | Event::JobEnded(_) => true,
        };
        let before = self.steps.remove(&act.step).and_then(|step| step.accepted);
        let accepted = if is_accepted { Some(work.clone()) } else { before };
        let (work, event) = (work.clone(), event.clone());
        self.steps.insert(act.step, StepEntry { accepted, at, epoch: act.epoch, work, event });
        self.last = Some(act.step);
        if is_accepted {
            self.claimed(act.epoch);
            self.head = self.head.max(Some((act.epoch, act.step)));
        }
        is_accepted
    }

    pub(super) fn head(&self, run: RunId) -> Option<LedgerHead> {
        let (epoch, step) = self.head?;
        Some(LedgerHead { run, epoch, step, plan: self.plan.clone() })
    }

    pub(super) fn last(&self, run: RunId) -> Option<LedgerEntry> {
        let step = self.last?;
        Some(self.steps.get(&step)?.told(run, step))
    }

    pub(super) fn ledger(&self, run: RunId) -> RunLedger {
        RunLedger {
            run,
            plan: self.plan.clone(),
            plan_bytes: Vec::new(),
            epoch: self.epoch,
            entries: self.steps.iter().map(|(number, step)| step.told(run, *number)).collect(),
        }
    }

    /// Whether this is the refusal that this step got last.
    pub(super) fn is_known_refusal(&self, act: &Act, work: &Work, event: &Event) -> bool {
        let is_refusal = matches!(event, Event::Refused(_));
        is_refusal
            && self.steps.get(&act.step).is_some_and(|step| {
                (&step.work, &step.event, step.epoch) == (work, event, act.epoch)
            })
    }

    /// A run has one plan.
    pub(super) fn admit_plan(&self, run: RunId, plan: &PlanDigest) -> Result<(), Refusal> {
        if *plan == self.plan {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::Invalid,
            format!(
                "run {run} was begun with plan {}, not with {}",
                self.plan.short(),
                plan.short()
            ),
        )
        .with_remedy("a run has one plan; start another run for another plan"))
    }

    /// Whether this step may still be done, by the process that drives.
    pub(super) fn admit(&self, act: &Act, work: &Work) -> Result<Admission, Refusal> {
        if let Some((epoch, step)) = self.head
            && act.epoch == epoch
            && act.step < step
        {
            return Err(Refusal::new(
                Reason::Superseded,
                format!("run {} has come to step {step} here; step {} is over", act.run, act.step),
            )
            .with_remedy("resume the run, so that it looks at the nodes again"));
        }
        match self.steps.get(&act.step).and_then(|step| step.accepted.as_ref()) {
            None => Ok(Admission::New),
            Some(known) if work.repeats(known) => Ok(Admission::Repeated),
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

impl StepEntry {
    fn told(&self, run: RunId, step: StepNumber) -> LedgerEntry {
        let end = match &self.event {
            Event::Intended => None,
            Event::Settled(outcome) => Some(LedgerEnd::Met(outcome.clone())),
            Event::Refused(refusal) => Some(LedgerEnd::Refused(refusal.clone())),
            Event::JobEnded(state) => Some(LedgerEnd::Job(JobReport {
                id: super::job_id(run, step),
                state: state.clone(),
                done_bytes: 0,
                total_bytes: 0,
                note: String::new(),
            })),
        };
        LedgerEntry { step, epoch: self.epoch, at: self.at, end }
    }
}
