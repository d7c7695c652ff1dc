//! The floor on sight: a Quay of this node that lives below it is stopped at
//! once, at the agent's start, after every silence of the engine, when a floor
//! is set, and when the engine says that a container starts. Nothing is asked
//! in between, but of a Quay whose mode cannot be told yet.
//!
//! What may be migrating is never stopped; nor what the floor does not know.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits")]

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use quaymaster_proto::{Component, Floor, Mode, Reason, Refusal, RestartPolicy};

use super::{Desk, Worker, pulse};
use crate::engine::{Container, Engine};
use crate::fence::{self, Start, Verdict};
use crate::guards::Guard;
use crate::node::Node;

/// Between two tries while the engine does not answer, or does not stop what
/// must not live.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two looks at a Quay whose mode nobody can tell yet.
const UNSURE: Duration = Duration::from_secs(2);

impl<E: Engine> Worker<E> {
    /// Watches over the floor.
    pub(crate) async fn keep_fence(&self) -> Infallible {
        let node = &self.node;
        loop {
            // Told from here on, however long the look takes.
            let since = node.surroundings.now();
            if self.look_over_fence().await.is_err() {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut starts = node.engine.starts(since);
            loop {
                let goes_on = tokio::select! {
                    start = starts.next() => matches!(start, Some(Ok(()))),
                    () = node.fence.asked() => true,
                    // It reads its config.yaml, or answers, soon; the engine
                    // says nothing of that.
                    () = tokio::time::sleep(UNSURE), if node.fence.is_unsure() => true,
                };
                if !goes_on || self.look_over_fence().await.is_err() {
                    break;
                }
            }
            // The engine hung up: it ends, or it has ended.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// One look, and what follows of it. Without it no act is taken.
    pub(crate) async fn look_over_fence(&self) -> Result<(), Refusal> {
        let (node, desk) = (Arc::clone(&self.node), Arc::clone(&self.desk));
        let look = self.node.surroundings.threads.run(async move { look(&node, &desk).await });
        let looked = look.await.unwrap_or_else(|_| {
            Err(Refusal::new(Reason::Engine, "the look broke off inside the agent"))
        });
        let before = self.node.fence.blind();
        let now = looked.as_ref().err().map(ToString::to_string);
        if let Some(why) = &now
            && before.as_ref() != Some(why)
        {
            tracing::error!("Cannot watch over the floor: {why}.");
        }
        self.node.fence.set_blind(now);
        looked
    }
}

async fn look<E: Engine>(node: &Node<E>, desk: &Desk) -> Result<(), Refusal> {
    node.fence.set_unsure(false);
    let Some(floor) = known_floor(node) else { return Ok(()) };
    if below(node, &floor).await?.is_empty() {
        return Ok(());
    }
    // As an act: nothing is done to a container that an act is at.
    let _baton = desk.baton.lock().await;
    let work = async {
        // An act may have stopped it, or taken the floor back.
        let Some(floor) = known_floor(node) else { return Ok(()) };
        let mut all = Ok(());
        for (component, quay) in below(node, &floor).await? {
            // One that does not end keeps no other alive.
            let stopped = stop(node, component, &quay).await;
            all = all.and(stopped);
        }
        all
    };
    desk.pulse.carry(pulse::BESIDE_GRACE, work).await
}

/// A floor that is lost or cannot be read keeps every Quay from being started, and stops
/// none.
fn known_floor<E: Engine>(node: &Node<E>) -> Option<Floor> {
    if !node.guards.has(Guard::Floor) {
        return None;
    }
    node.floor().unwrap_or_else(|error| {
        tracing::error!("No Quay is started: {}.", quaymaster_proto::in_a_line(&error));
        None
    })
}

/// Every Quay that lives and is to be stopped; whatever else stands against the
/// floor is told.
async fn below<E: Engine>(
    node: &Node<E>,
    floor: &Floor,
) -> Result<Vec<(Component, Container)>, Refusal> {
    let living = node.living_quays_by_component().await?;
    let start = |quay: &Container| -> Start { (quay.state.id.clone(), quay.state.started_at) };
    let starts: BTreeSet<Start> = living.iter().map(|(_, quay)| start(quay)).collect();
    node.fence.keep_told(&starts);
    let (mut below, mut is_unsure) = (Vec::new(), false);
    for (component, quay) in living {
        let image = &quay.state.image;
        let mode = if fence::needs_mode(floor, image) {
            node.mode_it_runs_in(component, &quay).await
        } else {
            None
        };
        let said = match fence::judge(floor, image, mode) {
            Verdict::Allowed => continue,
            Verdict::Below if !may_be_migrating(node, component, &quay)? => {
                below.push((component, quay));
                continue;
            }
            Verdict::Below => "is below this node's floor; it may be migrating, and is left alone",
            Verdict::Unsure => {
                is_unsure = true;
                "is below this node's floor in some modes; its mode cannot be told, and it is left \
                 alone"
            }
            Verdict::Unknown => "is none that this node's floor knows; it is left alone",
        };
        if node.fence.is_news(start(&quay)) {
            tell(
                node,
                &format!(
                    "saw {}: image {} {said}",
                    named(&quay, node.surroundings.now()),
                    image.short()
                ),
            );
        }
    }
    node.fence.set_unsure(is_unsure);
    Ok(below)
}

fn named(quay: &Container, now: Timestamp) -> String {
    let state = &quay.state;
    format!("{} ({}) at {now:.0}", state.name, state.id.short())
}

fn tell<E: Engine>(node: &Node<E>, sighting: &str) {
    tracing::warn!("{sighting}.");
    node.fence.saw(sighting.to_owned());
}

/// By the ledger. Where that cannot be read, what an agent staged and nobody
/// promoted may be the one.
fn may_be_migrating<E: Engine>(
    node: &Node<E>,
    component: Component,
    quay: &Container,
) -> Result<bool, Refusal> {
    let ledger = node.ledger();
    if ledger.problem().is_none() {
        return Ok(ledger.may_be_migrating(&quay.state.id));
    }
    let is_promoted = quay.state.name == node.component(component)?.container.as_str();
    Ok(node.owner(component).is_on(&quay.labels) && !is_promoted)
}

/// Policy `no`, then the end, without grace: every moment that it lives it may
/// change a database that is not its own any more.
async fn stop<E: Engine>(
    node: &Node<E>,
    component: Component,
    quay: &Container,
) -> Result<(), Refusal> {
    let id = &quay.state.id;
    let image = quay.state.image.short();
    let keeps_policy = if quay.state.restart_policy == RestartPolicy::No {
        None
    } else {
        // Also where the policy stays it must not live now.
        node.engine.set_restart_policy(id, RestartPolicy::No).await.err()
    };
    let stopped = node.engine.stop(id, Duration::ZERO).await;
    // Docker changes no policy between two starts of a container that ends at once; at rest it does.
    let keeps_policy = match keeps_policy {
        Some(_) => node.engine.set_restart_policy(id, RestartPolicy::No).await.err(),
        None => None,
    };
    let seen = node.engine.container(id.as_str()).await?;
    let Some(seen) = seen.filter(|seen| seen.state.status.is_alive()) else {
        let mut said = format!(
            "stopped {}: image {image} is below this node's floor",
            named(quay, node.surroundings.now())
        );
        if let Some(error) = keeps_policy {
            let policy = quay.state.restart_policy;
            said += &format!("; it keeps restart policy `{policy}`: {}", error.in_one_line());
        }
        tell(node, &said);
        return Ok(());
    };
    let said = format!(
        "a {component} below the floor is still {} after its stop: container {}",
        seen.state.status,
        id.short()
    );
    let refusal = super::not_seen(stopped, said);
    if node.fence.is_news((id.clone(), quay.state.started_at)) {
        tell(node, &format!("could not stop {}: {refusal}", named(quay, node.surroundings.now())));
    }
    Err(refusal)
}

impl<E: Engine> Node<E> {
    /// The mode in which a Quay runs: by what it has read, where that is still
    /// what there is to read; else by its own word; `None` = nobody can tell.
    async fn mode_it_runs_in(&self, component: Component, quay: &Container) -> Option<Mode> {
        let view = self.quay_view(Some(&quay.state.id)).await.ok();
        let started = quay.state.started_at?;
        match view {
            Some(view) if view.config_since <= started => Some(view.settings.mode()),
            Some(_) | None => self.mode_of(component, quay).await,
        }
    }
}
