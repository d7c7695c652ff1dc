//! What the agent's core asks of the world beside its engine: this node's Quay,
//! its database, the time, and threads that may block. `of_host` is the real
//! one; a simulation brings its own.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads the clock")]

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use quaymaster_proto::database::{DatabaseIdentity, DatabaseLook, Session};
use quaymaster_proto::footing::DatabaseFooting;

use crate::backup::container::Containers;
use crate::backup::{Dump, HostDump};
use crate::engine::Mount;
use crate::own_thread::Threads;
use crate::quay::database::lock::{self, Hold, Lock};
use crate::quay::database::{self, Asked, LookError};
use crate::quay::http::{Answer, QuayClient, Target};
use crate::quay::redis::{self, RedisServer};
use crate::quay::settings::Settings;

/// This node's Quay, asked over HTTP.
pub(crate) trait AskQuay: Send + Sync {
    /// GETs a path that begins with a slash.
    fn get<'a>(
        &'a self,
        target: &'a Target,
        path: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Answer>;

    /// PUTs a manifest list without logging in.
    fn put_manifest_list<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Answer>;
}

/// Quay's database, looked into, and what else keeps its data.
pub(crate) trait AskDatabase: Send + Sync {
    /// Looks into the database that `settings` name, seen from inside a
    /// container with these mounts.
    fn look<'a>(
        &'a self,
        settings: &'a Settings,
        mounts: &'a [Mount],
        application: &'a str,
        asked: Asked,
    ) -> BoxFuture<'a, Result<DatabaseLook, LookError>>;

    /// What a migration of it would stand on, where it has anything of it.
    fn footing<'a>(
        &'a self,
        _settings: &'a Settings,
        _mounts: &'a [Mount],
        _application: &'a str,
    ) -> BoxFuture<'a, Result<Option<DatabaseFooting>, LookError>> {
        std::future::ready(Ok(None)).boxed()
    }

    /// The version of a Redis, where it can be asked.
    fn redis_version<'a>(&'a self, _server: &'a RedisServer) -> BoxFuture<'a, Option<String>> {
        std::future::ready(None).boxed()
    }

    /// Locks the database `identity`, which `settings` lead to, against another
    /// Quaymaster, until `unlock`. `Some` = who has it; where there is no such
    /// lock nobody has.
    fn lock<'a>(
        &'a self,
        settings: &'a Settings,
        mounts: &'a [Mount],
        application: &'a str,
        identity: &'a DatabaseIdentity,
    ) -> BoxFuture<'a, Option<LockedBy>>;

    /// Gives the lock back, if it is held.
    fn unlock(&self);
}

/// Who holds the lock on a database; `None` = it could not be read whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LockedBy(pub(crate) Option<Session>);

/// Everything that is not the engine.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// This node's Quay.
    pub(crate) quay: Arc<dyn AskQuay>,
    /// Its database.
    pub(crate) database: Arc<dyn AskDatabase>,
    /// Whatever makes backups of it.
    pub(crate) dump: Arc<dyn Dump>,
    /// The time.
    pub(crate) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Where work that may block is done.
    pub(crate) threads: Threads,
    /// Whether the disk takes what the ledger writes.
    #[cfg(feature = "simulation")]
    pub(crate) disk: Arc<dyn Fn(crate::simulation::Writing) -> bool + Send + Sync>,
}

impl Surroundings {
    /// The host's own.
    pub(crate) fn of_host(quay: QuayClient) -> Self {
        Self {
            quay: Arc::new(quay),
            database: Arc::new(RealDatabase::default()),
            dump: Arc::new(HostDump::default()),
            clock: Arc::new(Timestamp::now),
            threads: Threads::Own,
            #[cfg(feature = "simulation")]
            disk: Arc::new(|_| true),
        }
    }

    /// The same with programs of images for its backups.
    pub(crate) fn dumping_in(self, containers: Arc<dyn Containers>) -> Self {
        Self { dump: Arc::new(HostDump::with(containers)), ..self }
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Surroundings")
    }
}

impl AskQuay for QuayClient {
    fn get<'a>(
        &'a self,
        target: &'a Target,
        path: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, Answer> {
        Self::get(self, target, path, limit).boxed()
    }

    fn put_manifest_list<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Answer> {
        Self::put_manifest_list(self, target).boxed()
    }
}

/// Holds the lock between the migrating start and what comes after it.
#[derive(Default)]
struct RealDatabase(Mutex<Option<Hold>>);

impl RealDatabase {
    fn held(&self) -> MutexGuard<'_, Option<Hold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AskDatabase for RealDatabase {
    fn look<'a>(
        &'a self,
        settings: &'a Settings,
        mounts: &'a [Mount],
        application: &'a str,
        asked: Asked,
    ) -> BoxFuture<'a, Result<DatabaseLook, LookError>> {
        database::look(settings, mounts, application, asked).boxed()
    }

    fn footing<'a>(
        &'a self,
        settings: &'a Settings,
        mounts: &'a [Mount],
        application: &'a str,
    ) -> BoxFuture<'a, Result<Option<DatabaseFooting>, LookError>> {
        database::footing(settings, mounts, application).boxed()
    }

    fn redis_version<'a>(&'a self, server: &'a RedisServer) -> BoxFuture<'a, Option<String>> {
        redis::version(server).boxed()
    }

    fn lock<'a>(
        &'a self,
        settings: &'a Settings,
        mounts: &'a [Mount],
        application: &'a str,
        identity: &'a DatabaseIdentity,
    ) -> BoxFuture<'a, Option<LockedBy>> {
        async move {
            if self.held().as_ref().is_some_and(Hold::lasts) {
                return None;
            }
            // Without the lock a migration is what it was before there was one.
            let why = match lock::lock(settings, mounts, application, identity).await {
                Ok(Lock::Held(hold)) => {
                    *self.held() = Some(hold);
                    return None;
                }
                Ok(Lock::Taken { by }) => return Some(LockedBy(by)),
                Ok(Lock::Void { why }) => why.to_owned(),
                Err(error) => error.in_one_line(),
            };
            tracing::warn!(why, "No lock on the database keeps another Quaymaster from it.");
            None
        }
        .boxed()
    }

    fn unlock(&self) {
        *self.held() = None;
    }
}
