//! Take down what a run brought: the one way to end a container between its
//! migrating start and the proof of its end, for a rollback that says that it
//! destroys the migration. What has run is kept for its log.

use std::time::Duration;

use quaymaster_proto::act::TakeDown;
use quaymaster_proto::{
    ActOutcome, Component, ContainerId, Generation, How, Reason, Refusal, RestartPolicy,
};

use super::{Turn, ensure_stopped, names, remove_staged};
use crate::engine::{Container, Engine};

pub(super) async fn take_down<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &TakeDown,
) -> Result<ActOutcome, Refusal> {
    let node = turn.node;
    node.component(order.component)?;
    // Earlier attempts too: a person may have started one of them.
    let mut ids: Vec<ContainerId> = order.container.iter().cloned().collect();
    let brought = turn.brought(order.component, &order.generation).await?;
    ids.extend(brought.into_iter().filter(|id| order.container.as_ref() != Some(id)));
    let mut all =
        ActOutcome { how: How::Already, container: None, config: None, engine_time: None };
    for id in ids {
        // Whoever removed it: what it did, the restore replaces.
        if node.engine.container(id.as_str()).await?.is_none() {
            continue;
        }
        let seen = node.ours(order.component, &id).await?;
        turn.staged_as(order.component, &order.generation, &seen)?;
        if !order.destroys_migration {
            turn.refuse_while_migrating(order.component, &seen).await?;
        }
        let well_known = node.component(order.component)?.container.as_str();
        if is_down(well_known, &seen) {
            all.container.get_or_insert(seen.state);
            continue;
        }
        turn.intend()?;
        all.how = How::Changed;
        if let Some(seen) = turn.end(&seen, order.grace_seconds, well_known).await? {
            all.engine_time = all.engine_time.max(seen.state.finished_at);
            all.container.get_or_insert(seen.state);
        }
    }
    Ok(all)
}

fn is_down(well_known: &str, seen: &Container) -> bool {
    !seen.state.status.is_alive()
        && seen.state.restart_policy == RestartPolicy::No
        && names::is_undone(well_known, &seen.state.name)
}

impl<E: Engine> Turn<'_, E> {
    /// Whatever this run staged of a generation, whoever knows its id.
    async fn brought(
        &self,
        component: Component,
        generation: &Generation,
    ) -> Result<Vec<ContainerId>, Refusal> {
        let labels = self.node.owner(component).labels(self.act.run, generation);
        let mut all = self.node.containers_of(component).await?;
        all.retain(|listed| names::carries(&listed.labels, &labels));
        Ok(all.into_iter().map(|listed| listed.id).collect())
    }

    /// Removed, where it never started; else ended, and kept.
    async fn end(
        &self,
        seen: &Container,
        grace_seconds: u32,
        well_known: &str,
    ) -> Result<Option<Container>, Refusal> {
        let id = &seen.state.id;
        if !seen.state.ever_started() {
            match remove_staged::remove(self, id).await {
                Ok(()) => return Ok(None),
                // Somebody started it in between.
                Err(refusal) if refusal.reason == Reason::AlreadyRan => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let seen = self.node.again(id).await?;
        let grace = Duration::from_secs(grace_seconds.into());
        let seen = ensure_stopped::end(self, seen, grace).await?;
        if names::is_undone(well_known, &seen.state.name) {
            return Ok(Some(seen));
        }
        let name = names::undone(well_known, self.act.run);
        ensure_stopped::rename(self, &seen, name).await.map(Some)
    }

    /// Refuses to start what a rollback of this run took down, under whatever
    /// id: it would migrate the restored database.
    pub(super) fn refuse_taken_down(
        &self,
        component: Component,
        generation: &Generation,
    ) -> Result<(), Refusal> {
        // What does not migrate may return as it was: its image can be the same.
        let run = self.act.run;
        if !component.migrates()
            || !self.node.ledger().get()?.index().took_down(run, component, generation)
        {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::Superseded,
            format!("no {component} of {generation} is started by run {run}: it is rolled back"),
        )
        .with_remedy("plan again for another try"))
    }
}
