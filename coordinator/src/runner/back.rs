//! Turning back: what fails before the point of no return leads back by
//! itself. Under a fresh epoch, so that nothing is still on its way.

use quaymaster_proto::NodeName;

use super::lease::is_lost;
use super::{Book, Ended, RunError, Runner};
use crate::nodes::{Looks, Orders};
use crate::plan::{Gate, Plan, Step, Verb, What};
use crate::run::{ActState, Cause, Crossing, Direction, Event, GateFailure, Problem};

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// What a failure leads to: `None` = the run goes on, backwards.
    pub(super) async fn react(
        &mut self,
        plan: &Plan,
        held: Ended,
    ) -> Result<Option<Ended>, RunError> {
        let Some(because) = cause(&held) else { return Ok(Some(held)) };
        if let Some(node) = lost(&because) {
            return Ok(Some(Ended::LeaseLost { node }));
        }
        if self.state.is_rollback() {
            return self.react_to_rollback(held).await.map(Some);
        }
        if self.state.direction != Direction::There
            || self.state.begun.is_empty()
            || self.has_started(plan)
            || is_at_the_end(&held)
        {
            return Ok(Some(held));
        }
        let is_intended = self.state.has_crossed(plan);
        self.take_fresh_epoch().await?;
        if let Some(unclaimed) = self.claim(plan).await? {
            return Ok(Some(unclaimed));
        }
        let is_known = !is_intended && self.held.has_compared(&plan.first);
        if let Some(proof) = self.proof(plan).filter(|_| !is_known) {
            // It alone knows whether it was ever asked to migrate.
            let first = std::slice::from_ref(&plan.first);
            if let Some(unclaimed) = self.claim_patiently(proof.number, first).await? {
                return Ok(Some(unclaimed));
            }
        }
        if let Some(words) = self.has_moved(plan).await {
            return self.stay(moved(held, words)).await;
        }
        let crossing = if !is_intended && self.held.has_compared(&plan.first) {
            Crossing::NotIntended
        } else if is_intended && self.proves_uncrossed(plan).await? {
            Crossing::NeverStarted
        } else {
            return self.stay(held).await;
        };
        self.turn_back(because, crossing).await?;
        Ok(None)
    }

    /// Nothing leads back: what held the run holds it in this epoch too.
    async fn stay(&mut self, held: Ended) -> Result<Option<Ended>, RunError> {
        let at = self.clock.now();
        let events = match &held {
            Ended::Failed { step, failures } => {
                let step = step.number;
                let again = failures.iter().flat_map(|(node, problem)| {
                    let (intended, failed) = (node.clone(), node.clone());
                    let problem = problem.clone();
                    [
                        Event::Intended { step, node: intended, at },
                        Event::Failed { step, node: failed, problem, at },
                    ]
                });
                again.collect()
            }
            Ended::Closed { step, failure } => {
                vec![Event::Closed { step: step.number, failure: failure.clone(), at }]
            }
            Ended::Done
            | Ended::Back { .. }
            | Ended::RolledBack
            | Ended::Unclaimed { .. }
            | Ended::LeaseLost { .. }
            | Ended::Waiting { .. } => Vec::new(),
        };
        self.record(events).await?;
        Ok(Some(held))
    }

    /// From here on the run goes back.
    pub async fn turn_back(&mut self, because: Cause, crossing: Crossing) -> Result<(), RunError> {
        let at = self.clock.now();
        self.record(vec![Event::TurnedBack { because, crossing, at }]).await
    }

    /// Where the database is, if that is not where the window found it: whoever
    /// migrated it, what the window found cannot serve on it. One that nobody
    /// can read proves nothing; each start on the way back reads it again.
    pub(super) async fn has_moved(&self, plan: &Plan) -> Option<String> {
        let stop = plan.first_step(What::Act(Verb::Stop))?.number;
        if !self.state.begun.iter().any(|(step, _)| *step >= stop) {
            return None;
        }
        let look = self.fresh_look(plan).await?;
        let found = &plan.database;
        (look.identity != found.identity || look.revision != found.revision).then(|| {
            format!(
                "the database {} is at {} and was at {}: somebody else has migrated it",
                look.shown_as, look.revision, found.revision
            )
        })
    }

    /// Whether the migrating start is known to have been made.
    fn has_started(&self, plan: &Plan) -> bool {
        let Some(step) = plan.point_of_no_return() else { return false };
        matches!(self.state.act_state(step, &plan.first), ActState::Done { .. })
    }

    /// The step of the way back that removes what may have started.
    fn proof<'a>(&self, plan: &'a Plan) -> Option<&'a Step> {
        plan.back.first().filter(|step| step.nodes.contains(&plan.first))
    }

    /// The intent of the migrating start is taken back by this alone: under a
    /// fresh epoch the first node's agent has removed the staged container, and
    /// its engine says that it never started.
    pub async fn proves_uncrossed(&mut self, plan: &Plan) -> Result<bool, RunError> {
        // A container that is gone says nothing of the one before it.
        if self.state.attempt(&plan.first) > 1 {
            return Ok(false);
        }
        // A process that died right behind it.
        if self.is_proven_uncrossed(plan) {
            return Ok(true);
        }
        let Some(step) = self.proof(plan).filter(|_| self.held.has(&plan.first)) else {
            return Ok(false);
        };
        self.order(plan, step, std::slice::from_ref(&plan.first)).await?;
        Ok(self.is_proven_uncrossed(plan))
    }

    pub(super) fn is_proven_uncrossed(&self, plan: &Plan) -> bool {
        let is_first = self.state.attempt(&plan.first) == 1;
        let removed = |step: &Step| {
            matches!(self.state.act_state(step.number, &plan.first), ActState::Done { .. })
        };
        is_first && self.proof(plan).is_some_and(removed)
    }
}

