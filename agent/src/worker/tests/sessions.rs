//! A database that shows the sessions that a test wants, look by look.

use std::collections::VecDeque;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook, Session};

use super::*;
use crate::engine::Mount;
use crate::quay::database::{Asked, LookError};
use crate::quay::settings::Settings;
use crate::surroundings::{AskDatabase, LockedBy};

struct Scripted {
    database: Arc<dyn AskDatabase>,
    /// What the next looks find; none is left = no session.
    sessions: Mutex<VecDeque<Vec<Session>>>,
    /// Who has the lock.
    locked: Mutex<Option<LockedBy>>,
}

impl AskDatabase for Scripted {
    fn look<'a>(
        &'a self,
        settings: &'a Settings,
        mounts: &'a [Mount],
        application: &'a str,
        asked: Asked,
    ) -> BoxFuture<'a, Result<DatabaseLook, LookError>> {
        let look = async move {
            let mut look = self.database.look(settings, mounts, application, asked).await?;
            if asked.sessions {
                let next = self.sessions.lock().unwrap().pop_front();
                look.sessions = Some(next.unwrap_or_default());
            }
            Ok(look)
        };
        look.boxed()
    }

    fn lock<'a>(
        &'a self,
        _: &'a Settings,
        _: &'a [Mount],
        _: &'a str,
        _: &'a DatabaseIdentity,
    ) -> BoxFuture<'a, Option<LockedBy>> {
        async move { self.locked.lock().unwrap().clone() }.boxed()
    }

    fn unlock(&self) {}
}

impl Rig {
    /// Has the looks for sessions find these, one after the other.
    pub(super) fn show_sessions(&mut self, sessions: Vec<Vec<Session>>) {
        self.script(sessions, None);
    }

    /// Has another Quaymaster hold the lock on the database.
    pub(super) fn lock_database(&mut self, by: Option<Session>) {
        self.script(Vec::new(), Some(LockedBy(by)));
    }

    fn script(&mut self, sessions: Vec<Vec<Session>>, locked: Option<LockedBy>) {
        let node = Arc::get_mut(&mut self.worker.node).expect("nothing is at work");
        let database = Arc::clone(&node.surroundings.database);
        let sessions = Mutex::new(sessions.into());
        node.surroundings.database =
            Arc::new(Scripted { database, sessions, locked: Mutex::new(locked) });
    }
}
