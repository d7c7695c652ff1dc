//! The one loop where plan, journal and nodes meet: decide what comes next,
//! write down the intent, ask the nodes all at once, write down each answer,
//! fold it, decide again. A gate is looked at until it is judged.

use std::sync::Arc;

use jiff::Timestamp;
use quaymaster_proto::{NodeName, RunId, StepNumber};
use tokio::sync::mpsc::UnboundedSender;
use tracing::Instrument as _;

use crate::guards::Guards;
use crate::journal::store::{Journal, JournalError};
use crate::nodes::{Looks, Orders, SurveyKey};
use crate::plan::{self, CheckedPlan, Plan, Step};
use crate::run::order::NoTask;
use crate::run::{
    Cause, Direction, Event, GateFailure, IllegalEvent, Next, Problem, RunState, Settlement,
    WaitingOn, next,
};
use crate::telemetry;
use crate::verifier::Verifies;

mod ask;
mod back;
mod backfill;
mod clock;
mod dark;
mod errand;
mod followers;
mod gate;
mod heal;
mod health;
mod lease;
mod person;
mod progress;
mod rollback;
mod tags;
mod verification;

pub use clock::Clock;
pub use heal::{Heal, Healed, NotHealed, heal};
pub use lease::{Claimant, Unclaimed};
pub use person::Declined;
pub use progress::Progress;
pub use rollback::{RollbackWish, spoiled};

use followers::Followers;
use lease::Held;

/// Where a run is written down. `Journal` is the real one.
pub trait Book: Send {
    /// Writes down, for good, before it returns.
    fn append(
        &mut self,
        run: RunId,
        events: &[Event],
    ) -> impl Future<Output = Result<(), JournalError>> + Send;

    /// What people said elsewhere; written down when it returns.
    fn collect(
        &mut self,
        run: RunId,
    ) -> impl Future<Output = Result<Vec<Event>, JournalError>> + Send;
}

impl Book for Journal {
    async fn append(&mut self, run: RunId, events: &[Event]) -> Result<(), JournalError> {
        Self::append(self, run, events).await
    }

    async fn collect(&mut self, run: RunId) -> Result<Vec<Event>, JournalError> {
        Self::collect(self, run).await
    }
}

/// Drives one run of one plan.
#[derive(Debug)]
pub struct Runner<N, B> {
    nodes: Arc<N>,
    plan: Arc<CheckedPlan>,
    state: RunState,
    book: B,
    clock: Clock,
    key: SurveyKey,
    progress: UnboundedSender<Progress>,
    /// The plan's file, for whoever has to go on without this machine.
    plan_bytes: Vec<u8>,
    guards: Guards,
    verifier: Arc<dyn Verifies>,
    held: Held,
    followers: Followers,
    /// When the present gate was first looked at by this process.
    looking_since: Timestamp,
}

/// What a runner is made of.
#[derive(Debug)]
pub struct Parts<N, B> {
    /// Whom to ask.
    pub nodes: Arc<N>,
    /// What to do.
    pub plan: Arc<CheckedPlan>,
    /// What has happened.
    pub state: RunState,
    /// Where it is written down.
    pub book: B,
    /// What time it is.
    pub clock: Clock,
    /// For the looks that compare settings.
    pub key: SurveyKey,
    /// Who wants to know.
    pub progress: UnboundedSender<Progress>,
    /// In whose name leases are claimed.
    pub claimant: Claimant,
    /// The registry, as its clients see it.
    pub verifier: Arc<dyn Verifies>,
}

/// Whether to stay while only a person or the backfill is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// End, and be resumed later.
    Leave,
    /// Stay for the backfill; end where a person can be asked on the spot.
    StayUntilAsked,
    /// Stay.
    Stay,
}

/// Why the loop ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Ended {
    /// Every step is done.
    Done,
    /// The cluster is as the window found it.
    Back {
        /// Why.
        because: Cause,
    },
    /// The cluster is as the window found it, on the database of its backup.
    RolledBack,
    /// Leases were not to be had; what was claimed is given back.
    Unclaimed {
        /// Each node, with why.
        nodes: Vec<(NodeName, Unclaimed)>,
    },
    /// Another process drives this run, or this cluster, now.
    LeaseLost {
        /// The node that said so.
        node: NodeName,
    },
    /// Only this is left, and it may take long.
    Waiting {
        /// At which gate.
        step: Step,
        /// For what.
        on: WaitingOn,
    },
    /// Nodes did not do what they were asked.
    Failed {
        /// In which step.
        step: Step,
        /// Each.
        failures: Vec<(NodeName, Problem)>,
    },
    /// A gate will not open by itself.
    Closed {
        /// Which.
        step: Step,
        /// Why.
        failure: GateFailure,
    },
}

