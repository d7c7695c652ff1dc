//! What only a person orders: to go back, to try a node's part once more with a
//! fresh container, to give the first node's part to another one. Each looks
//! at the cluster first and says why it cannot be.

use std::time::Duration;

use quaymaster_proto::node::ContainerFacts;
use quaymaster_proto::{Component, NodeName};

use super::{Book, Ended, RunError, Runner};
use crate::gates::Judgement;
use crate::nodes::{Looks, Orders};
use crate::plan::{Gate, Plan, Step, Verb, What};
use crate::run::{
    ActState, Cause, Crossing, Direction, Event, GateFailure, GateState, attempt, order,
};

/// Why an order of a person is not followed.
#[derive(Clone, PartialEq, Debug)]
pub enum Declined {
    /// Leases were not to be had.
    Ended(Box<Ended>),
    /// It was followed already: a rollback that had not begun is called off.
    CalledOff,
    /// It cannot be, and this is why.
    Because(String),
}

pub(super) type Heard = Result<Result<(), Declined>, RunError>;

pub(super) fn because(why: impl Into<String>) -> Heard {
    Ok(Err(Declined::Because(why.into())))
}

impl<N, B> Runner<N, B>
where
    N: Looks + Orders + 'static,
    B: Book,
{
    /// Back to what the window found, where that can still be.
    pub async fn abort(&mut self, plan: &Plan, words: Option<String>) -> Heard {
        if self.state.can_be_called_off() {
            if let Some(ended) = self.claim(plan).await? {
                return Ok(Err(Declined::Ended(Box::new(ended))));
            }
            self.call_off(words.unwrap_or_else(|| "a person ordered it".to_owned())).await?;
            return Ok(Err(Declined::CalledOff));
        }
        if self.state.is_rollback() {
            return because(
                "it is being rolled back, which leads back too: resume goes on with it",
            );
        }
        if self.state.direction != Direction::There {
            return Ok(Ok(()));
        }
        // Also where nothing seems to have begun: the journal may be an earlier
        // copy, and only the nodes know.
        if let Some(ended) = self.claim(plan).await? {
            return Ok(Err(Declined::Ended(Box::new(ended))));
        }
        let crossing = if !self.state.has_crossed(plan) {
            // Of an earlier copy of the journal the first node alone knows more.
            if !self.state.begun.is_empty() && !self.held.has_compared(&plan.first) {
                return because(format!(
                    "{} has to say first that it was never asked to migrate: {}",
                    plan.first,
                    self.held.why_not(&plan.first)
                ));
            }
            Crossing::NotIntended
        } else if self.proves_uncrossed(plan).await? {
            Crossing::NeverStarted
        } else if let Err(why) = self.proves_nothing_applied(plan).await {
            return because(why);
        } else {
            Crossing::NothingApplied
        };
        if let Some(why) = self.has_moved(plan).await {
            return because(why);
        }
        let because = Cause::Person { by: self.state.driver.clone(), because: words };
        self.turn_back(because, crossing).await?;
        Ok(Ok(()))
    }

    /// A node's part once more, with a container of its own.
    pub async fn retry(&mut self, plan: &Plan, node: &NodeName) -> Heard {
        if plan.node(node).is_none() {
            return because(format!("the plan has no node {node}"));
        }
        let is_back = self.state.direction != Direction::There;
        let migrates = *node == plan.first && !is_back;
        let start = if migrates { Verb::StartMigrating } else { Verb::Start };
        let is_start =
            |step: &&Step| step.component == Component::Quay && step.what == What::Act(start);
        let Some(start) = self.state.way(plan).iter().find(is_start) else {
            return because("the plan has no such start");
        };
        if matches!(self.state.act_state(start.number, node), ActState::Pending) {
            return because(format!("{node} was not started yet; resume alone goes on"));
        }
        if let Some(ended) = self.claim(plan).await? {
            return Ok(Err(Declined::Ended(Box::new(ended))));
        }
        if let Err(why) = self.is_over(plan, node).await {
            return because(why);
        }
        if migrates && let Err(why) = self.may_migrate_again(plan).await {
            return because(why);
        }
        let is_clean = !migrates || self.nothing_was_applied(plan).await;
        let (attempt, by, at) =
            (self.state.attempt(node) + 1, self.state.driver.clone(), self.clock.now());
        let steps = attempt::anew(self.state.way(plan), node).map(|step| step.number).collect();
        let retried = Event::Retried { node: node.clone(), attempt, steps, is_clean, by, at };
        let mut events = vec![retried];
        // Where others serve already, it starts as one of them: there is nothing
        // left to migrate, and no dark to do it in.
        if migrates && self.others_were_started(plan) {
            let (to, by) = (node.clone(), self.state.driver.clone());
            events.push(Event::HandedOver { to, by, at });
        }
        self.record(events).await?;
        Ok(Ok(()))
    }

    fn others_were_started(&self, plan: &Plan) -> bool {
        let start = plan.first_step(What::Act(Verb::Start));
        start.is_some_and(|start| self.state.has_begun(start.number))
    }

    /// The first node's part to another one: only where the migration is over.
    pub async fn hand_over(&mut self, plan: &Plan, to: &NodeName) -> Heard {
        let is_one = plan.first_step(What::Act(Verb::Start));
        if is_one.is_none_or(|start| !start.nodes.contains(to)) {
            return because(format!("{to} is none of the other nodes of the plan"));
        }
        if self.state.direction != Direction::There || !self.state.has_crossed(plan) {
            return because("the migration was not started: there is nothing to hand over");
        }
        if let Some(ended) = self.claim(plan).await? {
            return Ok(Err(Declined::Ended(Box::new(ended))));
        }
        let target = &plan.database.target;
        match self.nodes.look_at_database(to, crate::nodes::DatabaseQuestion::default()).await {
            Ok(look) if look.identity != plan.database.identity => {
                return because(format!("{to} reaches another database: {}", look.shown_as));
            }
            Ok(look) if look.revision != *target || look.in_recovery => {
                return because(format!(
                    "the database is at {} and not at {target}: the migration is not over, and \
                     below its target it is never another node's",
                    look.revision
                ));
            }
            Ok(_) => {}
            Err(error) => return because(format!("{to}: {}", error.reason())),
        }
        // A node that does not answer has no say; one that does must be through.
        if let Ok(Some(found)) = self.first_container(plan).await
            && found.state.status.is_alive()
        {
            return because(format!("the container of {} lives; wait for its gate", plan.first));
        }
        // No gate looks whether it is dark any more.
        if let Some(Judgement::Fail(GateFailure::Alive { containers })) =
            self.roll_call(plan, Duration::ZERO).await
        {
            return because(format!(
                "what must not meet the new release lives: {}; stop it first",
                containers.join("; ")
            ));
        }
        let (by, at) = (self.state.driver.clone(), self.clock.now());
        self.record(vec![Event::HandedOver { to: to.clone(), by, at }]).await?;
        Ok(Ok(()))
    }

    /// To end without a node that is gone for good. Every node has to be seen
    /// dark before the first start, so none is left out before it.
    pub async fn go_without(&mut self, plan: &Plan, node: &NodeName, words: String) -> Heard {
        if plan.node(node).is_none() {
            return because(format!("the plan has no node {node}"));
        }
        if words.trim().is_empty() {
            return because(format!(
                "it has to be said how the Quay of {node} is kept from the database"
            ));
        }
        if self.state.left_out.contains_key(node) {
            return Ok(Ok(()));
        }
        if self.state.is_rollback() && !self.is_restored(plan) {
            if plan.backup.node() == Some(node) {
                return because(format!("{node} has the backup that is restored"));
            }
            if self.nodes.describe(node, &self.key).await.is_ok() {
                return because(format!(
                    "{node} answers, and before the database is restored whoever answers has to \
                     be seen dark"
                ));
            }
        }
        if self.state.direction == Direction::There {
            if !self.has_passed_first_gate(plan) {
                return because(format!(
                    "no node is left out before {} has passed its gate: until then each of them \
                     has to be seen dark",
                    plan.first
                ));
            }
            if self.state.handed_over.as_ref().unwrap_or(&plan.first) == node {
                return because(format!(
                    "{node} has the first node's part; give that to another one first: resume \
                     --hand-over NODE"
                ));
            }
        }
        if plan
            .nodes
            .iter()
            .all(|of| of.name == *node || self.state.left_out.contains_key(&of.name))
        {
            return because("nothing would be left of the cluster");
        }
        if let Some(ended) = self.claim(plan).await? {
            return Ok(Err(Declined::Ended(Box::new(ended))));
        }
        let (by, at) = (self.state.driver.clone(), self.clock.now());
        let left_out = Event::LeftOut { node: node.clone(), by, because: words, at };
        self.record(vec![left_out]).await?;
        Ok(Ok(()))
    }

    fn has_passed_first_gate(&self, plan: &Plan) -> bool {
        let gate = plan.first_step(What::Gate(Gate::FirstNode));
        gate.and_then(|gate| self.state.gates.get(&gate.number))
            .is_some_and(|gate| matches!(gate, GateState::Passed { .. }))
    }

    /// The middle zone: started, ended, and nothing applied.
    async fn proves_nothing_applied(&self, plan: &Plan) -> Result<(), String> {
        let first = &plan.first;
        if self.state.may_have_applied {
            return Err(format!(
                "an earlier container of {first} may have changed the database, and nothing \
                 proves that it did not"
            ));
        }
        self.is_over(plan, first).await?;
        let found = &plan.database.revision;
        let revision = self.revision(plan).await?;
        if revision != *found {
            return Err(format!(
                "the migration has begun: the database is at {} and was at {found}",
                shown(&revision)
            ));
        }
        if !self.was_told_to_migrate(plan) || self.log_is_clean(plan).await? {
            return Ok(());
        }
        Err("the log of the migrating container does not prove that nothing was applied: it \
             shows a revision that was begun, or is not there from its beginning to its end"
            .to_owned())
    }

    /// Whether no container of the first node has changed the database so far.
    async fn nothing_was_applied(&mut self, plan: &Plan) -> bool {
        !self.state.may_have_applied
            && (self.is_proven_uncrossed(plan) || self.proves_nothing_applied(plan).await.is_ok())
    }

    /// Whether the present container of the first node was ever asked to start.
    fn was_told_to_migrate(&self, plan: &Plan) -> bool {
        plan.point_of_no_return().is_none_or(|start| {
            let told = self.state.wire_step(start, &plan.first);
            self.state.furthest(&plan.first).is_some_and(|furthest| furthest >= told)
        })
    }

    /// What quay-facts 10.2 says of a start that failed.
    async fn may_migrate_again(&self, plan: &Plan) -> Result<(), String> {
        let database = &plan.database;
        let revision = self.revision(plan).await?;
        if revision == database.target || database.resumable.contains(&revision) {
            return Ok(());
        }
        if revision == database.revision && self.log_is_clean(plan).await? {
            return Ok(());
        }
        Err(format!(
            "the migration ended inside a revision that changes tables (the database is at {}), \
             and half of it may be there: a second start would fail at what the first one made. \
             Restore the backup, or let somebody who knows Quay's schema repair it",
            shown(&revision)
        ))
    }

    /// The database as anybody reaches it, the first node first.
    async fn revision(&self, plan: &Plan) -> Result<String, String> {
        let look = self.fresh_look(plan).await;
        let look = look.ok_or_else(|| "no node can read the database".to_owned())?;
        if look.identity != plan.database.identity {
            return Err(format!("this is another database: {}", look.shown_as));
        }
        Ok(look.revision)
    }

    async fn log_is_clean(&self, plan: &Plan) -> Result<bool, String> {
        let container = order::staged(plan, &self.state, &plan.first, Component::Quay)
            .ok_or_else(|| "nobody knows which container was started".to_owned())?;
        let log = self.nodes.read_log(&plan.first, Component::Quay, &container).await;
        let log = log.map_err(|error| format!("its log cannot be read: {}", error.reason()))?;
        Ok(log.proves_nothing_applied())
    }

    /// Whether the container that the node was to serve with has ended.
    async fn is_over(&self, plan: &Plan, node: &NodeName) -> Result<(), String> {
        let found = self.staged_container(plan, node).await?;
        match found {
            Some(found) if found.state.status.is_alive() => Err(format!(
                "container {} of {node} is {}: nothing is done to it while it lives",
                found.state.id.short(),
                found.state.status
            )),
            Some(_) | None => Ok(()),
        }
    }

    async fn first_container(&self, plan: &Plan) -> Result<Option<ContainerFacts>, String> {
        self.staged_container(plan, &plan.first).await
    }

    async fn staged_container(
        &self,
        plan: &Plan,
        node: &NodeName,
    ) -> Result<Option<ContainerFacts>, String> {
        let facts = self.nodes.describe(node, &self.key).await;
        let facts = facts.map_err(|error| format!("{node}: {}", error.reason()))?;
        let Some(id) = order::serving(plan, &self.state, node, Component::Quay) else {
            return Ok(None);
        };
        let quay = facts.component(Component::Quay);
        let mut all = quay.into_iter().flat_map(|of| of.containers());
        Ok(all.find(|found| found.state.id == id).cloned())
    }
}

/// An empty table is what a migration leaves that was killed in its first
/// revision (quay-observed 4).
fn shown(revision: &str) -> &str {
    if revision.is_empty() { "none" } else { revision }
}
