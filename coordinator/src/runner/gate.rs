//! Looking at gates, and writing down what was seen.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two looks")]

use std::time::Duration;

use quaymaster_proto::NodeName;
use tokio::time::{Instant, sleep};

use super::{Book, Ended, Patience, Progress, RunError, Runner};
use crate::cluster::NodeAddress;
use crate::gates::{self, Judgement};
use crate::guards::Guard;
use crate::nodes::{Looks, Orders, asking};
use crate::plan::{Gate, Plan, Step, What};
use crate::run::{Event, Evidence, GateState, WaitingOn};
use crate::survey::Survey;
use crate::telemetry;

/// Between two looks at what only a person can change.
const PERSON: Duration = Duration::from_millis(500);
/// Between two surveys while a node does not answer.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether a gate has to be looked at again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// It is open, or closed for good.
    Over,
    /// It is neither.
    Again,
}

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// Looks until the gate is judged. `Some` = the run ends here for now.
    pub(super) async fn look(
        &mut self,
        plan: &Plan,
        step: &Step,
        nodes: &[NodeName],
        patience: Patience,
    ) -> Result<Option<Ended>, RunError> {
        let What::Gate(gate) = step.what else {
            return Err(RunError::NoGate { step: step.number });
        };
        self.looking_since = self.clock.now();
        if let Gate::Approval | Gate::Backfill = gate
            && let Some(overtaken) = self.is_overtaken(plan).await
        {
            return Ok(Some(overtaken));
        }
        match gate {
            Gate::Approval => return self.approval(step, patience).await,
            Gate::Backfill => return self.backfill(plan, step, patience).await,
            Gate::Unchanged => self.unchanged(plan, step).await?,
            Gate::Dark if self.guards.has(Guard::DarkGate) => self.dark(plan, step).await?,
            Gate::Dark => {
                let evidence = Evidence::Dark { sessions: None, ran: Vec::new() };
                self.wave_through(step, evidence).await?;
            }
            Gate::FirstNode if !self.guards.has(Guard::FirstNodeGate) => {
                let (revision, healthy_at) = (plan.database.target.clone(), self.looking_since);
                let evidence = Evidence::FirstNode { revision, mode: None, healthy_at };
                self.wave_through(step, evidence).await?;
            }
            Gate::FirstNode | Gate::Healthy => self.health(plan, step, gate, nodes).await?,
            Gate::Verified => self.verified(plan, step, nodes).await?,
        }
        Ok(None)
    }

    /// Where a guard is removed: open, and nobody has looked.
    async fn wave_through(&mut self, step: &Step, evidence: Evidence) -> Result<(), RunError> {
        self.settle(step, Judgement::Pass(evidence)).await.map(|_| ())
    }

    /// Writes a judgement down, a wait only when it is news.
    pub(super) async fn settle(
        &mut self,
        step: &Step,
        judgement: Judgement,
    ) -> Result<Look, RunError> {
        let (step, at) = (step.number, self.clock.now());
        telemetry::judged(&judgement);
        match judgement {
            Judgement::Pass(evidence) => {
                let since = self.looking_since;
                self.record(vec![Event::Passed { step, evidence, since, at }]).await?;
                Ok(Look::Over)
            }
            Judgement::Fail(failure) => {
                self.record(vec![Event::Closed { step, failure, at }]).await?;
                Ok(Look::Over)
            }
            Judgement::Wait(on) => {
                let before = match self.state.gates.get(&step) {
                    Some(GateState::Waiting { on, since: _ }) => Some(on),
                    Some(GateState::Passed { .. } | GateState::Closed { .. }) | None => None,
                };
                if before.is_none_or(|before| is_news(before, &on)) {
                    telemetry::waits(&on);
                    self.record(vec![Event::Waiting { step, on, at }]).await?;
                } else if before != Some(&on) {
                    self.tell(Progress::Looked { step, on, at });
                }
                Ok(Look::Again)
            }
        }
    }

    async fn approval(
        &mut self,
        step: &Step,
        patience: Patience,
    ) -> Result<Option<Ended>, RunError> {
        loop {
            self.hear().await?;
            if self.settle(step, gates::people::judge(&self.state)).await? == Look::Over {
                return Ok(None);
            }
            if patience != Patience::Stay {
                return Ok(Some(Ended::Waiting { step: step.clone(), on: WaitingOn::Approval }));
            }
            sleep(PERSON).await;
        }
    }

    /// The last look while service is up.
    async fn unchanged(&mut self, plan: &Plan, step: &Step) -> Result<(), RunError> {
        let begun = Instant::now();
        loop {
            let Survey { facts, silent } = self.survey(plan, &step.nodes).await;
            let judgement = if silent.is_empty() {
                self.sampled(plan, gates::unchanged::judge(plan, &facts), facts).await?
            } else {
                let silent = silent.into_iter().map(|(node, silence)| (node, silence.problem));
                gates::unanswered(silent.collect(), begun.elapsed())
            };
            if self.settle(step, judgement).await? == Look::Over {
                return Ok(());
            }
            sleep(AGAIN).await;
        }
    }

    pub(super) async fn survey(&self, plan: &Plan, nodes: &[NodeName]) -> Survey {
        let addresses: Vec<(NodeName, NodeAddress)> = plan
            .nodes
            .iter()
            .filter(|node| nodes.contains(&node.name))
            .filter_map(|node| Some((node.name.clone(), node.address.parse().ok()?)))
            .collect();
        let request = asking::Request {
            cluster: &plan.cluster,
            nodes: &addresses,
            key: &self.key,
            counts: asking::Counts::Leave,
        };
        asking::survey(self.nodes.as_ref(), &request, || self.clock.now()).await
    }
}

/// Whether a wait is worth a record: another kind of reason, or a backfill
/// that has visibly moved.
fn is_news(before: &WaitingOn, after: &WaitingOn) -> bool {
    if let (
        WaitingOn::Backfill { progress: Some(before), .. },
        WaitingOn::Backfill { progress: Some(after), .. },
    ) = (before, after)
    {
        return (after - before).abs() >= 0.01;
    }
    std::mem::discriminant(before) != std::mem::discriminant(after)
}
