//! Jobs: what takes longer than a call should: pulls, backups, restores.
//!
//! A job is known by its run and step: asked again, it is joined; asked again
//! after it failed, it is tried again; and an image that is there already is
//! never pulled.

mod back_up;
mod beside;
pub(crate) mod credentials;
pub(crate) mod failure;
mod layers;
pub(crate) mod logins;
pub(crate) mod patience;
mod pull;
pub(crate) mod verdict;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use quaymaster_proto::backup::{BackUp, CheckBackup, Restore};
use quaymaster_proto::job::{JobReport, JobState, PullImage};
use quaymaster_proto::{Act, How, Reason, Refusal};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tracing::{Instrument as _, Span};

use crate::engine::Engine;
use crate::ledger::{self, Event, Work};
use crate::node::Node;
use crate::telemetry;

/// Jobs that are remembered after their end.
const KEPT: usize = 64;

/// A job that is running or has ended.
#[derive(Debug)]
struct Job {
    /// Whose order it was last.
    act: Act,
    work: Work,
    report: Arc<watch::Sender<JobReport>>,
    task: AbortHandle,
}

impl Job {
    fn has_restored(&self) -> bool {
        matches!(self.report.borrow().state, JobState::Restored { .. })
    }
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
        if let Some(report) = self.running(&id, &work) {
            return Ok(report);
        }
        let span = telemetry::work(&act, work.verb());
        let present = pull::present(&self.node, &order).await?;
        if let Some(image) = present {
            self.node.still_drives(&act)?;
            let report = untouched(&id, JobState::Done { image });
            self.node.record(&act, &work, Event::JobEnded(report.state.clone()))?;
            tell(&who, &act, work.verb(), &report);
            self.remember(&act, work, report.clone());
            telemetry::job_ended(&span, &report.state, How::Already);
            return Ok(report);
        }
        self.start(who, act, work, &span)
    }

    /// Starts a backup of the database, or joins the one that this step started.
    pub(crate) async fn back_up(
        &self,
        who: String,
        act: Act,
        order: BackUp,
    ) -> Result<JobReport, Refusal> {
        self.begin(who, act, Work::BackUp(order)).await
    }

    /// Starts a look at the run's backup, or joins the one that this step
    /// started. It writes nothing, so Quays may live.
    pub(crate) async fn check_backup(
        &self,
        who: String,
        act: Act,
        order: CheckBackup,
    ) -> Result<JobReport, Refusal> {
        let work = Work::CheckBackup(order);
        self.node.admit(&act, &work)?;
        self.node.backup_config()?;
        if let Some(report) = self.running(&job_id(&act), &work) {
            return Ok(report);
        }
        let span = telemetry::work(&act, work.verb());
        self.start(who, act, work, &span)
    }

    /// Starts a restore, or joins the one that this step started.
    pub(crate) async fn restore(
        &self,
        who: String,
        act: Act,
        order: Restore,
    ) -> Result<JobReport, Refusal> {
        self.begin(who, act, Work::Restore(order)).await
    }

    /// What needs agent.yaml's `backup`, and nothing of this node alive that
    /// could write into the database meanwhile.
    async fn begin(&self, who: String, act: Act, work: Work) -> Result<JobReport, Refusal> {
        self.node.admit(&act, &work)?;
        self.node.backup_config()?;
        if let Some(report) = self.running(&job_id(&act), &work) {
            return Ok(report);
        }
        self.node.refuse_living_quays().await?;
        let span = telemetry::work(&act, work.verb());
        self.start(who, act, work, &span)
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
        let work = job.work.clone();
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
        tell(who, &pulling, work.verb(), &report);
        Ok(report)
    }

    fn running(&self, id: &str, work: &Work) -> Option<JobReport> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.get(id)?;
        let report = job.report.borrow().clone();
        (job.work == *work && report.state == JobState::Running).then_some(report)
    }

    /// The lease may have got another holder during the look for the image: from
    /// here on that holder finds the job, and cancels it.
    fn start(&self, who: String, act: Act, work: Work, span: &Span) -> Result<JobReport, Refusal> {
        let id = job_id(&act);
        let first = untouched(&id, JobState::Running);
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Two callers at once: the later one joins.
        if let Some(job) = jobs.get(&id)
            && job.report.borrow().state == JobState::Running
            && job.work == work
        {
            return Ok(job.report.borrow().clone());
        }
        self.node.still_drives(&act)?;
        // It came to its end while nobody drove: what it did is not done twice.
        let is_restored = jobs.get(&id).is_some_and(|job| job.work == work && job.has_restored());
        if let Some(job) = jobs.get(&id) {
            self.cancel_one(&id, job, "something has run since, and it is made anew");
        }
        self.node.record(&act, &work, Event::Intended)?;
        let report = Arc::new(watch::Sender::new(first.clone()));
        let (node, shown) = (Arc::clone(&self.node), Arc::clone(&report));
        let (asked, done) = (act.clone(), work.clone());
        let doing = async move {
            let (state, how) = perform(&node, &act, &done, is_restored, &shown).await;
            telemetry::job_ended(&Span::current(), &state, how);
            // Cancelled at the last moment: that is how it ended, and on record.
            if !settle(&shown, &state) {
                return;
            }
            // What is not on record is asked for again, and found.
            if let Err(refusal) = node.record(&act, &done, Event::JobEnded(state)) {
                tracing::warn!(%refusal, "The end of a job is not on record.");
            }
            tell(&who, &act, done.verb(), &shown.borrow());
        };
        let task = tokio::spawn(doing.instrument(span.clone()));
        jobs.insert(id, Job { act: asked, work, report, task: task.abort_handle() });
        forget_oldest(&mut jobs);
        Ok(first)
    }

    fn remember(&self, act: &Act, work: Work, report: JobReport) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let task = tokio::spawn(std::future::ready(())).abort_handle();
        let report = Arc::new(watch::Sender::new(report));
        jobs.insert(job_id(act), Job { act: act.clone(), work, report, task });
        forget_oldest(&mut jobs);
    }
}

