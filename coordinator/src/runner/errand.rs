//! One node, asked one thing until it answers.
//!
//! Every order is convergent, so a node that did not answer is simply asked
//! again. The migrating start is no exception: its agent answers with the
//! container's state when it has already been started.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two tries")]

use std::sync::Arc;
use std::time::Duration;

use quaymaster_proto::act::Order;
use quaymaster_proto::job::{JobOrder, JobReport, JobState};
use quaymaster_proto::{Act, NodeName, Reason};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;

use super::{Answer, Progress};
use crate::nodes::{CallError, NoAnswer, Orders};
use crate::run::{Problem, Settlement, Task};
use crate::telemetry;

/// How long a node may stay silent during an act.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
/// Between the first two tries; doubled up to `LONGEST_PAUSE`.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Between two looks at a pull; long before the dark, so nothing hurries.
const PULL_POLL: Duration = Duration::from_millis(200);
/// Between two looks at a backup or a restore: the registry is down.
const DARK_POLL: Duration = Duration::from_millis(50);

pub(super) struct Errand<N> {
    pub(super) nodes: Arc<N>,
    pub(super) node: NodeName,
    pub(super) act: Act,
    pub(super) task: Task,
    pub(super) progress: UnboundedSender<Progress>,
}

impl<N: Orders> Errand<N> {
    pub(super) async fn run(self) -> Answer {
        let verb = match &self.task {
            Task::Order(order) => order.verb(),
            Task::Job(order) => order.verb(),
        };
        let span = telemetry::act(&self.node, &self.act, verb);
        let answer = self.answer().instrument(span.clone()).await;
        telemetry::answered(&span, &answer);
        (self.node, answer)
    }

    async fn answer(&self) -> Result<Settlement, Problem> {
        match &self.task {
            Task::Order(order) => self.order(order).await,
            Task::Job(order) => self.job(order).await,
        }
    }

    async fn order(&self, order: &Order) -> Result<Settlement, Problem> {
        let patience = SILENCE + busy(order);
        self.until_answered(patience, || {
            self.nodes.order(&self.node, self.act.clone(), order.clone())
        })
        .await
        .map(Settlement::Met)
    }

    async fn job(&self, order: &JobOrder) -> Result<Settlement, Problem> {
        let poll = match order {
            JobOrder::Pull(_) => PULL_POLL,
            JobOrder::BackUp(_) | JobOrder::CheckBackup(_) | JobOrder::Restore(_) => DARK_POLL,
        };
        let mut report = self.begin(order).await?;
        loop {
            let JobReport { id, state, done_bytes, total_bytes, note } = report;
            // Its agent ended it for somebody else; who that is, it says when it
            // is asked again.
            if state == JobState::Cancelled {
                sleep(poll).await;
                report = self.begin(order).await?;
                continue;
            }
            if let Some(end) = ended(order, state) {
                return end;
            }
            self.tell(Progress::Pulling {
                step: self.act.step,
                node: self.node.clone(),
                done_bytes,
                total_bytes,
                note,
            });
            sleep(poll).await;
            let asked = self.until_answered(SILENCE, || self.nodes.job(&self.node, &id)).await;
            report = match asked {
                Ok(report) => report,
                // An agent that was restarted does not know the job any more.
                Err(Problem::Refused { .. }) => self.begin(order).await?,
                Err(
                    other @ (Problem::Unreachable { .. }
                    | Problem::Nonsense { .. }
                    | Problem::AtGate { .. }),
                ) => return Err(other),
            };
        }
    }

    async fn begin(&self, order: &JobOrder) -> Result<JobReport, Problem> {
        self.until_answered(SILENCE, || {
            self.nodes.begin(&self.node, self.act.clone(), order.clone())
        })
        .await
    }

    /// Asks again while nobody decided against it.
    async fn until_answered<T, F>(
        &self,
        patience: Duration,
        ask: impl Fn() -> F,
    ) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let begun = Instant::now();
        let mut pause = SHORTEST_PAUSE;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !may_be_asked_again(&error) || begun.elapsed() + pause > patience {
                return Err(Problem::from(error));
            }
            self.tell(Progress::Retrying {
                step: self.act.step,
                node: self.node.clone(),
                problem: error.reason(),
            });
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn tell(&self, progress: Progress) {
        let _ = self.progress.send(progress);
    }
}

/// An earlier process may have left an order in flight on the node: a stop
/// keeps its agent busy for as long as its grace.
fn busy(order: &Order) -> Duration {
    match order {
        Order::EnsureStopped(stop) => Duration::from_secs(stop.grace_seconds.into()),
        Order::TakeDown(down) => Duration::from_secs(down.grace_seconds.into()),
        Order::StageContainer(_)
        | Order::StageConfig(_)
        | Order::PutConfig(_)
        | Order::StartMigrating(_)
        | Order::EnsureRunning(_)
        | Order::Promote(_)
        | Order::SetFloor(_)
        | Order::LowerFloor(_)
        | Order::RestoreConfig(_)
        | Order::RemoveStagedConfig(_)
        | Order::RemoveStaged(_)
        | Order::Recreate(_) => Duration::ZERO,
    }
}

fn may_be_asked_again(error: &CallError) -> bool {
    match error.why.as_ref() {
        NoAnswer::Unreachable(_) => true,
        NoAnswer::Refused(refusal) => refusal.reason == Reason::Busy,
        NoAnswer::Malformed(_) => false,
    }
}

/// How a job ended; `None` = not yet.
fn ended(order: &JobOrder, state: JobState) -> Option<Result<Settlement, Problem>> {
    let reason = match order {
        JobOrder::Pull(_) => Reason::Image,
        JobOrder::BackUp(_) | JobOrder::CheckBackup(_) | JobOrder::Restore(_) => Reason::Database,
    };
    let failed = |message| Problem::Refused { reason, message, remedy: String::new() };
    Some(match state {
        JobState::Running | JobState::Cancelled => return None,
        JobState::Done { image } => Ok(Settlement::Pulled { image }),
        JobState::BackedUp(backup) => Ok(Settlement::BackedUp { backup: *backup }),
        JobState::Restored { rows } => Ok(Settlement::Restored { rows }),
        JobState::Failed { problem } => Err(failed(problem)),
    })
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let detail = error.reason();
        match *error.why {
            NoAnswer::Refused(refusal) => Self::Refused {
                reason: refusal.reason,
                message: refusal.message,
                remedy: refusal.remedy,
            },
            NoAnswer::Unreachable(_) => Self::Unreachable { detail },
            NoAnswer::Malformed(_) => Self::Nonsense { detail },
        }
    }
}
