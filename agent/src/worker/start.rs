//! The two starts: the one that may migrate, at most once; and every other,
//! which proves its own ground first.

use quaymaster_proto::act::{EnsureRunning, ExpectedDatabase, StartMigrating};
use quaymaster_proto::{
    ActOutcome, Component, ContainerId, FileDigest, Generation, How, Reason, Refusal,
};

use super::Turn;
use crate::engine::{Container, Engine};
use crate::quay::database::Asked;

/// What must hold right before a start.
struct Ground<'a> {
    id: &'a ContainerId,
    generation: &'a Generation,
    database: &'a ExpectedDatabase,
    config: &'a FileDigest,
}

pub(super) async fn start_migrating<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &StartMigrating,
) -> Result<ActOutcome, Refusal> {
    let StartMigrating { container: id, generation, database, config } = order;
    let component = Component::Quay;
    let seen = turn.node.ours(component, id).await?;
    turn.staged_as(component, generation, &seen)?;
    // Whoever asks and however often: it started once, and that is the answer.
    if seen.state.ever_started() {
        return Ok(outcome(How::Already, &seen));
    }
    let ground = Ground { id, generation, database, config };
    turn.prove(&ground, &seen).await?;
    start(turn, id).await
}

pub(super) async fn ensure_running<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &EnsureRunning,
) -> Result<ActOutcome, Refusal> {
    let EnsureRunning { component, container: id, generation, database, config } = order;
    let seen = turn.node.ours(*component, id).await?;
    turn.staged_as(*component, generation, &seen)?;
    if seen.state.status.is_alive() {
        return Ok(outcome(How::Already, &seen));
    }
    if seen.state.ever_started() {
        return Err(Refusal::new(
            Reason::AlreadyRan,
            format!(
                "container {} ran and has ended with exit code {}; a Quay that has run never \
                 becomes healthy again",
                id.short(),
                seen.state.exit_code
            ),
        )
        .with_remedy("see its log; stage a fresh container"));
    }
    let ground = Ground { id, generation, database, config };
    turn.prove(&ground, &seen).await?;
    start(turn, id).await
}

/// The start itself. What counts is what the engine shows afterwards.
async fn start<E: Engine>(turn: &mut Turn<'_, E>, id: &ContainerId) -> Result<ActOutcome, Refusal> {
    turn.intend()?;
    let done = turn.node.engine.start(id).await;
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
    /// Every look that a start needs, at once: the registry is down meanwhile.
    async fn prove(&self, ground: &Ground<'_>, seen: &Container) -> Result<(), Refusal> {
        let policy = seen.state.restart_policy;
        if policy != quaymaster_proto::RestartPolicy::No {
            return Err(Refusal::new(
                Reason::Drifted,
                format!(
                    "container {} has restart policy `{policy}`; a staged one has `no`",
                    ground.id.short()
                ),
            )
            .with_remedy("stage a fresh container"));
        }
        tokio::try_join!(self.prove_alone(ground), self.prove_database(ground))?;
        Ok(())
    }

    /// No other Quay of this node lives.
    async fn prove_alone(&self, ground: &Ground<'_>) -> Result<(), Refusal> {
        let alive = self.node.living_quays().await?;
        let Some(other) = alive.iter().find(|other| other.id != *ground.id) else {
            return Ok(());
        };
        Err(Refusal::new(
            Reason::Drifted,
            format!(
                "cannot start container {}: `{}` ({}) of this node is {}",
                ground.id.short(),
                other.name,
                other.id.short(),
                other.status
            ),
        )
        .with_remedy("stop it first: two Quays of different generations exclude each other"))
    }

    /// config.yaml, the mode in effect, and the database that both lead to.
    async fn prove_database(&self, ground: &Ground<'_>) -> Result<(), Refusal> {
        let Ground { id, generation, database: expected, config } = ground;
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
        let look = self.node.look_at_database(&view, Asked::default()).await?;
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
}
