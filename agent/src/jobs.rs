//! Jobs: what takes longer than a call should. So far, pulls.
//!
//! A job is known by its run and step: asked again, it is joined; asked again
//! after it failed, it is tried again; and an image that is there already is
//! never pulled.

pub(crate) mod credentials;
pub(crate) mod failure;
mod layers;
pub(crate) mod logins;
pub(crate) mod patience;
mod pull;
pub(crate) mod verdict;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use quaymaster_proto::job::{JobReport, JobState, PullImage};
use quaymaster_proto::{Act, How, Reason, Refusal, RunId};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::{Instrument as _, Span};

use crate::engine::Engine;
use crate::ledger::{self, Event, Work};
use crate::node::Node;
use crate::telemetry;

/// As logs and ledgers have it.
const VERB: &str = "pull-image";

/// Jobs that are remembered after their end.
const KEPT: usize = 64;

/// A job that is running or has ended.
#[derive(Debug)]
struct Job {
    /// Whose order it was last.
    act: Act,
    order: PullImage,
    report: Arc<watch::Sender<JobReport>>,
    task: AbortHandle,
}

/// All jobs since the agent started.
#[derive(Debug)]
pub(crate) struct Jobs<E> {
    node: Arc<Node<E>>,
    jobs: Arc<Mutex<BTreeMap<String, Job>>>,
}

fn job_id(act: &Act) -> String {
    ledger::job_id(act.run, act.step)
}

impl<E> Clone for Jobs<E> {
    fn clone(&self) -> Self {
        Self { node: Arc::clone(&self.node), jobs: Arc::clone(&self.jobs) }
    }
}

impl<E: Engine> Jobs<E> {
    pub(crate) fn new(node: Arc<Node<E>>) -> Self {
        Self { node, jobs: Arc::default() }
    }

    /// Starts a pull, or joins the one that this step started.
    pub(crate) async fn pull(
        &self,
        who: String,
        act: Act,
        order: PullImage,
    ) -> Result<JobReport, Refusal> {
        let work = Work::Pull(order.clone());
        self.node.admit(&act, &work)?;
        self.node.allow_repository(order.component, &order.repository)?;
        let id = job_id(&act);
        if let Some(report) = self.running(&id, &order) {
            return Ok(report);
        }
        let span = telemetry::work(&act, VERB);
        let present = pull::present(&self.node, &order).await?;
        if let Some(image) = present {
            self.node.still_drives(&act)?;
            let report = untouched(&id, JobState::Done { image });
            self.node.record(&act, &work, Event::JobEnded(report.state.clone()))?;
            self.remember(&act, order, report.clone());
            tell(&who, &act, &report);
            telemetry::job_ended(&span, &report.state, How::Already);
            return Ok(report);
        }
        self.start(who, act, order, &span)
    }

