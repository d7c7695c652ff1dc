//! The one desk that every act passes: one at a time, looked at before and
//! after, on record in between.
//!
//! look -> intend (on disk) -> act -> look -> settle. An act goes on when its
//! caller hangs up; a call that comes while the same step is being done waits
//! and is answered by a look; any other is refused as busy.

pub(crate) mod config;
pub(crate) mod names;

mod create;
mod ensure_stopped;
mod fence;
mod floor;
mod lease;
mod promote;
mod pulse;
mod recreate;
mod remove_staged;
mod stage_container;
mod start;
mod take_down;

use std::sync::{Arc, Mutex, PoisonError};

use quaymaster_proto::act::Order;
use quaymaster_proto::{
    Act, ActOutcome, Component, ContainerState, Generation, ImageId, Reason, Refusal,
};
use tracing::Instrument as _;

use crate::engine::{Container, Engine, EngineError};
use crate::ledger::{Admission, Event, Work};
use crate::node::Node;
use crate::telemetry;

/// Where acts are done.
#[derive(Debug)]
pub(crate) struct Worker<E> {
    node: Arc<Node<E>>,
    desk: Arc<Desk>,
}

/// Who is at work.
#[derive(Default, Debug)]
struct Desk {
    baton: Arc<tokio::sync::Mutex<()>>,
    in_flight: Mutex<Option<InFlight>>,
    pulse: pulse::Pulse,
}

/// The step at work, and how many callers want its answer.
#[derive(Debug)]
struct InFlight {
    act: Act,
    order: Order,
    callers: usize,
}

/// A caller's place at the desk.
struct Place<'a>(&'a Desk);

impl Desk {
    /// A place for this order, or who has it.
    fn enter(&self, act: &Act, order: &Order) -> Result<Place<'_>, Refusal> {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        match in_flight.as_mut() {
            None => {
                *in_flight = Some(InFlight { act: act.clone(), order: order.clone(), callers: 1 });
            }
            Some(InFlight { act: other, order: same, callers })
                if (other.run, other.step) == (act.run, act.step) && same == order =>
            {
                *callers += 1;
            }
            Some(InFlight { act: other, order: busy, callers: _ }) => {
                return Err(Refusal::new(
                    Reason::Busy,
                    format!(
                        "cannot {}: this agent is at step {} of run {} ({})",
                        order.verb(),
                        other.step,
                        other.run,
                        busy.verb()
                    ),
                )
                .with_remedy("ask again when that step has ended"));
            }
        }
        Ok(Place(self))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = in_flight.as_mut() {
            work.callers -= 1;
            if work.callers == 0 {
                *in_flight = None;
            }
        }
    }
}

impl<E: Engine> Worker<E> {
    pub(crate) fn new(node: Arc<Node<E>>) -> Self {
        Self { node, desk: Arc::default() }
    }

    /// Does what is ordered, or says why not. `who` is for the record; `then` is
    /// told how it went, also where the caller hung up.
    pub(crate) async fn perform(
        &self,
        who: String,
        act: Act,
        order: Order,
        then: impl FnOnce(&Act, &Result<ActOutcome, Refusal>) + Send + 'static,
    ) -> Result<ActOutcome, Refusal> {
        let (node, desk) = (Arc::clone(&self.node), Arc::clone(&self.desk));
        let span = telemetry::work(&act, order.verb());
        let work = async move {
            let result = take_turn(&node, &desk, &act, order.clone()).await;
            then(&act, &result);
            report(&who, &act, order.verb(), &result);
            telemetry::settled(&result);
            result
        };
        let task = self.node.surroundings.threads.run(work.instrument(span));
        task.await.unwrap_or_else(|_| {
            Err(Refusal::new(Reason::Engine, "the act broke off inside the agent")
                .with_remedy("see the agent's log, and ask again: it looks first"))
        })
    }

    /// Waits for the act in flight.
    pub(crate) async fn drain(&self) {
        drop(self.desk.baton.lock().await);
    }
}

async fn take_turn<E: Engine>(
    node: &Node<E>,
    desk: &Desk,
    act: &Act,
    order: Order,
) -> Result<ActOutcome, Refusal> {
    refuse_blind(node)?;
    let _place = desk.enter(act, &order)?;
    let _baton = desk.baton.lock().await;
    let bound = pulse::bound(&order);
    desk.pulse.carry(bound, meet(node, act, order)).await
}

/// Whatever lives here is known before anything is done: at the agent's start,
/// and after the engine was away.
fn refuse_blind<E: Engine>(node: &Node<E>) -> Result<(), Refusal> {
    let Some(why) = node.fence.blind() else { return Ok(()) };
    Err(Refusal::new(
        Reason::Engine,
        format!("nothing is done before this agent knows what lives here: {why}"),
    )
    .with_remedy("see that the engine runs, and its log; the agent goes on looking"))
}

/// One order, from its admission to its record.
async fn meet<E: Engine>(node: &Node<E>, act: &Act, order: Order) -> Result<ActOutcome, Refusal> {
    let work = Work::Act(order);
    let admission = node.admit(act, &work)?;
    let mut turn = Turn { node, act, work: &work, admission };
    let result = turn.take().await;
    let event = match &result {
        Ok(outcome) => Event::Settled(outcome.clone()),
        Err(refusal) => Event::Refused(refusal.clone()),
    };
    node.record(act, &work, event)?;
    result
}

