//! Back past the point of no return: on a person's order, by the window's own
//! backup. It is read back while what serves still serves; if it is spoiled, or
//! a node is not to be had, the order is called off and nothing was stopped.

use std::collections::BTreeMap;

use futures::future::join_all;
use quaymaster_proto::NodeName;
use quaymaster_proto::node::NodeFacts;

use super::person::{Heard, because};
use super::{Book, Declined, Ended, RunError, Runner};
use crate::gates::ours;
use crate::nodes::{Looks, Orders};
use crate::plan::{Gate, Plan, Step, What};
use crate::run::{ActState, Event, GateState, Problem, rollback};

/// What a person says who orders a rollback.
#[derive(Clone, Debug)]
pub struct RollbackWish {
    /// Who: user@host.
    pub by: String,
    /// Why, in words.
    pub because: String,
    /// Nodes that are not to be had, and how their Quay is kept from the database.
    pub without: BTreeMap<NodeName, String>,
}

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// Takes the run in hand for a rollback, where that can be.
    pub async fn roll_back(&mut self, plan: &Plan, wish: RollbackWish) -> Heard {
        let RollbackWish { by, because: words, without } = wish;
        if words.trim().is_empty() {
            return because("it has to be said why");
        }
        if let Some((node, _)) = without.iter().find(|(_, how)| how.trim().is_empty()) {
            return because(format!(
                "it has to be said how the Quay of {node} is kept from the database"
            ));
        }
        if self.state.can_be_called_off() {
            self.call_off("ordered anew".to_owned()).await?;
        }
        if self.state.is_rollback() && self.state.finished_at.is_none() {
            return because("it is being rolled back: resume goes on with it");
        }
        if let Err(why) = rollback::backup(plan, &self.state) {
            return because(why.to_string());
        }
        if let Err(why) = ours::judge(plan, &self.state, &self.looks(plan).await, &without) {
            return because(why.to_string());
        }
        let Some(check) = plan.rollback.first() else {
            return because("the plan has no way back past its point of no return");
        };
        let (epoch, at) = (self.epoch().next(), self.clock.now());
        let ordered =
            Event::RollbackOrdered { check: check.number, epoch, by, because: words, without, at };
        self.held.forget();
        self.record(vec![ordered]).await?;
        if let Some(ended) = self.claim(plan).await? {
            self.call_off("leases were not to be had".to_owned()).await?;
            return Ok(Err(Declined::Ended(Box::new(ended))));
        }
        if let Some(node) = self.unclaimed(plan) {
            let why = format!("{node}: {}", self.held.why_not(&node));
            self.call_off(why.clone()).await?;
            return because(why);
        }
        self.order(plan, check, &check.nodes).await?;
        match self.is_spoiled(check) {
            None => Ok(Ok(())),
            Some(why) => {
                self.call_off(why.clone()).await?;
                because(why)
            }
        }
    }

    /// Nobody is there any more who ordered it: as long as nothing was stopped,
    /// nothing is to come of it by itself.
    pub async fn stand_down(&mut self, because: &str) -> Result<bool, RunError> {
        let can_be = self.state.can_be_called_off();
        if can_be {
            self.call_off(because.to_owned()).await?;
        }
        Ok(can_be)
    }

    /// What a failure of a rollback leads to: as long as nothing was stopped it
    /// is called off; from then on the run holds, and nothing is undone.
    pub(super) async fn react_to_rollback(&mut self, held: Ended) -> Result<Ended, RunError> {
        if !self.state.can_be_called_off() {
            return Ok(held);
        }
        let why = match &held {
            Ended::Failed { step, failures: _ } => self.is_spoiled(step),
            Ended::Closed { .. }
            | Ended::Done
            | Ended::Back { .. }
            | Ended::RolledBack
            | Ended::Unclaimed { .. }
            | Ended::LeaseLost { .. }
            | Ended::Waiting { .. } => None,
        };
        if let Some(why) = why {
            self.call_off(why).await?;
        }
        Ok(held)
    }

    pub(super) async fn call_off(&mut self, because: String) -> Result<(), RunError> {
        let at = self.clock.now();
        self.record(vec![Event::RollbackCalledOff { because, at }]).await?;
        self.give_back().await;
        Ok(())
    }

    /// Every node of the plan, looked at before anything is done: also who was
    /// left out, for it may have come back with what must not meet the restored
    /// database.
    async fn looks(&self, plan: &Plan) -> Vec<(NodeName, Result<NodeFacts, String>)> {
        join_all(plan.nodes.iter().map(async |node| {
            let facts = self.nodes.describe(&node.name, &self.key).await;
            (node.name.clone(), facts.map_err(|error| error.reason()))
        }))
        .await
    }

    fn unclaimed(&self, plan: &Plan) -> Option<NodeName> {
        let mut all = plan.nodes.iter().map(|node| &node.name);
        let is_missed =
            |node: &&NodeName| !self.state.left_out.contains_key(*node) && !self.held.has(node);
        all.find(is_missed).cloned()
    }

    /// What stands against the backup, by the node that has it.
    fn is_spoiled(&self, check: &Step) -> Option<String> {
        check.nodes.iter().find_map(|node| match self.state.act_state(check.number, node) {
            ActState::Failed { problem: why, .. } => Some(spoiled(node, why)),
            ActState::Pending | ActState::InFlight { .. } | ActState::Done { .. } => None,
        })
    }

    /// Whether the database is again what the window found, by the gate behind
    /// the restore.
    pub(super) fn is_restored(&self, plan: &Plan) -> bool {
        let gate = plan.rollback.iter().rfind(|step| step.what == What::Gate(Gate::Dark));
        gate.and_then(|gate| self.state.gates.get(&gate.number))
            .is_some_and(|gate| matches!(gate, GateState::Passed { .. }))
    }
}

/// Why a backup cannot be restored.
pub fn spoiled(node: &NodeName, why: &Problem) -> String {
    let why = match why {
        Problem::Refused { reason: _, message, remedy } if remedy.is_empty() => message.clone(),
        Problem::Refused { reason: _, message, remedy } => format!("{message}; {remedy}"),
        Problem::Unreachable { detail } | Problem::Nonsense { detail } => detail.clone(),
        Problem::AtGate { .. } => "it did not pass a gate".to_owned(),
    };
    format!("the backup on {node} is not to be restored, and nothing was stopped: {why}")
}