/// What a client finds at the end leads nowhere: the whole cluster serves.
fn is_at_the_end(held: &Ended) -> bool {
    matches!(held, Ended::Closed { step, failure: _ } if step.what == What::Gate(Gate::Verified))
}

/// Why a run that ended so would go back.
fn cause(held: &Ended) -> Option<Cause> {
    match held {
        Ended::Failed { step, failures } => {
            Some(Cause::Failed { step: step.number, failures: failures.clone() })
        }
        Ended::Closed { step, failure } => {
            Some(Cause::Closed { step: step.number, failure: failure.clone() })
        }
        Ended::Done
        | Ended::Back { .. }
        | Ended::RolledBack
        | Ended::Waiting { .. }
        | Ended::Unclaimed { .. }
        | Ended::LeaseLost { .. } => None,
    }
}

/// The same hold where the database is not any more what the window found.
fn moved(held: Ended, words: String) -> Ended {
    let failure = GateFailure::Database { problem: words };
    match held {
        Ended::Closed { step, failure: _ } => Ended::Closed { step, failure },
        Ended::Failed { step, failures } => {
            let nodes = failures.into_iter().map(|(node, _)| node);
            let problem = Problem::AtGate { failure: Box::new(failure) };
            Ended::Failed { step, failures: nodes.map(|node| (node, problem.clone())).collect() }
        }
        other @ (Ended::Done
        | Ended::Back { .. }
        | Ended::RolledBack
        | Ended::Unclaimed { .. }
        | Ended::LeaseLost { .. }
        | Ended::Waiting { .. }) => other,
    }
}

/// The node that says that another process drives it now.
fn lost(because: &Cause) -> Option<NodeName> {
    match because {
        Cause::Failed { step: _, failures } => {
            let found = failures.iter().find(|(_, problem)| is_lost(problem));
            found.map(|(node, _)| node.clone())
        }
        Cause::Closed { .. } | Cause::Person { .. } => None,
    }
}
