//! Stage: the next container beside the one that runs, created and never
//! started.

use quaymaster_proto::act::StageContainer;
use quaymaster_proto::{
    ActOutcome, Component, ContainerStatus, How, Reason, Refusal, RestartPolicy,
};

use super::{Turn, names};
use crate::container::{ContainerSpec, Demands, Finding, carry_over};
use crate::engine::{Container, Engine, Image};

pub(super) async fn stage_container<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &StageContainer,
) -> Result<ActOutcome, Refusal> {
    let StageContainer {
        component,
        container: _,
        spec: _,
        generation,
        port_moves: _,
        mount_copies: _,
    } = order;
    let node = turn.node;
    let well_known = &node.component(*component)?.container;
    let name = names::staged(well_known, turn.act.run);
    let labels = node.owner(*component).labels(turn.act.run, generation);
    // Under its own name, or promoted already.
    for known in [&name, well_known] {
        if let Some(seen) = node.engine.container(known).await?
            && names::carries(&seen.labels, &labels)
            && seen.state.image == generation.image
        {
            refuse_spent(&seen, well_known.as_str())?;
            return Ok(outcome(How::Already, &seen));
        }
    }
    let next = next_spec(turn, order).await?;
    if let Some(other) = node.engine.container(&name).await? {
        return Err(Refusal::new(
            Reason::Drifted,
            format!(
                "`{name}` is the name of container {}, which was not staged as ordered",
                other.state.id.short()
            ),
        )
        .with_remedy("see whose it is and remove it by hand"));
    }
    turn.intend()?;
    let done = node.engine.create(&name, &next).await;
    let Some(seen) = node.engine.container(&name).await? else {
        let done = done.map(|_| ());
        return Err(super::not_seen(done, format!("there is no container `{name}`")));
    };
    turn.staged_as(*component, generation, &seen)?;
    let is_fresh = seen.state.status == ContainerStatus::Created
        && seen.state.restart_policy == RestartPolicy::No;
    if !is_fresh {
        let state = format!(
            "`{name}` is {} with restart policy `{}`",
            seen.state.status, seen.state.restart_policy
        );
        return Err(super::not_seen(Ok(()), state));
    }
    Ok(outcome(How::Changed, &seen))
}

/// Refuses a container of this run that is of no more use: a Quay that has run
/// never becomes healthy again, and a policy would start it by itself.
fn refuse_spent(seen: &Container, well_known: &str) -> Result<(), Refusal> {
    let state = &seen.state;
    if state.ever_started() && !state.status.is_alive() {
        return Err(Refusal::new(
            Reason::AlreadyRan,
            format!(
                "container {} (`{}`) of this run has ended with exit code {}",
                state.id.short(),
                state.name,
                state.exit_code
            ),
        )
        .with_remedy("see its log; remove it by hand, then stage again"));
    }
    if state.name != well_known && state.restart_policy != RestartPolicy::No {
        return Err(Refusal::new(
            Reason::Drifted,
            format!(
                "container {} (`{}`) has restart policy `{}`; a staged one has `no`",
                state.id.short(),
                state.name,
                state.restart_policy
            ),
        )
        .with_remedy("see who changed it, and remove it by hand"));
    }
    Ok(())
}

/// Refuses an image that agent.yaml does not allow. One without any name was
/// loaded by hand, and is known by its id alone.
fn refuse_foreign<E: Engine>(
    turn: &Turn<'_, E>,
    component: Component,
    image: &Image,
) -> Result<(), Refusal> {
    let Image { id, tags, digests } = image;
    let allowed = turn.node.component(component)?;
    let by_digest = digests.iter().filter_map(|name| name.split_once('@'));
    let by_tag = tags.iter().filter_map(|name| name.rsplit_once(':'));
    let mut repositories = by_digest.chain(by_tag).map(|(repository, _)| repository).peekable();
    if repositories.peek().is_none() || repositories.any(|name| allowed.allows(name)) {
        return Ok(());
    }
    let names: Vec<_> = allowed.repositories.iter().map(ToString::to_string).collect();
    Err(Refusal::new(
        Reason::Image,
        format!(
            "image {} ({}) is of none of the repositories that agent.yaml allows for {component}",
            id.short(),
            digests.iter().chain(tags).map(String::as_str).collect::<Vec<_>>().join(", ")
        ),
    )
    .with_remedy(format!("use one of {}, or add its repository to agent.yaml", names.join(", "))))
}

/// The running container's spec, which must be the one that the plan saw,
/// carried over to what is ordered.
async fn next_spec<E: Engine>(
    turn: &Turn<'_, E>,
    order: &StageContainer,
) -> Result<ContainerSpec, Refusal> {
    let StageContainer { component, container: id, spec, generation, port_moves, mount_copies } =
        order;
    let node = turn.node;
    node.ours(*component, id).await?;
    let running = node.engine.full_container(id.as_str()).await?.ok_or_else(|| {
        Refusal::new(Reason::Drifted, format!("container {} is gone", id.short()))
            .with_remedy("plan again")
    })?;
    let found = running.spec.digest(&turn.node.spec_key);
    if found != *spec {
        return Err(Refusal::new(
            Reason::Drifted,
            format!("container {} has spec {found}, not {spec} as the plan saw it", id.short()),
        )
        .with_remedy("see who created it anew, then plan again"));
    }
    let image = node.engine.image(generation.image.as_str()).await?.ok_or_else(|| {
        let short = generation.image.short();
        Refusal::new(Reason::Image, format!("image {short} is not on this node"))
            .with_remedy("pull it first")
    })?;
    refuse_foreign(turn, *component, &image)?;
    let demands = Demands {
        image: generation.image.clone(),
        port_moves: port_moves.clone(),
        mount_copies: mount_copies.clone(),
        labels: node.owner(*component).labels(turn.act.run, generation),
    };
    carry_over(&running.spec, &demands).into_next().map_err(|against| {
        let words = |Finding { subject, reason }: Finding| format!("{subject} {reason}");
        let reasons: Vec<String> = against.into_iter().map(words).collect();
        Refusal::new(
            Reason::Spec,
            format!("container {} cannot be carried over: {}", id.short(), reasons.join("; ")),
        )
        .with_remedy("create it anew without these, then plan again")
    })
}

fn outcome(how: How, seen: &Container) -> ActOutcome {
    ActOutcome { how, container: Some(seen.state.clone()), config: None, engine_time: None }
}
