//! Jobs beside what else is done on their node: which of them go on, and which
//! are cancelled.

use std::sync::PoisonError;

use quaymaster_proto::act::Order;
use quaymaster_proto::job::JobState;
use quaymaster_proto::{Act, ActOutcome, How, Refusal, RunId};

use super::{Job, Jobs, settle};
use crate::engine::Engine;
use crate::ledger::{Event, Work};
use crate::worker::Worker;

impl<E: Engine> Jobs<E> {
    /// Has an act done, and cancels what it leaves behind or came upon.
    pub(crate) async fn perform(
        &self,
        worker: &Worker<E>,
        who: String,
        act: Act,
        order: Order,
    ) -> Result<ActOutcome, Refusal> {
        self.overtaken_by(&act);
        let jobs = self.clone();
        let then = move |act: &Act, met: &Result<_, _>| jobs.disturbed_by(act, met);
        worker.perform(who, act, order, then).await
    }

    /// Cancels backups and restores whose run has come to an act beyond them:
    /// whoever drives it does not wait for them any more. The act itself is
    /// looked at by whoever does it.
    fn overtaken_by(&self, act: &Act) {
        if self.node.still_drives(act).is_err() {
            return;
        }
        self.cancel_all(
            |job| match job.work {
                Work::Pull(_) | Work::Act(_) => false,
                Work::BackUp(_) | Work::CheckBackup(_) => {
                    // Not by an order that comes late, or twice.
                    job.act.run == act.run
                        && (job.act.epoch, job.act.step) < (act.epoch, act.step)
                        && job.act.step != act.step
                }
                // Nor by a process that has to see again that all is down.
                Work::Restore(_) => job.act.run == act.run && job.act.step < act.step,
            },
            "its run went on without it",
        );
    }

    /// Cancels a restore that an act of an earlier step came upon: what that had
    /// to change may have been at the database. It is asked for again, and begun
    /// anew.
    fn disturbed_by(&self, act: &Act, met: &Result<ActOutcome, Refusal>) {
        let is_changed = met.as_ref().is_ok_and(|outcome| outcome.how == How::Changed);
        if !is_changed {
            return;
        }
        self.cancel_all(
            |job| matches!(job.work, Work::Restore(_)) && job.act.run == act.run,
            "this node was not as it has to be during a restore",
        );
        // What was restored before is not known to be there any more.
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|_, job| !(job.has_restored() && job.act.run == act.run));
    }

    /// Cancels every job that runs for another run than the one that drives
    /// from now on; those of its own go on.
    pub(crate) fn leave_to(&self, run: RunId) {
        self.cancel_all(|job| job.act.run != run, "another run drives this node now");
    }

    /// Cancels every job that runs for a run which has given its lease back.
    pub(crate) fn end_with(&self, run: RunId) {
        self.cancel_all(|job| job.act.run == run, "its run gave the lease back");
    }

    fn cancel_all(&self, is_over: impl Fn(&Job) -> bool, why: &str) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, job) in jobs.iter().filter(|(_, job)| is_over(job)) {
            self.cancel_one(id, job, why);
        }
    }

    /// Where it has not ended.
    pub(super) fn cancel_one(&self, id: &str, job: &Job, why: &str) {
        if !settle(&job.report, &JobState::Cancelled) {
            return;
        }
        job.task.abort();
        tracing::info!(job = id, "Cancelled: {why}.");
        let (work, end) = (job.work.clone(), Event::JobEnded(JobState::Cancelled));
        // What is not on record is asked for again, and found.
        if let Err(refusal) = self.node.record(&job.act, &work, end) {
            tracing::warn!(%refusal, "The end of a job is not on record.");
        }
    }
}
