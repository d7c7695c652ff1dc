//! A fresh container of this run: found, or created and seen, never started.

use std::collections::BTreeMap;

use quaymaster_proto::{
    ActOutcome, Component, ContainerId, ContainerStatus, Generation, How, Reason, Refusal,
    RestartPolicy,
};

use super::{Turn, names};
use crate::container::{ContainerSpec, Demands, Finding, carry_over};
use crate::engine::{Container, Engine};

/// What is to be there.
pub(super) struct Fresh<'a> {
    pub(super) component: Component,
    pub(super) generation: &'a Generation,
    /// Until it is promoted; kept as a label.
    pub(super) name: String,
}

impl Fresh<'_> {
    /// By which it is known again, whatever its name is by then.
    pub(super) fn labels<E: Engine>(&self, turn: &Turn<'_, E>) -> BTreeMap<String, String> {
        let mut labels = turn.node.owner(self.component).labels(turn.act.run, self.generation);
        labels.insert(names::NAME.to_owned(), self.name.clone());
        labels
    }
}

/// The spec of a container carried over, or all that stands against it.
pub(super) fn carried_over(
    id: &ContainerId,
    spec: &ContainerSpec,
    demands: &Demands,
) -> Result<ContainerSpec, Refusal> {
    carry_over(spec, demands).into_next().map_err(|against| {
        let words = |Finding { subject, reason }: Finding| format!("{subject} {reason}");
        let reasons: Vec<String> = against.into_iter().map(words).collect();
        Refusal::new(
            Reason::Spec,
            format!("container {} cannot be carried over: {}", id.short(), reasons.join("; ")),
        )
        .with_remedy("create it anew without these, then plan again")
    })
}

impl<E: Engine> Turn<'_, E> {
    /// The container, where it was made already: under its own name, or
    /// promoted.
    pub(super) async fn made(&self, fresh: &Fresh<'_>) -> Result<Option<ActOutcome>, Refusal> {
        let well_known = self.node.component(fresh.component)?.container.as_str();
        let labels = fresh.labels(self);
        for known in [fresh.name.as_str(), well_known] {
            if let Some(seen) = self.node.engine.container(known).await?
                && names::carries(&seen.labels, &labels)
                && seen.state.image == fresh.generation.image
            {
                refuse_spent(&seen, well_known)?;
                return Ok(Some(outcome(How::Already, &seen)));
            }
        }
        Ok(None)
    }

    /// Creates it, and looks whether it is as it was asked for.
    pub(super) async fn create(
        &self,
        fresh: &Fresh<'_>,
        spec: &ContainerSpec,
    ) -> Result<ActOutcome, Refusal> {
        let Fresh { component, generation, name } = fresh;
        if let Some(other) = self.node.engine.container(name).await? {
            return Err(Refusal::new(
                Reason::Drifted,
                format!(
                    "`{name}` is the name of container {}, which was not staged as ordered",
                    other.state.id.short()
                ),
            )
            .with_remedy("see whose it is and remove it by hand"));
        }
        self.intend()?;
        let done = self.changes()?.create(name, spec).await;
        let Some(seen) = self.node.engine.container(name).await? else {
            let done = done.map(|_| ());
            return Err(super::not_seen(done, format!("there is no container `{name}`")));
        };
        self.staged_as(*component, generation, &seen)?;
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
        .with_remedy(
            "see its log; then order another attempt, which gets a container of its own",
        ));
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

pub(super) fn outcome(how: How, seen: &Container) -> ActOutcome {
    ActOutcome { how, container: Some(seen.state.clone()), config: None, engine_time: None }
}
