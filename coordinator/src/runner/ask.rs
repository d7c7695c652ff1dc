//! One step's orders to its nodes: those that this process holds are asked all
//! at once, and each answer is written down as it comes.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use quaymaster_proto::{Act, NodeName};

use super::errand::Errand;
use super::{Book, Ended, RunError, Runner};
use crate::nodes::{Looks, Orders};
use crate::plan::{Plan, Stage, Step, Verb, What};
use crate::run::next::leaves_behind;
use crate::run::{Event, Problem, task};
use crate::telemetry;

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// Asks these nodes, where this process holds them; those of which it does
    /// not know yet come last.
    pub(super) async fn ask(
        &mut self,
        plan: &Plan,
        step: &Step,
        nodes: &[NodeName],
    ) -> Result<Option<Ended>, RunError> {
        let ended = if self.held.is_nothing() {
            self.claim(plan).await?
        } else {
            self.claim_these(nodes).await?
        };
        if ended.is_some() {
            return Ok(ended);
        }
        let (held, late) = self.held_and_not(nodes);
        if !held.is_empty() {
            self.order(plan, step, &held).await?;
        }
        // On the way back the others serve at once; who is silent comes later.
        if late.is_empty() || step.stage >= Stage::Back && leaves_behind(plan, step) {
            return self.leave_out(plan, step, &late).await;
        }
        if let Some(ended) = self.claim_patiently(step.number, &late).await? {
            return Ok(Some(ended));
        }
        let (held, silent) = self.held_and_not(&late);
        if !held.is_empty() {
            self.order(plan, step, &held).await?;
        }
        self.leave_out(plan, step, &silent).await
    }

    fn held_and_not(&self, nodes: &[NodeName]) -> (Vec<NodeName>, Vec<NodeName>) {
        nodes.iter().cloned().partition(|node| self.held.has(node))
    }

    /// Writes down that these nodes were out of reach.
    async fn leave_out(
        &mut self,
        plan: &Plan,
        step: &Step,
        silent: &[NodeName],
    ) -> Result<Option<Ended>, RunError> {
        let failures = silent.iter().map(|node| {
            let problem = Problem::Unreachable { detail: self.held.why_not(node) };
            (node.clone(), problem)
        });
        let failures: Vec<_> = failures.collect();
        if failures.is_empty() {
            return Ok(None);
        }
        // An intent would be the point of no return, and nothing was asked.
        if step.what == What::Act(Verb::StartMigrating) {
            return self.react(plan, Ended::Failed { step: step.clone(), failures }).await;
        }
        let (at, step) = (self.clock.now(), step.number);
        let events = failures.into_iter().flat_map(|(node, problem)| {
            let intended = Event::Intended { step, node: node.clone(), at };
            [intended, Event::Failed { step, node, problem, at }]
        });
        self.record(events.collect()).await?;
        Ok(None)
    }

    /// Asks these nodes, all at once, and writes each answer down as it comes.
    pub(super) async fn order(
        &mut self,
        plan: &Plan,
        step: &Step,
        nodes: &[NodeName],
    ) -> Result<(), RunError> {
        let mut errands = Vec::with_capacity(nodes.len());
        for node in nodes {
            errands.push(Errand {
                nodes: Arc::clone(&self.nodes),
                node: node.clone(),
                act: self.act(plan, step, node),
                task: task(plan, &self.state, step, node)?,
                progress: self.progress.clone(),
            });
        }
        if step.stage >= Stage::Dark {
            // Ready before they are needed: nothing waits for a stream later.
            self.followers.open(plan, &self.state, step.component, &self.nodes);
        }
        let at = self.clock.now();
        let number = step.number;
        let intents =
            nodes.iter().map(|node| Event::Intended { step: number, node: node.clone(), at });
        self.record(intents.collect()).await?;

        let asked: FuturesUnordered<_> = errands.into_iter().map(Errand::run).collect();
        let mut answers = asked.ready_chunks(nodes.len().max(1));
        while let Some(batch) = answers.next().await {
            let at = self.clock.now();
            let events = batch.into_iter().map(|(node, answer)| match answer {
                Ok(settlement) => Event::Settled { step: number, node, settlement, at },
                Err(problem) => {
                    telemetry::step_failed(&node, &problem);
                    Event::Failed { step: number, node, problem, at }
                }
            });
            self.record(events.collect()).await?;
        }
        Ok(())
    }

    fn act(&self, plan: &Plan, step: &Step, node: &NodeName) -> Act {
        Act {
            cluster: plan.cluster.clone(),
            run: self.state.run,
            epoch: self.epoch(),
            step: self.state.wire_step(step.number, node),
            plan: self.plan.digest().clone(),
        }
    }
}