    /// Where a job stands.
    pub(crate) fn report(&self, id: &str) -> Result<JobReport, Refusal> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.get(id).map(|job| job.report.borrow().clone()).ok_or_else(|| unknown(id))
    }

    /// Ends a job that runs; one that has ended stays as it is.
    pub(crate) fn cancel(&self, who: &str, act: &Act, id: &str) -> Result<JobReport, Refusal> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.get_mut(id).ok_or_else(|| unknown(id))?;
        // Whatever step cancels it, and however far the run has come: the run,
        // its plan and its process must be the ones that pull.
        let pulling = Act { step: job.act.step, ..act.clone() };
        let work = Work::Pull(job.order.clone());
        if (&pulling.cluster, pulling.run) != (&job.act.cluster, job.act.run) {
            return Err(Refusal::new(
                Reason::Superseded,
                format!(
                    "job `{id}` is of run {} of `{}`, not of {} of `{}`",
                    job.act.run, job.act.cluster, act.run, act.cluster
                ),
            ));
        }
        self.node.still_drives(&pulling)?;
        let is_cancelled = settle(&job.report, &JobState::Cancelled);
        let report = job.report.borrow().clone();
        if !is_cancelled {
            return Ok(report);
        }
        job.task.abort();
        drop(jobs);
        self.node.record(&pulling, &work, Event::JobEnded(JobState::Cancelled))?;
        tell(who, &pulling, &report);
        Ok(report)
    }

    /// Cancels every pull that runs for another run than the one that drives
    /// from now on; those of its own go on.
    pub(crate) fn leave_to(&self, run: RunId) {
        self.cancel_all(|of| of != run, "another run drives this node now");
    }

    /// Cancels every pull that runs for a run which has given its lease back.
    pub(crate) fn end_with(&self, run: RunId) {
        self.cancel_all(|of| of == run, "its run gave the lease back");
    }

    fn cancel_all(&self, is_over: impl Fn(RunId) -> bool, why: &str) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, job) in jobs.iter().filter(|(_, job)| is_over(job.act.run)) {
            if !settle(&job.report, &JobState::Cancelled) {
                continue;
            }
            job.task.abort();
            tracing::info!(job = id, "Cancelled: {why}.");
            let (work, end) = (Work::Pull(job.order.clone()), Event::JobEnded(JobState::Cancelled));
            // What is not on record is asked for again, and found.
            if let Err(refusal) = self.node.record(&job.act, &work, end) {
                tracing::warn!(%refusal, "The end of a pull is not on record.");
            }
        }
    }

    fn running(&self, id: &str, order: &PullImage) -> Option<JobReport> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.get(id)?;
        let report = job.report.borrow().clone();
        (job.order == *order && report.state == JobState::Running).then_some(report)
    }

    /// The lease may have got another holder during the look for the image: from
    /// here on that holder finds the job, and cancels it.
    fn start(
        &self,
        who: String,
        act: Act,
        order: PullImage,
        span: &Span,
    ) -> Result<JobReport, Refusal> {
        let id = job_id(&act);
        let first = untouched(&id, JobState::Running);
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Two callers at once: the later one joins.
        if let Some(job) = jobs.get(&id)
            && job.report.borrow().state == JobState::Running
        {
            return Ok(job.report.borrow().clone());
        }
        self.node.still_drives(&act)?;
        self.node.record(&act, &Work::Pull(order.clone()), Event::Intended)?;
        let report = Arc::new(watch::Sender::new(first.clone()));
        let (node, shown) = (Arc::clone(&self.node), Arc::clone(&report));
        let (asked, pulled) = (act.clone(), order.clone());
        let work = async move {
            let state = pull::pull(&node, &pulled, &shown).await;
            telemetry::job_ended(&Span::current(), &state, How::Changed);
            // Cancelled at the last moment: that is how it ended, and on record.
            if !settle(&shown, &state) {
                return;
            }
            let work = Work::Pull(pulled);
            // What is not on record is asked for again, and found.
            if let Err(refusal) = node.record(&act, &work, Event::JobEnded(state)) {
                tracing::warn!(%refusal, "The end of a pull is not on record.");
            }
            tell(&who, &act, &shown.borrow());
        };
        let task = tokio::spawn(work.instrument(span.clone()));
        jobs.insert(id, Job { act: asked, order, report, task: task.abort_handle() });
        forget_oldest(&mut jobs);
        Ok(first)
    }

    fn remember(&self, act: &Act, order: PullImage, report: JobReport) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let task = tokio::spawn(std::future::ready(())).abort_handle();
        let report = Arc::new(watch::Sender::new(report));
        jobs.insert(job_id(act), Job { act: act.clone(), order, report, task });
        forget_oldest(&mut jobs);
    }
}

/// Ends a job in this state, unless it has ended already: an end and a
/// cancellation may come at once, and only the first counts.
fn settle(report: &watch::Sender<JobReport>, end: &JobState) -> bool {
    report.send_if_modified(|report| {
        let is_first = report.state == JobState::Running;
        if is_first {
            report.state = end.clone();
        }
        is_first
    })
}

/// Ids sort by their run's start.
fn forget_oldest(jobs: &mut BTreeMap<String, Job>) {
    while jobs.len() > KEPT {
        let over = |job: &Job| job.report.borrow().state != JobState::Running;
        let Some(id) = jobs.iter().find(|(_, job)| over(job)).map(|(id, _)| id.clone()) else {
            return;
        };
        jobs.remove(&id);
    }
}

/// Of a job that has moved no byte.
fn untouched(id: &str, state: JobState) -> JobReport {
    JobReport { id: id.to_owned(), state, done_bytes: 0, total_bytes: 0, note: String::new() }
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(Reason::Invalid, format!("no job `{id}` since this agent started"))
        .with_remedy("ask for the pull again: it is joined, or found done")
}

fn tell(who: &str, act: &Act, report: &JobReport) {
    let Act { cluster: _, run, epoch, step, plan: _ } = act;
    let verb = VERB;
    match &report.state {
        JobState::Running => {}
        JobState::Done { image } => {
            tracing::info!(who, %run, %epoch, %step, verb, image = image.short(), "Done.");
        }
        JobState::Failed { problem } => {
            tracing::info!(who, %run, %epoch, %step, verb, problem, "Failed.");
        }
        JobState::Cancelled => tracing::info!(who, %run, %epoch, %step, verb, "Cancelled."),
    }
}

#[cfg(test)]
mod tests;
