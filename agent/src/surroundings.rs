//! What the agent's core asks of the world beside its engine: this node's Quay,
//! its database, the time, and threads that may block. `of_host` is the real
//! one; a simulation brings its own.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads the clock")]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use quaymaster_proto::database::DatabaseLook;
use quaymaster_proto::footing::DatabaseFooting;

use crate::engine::Mount;
use crate::own_thread::Threads;
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
}

/// Everything that is not the engine.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// This node's Quay.
    pub(crate) quay: Arc<dyn AskQuay>,
    /// Its database.
    pub(crate) database: Arc<dyn AskDatabase>,
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
            database: Arc::new(RealDatabase),
            clock: Arc::new(Timestamp::now),
            threads: Threads::Own,
            #[cfg(feature = "simulation")]
            disk: Arc::new(|_| true),
        }
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

struct RealDatabase;

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
}
