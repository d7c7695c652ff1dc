//! The two starts: the one that may migrate, at most once; and every other,
//! which proves its own ground first.

use quaymaster_proto::act::{EnsureRunning, ExpectedDatabase, Ground, StartMigrating};
use quaymaster_proto::database::{DatabaseLook, Session};
use quaymaster_proto::{
    ActOutcome, Component, ContainerId, FileDigest, Generation, How, Reason, Refusal,
};

use super::{Turn, names};
use crate::engine::{Container, Engine};
use crate::guards::Guard;
use crate::quay::database::Asked;

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
    if seen.state.ever_started() && turn.node.guards.has(Guard::AtMostOnce) {
        return Ok(outcome(How::Already, &seen));
    }
    let expected_sessions = Some(expected_sessions.as_slice());
    let proof = Proof { component, id, generation, database, config, expected_sessions };
    turn.refuse_policy(&seen)?;
    turn.refuse_given_up(component, id)?;
    turn.refuse_below_floor(component, generation)?;
    turn.prove(&proof).await?;
    start(turn, id).await
}

pub(super) async fn ensure_running<E: Engine>(
    turn: &mut Turn<'_, E>,
    order: &EnsureRunning,
) -> Result<ActOutcome, Refusal> {
    let EnsureRunning { component, container: id, generation, ground } = order;
    let seen = turn.node.ours(*component, id).await?;
    turn.found_or_staged_as(*component, generation, &seen)?;
    if seen.state.status.is_alive() {
        return Ok(outcome(How::Already, &seen));
    }
    if seen.state.ever_started() {
        return Err(Refusal::new(
            Reason::AlreadyRan,
            format!(
                "container {} ran and has ended with exit code {}; one that has run is not \
                 started again",
                id.short(),
                seen.state.exit_code
            ),
        )
        .with_remedy("see its log; stage a fresh container"));
    }
    turn.refuse_policy(&seen)?;
    turn.refuse_given_up(*component, id)?;
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
    start(turn, id).await
}

/// The start itself. What counts is what the engine shows afterwards.
async fn start<E: Engine>(turn: &mut Turn<'_, E>, id: &ContainerId) -> Result<ActOutcome, Refusal> {
    turn.intend()?;
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
        let Some(expected_sessions) = expected_sessions else { return Ok(()) };
        let foreign = foreign(expected_sessions, look);
        if foreign.is_empty() {
            return Ok(());
        }
        // A session that has just begun has not said its name yet.
        let again = self.node.look_at_database(&view, asked).await?;
        refuse_sessions(foreign, &self::foreign(expected_sessions, again))
    }
}

fn prove_revision(expected: &ExpectedDatabase, look: &DatabaseLook) -> Result<(), Refusal> {
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

/// The sessions that are neither an agent's nor named. SQLite has none.
fn foreign(expected: &[String], look: DatabaseLook) -> Vec<Session> {
    let sessions = look.sessions.unwrap_or_default().into_iter();
    sessions.filter(|session| !session.is_agent() && !session.is_among(expected)).collect()
}

/// Refuses what two looks in a row found: a Quay that nobody stopped would
/// write into a database in the midst of its migration.
fn refuse_sessions(first: Vec<Session>, second: &[Session]) -> Result<(), Refusal> {
    let stays = |session: &Session| second.iter().any(|other| other.pid == session.pid);
    let words = |session: &Session| {
        let Session { pid, user, application, address, since: _ } = session;
        let said = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        format!("{pid} ({}, {}, {})", said(user), said(application), said(address))
    };
    let staying: Vec<String> = first.iter().filter(|session| stays(session)).map(words).collect();
    if staying.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::Database,
        format!(
            "others are on the database, by process (user, application, address): {}",
            staying.join(", ")
        ),
    )
    .with_remedy(
        "end them; a session that may stay belongs into database.expected_sessions of \
         cluster.yaml and into a new plan",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(pid: i64, application: &str, address: &str) -> Session {
        Session {
            pid,
            user: "quay".to_owned(),
            application: application.to_owned(),
            address: address.to_owned(),
            since: None,
        }
    }

    fn look(sessions: Option<Vec<Session>>) -> DatabaseLook {
        DatabaseLook {
            at: jiff::Timestamp::UNIX_EPOCH,
            identity: quaymaster_proto::database::DatabaseIdentity::new("postgresql:7/1").unwrap(),
            kind: "postgresql".to_owned(),
            revision: "5b7503aada1b".to_owned(),
            in_recovery: false,
            sessions,
            counts: None,
            server_version: "12".to_owned(),
            shown_as: "db:5432/quay".to_owned(),
        }
    }

    #[test]
    fn a_session_that_nobody_named_stands_against_a_migration() {
        let expected = ["pg_exporter".to_owned(), "10.0.0.7".to_owned()];
        let seen = look(Some(vec![
            session(1, "quaymaster-agent/prod/quay-2", "10.0.0.2"),
            session(2, "pg_exporter", "10.0.0.9"),
            session(3, "", "10.0.0.7"),
            session(4, "", "10.0.0.3"),
        ]));
        let foreign = foreign(&expected, seen);
        let refusal = refuse_sessions(foreign.clone(), &foreign).unwrap_err();
        assert_eq!(refusal.reason, Reason::Database);
        assert!(refusal.message.ends_with(": 4 (quay, -, 10.0.0.3)"), "{refusal}");
    }

    #[test]
    fn a_session_that_only_one_look_found_does_not() {
        assert_eq!(refuse_sessions(vec![session(4, "", "10.0.0.3")], &[]), Ok(()));
        assert_eq!(foreign(&[], look(None)), []);
    }
}
