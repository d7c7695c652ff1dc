//! The registry, asked as its client: what it holds right before the first stop,
//! and whether it does what it has to at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use quaymaster_proto::NodeName;
use tokio::sync::mpsc::unbounded_channel;

use super::{Book, RunError, Runner};
use crate::gates::{Judgement, verified};
use crate::nodes::{Looks, Orders};
use crate::plan::{Gate, Plan, Step};
use crate::preflight::Code;
use crate::run::state::Approval;
use crate::run::{Event, GateFailure, WaitingOn, Word};
use crate::survey::ClusterFacts;
use crate::verifier::Asked;
use crate::verify::{Account, Check, Sampling, WhyNot};

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// What is as the plan saw it is sampled before it is stopped: in the last
    /// moment in which the registry serves, so that what users pushed or deleted
    /// since the plan is in the sample, and the end tells none of it as a gain or
    /// a loss. A registry that could be read when the plan was made and cannot be
    /// now is a change of what the plan saw.
    pub(super) async fn sampled(
        &mut self,
        plan: &Plan,
        judgement: Judgement,
        facts: ClusterFacts,
    ) -> Result<Judgement, RunError> {
        let Judgement::Pass(evidence) = judgement else { return Ok(judgement) };
        let waivers = &plan.waivers;
        let is_waived = waivers.iter().any(|waiver| waiver.code == Code::VerificationNotReady);
        let sampling = match self.verifier.sample(facts, self.clock.now()).await {
            Ok(sampling) => sampling,
            Err(_) if is_waived => Sampling::Nothing(WhyNot::SampleWaived),
            Err(why) => {
                let changes = vec![format!("the registry cannot be read any more: {why}")];
                return Ok(Judgement::Fail(GateFailure::Drifted { changes }));
            }
        };
        self.record(vec![Event::Sampled { sampling, at: self.clock.now() }]).await?;
        Ok(Judgement::Pass(evidence))
    }

    /// Verifies, and judges what came of it.
    pub(super) async fn verified(
        &mut self,
        plan: &Plan,
        step: &Step,
        nodes: &[NodeName],
    ) -> Result<(), RunError> {
        self.count_tags(plan).await?;
        let places = Vec::new();
        self.settle(step, Judgement::Wait(WaitingOn::Verification { places })).await?;
        let account = self.verify(plan, step, nodes).await?;
        self.hear().await?;
        let word = self.state.approval(Gate::Verified).map(|approval| {
            let Approval { gate: _, by, because } = approval.clone();
            Word { by, because }
        });
        self.settle(step, verified::judge(step.stage, account, word)).await?;
        Ok(())
    }

    /// Tells what is checked just now while it is.
    async fn verify(
        &mut self,
        plan: &Plan,
        step: &Step,
        nodes: &[NodeName],
    ) -> Result<Account, RunError> {
        let facts = self.survey(plan, nodes).await.facts;
        let sampling = self.state.sampling.as_deref().cloned();
        let sampling = sampling.unwrap_or(Sampling::Nothing(WhyNot::SampleElsewhere));
        let (tell, mut told) = unbounded_channel();
        let (nodes, mode) = (nodes.to_vec(), verified::wanted(plan, step.stage));
        let verifier = Arc::clone(&self.verifier);
        let mut verifying = verifier.verify(Asked { nodes, facts, mode, sampling, tell });
        let mut places: BTreeMap<String, Check> = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                Some((place, check)) = told.recv() => {
                    places.insert(place, check);
                    let places = places.clone().into_iter().collect();
                    self.settle(step, Judgement::Wait(WaitingOn::Verification { places })).await?;
                }
                account = &mut verifying => return Ok(account),
            }
        }
    }
}
