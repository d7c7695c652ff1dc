//! Remove a staged container, on the engine's word that it never started: the
//! proof by which the point of no return is taken back.

use quaymaster_proto::act::RemoveStaged;
use quaymaster_proto::{ActOutcome, ContainerId, How, Reason, Refusal};

use super::{Turn, names};
use crate::engine::Engine;

pub(super) async fn remove_staged<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &RemoveStaged,
) -> Result<ActOutcome, Refusal> {
    let RemoveStaged { component, container: id } = order;
    let node = turn.node;
    node.component(*component)?;
    if node.engine.container(id.as_str()).await?.is_none() {
        return turn.gone(id);
    }
    let seen = node.ours(*component, id).await?;
    let run = turn.act.run.to_string();
    if !node.owner(*component).is_on(&seen.labels) || seen.labels.get(names::RUN) != Some(&run) {
        return Err(Refusal::new(
            Reason::NotOurs,
            format!("container {} (`{}`) was not staged by run {run}", id.short(), seen.state.name),
        )
        .with_remedy("a run removes only what it staged itself"));
    }
    if seen.state.ever_started() {
        return Err(ever_started(id, &seen.state.status.to_string()));
    }
    turn.intend()?;
    // An engine refuses to remove what runs, and looks and starts of one
    // container wait for each other: nothing can start it in between unseen.
    let done = turn.changes()?.remove(id).await;
    match node.engine.container(id.as_str()).await? {
        None => Ok(outcome(How::Changed)),
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
    /// What proves of a container that is not there that it never started: this
    /// run's own removal is on record. It was looked at right before that, and
    /// this agent has accepted no start of it since. Whoever else removed it
    /// may have started it before.
    fn gone(&self, id: &ContainerId) -> Result<ActOutcome, Refusal> {
        let given_up = self.node.ledger().get()?.index().given_up(id);
        if given_up == Some(self.act.run) {
            return Ok(outcome(How::Already));
        }
        Err(Refusal::new(
            Reason::Drifted,
            format!(
                "container {} is not on this node's engine, and this agent did not remove it: \
                 nothing proves that it never started",
                id.short()
            ),
        )
        .with_remedy("see who removed it, and whether the database is still as it was"))
    }

    /// Refuses to start what was given up, whoever asks: its removal may have
    /// been taken for the proof that it never started.
    pub(super) fn refuse_given_up(&self, id: &ContainerId) -> Result<(), Refusal> {
        let Some(run) = self.node.ledger().get()?.index().given_up(id) else { return Ok(()) };
        Err(Refusal::new(
            Reason::Superseded,
            format!("container {} is not started any more: run {run} gave it up", id.short()),
        )
        .with_remedy("stage a fresh container"))
    }
}
