//! Remove a staged container, on the engine's word that it never started: the
//! proof by which the point of no return is taken back.

use quaymaster_proto::act::RemoveStaged;
use quaymaster_proto::{ActOutcome, Component, ContainerId, How, Reason, Refusal};

use super::{Turn, names};
use crate::engine::Engine;

pub(super) async fn remove_staged<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &RemoveStaged,
) -> Result<ActOutcome, Refusal> {
    let RemoveStaged { component, container } = order;
    turn.node.component(*component)?;
    let Some(id) = container else { return remove_all(turn, *component).await };
    if turn.node.engine.container(id.as_str()).await?.is_none() {
        return turn.gone(id);
    }
    turn.refuse_started(*component, id).await?;
    turn.intend()?;
    remove(turn, id).await?;
    Ok(outcome(How::Changed))
}

/// Whatever this run staged: nobody knows an id, so nobody ever ordered a
/// start, and where nothing is there nothing has to be proven.
async fn remove_all<E: Engine>(
    turn: &mut Turn<'_, E>,
    component: Component,
) -> Result<ActOutcome, Refusal> {
    let (node, run) = (turn.node, turn.act.run.to_string());
    let mut staged = node.containers_of(component).await?;
    staged.retain(|listed| {
        node.owner(component).is_on(&listed.labels) && listed.labels.get(names::RUN) == Some(&run)
    });
    if staged.is_empty() {
        return Ok(outcome(How::Already));
    }
    for listed in &staged {
        turn.refuse_started(component, &listed.id).await?;
    }
    turn.intend()?;
    for listed in &staged {
        remove(turn, &listed.id).await?;
    }
    Ok(outcome(How::Changed))
}

/// An engine refuses to remove what runs, and looks and starts of one container
/// wait for each other: nothing can start it in between unseen.
pub(super) async fn remove<E: Engine>(turn: &Turn<'_, E>, id: &ContainerId) -> Result<(), Refusal> {
    let done = turn.changes()?.remove(id).await;
    match turn.node.engine.container(id.as_str()).await? {
        None => Ok(()),
        Some(seen) if seen.state.ever_started() => {
            Err(ever_started(id, &seen.state.status.to_string()))
        }
        Some(_) => Err(super::not_seen(done, format!("container {} is still there", id.short()))),
    }
}

fn ever_started(id: &ContainerId, status: &str) -> Refusal {
    Refusal::new(
        Reason::AlreadyRan,
        format!("cannot remove container {}: it has started, and is {status}", id.short()),
    )
    .with_remedy("what it did to the database is not undone by removing it; see its log")
}

fn outcome(how: How) -> ActOutcome {
    ActOutcome { how, container: None, config: None, engine_time: None }
}

impl<E: Engine> Turn<'_, E> {
    /// Refuses what this run did not stage, and what has ever started.
    async fn refuse_started(&self, component: Component, id: &ContainerId) -> Result<(), Refusal> {
        let seen = self.node.ours(component, id).await?;
        let run = self.act.run.to_string();
        let is_ours = self.node.owner(component).is_on(&seen.labels)
            && seen.labels.get(names::RUN) == Some(&run);
        if !is_ours {
            let name = &seen.state.name;
            return Err(Refusal::new(
                Reason::NotOurs,
                format!("container {} (`{name}`) was not staged by run {run}", id.short()),
            )
            .with_remedy("a run removes only what it staged itself"));
        }
        if seen.state.ever_started() {
            return Err(ever_started(id, &seen.state.status.to_string()));
        }
        Ok(())
    }

    /// What proves of a container that is not there that it never started: this
    /// run's own removal is on record, and no record says that it had started by
    /// then. It was looked at right before that, and this agent has accepted no
    /// start of it since. Whoever else removed it may have started it before.
    fn gone(&self, id: &ContainerId) -> Result<ActOutcome, Refusal> {
        if self.node.ledger().get()?.index().gave_up_unstarted(self.act.run, id) {
            return Ok(outcome(How::Already));
        }
        Err(Refusal::new(
            Reason::Drifted,
            format!(
                "container {} is not on this node's engine, and this agent did not remove it \
                 unstarted: nothing proves that it never started",
                id.short()
            ),
        )
        .with_remedy("see who removed it, and whether the database is still as it was"))
    }

    /// Refuses to start what was given up, whoever asks: its removal may have
    /// been taken for the proof that it never started.
    pub(super) fn refuse_given_up(
        &self,
        component: Component,
        id: &ContainerId,
    ) -> Result<(), Refusal> {
        let run = {
            let mut ledger = self.node.ledger();
            let index = ledger.get()?.index();
            index.given_up(id).or_else(|| index.gave_up_all(self.act.run, component))
        };
        let Some(run) = run else { return Ok(()) };
        Err(Refusal::new(
            Reason::Superseded,
            format!("container {} is not started any more: run {run} gave it up", id.short()),
        )
        .with_remedy("stage a fresh container"))
    }
}
