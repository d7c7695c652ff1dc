//! Promote: the well-known name, seen; then the restart policy, seen. Only for
//! what is healthy: a Quay must serve, which it does only when its migration is
//! over (quay-facts 1.3).

use quaymaster_proto::act::Promote;
use quaymaster_proto::{ActOutcome, ContainerStatus, How, Reason, Refusal};

use super::Turn;
use crate::engine::{Container, Engine};

pub(super) async fn promote<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &Promote,
) -> Result<ActOutcome, Refusal> {
    let Promote { component, container: id, generation, restart_policy } = order;
    let node = turn.node;
    let mut seen = node.ours(*component, id).await?;
    // What the run found and never stopped gets name and policy back.
    turn.found_or_staged_as(*component, generation, &seen)?;
    if seen.state.status != ContainerStatus::Running {
        return Err(Refusal::new(
            Reason::Drifted,
            format!("cannot promote container {}: it is {}", id.short(), seen.state.status),
        )
        .with_remedy("see its log; only a container that runs is promoted"));
    }
    if !node.is_well(*component, &seen).await {
        return Err(Refusal::new(
            Reason::Drifted,
            format!("cannot promote container {}: its {component} is not healthy", id.short()),
        )
        .with_remedy("wait until it is healthy; see its log"));
    }
    let well_known = node.component(*component)?.container.as_str();
    let is_named = |seen: &Container| seen.state.name == well_known;
    let has_policy = |seen: &Container| seen.state.restart_policy == *restart_policy;
    if is_named(&seen) && has_policy(&seen) {
        return Ok(outcome(How::Already, &seen));
    }
    if let Some(holder) = node.engine.container(well_known).await?
        && holder.state.id != *id
    {
        return Err(Refusal::new(
            Reason::Drifted,
            format!(
                "cannot promote container {}: `{well_known}` is the name of container {}",
                id.short(),
                holder.state.id.short()
            ),
        )
        .with_remedy("give the other container another name"));
    }
    turn.intend()?;
    if !is_named(&seen) {
        let done = turn.changes()?.rename(id, well_known).await;
        seen = node.again(id).await?;
        if !is_named(&seen) {
            let said = format!("container {} is still named `{}`", id.short(), seen.state.name);
            return Err(super::not_seen(done, said));
        }
    }
    if !has_policy(&seen) {
        let done = turn.changes()?.set_restart_policy(id, *restart_policy).await;
        seen = node.again(id).await?;
        if !has_policy(&seen) {
            let policy = seen.state.restart_policy;
            let said = format!("container {} keeps restart policy `{policy}`", id.short());
            return Err(super::not_seen(done, said));
        }
    }
    Ok(outcome(How::Changed, &seen))
}

fn outcome(how: How, seen: &Container) -> ActOutcome {
    ActOutcome { how, container: Some(seen.state.clone()), config: None, engine_time: None }
}
