//! Whether nobody is on a database that is about to be replaced.
#![expect(clippy::disallowed_methods, reason = "it waits for sessions that are about to end")]

use std::time::Duration;

use quaymaster_proto::backup::Restore;
use quaymaster_proto::database::Session;

use super::Source;
use super::error::BackupError;
use crate::quay::database::Ground;

/// What a restore that broke off had open may outlive its program for a moment:
/// so often it is looked.
const LOOKS: u32 = 12;
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Refuses a database that is another one, or that somebody is on whom nobody
/// expects. What is in it does not matter: a restore that broke off leaves
/// nothing, or half.
pub(super) async fn is_free(source: &Source, order: &Restore) -> Result<(), BackupError> {
    let Restore { identity, manifest: _, expected_sessions } = order;
    let mut left = LOOKS;
    loop {
        let sessions = source.is_it(identity).await?;
        let strangers = sessions
            .iter()
            .filter(|session| !session.is_agent() && !session.is_among(expected_sessions));
        let named: Vec<String> = strangers.map(in_words).collect();
        left -= 1;
        match (named.is_empty(), left) {
            (true, _) => return Ok(()),
            (false, 0) => return Err(BackupError::InUse { sessions: named }),
            (false, _) => tokio::time::sleep(BETWEEN_LOOKS).await,
        }
    }
}

/// How long a statement that empties a database waits for a lock: an expected
/// session may idle in a transaction for ever.
pub(super) const LOCK_LIMIT: u32 = if cfg!(test) { 1 } else { 60 };

/// Emptying it waited for too long; whoever is on it now, where that can be seen.
pub(super) fn locked(ground: Result<Ground, BackupError>) -> BackupError {
    let sessions = ground.map(|ground| ground.sessions).unwrap_or_default();
    let named = sessions.iter().filter(|session| !session.is_agent()).map(in_words);
    BackupError::Locked { seconds: LOCK_LIMIT, sessions: named.collect() }
}

/// Some servers know no application names.
fn in_words(session: &Session) -> String {
    let Session { application, user, address, .. } = session;
    if application.is_empty() {
        format!("one of {user} at {address}")
    } else {
        format!("`{application}` of {user}")
    }
}
