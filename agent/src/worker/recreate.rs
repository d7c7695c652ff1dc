//! Recreate: a fresh container of what one that has run was. A Quay that has run
//! never becomes healthy again (quay-observed), so the way back makes another.

use quaymaster_proto::act::Recreate;
use quaymaster_proto::{ActOutcome, How, Reason, Refusal, RestartPolicy};

use super::create::{self, Fresh};
use super::{Turn, ensure_stopped, names};
use crate::container::Demands;
use crate::engine::{Container, Engine};

pub(super) async fn recreate<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &Recreate,
) -> Result<ActOutcome, Refusal> {
    let Recreate { component, container: id, generation, attempt } = order;
    let node = turn.node;
    let well_known = node.component(*component)?.container.as_str();
    let name = names::back(well_known, turn.act.run, *attempt);
    let fresh = Fresh { component: *component, generation, name };
    let before = match node.engine.full_container(id.as_str()).await? {
        Some(before) => before,
        // It may have been removed since; what was made of it is what counts.
        None => {
            let gone = || {
                Refusal::new(
                    Reason::Drifted,
                    format!("container {} is gone: nobody can say what it was", id.short()),
                )
                .with_remedy("create a container by hand, as the plan describes it")
            };
            return turn.made(&fresh).await?.ok_or_else(gone);
        }
    };
    let seen = node.ours(*component, id).await?;
    if seen.state.image != generation.image {
        return Err(super::other_image(&seen.state, &generation.image));
    }
    // It was never stopped, or somebody has it back already.
    if seen.state.status.is_alive() {
        return Ok(create::outcome(How::Already, &seen));
    }
    rest(turn, seen, well_known).await?;
    if let Some(made) = turn.made(&fresh).await? {
        return Ok(made);
    }
    turn.refuse_below_floor(*component, generation)?;
    let demands = Demands {
        image: generation.image.clone(),
        port_moves: Vec::new(),
        mount_copies: Vec::new(),
        labels: fresh.labels(turn),
    };
    let spec = create::carried_over(id, &before.spec, &demands)?;
    turn.create(&fresh, &spec).await
}

/// Ends what a stop that broke off has begun: the name is the fresh one's, and
/// nothing starts the old one beside it.
async fn rest<E: Engine>(
    turn: &Turn<'_, E>,
    seen: Container,
    well_known: &str,
) -> Result<(), Refusal> {
    let is_retired = names::is_retired(well_known, &seen.state.name);
    let has_policy = seen.state.restart_policy != RestartPolicy::No;
    if is_retired && !has_policy {
        return Ok(());
    }
    turn.intend()?;
    let seen = if has_policy { ensure_stopped::take_policy(turn, &seen).await? } else { seen };
    if !is_retired {
        ensure_stopped::retire(turn, &seen, well_known).await?;
    }
    Ok(())
}
