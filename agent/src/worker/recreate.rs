//! Recreate: a fresh container of what one that has run was. A Quay that has run
//! never becomes healthy again (quay-observed), so the way back makes another.

use quaymaster_proto::act::Recreate;
use quaymaster_proto::{ActOutcome, Component, ContainerId, How, Reason, Refusal, RestartPolicy};

use super::create::{self, Fresh};
use super::{Turn, ensure_stopped, names};
use crate::container::Demands;
use crate::engine::{Container, Engine};

/// Nobody makes so many attempts at one node.
const MOST: u32 = 99;

pub(super) async fn recreate<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &Recreate,
) -> Result<ActOutcome, Refusal> {
    let Recreate { component, container: id, generation, attempt } = order;
    let node = turn.node;
    node.component(*component)?;
    let Some(before) = node.engine.full_container(id.as_str()).await? else {
        // It may have been removed since; what was made of it is what counts.
        let fresh = fresh(turn, order, *attempt)?;
        return turn.made(&fresh).await?.ok_or_else(|| gone(id));
    };
    let seen = node.ours(*component, id).await?;
    if seen.state.image != generation.image {
        return Err(super::other_image(&seen.state, &generation.image));
    }
    // It was never stopped, or somebody has it back already.
    if seen.state.status.is_alive() {
        return Ok(create::outcome(How::Already, &seen));
    }
    turn.refuse_below_floor(*component, generation)?;
    turn.lay_down(*component, &seen).await?;
    for attempt in *attempt..MOST {
        let fresh = fresh(turn, order, attempt)?;
        match turn.made(&fresh).await {
            Ok(Some(made)) => return Ok(made),
            Ok(None) => {
                let demands = Demands {
                    image: generation.image.clone(),
                    port_moves: Vec::new(),
                    mount_copies: Vec::new(),
                    labels: fresh.labels(turn),
                };
                let spec = create::carried_over(id, &before.spec, &demands)?;
                return turn.create(&fresh, &spec).await;
            }
            // That one has run and ended as well. It migrated nothing, so there
            // is nothing that another one could repeat.
            Err(refusal) if refusal.reason == Reason::AlreadyRan => {
                turn.lay_down_named(*component, &fresh).await?;
            }
            Err(refusal) => return Err(refusal),
        }
    }
    Err(Refusal::new(
        Reason::AlreadyRan,
        format!("container {} was made anew {MOST} times, and every one has ended", id.short()),
    )
    .with_remedy("see their logs"))
}

fn fresh<'a, E: Engine>(
    turn: &Turn<'_, E>,
    order: &'a Recreate,
    attempt: u32,
) -> Result<Fresh<'a>, Refusal> {
    let Recreate { component, container: _, generation, attempt: _ } = order;
    let well_known = turn.node.component(*component)?.container.as_str();
    let name = names::back(well_known, turn.act.run, attempt);
    Ok(Fresh { component: *component, generation, name })
}

fn gone(id: &ContainerId) -> Refusal {
    Refusal::new(
        Reason::Drifted,
        format!("container {} is gone: nobody can say what it was", id.short()),
    )
    .with_remedy("create a container by hand, as the plan describes it")
}

impl<E: Engine> Turn<'_, E> {
    /// What has ended keeps neither a policy that would revive it nor the name
    /// that its successor gets: a stop that was cut short leaves it with both.
    async fn lay_down(&self, component: Component, seen: &Container) -> Result<(), Refusal> {
        let well_known = self.node.component(component)?.container.as_str();
        let is_named = seen.state.name == well_known;
        if is_named || seen.state.restart_policy != RestartPolicy::No {
            self.intend()?;
            ensure_stopped::put_aside(self, seen.clone(), well_known).await?;
        }
        Ok(())
    }

    /// The same of a fresh one that was promoted and has ended since.
    async fn lay_down_named(&self, component: Component, fresh: &Fresh<'_>) -> Result<(), Refusal> {
        let well_known = self.node.component(component)?.container.as_str();
        let named = self.node.engine.container(well_known).await?;
        match named.filter(|seen| names::carries(&seen.labels, &fresh.labels(self))) {
            Some(seen) if !seen.state.status.is_alive() => self.lay_down(component, &seen).await,
            Some(_) | None => Ok(()),
        }
    }
}
