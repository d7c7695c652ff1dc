//! A lock on a database while it is migrated, kept by the database itself.
//!
//! What it protects from: a second Quaymaster, with agents and a cluster file
//! of its own, that is led to the same database and makes a migrating start
//! while this one does. Its start is refused with the name of the session that
//! holds the lock.
//!
//! What it does not protect from: Quay knows of no lock, so whoever starts one
//! by hand migrates beside it (the dark gate and the floors are for that). The
//! lock ends with its session: a server that restarts or a line that breaks
//! gives it up, and the migration goes on, as it must. Behind a pooler that
//! hands sessions on there is none, and the agent says so in its log.

mod mysql;
mod postgres;

use std::future::Future;
use std::time::Duration;

use quaymaster_proto::database::{DatabaseIdentity, Session};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::{LOOK_LIMIT, LookError, mysql_options, postgres_options};
use crate::engine::Mount;
use crate::quay::database_uri::{DatabaseUri, ServerKind};
use crate::quay::settings::Settings;

/// Between two signs of life on the session: firewalls and servers forget
/// those that are silent for long.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// What came of asking for the lock.
#[derive(Debug)]
pub(crate) enum Lock {
    /// Nobody else has it now.
    Held(Hold),
    /// Somebody else has it.
    Taken {
        /// The session that holds it; `None` = it could not be read whose.
        by: Option<Session>,
    },
    /// There is none to be had here.
    Void {
        /// Why.
        why: &'static str,
    },
}

/// The lock, for as long as this lives and its session does.
#[derive(Debug)]
pub(crate) struct Hold(oneshot::Sender<()>);

/// The lock's name: the same for everybody who is led to the same database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key([u8; 32]);

impl Hold {
    /// Whether its session has not ended by itself.
    pub(crate) fn lasts(&self) -> bool {
        !self.0.is_closed()
    }
}

impl Key {
    fn of(identity: &DatabaseIdentity) -> Self {
        Self(Sha256::digest(format!("quaymaster migrates {identity}")).into())
    }

    /// PostgreSQL's locks have numbers.
    fn number(self) -> i64 {
        let Self([a, b, c, d, e, f, g, h, ..]) = self;
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// MySQL's have names, of 64 characters at most.
    fn name(self) -> String {
        let digits: String = self.0.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        format!("quaymaster-migrates/{digits}")
    }
}

/// Asks for the lock on the database `identity` that `settings` lead to.
pub(crate) async fn lock(
    settings: &Settings,
    mounts: &[Mount],
    application: &str,
    identity: &DatabaseIdentity,
) -> Result<Lock, LookError> {
    let DatabaseUri::Server(server) = settings.database()? else {
        return Ok(Lock::Void { why: "a file has no sessions to lock it" });
    };
    let (key, arguments) = (Key::of(identity), settings.connection_arguments());
    let locking = async {
        match server.kind {
            ServerKind::Postgresql => {
                let options = postgres_options(&server, &arguments, mounts, application)?;
                postgres::lock(&options, server.port, key).await
            }
            ServerKind::Mysql => {
                mysql::lock(&mysql_options(&server, &arguments, mounts)?, key).await
            }
        }
    };
    let late = |_| LookError::Late { seconds: LOOK_LIMIT.as_secs() };
    let locked = tokio::time::timeout(LOOK_LIMIT, locking).await.map_err(late)?;
    let password = server.password.as_ref().map_or("", |secret| secret.expose());
    locked.map_err(|error| error.without(password))
}

/// A session that holds the lock, kept until nobody wants it any more.
trait Keep: Send + 'static {
    /// A sign of life; `false` = the session is lost.
    fn lives(&mut self) -> impl Future<Output = bool> + Send;

    /// Ends the session, and with it the lock.
    fn end(self) -> impl Future<Output = ()> + Send;
}

/// Keeps the session beside everything else.
fn keep(mut session: impl Keep) -> Hold {
    let (hold, mut released) = oneshot::channel();
    tokio::spawn(async move {
        loop {
            match tokio::time::timeout(SIGN_OF_LIFE, &mut released).await {
                Ok(_) => return session.end().await,
                Err(_) if session.lives().await => {}
                Err(_) => {
                    tracing::warn!(
                        "The session that held the lock on the database is lost; the migration goes on without."
                    );
                    return;
                }
            }
        }
    });
    Hold(hold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_database_has_one_key_and_another_one_another() {
        let key = |text: &str| Key::of(&DatabaseIdentity::new(text).unwrap());
        assert_eq!(key("postgresql:1/2"), key("postgresql:1/2"));
        assert_ne!(key("postgresql:1/2").number(), key("postgresql:1/3").number());
        assert_ne!(key("mysql:a/quay").name(), key("mysql:b/quay").name());
        assert!(key("mysql:a/quay").name().len() <= 64);
    }

    struct Silent(std::sync::Arc<std::sync::atomic::AtomicBool>);

    impl Keep for Silent {
        async fn lives(&mut self) -> bool {
            false
        }

        async fn end(self) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_is_known_to_be_lost_and_ends_its_session_when_it_is_dropped() {
        let ended = std::sync::Arc::default();
        let hold = keep(Silent(std::sync::Arc::clone(&ended)));
        assert!(hold.lasts());
        tokio::time::sleep(SIGN_OF_LIFE * 2).await;
        assert!(!hold.lasts());
        assert!(!ended.load(std::sync::atomic::Ordering::SeqCst));
        drop(keep(Silent(std::sync::Arc::clone(&ended))));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(ended.load(std::sync::atomic::Ordering::SeqCst));
    }
}
