//! Stop: policy `no`, seen; stop, seen; rename, seen.
//!
//! In this order, for an engine revives a stopped container of policy `always`
//! when it starts itself (quay-observed 6).

use std::time::Duration;

use quaymaster_proto::act::EnsureStopped;
use quaymaster_proto::{
    ActOutcome, Component, ContainerId, ContainerState, How, Reason, Refusal, RestartPolicy,
};

use super::{Turn, names};
use crate::engine::{Container, Engine};
use crate::guards::Guard;

pub(super) async fn ensure_stopped<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &EnsureStopped,
) -> Result<ActOutcome, Refusal> {
    let EnsureStopped { component, container: id, generation, grace_seconds, restart_policy: _ } =
        order;
    let node = turn.node;
    let seen = turn.to_stop(*component, id).await?;
    if seen.state.image != generation.image {
        return Err(super::other_image(&seen.state, &generation.image));
    }
    turn.refuse_while_migrating(*component, &seen).await?;
    let well_known = node.component(*component)?.container.as_str();
    let is_named = |seen: &Container| names::is_retired(well_known, &seen.state.name);
    let has_policy = |seen: &Container| seen.state.restart_policy == RestartPolicy::No;
    let is_down = |seen: &Container| !seen.state.status.is_alive();
    if is_named(&seen) && has_policy(&seen) && is_down(&seen) {
        return Ok(outcome(How::Already, &seen));
    }
    turn.intend()?;
    let seen = end(turn, seen, Duration::from_secs((*grace_seconds).into())).await?;
    let seen = put_aside(turn, seen, well_known).await?;
    Ok(outcome(How::Changed, &seen))
}

/// Policy `no`, seen; stop, seen.
pub(super) async fn end<E: Engine>(
    turn: &Turn<'_, E>,
    mut seen: Container,
    grace: Duration,
) -> Result<Container, Refusal> {
    let (node, id) = (turn.node, seen.state.id.clone());
    let has_policy = seen.state.restart_policy == RestartPolicy::No;
    if !has_policy && node.guards.has(Guard::PolicyBeforeStop) {
        seen = take_policy(turn, &seen).await?;
    }
    if seen.state.status.is_alive() {
        let done = turn.changes()?.stop(&id, grace).await;
        seen = node.again(&id).await?;
        if seen.state.status.is_alive() {
            let said = format!("container {} is still {}", id.short(), seen.state.status);
            return Err(super::not_seen(done, said));
        }
    }
    Ok(seen)
}

/// What is down keeps neither a policy that would revive it nor the name that its successor gets.
pub(super) async fn put_aside<E: Engine>(
    turn: &Turn<'_, E>,
    mut seen: Container,
    well_known: &str,
) -> Result<Container, Refusal> {
    if seen.state.restart_policy != RestartPolicy::No {
        seen = take_policy(turn, &seen).await?;
    }
    if !names::is_retired(well_known, &seen.state.name) {
        let name = names::retired(well_known, turn.act.run);
        seen = rename(turn, &seen, name).await?;
    }
    Ok(seen)
}

/// So that nothing but an order starts it again.
async fn take_policy<E: Engine>(
    turn: &Turn<'_, E>,
    seen: &Container,
) -> Result<Container, Refusal> {
    let (node, id) = (turn.node, &seen.state.id);
    let done = turn.changes()?.set_restart_policy(id, RestartPolicy::No).await;
    let seen = node.again(id).await?;
    if seen.state.restart_policy == RestartPolicy::No {
        return Ok(seen);
    }
    let policy = seen.state.restart_policy;
    let said = format!("container {} keeps restart policy `{policy}`", id.short());
    Err(super::not_seen(done, said))
}

/// A second container that is put aside in one run gets its own id into its name.
pub(super) async fn rename<E: Engine>(
    turn: &Turn<'_, E>,
    seen: &Container,
    mut name: String,
) -> Result<Container, Refusal> {
    let (node, id) = (turn.node, &seen.state.id);
    if seen.state.name == name {
        return Ok(seen.clone());
    }
    if node.engine.container(&name).await?.is_some_and(|other| other.state.id != *id) {
        name = format!("{name}-{}", id.short());
    }
    let done = turn.changes()?.rename(id, &name).await;
    let seen = node.again(id).await?;
    if seen.state.name != name {
        let said = format!("container {} is still named `{}`", id.short(), seen.state.name);
        return Err(super::not_seen(done, said));
    }
    Ok(seen)
}

fn outcome(how: How, seen: &Container) -> ActOutcome {
    ActOutcome {
        how,
        container: Some(seen.state.clone()),
        config: None,
        engine_time: seen.state.finished_at,
    }
}

impl<E: Engine> Turn<'_, E> {
    /// The container that the order means: by its id, for its name may be
    /// another one's by now.
    async fn to_stop(&self, component: Component, id: &ContainerId) -> Result<Container, Refusal> {
        #[cfg(feature = "simulation")]
        if !self.node.guards.has(Guard::IdsNotNames)
            && let well_known = self.node.component(component)?.container.as_str()
            && let Some(named) = self.node.engine.container(well_known).await?
        {
            return Ok(named);
        }
        self.node.ours(component, id).await
    }

    /// Between its migrating start and the proof of its end a container is not
    /// stopped. The proof: it has ended, or its Quay serves, which
    /// it does only when its migration is over (quay-facts 1.3).
    pub(super) async fn refuse_while_migrating(
        &self,
        component: Component,
        seen: &Container,
    ) -> Result<(), Refusal> {
        let id = &seen.state.id;
        if !component.migrates()
            || !seen.state.status.is_alive()
            || !self.may_be_migrating(component, seen)?
        {
            return Ok(());
        }
        if self.node.is_well(component, seen).await {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::NotOurs,
            format!(
                "cannot stop container {}: it may be migrating and its end is not proven",
                id.short()
            ),
        )
        .with_remedy("wait until it serves or has ended; stopping it would ruin the database"))
    }

    /// By the ledger; and where the ledger does not know the container, by
    /// what it is: staged by an agent and never promoted. A ledger that was
    /// lost has forgotten which one it started to migrate.
    fn may_be_migrating(&self, component: Component, seen: &Container) -> Result<bool, Refusal> {
        let ContainerState { id, name, .. } = &seen.state;
        let ledger = self.node.ledger();
        if ledger.may_be_migrating(id) {
            return Ok(true);
        }
        let is_promoted = *name == self.node.component(component)?.container.as_str();
        let is_staged = self.node.owner(component).is_on(&seen.labels) && !is_promoted;
        Ok(is_staged && !ledger.was_started_plainly(id))
    }
}
