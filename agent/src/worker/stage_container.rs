//! Stage: the next container beside the one that runs, created and never
//! started.

use std::collections::BTreeMap;

use quaymaster_proto::act::StageContainer;
use quaymaster_proto::{ActOutcome, Component, Reason, Refusal};

use super::create::{self, Fresh};
use super::{Turn, names};
use crate::container::{ContainerSpec, Demands};
use crate::engine::{Engine, Image};

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
    let next = next_spec(turn, order, fresh.labels(turn)).await?;
    turn.create(&fresh, &next).await
}

/// Refuses an image that agent.yaml does not allow. One without any name was
/// loaded by hand, and is known by its id alone.
fn refuse_foreign<E: Engine>(
    turn: &Turn<'_, E>,
    component: Component,
    image: &Image,
) -> Result<(), Refusal> {
    let Image { id, tags, digests, bytes: _ } = image;
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
    labels: BTreeMap<String, String>,
) -> Result<ContainerSpec, Refusal> {
    let StageContainer {
        component,
        container: id,
        spec,
        generation,
        port_moves,
        mount_copies,
        attempt: _,
    } = order;
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
        labels,
    };
    create::carried_over(id, &running.spec, &demands)
}
