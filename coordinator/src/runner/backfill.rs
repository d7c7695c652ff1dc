//! Looking at the backfill: one node at a time, in turn, and rarely, for each
//! look costs Quay two full-table counts (quay-facts 1.1).
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two samples")]

use std::time::Duration;

use quaymaster_proto::NodeName;
use quaymaster_proto::health::BackfillSample;
use tokio::time::{Instant, sleep};

use super::gate::Look;
use super::{Book, Ended, Patience, RunError, Runner};
use crate::gates::backfill::{self, Samples};
use crate::gates::{Judgement, people};
use crate::nodes::{Looks, Orders};
use crate::plan::{Gate, Plan, Step};
use crate::run::WaitingOn;

/// Between two looks for a person's waiver.
const PERSON: Duration = Duration::from_millis(500);
/// Before the next node is asked when one could not count.
const NEXT_NODE: Duration = Duration::from_millis(200);
/// A count that takes this long weighs on the database: it is then asked for
/// so rarely that it takes at most a fiftieth of the database's time.
const HEAVY: Duration = Duration::from_secs(1);
const SHARE: u32 = 49;

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    pub(super) async fn backfill(
        &mut self,
        plan: &Plan,
        step: &Step,
        patience: Patience,
    ) -> Result<Option<Ended>, RunError> {
        let mut samples = Samples::default();
        for (turn, node) in step.nodes.iter().cycle().enumerate() {
            self.hear().await?;
            if let Some(evidence) = people::word(&self.state, Gate::Backfill) {
                self.settle(step, Judgement::Pass(evidence)).await?;
                return Ok(None);
            }
            let begun = Instant::now();
            samples.see(plan, self.sample(node).await);
            let took = begun.elapsed();
            let judgement = backfill::judge(plan, &samples);
            let waits_on = match &judgement {
                Judgement::Wait(on) => Some(on.clone()),
                Judgement::Pass(_) | Judgement::Fail(_) => None,
            };
            if self.settle(step, judgement).await? == Look::Over {
                return Ok(None);
            }
            let next = after(waits_on.as_ref(), turn + 1 < step.nodes.len());
            if let (Patience::Leave, After::LaterOrNever, Some(on)) = (patience, &next, waits_on) {
                return Ok(Some(Ended::Waiting { step: step.clone(), on }));
            }
            let poll = plan.timings.backfill.poll;
            self.pause(match next {
                After::NextNode => NEXT_NODE.min(poll),
                After::Soon | After::LaterOrNever if took > HEAVY => poll.max(took * SHARE),
                After::Soon | After::LaterOrNever => poll,
            })
            .await?;
            if people::word(&self.state, Gate::Backfill).is_some() {
                continue;
            }
        }
        Ok(None)
    }

    async fn sample(&self, node: &NodeName) -> BackfillSample {
        match self.nodes.sample_backfill(node).await {
            Ok(sample) => sample,
            Err(error) => BackfillSample::NoCount {
                at: self.clock.now(),
                status: None,
                problem: format!("{node}: {}", error.reason()),
            },
        }
    }

    /// Sleeps, but not through a person's word.
    async fn pause(&mut self, length: Duration) -> Result<(), RunError> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            sleep(PERSON.min(end.duration_since(Instant::now()))).await;
            self.hear().await?;
            if people::word(&self.state, Gate::Backfill).is_some() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// When it is worth looking again.
enum After {
    /// This node could not count; another one may.
    NextNode,
    /// The last samples were good: a few more open the gate.
    Soon,
    /// Hours or weeks, for all that is known.
    LaterOrNever,
}

fn after(on: Option<&WaitingOn>, has_untried_nodes: bool) -> After {
    let Some(WaitingOn::Backfill { progress, good_samples, .. }) = on else {
        return After::LaterOrNever;
    };
    match (progress, good_samples) {
        (None, _) if has_untried_nodes => After::NextNode,
        (_, 0) => After::LaterOrNever,
        (_, _) => After::Soon,
    }
}