/// Why the loop cannot go on: not the cluster's fault.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What happened cannot be written down.
    #[error("cannot write down what happens")]
    Journal(#[from] JournalError),
    /// What happened does not fit what happened before.
    #[error("the run's events do not follow one another")]
    Illegal(#[from] IllegalEvent),
    /// A step that is no gate was looked at: never, with a checked plan.
    #[error("step {step} is no gate")]
    NoGate {
        /// The step.
        step: StepNumber,
    },
    /// The file does not hold the plan that the run was begun with.
    #[error("the run is of plan {wanted}, not of plan {found}; restore that plan's file")]
    OtherPlan {
        /// The run's.
        wanted: String,
        /// The one at hand.
        found: String,
    },
    /// No order can be worded.
    #[error("the plan and what happened so far do not fit")]
    NoTask(#[from] NoTask),
}

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// Takes a run in hand; `drive` begins.
    pub fn new(parts: Parts<N, B>) -> Self {
        let Parts { nodes, plan, state, book, clock, key, progress, claimant, verifier } = parts;
        let (followers, looking_since) = (Followers::new(), clock.now());
        let plan_bytes = plan::file::write(&plan).into_bytes();
        let held = Held::new(claimant);
        Self {
            nodes,
            plan,
            state,
            book,
            clock,
            key,
            progress,
            plan_bytes,
            guards: Guards::all(),
            verifier,
            held,
            followers,
            looking_since,
        }
    }

    /// Takes a guard away.
    #[cfg(feature = "simulation")]
    pub fn do_without(&mut self, guard: Option<crate::guards::Guard>) {
        self.guards = Guards::without(guard);
    }

    /// Where the run stands.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Writes down what happened outside the loop: that a process drives, that
    /// a person agreed.
    pub async fn note(&mut self, event: Event) -> Result<(), RunError> {
        self.record(vec![event]).await
    }

    /// Goes on until the end, a hold, or a wait that may take long.
    pub async fn drive(&mut self, patience: Patience) -> Result<Ended, RunError> {
        let checked = Arc::clone(&self.plan);
        let plan = checked.plan();
        if *checked.digest() != self.state.plan {
            return Err(RunError::OtherPlan {
                wanted: self.state.plan.short().to_owned(),
                found: checked.digest().short().to_owned(),
            });
        }
        loop {
            match next(plan, &self.state) {
                Next::Ask { step, nodes } => {
                    let ask = self.ask(plan, step, &nodes);
                    if let Some(ended) = ask.instrument(telemetry::step(step)).await? {
                        return Ok(ended);
                    }
                }
                Next::Look { step, nodes } => {
                    let look = self.look(plan, step, &nodes, patience);
                    if let Some(ended) = look.instrument(telemetry::step(step)).await? {
                        return Ok(ended);
                    }
                }
                Next::Failed { step, failures } => {
                    let held = Ended::Failed { step: step.clone(), failures };
                    if let Some(ended) = self.react(plan, held).await? {
                        return Ok(ended);
                    }
                }
                Next::Closed { step, failure } => {
                    let held = Ended::Closed { step: step.clone(), failure };
                    if let Some(ended) = self.react(plan, held).await? {
                        return Ok(ended);
                    }
                }
                Next::Done => return self.end(plan).await,
            }
        }
    }

    /// Nobody is held any longer than needed: between windows there is no lease.
    async fn end(&mut self, plan: &Plan) -> Result<Ended, RunError> {
        if !self.state.begun.is_empty() {
            // What an earlier process left behind; what another run has since
            // is not ours to give back.
            self.claim(plan).await?;
        }
        self.give_back().await;
        let at = self.clock.now();
        let (last, ended) = match &self.state.direction {
            Direction::There => (Event::Finished { at }, Ended::Done),
            Direction::Back { because, .. } => {
                (Event::WentBack { at }, Ended::Back { because: because.clone() })
            }
            Direction::Rollback { .. } => (Event::RolledBack { at }, Ended::RolledBack),
        };
        if self.state.finished_at.is_none() {
            self.record(vec![last]).await?;
        }
        Ok(ended)
    }

    /// Folds, writes down, tells: an event that does not fit is never written.
    async fn record(&mut self, events: Vec<Event>) -> Result<(), RunError> {
        let mut after = self.state.clone();
        for event in &events {
            after.apply(event)?;
        }
        self.book.append(self.state.run, &events).await?;
        self.state = after;
        for event in events {
            self.tell(Progress::Happened(event));
        }
        Ok(())
    }

    /// Takes in what people said elsewhere.
    async fn hear(&mut self) -> Result<(), RunError> {
        for word in self.book.collect(self.state.run).await? {
            self.state.apply(&word)?;
            self.tell(Progress::Happened(word));
        }
        Ok(())
    }

    /// Nobody may want to know: that stops nothing.
    fn tell(&self, progress: Progress) {
        let _ = self.progress.send(progress);
    }
}

/// Who answered, and what.
type Answer = (NodeName, Result<Settlement, Problem>);

#[cfg(test)]
mod tests;
