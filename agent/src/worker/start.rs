//! The two starts: the one that may migrate, at most once; and every other,
//! which proves its own ground first.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two looks")]

mod sessions;

use std::time::Duration;

use quaymaster_proto::act::{EnsureRunning, ExpectedDatabase, Ground, StartMigrating};
use quaymaster_proto::database::DatabaseLook;
use quaymaster_proto::{
    ActOutcome, Component, ContainerId, FileDigest, Generation, How, Reason, Refusal,
};

use super::{Turn, names};
use crate::engine::{Container, Engine};
use crate::guards::Guard;
use crate::node::QuayView;
use crate::quay::database::Asked;
use crate::surroundings::LockedBy;

/// Looks for sessions in all. One that has just begun has not said its name
/// yet, and one that is being ended is gone soon.
const LOOKS: usize = 4;

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(500);

/// What must hold right before a Quay starts.
struct Proof<'a> {
    component: Component,
    id: &'a ContainerId,
    generation: &'a Generation,
    database: &'a ExpectedDatabase,
    config: &'a FileDigest,
    /// Who may be on the database beside agents; `None` = whoever is.
    expected_sessions: Option<&'a [String]>,
}

pub(super) async fn start_migrating<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &StartMigrating,
) -> Result<ActOutcome, Refusal> {
    let StartMigrating { container: id, generation, database, config, expected_sessions } = order;
    let component = Component::Quay;
    let seen = turn.node.ours(component, id).await?;
    turn.staged_as(component, generation, &seen)?;
    // Whoever asks and however often: it started once, and that is the answer.
    let is_spent = turn.node.guards.has(Guard::AtMostOnce);
    let met = |seen: &Container| {
        let started = seen.state.ever_started() && is_spent;
        Ok(started.then(|| outcome(How::Already, seen)))
    };
    if let Some(outcome) = met(&seen)? {
        return Ok(outcome);
    }
    let expected_sessions = Some(expected_sessions.as_slice());
    let proof = Proof { component, id, generation, database, config, expected_sessions };
    turn.refuse_policy(&seen)?;
    turn.refuse_given_up(component, id)?;
    turn.refuse_taken_down(component, generation)?;
    turn.refuse_below_floor(component, generation)?;
    turn.lock(&proof).await?;
    turn.prove(&proof).await?;
    start(turn, id, met).await
}

pub(super) async fn ensure_running<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &EnsureRunning,
) -> Result<ActOutcome, Refusal> {
    let EnsureRunning { component, container: id, generation, ground } = order;
    let seen = turn.node.ours(*component, id).await?;
    turn.found_or_staged_as(*component, generation, &seen)?;
    if let Some(outcome) = runs(&seen)? {
        return Ok(outcome);
    }
    turn.refuse_policy(&seen)?;
    turn.refuse_given_up(*component, id)?;
    turn.refuse_taken_down(*component, generation)?;
    turn.refuse_below_floor(*component, generation)?;
    match ground {
        Some(Ground { database, config }) => {
            let proof = Proof {
                component: *component,
                id,
                generation,
                database,
                config,
                expected_sessions: None,
            };
            turn.prove(&proof).await?;
        }
        // The wire leaves it out for components that read no database only.
        None => turn.prove_companion(*component)?,
    }
    start(turn, id, runs).await
}

/// The answer where it runs already; one that has ended is refused.
fn runs(seen: &Container) -> Result<Option<ActOutcome>, Refusal> {
    let state = &seen.state;
    if state.status.is_alive() {
        return Ok(Some(outcome(How::Already, seen)));
    }
    if !state.ever_started() {
        return Ok(None);
    }
    Err(Refusal::new(
        Reason::AlreadyRan,
        format!(
            "container {} ran and has ended with exit code {}; one that has run is not started \
             again",
            state.id.short(),
            state.exit_code
        ),
    )
    .with_remedy("see its log; stage a fresh container"))
}

/// The start itself. The proof took its time: what somebody else did to the
/// container meanwhile is looked for once more, and `met` says what to answer.
/// What counts is what the engine shows afterwards.
async fn start<E: Engine>(
    turn: &mut Turn<'_, E>,
    id: &ContainerId,
    met: impl Fn(&Container) -> Result<Option<ActOutcome>, Refusal>,
) -> Result<ActOutcome, Refusal> {
    turn.intend()?;
    let seen = turn.node.again(id).await?;
    if let Some(outcome) = met(&seen)? {
        return Ok(outcome);
    }
    turn.refuse_policy(&seen)?;
    let done = turn.changes()?.start(id).await;
    let seen = turn.node.again(id).await?;
    if !seen.state.ever_started() {
        return Err(super::not_seen(done, format!("container {} did not start", id.short())));
    }
    Ok(outcome(How::Changed, &seen))
}

fn outcome(how: How, seen: &Container) -> ActOutcome {
    ActOutcome {
        how,
        container: Some(seen.state.clone()),
        config: None,
        engine_time: seen.state.started_at,
    }
}