/// Does a job to its end.
async fn perform<E: Engine>(
    node: &Node<E>,
    act: &Act,
    work: &Work,
    is_restored: bool,
    report: &watch::Sender<JobReport>,
) -> (JobState, How) {
    match work {
        Work::Pull(order) => (pull::pull(node, order, report).await, How::Changed),
        Work::BackUp(order) => back_up::back_up(node, act, order, report).await,
        Work::CheckBackup(order) => back_up::check(node, act, order, report).await,
        Work::Restore(order) => back_up::restore(node, act, order, is_restored, report).await,
        Work::Act(order) => {
            let problem = format!("{} is an act, and no job", order.verb());
            (JobState::Failed { problem }, How::Already)
        }
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
        .with_remedy("ask for it again: it is joined, or found done")
}

fn tell(who: &str, act: &Act, verb: &str, report: &JobReport) {
    let Act { cluster: _, run, epoch, step, plan: _ } = act;
    match &report.state {
        JobState::Running => {}
        JobState::Done { image } => {
            tracing::info!(who, %run, %epoch, %step, verb, image = image.short(), "Done.");
        }
        JobState::BackedUp(backup) => {
            let (directory, bytes) = (&backup.directory, backup.bytes);
            tracing::info!(who, %run, %epoch, %step, verb, directory, bytes, "Done.");
        }
        JobState::Restored { rows } => {
            tracing::info!(who, %run, %epoch, %step, verb, rows, "Done.");
        }
        JobState::Failed { problem } => {
            tracing::info!(who, %run, %epoch, %step, verb, problem, "Failed.");
        }
        JobState::Cancelled => tracing::info!(who, %run, %epoch, %step, verb, "Cancelled."),
    }
}

#[cfg(test)]
mod tests;
