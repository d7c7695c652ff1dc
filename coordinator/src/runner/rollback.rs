//! Back past the point of no return: on a person's order, by the window's own
//! backup. It is read back while what serves still serves; if it is spoiled, or
//! a node is not to be had, the order is called off and nothing was stopped.

use futures::future::join_all;
use quaymaster_proto::NodeName;

use super::person::{Heard, because};
use super::{Book, Declined, Ended, RunError, Runner};
use crate::nodes::{Looks, Orders};
use crate::plan::{Gate, Plan, Step, What};
use crate::run::rollback::{self, NoRollback};
use crate::run::{ActState, Event, GateState, Problem};

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// Takes the run in hand for a rollback, where that can be.
    pub async fn roll_back(&mut self, plan: &Plan, by: String, words: String) -> Heard {
        if self.state.is_rollback() && self.state.finished_at.is_none() {
            return Ok(Ok(()));
        }
        if words.trim().is_empty() {
            return because("it has to be said why");
        }
        if let Err(why) = rollback::backup(plan, &self.state) {
            return because(why.to_string());
        }
        if let Err(why) = self.nodes_are_ours(plan).await {
            return because(why.to_string());
        }
        let Some(check) = plan.rollback.first() else {
            return because("the plan has no way back past its point of no return");
        };
        let (epoch, at) = (self.epoch().next(), self.clock.now());
        let ordered = Event::RollbackOrdered { check: check.number, epoch, by, because: words, at };
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

    /// Every node that is left, looked at before anything is done.
    async fn nodes_are_ours(&self, plan: &Plan) -> Result<(), NoRollback> {
        let looks = join_all(self.left(plan).map(async |node| {
            (node, self.nodes.describe(node, &self.key).await.map_err(|error| error.reason()))
        }))
        .await;
        for (node, facts) in looks {
            match facts {
                Ok(facts) => rollback::is_ours(plan, &self.state, node, &facts)?,
                Err(why) => return Err(NoRollback::Silent { node: node.clone(), why }),
            }
        }
        Ok(())
    }

    fn unclaimed(&self, plan: &Plan) -> Option<NodeName> {
        self.left(plan).find(|node| !self.held.has(node)).cloned()
    }

    fn left<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = &'a NodeName> {
        let all = plan.nodes.iter().map(|node| &node.name);
        all.filter(|node| !self.state.left_out.contains_key(*node))
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
