//! Looking whether it is dark: every node and its database, all at once, again
//! and again until nothing lives.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two looks")]

use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::{Instant, sleep};

use super::gate::Look;
use super::{Book, RunError, Runner};
use crate::gates::dark::{self, DarkLook};
use crate::nodes::{DatabaseQuestion, Looks, Orders};
use crate::plan::{Plan, Step};

/// Between two rounds; the registry is down, so it is short.
const AGAIN: Duration = Duration::from_millis(20);

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    pub(super) async fn dark(&mut self, plan: &Plan, step: &Step) -> Result<(), RunError> {
        let begun = Instant::now();
        loop {
            let looks = self.dark_looks(plan, step).await;
            let judgement = dark::judge(plan, &looks, begun.elapsed());
            if self.settle(step, judgement).await? == Look::Over {
                return Ok(());
            }
            sleep(AGAIN).await;
        }
    }

    async fn dark_looks(&self, plan: &Plan, step: &Step) -> Vec<DarkLook> {
        join_all(step.nodes.iter().map(async |node| {
            // One list of sessions is enough: there is one database.
            let question = DatabaseQuestion { sessions: *node == plan.first, counts: false };
            let (facts, database) = join(
                self.nodes.describe(node, &self.key),
                self.nodes.look_at_database(node, question),
            )
            .await;
            DarkLook {
                node: node.clone(),
                facts: facts.map_err(|error| error.reason()),
                database: database.map_err(|error| error.reason()),
            }
        }))
        .await
    }
}
