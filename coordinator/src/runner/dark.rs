//! Looking whether it is dark: every node and its database, all at once, again
//! and again until nothing lives.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two looks")]

use std::time::Duration;

use futures::future::{join, join_all};
use quaymaster_proto::{Component, ContainerId};
use tokio::time::{Instant, sleep};

use super::gate::Look;
use super::{Book, RunError, Runner};
use crate::gates::dark::{self, DarkLook};
use crate::gates::{Judgement, living, unanswered};
use crate::guards::Guard;
use crate::nodes::{DatabaseQuestion, Looks, Orders};
use crate::plan::{Plan, Step, Verb, What};
use crate::run::{GateFailure, order, ran};

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
            let revisions = order::dark_revisions(plan, &self.state, step);
            let own = order::own_at_database(plan, &self.state, step);
            let judgement = dark::judge(plan, &looks, &revisions, own, begun.elapsed());
            let judgement = self.with_backup(plan, step, judgement);
            if self.settle(step, judgement).await? == Look::Over {
                return Ok(());
            }
            sleep(AGAIN).await;
        }
    }

    /// Whether the backup still holds everything, where this gate answers for it.
    fn with_backup(&self, plan: &Plan, step: &Step, judgement: Judgement) -> Judgement {
        let answers = self.guards.has(Guard::FreshBackup)
            && ran::answers_for_backup(plan, &self.state, step.number);
        if !answers {
            return judgement;
        }
        dark::judge_backup(judgement, ran::before_backup(plan, &self.state))
    }

    async fn dark_looks(&self, plan: &Plan, step: &Step) -> Vec<DarkLook> {
        let migrating = self.about_to_migrate(plan, step);
        // Whom a person gave up has no say.
        let nodes = step.nodes.iter().filter(|node| !self.state.left_out.contains_key(*node));
        let nodes: Vec<_> = nodes.collect();
        let lead =
            nodes.iter().find(|node| ***node == plan.first).or_else(|| nodes.first()).copied();
        join_all(nodes.iter().copied().map(async |node| {
            // One list of sessions is enough: there is one database.
            let question = DatabaseQuestion { sessions: Some(node) == lead, counts: false };
            let (facts, database) = join(
                self.nodes.describe(node, &self.key),
                self.nodes.look_at_database(node, question),
            )
            .await;
            let config = migrating.as_ref().and_then(|_| plan.node(node));
            DarkLook {
                node: node.clone(),
                migrating: migrating.clone().filter(|_| *node == plan.first),
                config: config.map(|node| node.config.to.clone()),
                floor: order::floor(plan, &self.state, node),
                facts: facts.map_err(|error| error.reason()),
                database: database.map_err(|error| error.reason()),
            }
        }))
        .await
    }

    /// The container that is started next, where this gate is the last one
    /// before it. An earlier process may have started it already.
    fn about_to_migrate(&self, plan: &Plan, step: &Step) -> Option<ContainerId> {
        let next = plan.steps.iter().find(|next| next.number > step.number)?;
        (next.what == What::Act(Verb::StartMigrating))
            .then(|| order::staged(plan, &self.state, &plan.first, Component::Quay))?
    }

    /// Every node at once, right before the others start: a Quay of another
    /// generation that came up meanwhile must not meet them. `None` = none did.
    pub(super) async fn roll_call(&self, plan: &Plan, waited: Duration) -> Option<Judgement> {
        let answers = join_all(plan.nodes.iter().map(async |node| {
            let facts = self.nodes.describe(&node.name, &self.key).await;
            (&node.name, facts.map_err(|error| error.reason()))
        }))
        .await;
        let (mut containers, mut silent) = (Vec::new(), Vec::new());
        for (node, facts) in answers {
            let own = order::serving(plan, &self.state, node, Component::Quay);
            match facts {
                Ok(facts) => {
                    let own = own.as_ref();
                    containers.extend(living::strangers(node, &facts, living::QUAYS, own));
                }
                // Somebody said that it is dead, when its part was handed over.
                Err(_) if self.state.handed_over.is_some() && *node == plan.first => {}
                Err(why) => silent.push((node.clone(), why)),
            }
        }
        if !containers.is_empty() {
            return Some(Judgement::Fail(GateFailure::Alive { containers }));
        }
        (!silent.is_empty()).then(|| unanswered(silent, waited))
    }
}
