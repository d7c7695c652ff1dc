//! Turning back: what fails before the point of no return leads back by
//! itself. Under a fresh epoch, so that nothing is still on its way.

use quaymaster_proto::NodeName;

use super::lease::is_lost;
use super::{Book, Ended, RunError, Runner};
use crate::nodes::{Looks, Orders};
use crate::plan::{Plan, Step, Verb, What};
use crate::run::{ActState, Cause, Crossing, Direction, Event, RunState};

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
        if self.state.direction != Direction::There
            || self.state.begun.is_empty()
            || self.has_started(plan)
        {
            return Ok(Some(held));
        }
        let is_intended = self.state.has_crossed(plan);
        self.take_fresh_epoch().await?;
        if let Some(unclaimed) = self.claim(plan).await? {
            return Ok(Some(unclaimed));
        }
        if is_intended && let Some(proof) = self.proof(plan) {
            // It alone can take the intent back.
            let first = std::slice::from_ref(&plan.first);
            if let Some(unclaimed) = self.claim_patiently(proof.number, first).await? {
                return Ok(Some(unclaimed));
            }
        }
        if self.has_moved(plan).await.is_some() {
            return Ok(Some(held));
        }
        let crossing = if !is_intended {
            Crossing::NotIntended
        } else if self.proves_uncrossed(plan).await? {
            Crossing::NeverStarted
        } else {
            return Ok(Some(held));
        };
        self.turn_back(because, crossing).await?;
        Ok(None)
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
        let Some(step) = self.proof(plan) else { return Ok(false) };
        let is_proven = |state: &RunState| {
            matches!(state.act_state(step.number, &plan.first), ActState::Done { .. })
        };
        // A process that died right behind it.
        if is_proven(&self.state) {
            return Ok(true);
        }
        if !self.held.has(&plan.first) {
            return Ok(false);
        }
        self.order(plan, step, std::slice::from_ref(&plan.first)).await?;
        Ok(is_proven(&self.state))
    }
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
        | Ended::Waiting { .. }
        | Ended::Unclaimed { .. }
        | Ended::LeaseLost { .. } => None,
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