fn report(who: &str, act: &Act, verb: &str, result: &Result<ActOutcome, Refusal>) {
    let Act { cluster: _, run, epoch, step, plan: _ } = act;
    match result {
        Ok(ActOutcome { how, container, config: _, engine_time: _ }) => {
            let container = container.as_ref().map(|state| state.id.short()).unwrap_or_default();
            tracing::info!(who, %run, %epoch, %step, verb, ?how, container, "Done.");
        }
        Err(Refusal { reason, message, remedy: _ }) => {
            tracing::info!(who, %run, %epoch, %step, verb, ?reason, message, "Refused.");
        }
    }
}

/// One admitted order on its way.
pub(crate) struct Turn<'a, E> {
    node: &'a Node<E>,
    act: &'a Act,
    work: &'a Work,
    admission: Admission,
}

impl<E: Engine> Turn<'_, E> {
    async fn take(&mut self) -> Result<ActOutcome, Refusal> {
        let work = self.work;
        let Work::Act(order) = work else {
            return Err(Refusal::new(Reason::Invalid, "a pull is no act"));
        };
        // The lock on the database is for the migrating start, and ends with what comes after it.
        if !matches!(order, Order::StartMigrating(_)) {
            self.node.surroundings.database.unlock();
        }
        match order {
            Order::StageContainer(order) => stage_container::stage_container(self, order).await,
            Order::StageConfig(order) => config::stage(self, order).await,
            Order::EnsureStopped(order) => ensure_stopped::ensure_stopped(self, order).await,
            Order::PutConfig(order) => config::put(self, order).await,
            Order::StartMigrating(order) => start::start_migrating(self, order).await,
            Order::EnsureRunning(order) => start::ensure_running(self, order).await,
            Order::Promote(order) => promote::promote(self, order).await,
            Order::SetFloor(order) => floor::set(self, order),
            Order::LowerFloor(order) => floor::lower(self, order).await,
            Order::RestoreConfig(order) => config::restore(self, order).await,
            Order::RemoveStagedConfig(order) => config::remove_staged(self, order),
            Order::RemoveStaged(order) => remove_staged::remove_staged(self, order).await,
            Order::Recreate(order) => recreate::recreate(self, order).await,
            Order::TakeDown(order) => take_down::take_down(self, order).await,
        }
    }

    /// Puts the intent on disk: every check has passed.
    fn intend(&self) -> Result<(), Refusal> {
        if self.admission == Admission::Repeated {
            tracing::warn!(step = %self.act.step, "The node was not as this step had left it; doing it again.");
        }
        self.node.record(self.act, self.work, Event::Intended)
    }

    /// The engine, for one change: asked right before it, whether this process
    /// still drives. That it does is the desk's doing; this is a second lock.
    fn changes(&self) -> Result<&E, Refusal> {
        self.node.still_drives(self.act)?;
        Ok(&self.node.engine)
    }

    /// Refuses a container that is neither what this run made to be
    /// `generation` nor one that it found and that still runs.
    fn found_or_staged_as(
        &self,
        component: Component,
        generation: &Generation,
        seen: &Container,
    ) -> Result<(), Refusal> {
        let run = self.act.run.to_string();
        let is_of_this_run = seen.labels.get(names::RUN) == Some(&run);
        if seen.state.image == generation.image && seen.state.status.is_alive() && !is_of_this_run {
            return Ok(());
        }
        self.staged_as(component, generation, seen)
    }

    /// Refuses a container that this run did not stage to be `generation`.
    fn staged_as(
        &self,
        component: Component,
        generation: &Generation,
        seen: &Container,
    ) -> Result<(), Refusal> {
        if seen.state.image != generation.image {
            return Err(other_image(&seen.state, &generation.image));
        }
        let labels = self.node.owner(component).labels(self.act.run, generation);
        if names::carries(&seen.labels, &labels) {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::NotOurs,
            format!(
                "container {} was not staged by run {} as {generation}",
                seen.state.id.short(),
                self.act.run
            ),
        )
        .with_remedy("stage a container in this run"))
    }
}

fn other_image(state: &ContainerState, wanted: &ImageId) -> Refusal {
    Refusal::new(
        Reason::Drifted,
        format!(
            "container {} runs image {}, not {} as the plan saw it",
            state.id.short(),
            state.image.short(),
            wanted.short()
        ),
    )
    .with_remedy("plan again")
}

/// The engine was asked and the change is not to be seen.
fn not_seen(done: Result<(), EngineError>, said: String) -> Refusal {
    match done {
        Ok(()) => Refusal::new(Reason::Engine, format!("the engine agreed, yet {said}"))
            .with_remedy("see the engine's log"),
        Err(error) => {
            let refusal = Refusal::from(error);
            Refusal { message: format!("{said}: {}", refusal.message), ..refusal }
        }
    }
}

#[cfg(test)]
mod tests;
