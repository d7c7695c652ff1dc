//! Stage: the next container beside the one that runs, created and never
//! started. With a Quay's its node first keeps what it is before the window.

use std::collections::BTreeMap;
use std::path::Path;

use quaymaster_proto::act::StageContainer;
use quaymaster_proto::{ActOutcome, Component, Reason, Refusal};

use super::create::{self, Fresh};
use super::{Turn, names};
use crate::backup::{Keeping, Owner};
use crate::container::{ContainerSpec, Demands};
use crate::engine::{Engine, FullContainer, Image};

/// Where Quay reads its configuration.
const STACK: &str = "/conf/stack";

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
        attempt,
    } = order;
    let well_known = turn.node.component(*component)?.container.as_str();
    let name = names::staged(well_known, turn.act.run, *attempt);
    let fresh = Fresh { component: *component, generation, name };
    if let Some(made) = turn.made(&fresh).await? {
        return Ok(made);
    }
    let running = running(turn, order).await?;
    let next = next_spec(turn, order, &running, fresh.labels(turn)).await?;
    if *component == Component::Quay {
        keep(turn, &running).await?;
    }
    turn.create(&fresh, &next).await
}

/// A record of the agent's own, like the plan: the same again changes nothing.
/// One that cannot be made is told while the registry serves.
async fn keep<E: Engine>(turn: &Turn<'_, E>, running: &FullContainer) -> Result<(), Refusal> {
    let node = turn.node;
    let mut containers = vec![(Component::Quay, running.inspected.clone())];
    for (component, settings) in &node.config.components {
        if *component != Component::Quay
            && let Some(found) = node.engine.full_container(settings.container.as_str()).await?
        {
            containers.push((*component, found.inspected));
        }
    }
    let seen_by_quay = running.container.mounts.iter().find(|mount| mount.destination == STACK);
    let config = seen_by_quay
        .map(|mount| Path::new(&mount.source))
        .filter(|source| source.is_dir())
        .or_else(|| node.config.quay_config.parent())
        .unwrap_or(&node.config.quay_config);
    let backups = node.config.backup.as_ref().map(|backup| backup.directory.as_path());
    let (state, run) = (node.config.state.as_path(), turn.act.run);
    let owner = Owner { cluster: &node.config.cluster, node: &node.config.node };
    let keeping = Keeping { backups, state, owner, run, config, containers };
    node.surroundings.dump.keep(&keeping).map_err(|error| {
        Refusal::new(Reason::Config, quaymaster_proto::in_a_line(&error))
            .with_remedy(error.remedy())
    })
}

/// The running container, which must be as the plan saw it.
async fn running<E: Engine>(
    turn: &Turn<'_, E>,
    order: &StageContainer,
) -> Result<FullContainer, Refusal> {
    let StageContainer { component, container: id, spec, .. } = order;
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
    Ok(running)
}

/// Refuses an image that agent.yaml does not allow. One without any name was
/// loaded by hand, and is known by its id alone.
fn refuse_foreign<E: Engine>(
    turn: &Turn<'_, E>,
    component: Component,
    image: &Image,
) -> Result<(), Refusal> {
    let Image { id, tags, digests, bytes: _, postgres: _ } = image;
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

/// The running container's spec carried over to what is ordered.
async fn next_spec<E: Engine>(
    turn: &Turn<'_, E>,
    order: &StageContainer,
    running: &FullContainer,
    labels: BTreeMap<String, String>,
) -> Result<ContainerSpec, Refusal> {
    let StageContainer {
        component,
        container: id,
        spec: _,
        generation,
        port_moves,
        mount_copies,
        attempt: _,
    } = order;
    let node = turn.node;
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
        labels,
    };
    create::carried_over(id, &running.spec, &demands)
}