impl<E: Engine> Turn<'_, E> {
    /// A policy would start it again behind everyone's back.
    fn refuse_policy(&self, seen: &Container) -> Result<(), Refusal> {
        let policy = seen.state.restart_policy;
        if policy == quaymaster_proto::RestartPolicy::No {
            return Ok(());
        }
        Err(Refusal::new(
            Reason::Drifted,
            format!(
                "container {} has restart policy `{policy}`; a staged one has `no`",
                seen.state.id.short()
            ),
        )
        .with_remedy("stage a fresh container"))
    }

    /// What may change the database proves its ground, whoever asks.
    fn prove_companion(&self, component: Component) -> Result<(), Refusal> {
        if component.migrates() {
            return Err(Refusal::new(
                Reason::Invalid,
                format!("a {component} is not started without its database and its config.yaml"),
            ));
        }
        Ok(())
    }

    /// Locks the database against another Quaymaster, where it can be locked.
    /// Before everything else is proven: what is proven is then true for the
    /// one who has the lock.
    async fn lock(&self, proof: &Proof<'_>) -> Result<(), Refusal> {
        let view = self.node.quay_view(Some(proof.id)).await?;
        match self.node.lock_database(&view, &proof.database.identity).await {
            None => Ok(()),
            Some(LockedBy(by)) => sessions::refuse_locked(by.as_ref()),
        }
    }

    /// Every look that a start needs, at once: the registry is down meanwhile.
    async fn prove(&self, proof: &Proof<'_>) -> Result<(), Refusal> {
        tokio::try_join!(self.prove_alone(proof), self.prove_database(proof))?;
        Ok(())
    }

    /// No other Quay of this node lives. A mirror starts beside the Quay of its
    /// own generation.
    async fn prove_alone(&self, proof: &Proof<'_>) -> Result<(), Refusal> {
        let alive = self.node.living_quays().await?;
        let quay = self.node.owner(Component::Quay).labels(self.act.run, proof.generation);
        let is_own_quay = |other: &Container| {
            proof.component == Component::Mirror
                && other.state.image == proof.generation.image
                && names::carries(&other.labels, &quay)
        };
        let is_other = |other: &&Container| other.state.id != *proof.id && !is_own_quay(other);
        let Some(Container { state: other, .. }) = alive.iter().find(is_other) else {
            return Ok(());
        };
        Err(Refusal::new(
            Reason::Drifted,
            format!(
                "cannot start container {}: `{}` ({}) of this node is {}",
                proof.id.short(),
                other.name,
                other.id.short(),
                other.status
            ),
        )
        .with_remedy("stop it first: two Quays of different generations exclude each other"))
    }

    /// config.yaml, the mode in effect, and the database that both lead to.
    async fn prove_database(&self, proof: &Proof<'_>) -> Result<(), Refusal> {
        let Proof { component: _, id, generation, database: expected, config, expected_sessions } =
            proof;
        let view = self.node.quay_view(Some(id)).await?;
        if view.config != **config {
            return Err(Refusal::new(
                Reason::Drifted,
                format!(
                    "config.yaml has digest {}, not {} as the plan wants it",
                    view.config.short(),
                    config.short()
                ),
            )
            .with_remedy("put the staged config in place, or plan again"));
        }
        let mode = view.settings.mode();
        if mode != generation.mode {
            return Err(Refusal::new(
                Reason::Drifted,
                format!(
                    "container {} would run in mode {mode}, not in {}",
                    id.short(),
                    generation.mode
                ),
            )
            .with_remedy("see V3_UPGRADE_MODE in config.yaml and in QUAY_OVERRIDE_CONFIG"));
        }
        if !view.settings.setup_complete() {
            return Err(Refusal::new(
                Reason::Config,
                format!("container {} would run without `SETUP_COMPLETE: true`", id.short()),
            )
            .with_remedy("see SETUP_COMPLETE in config.yaml and in QUAY_OVERRIDE_CONFIG"));
        }
        let asked = Asked { sessions: expected_sessions.is_some(), counts: false };
        let look = self.node.look_at_database(&view, asked).await?;
        if self.node.guards.has(Guard::OwnDatabase) {
            prove_revision(expected, &look)?;
        }
        let Some(expected) = expected_sessions else { return Ok(()) };
        self.prove_sessions(&view, expected, look).await
    }

    /// Passes as soon as one look shows nobody but agents and who is expected: a
    /// Quay that nobody stopped would write into a database in the midst of its
    /// migration, and may have another session at every look.
    async fn prove_sessions(
        &self,
        view: &QuayView,
        expected: &[String],
        first: DatabaseLook,
    ) -> Result<(), Refusal> {
        let mut others = sessions::foreign(expected, first.sessions);
        for _ in 1..LOOKS {
            if others.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
            let asked = Asked { sessions: true, counts: false };
            let look = self.node.look_at_database(view, asked).await?;
            others = sessions::foreign(expected, look.sessions);
        }
        sessions::refuse(&others)
    }
}

pub(super) fn prove_revision(
    expected: &ExpectedDatabase,
    look: &DatabaseLook,
) -> Result<(), Refusal> {
    let ExpectedDatabase { identity, revisions } = expected;
    let refuse = |message: String, remedy: &str| {
        Err(Refusal::new(Reason::Database, message).with_remedy(remedy))
    };
    if look.identity != *identity {
        return refuse(
            format!(
                "this node's database is {} ({}), the plan's is {identity}",
                look.identity, look.shown_as
            ),
            "see DB_URI in this node's config.yaml",
        );
    }
    if look.in_recovery {
        return refuse(
            format!("the database {} is a standby", look.shown_as),
            "promote it, or point DB_URI at the primary",
        );
    }
    if !revisions.contains(&look.revision) {
        return refuse(
            format!(
                "the database {} is at revision `{}`, wanted is `{}`",
                look.shown_as,
                look.revision,
                revisions.join("` or `")
            ),
            "see whether the migration has ended, and how",
        );
    }
    Ok(())
}
