//! Backups of Quay's database: dumped, read back, put in place; and restored.
//!
//! A backup is a directory of its run: what was dumped, and a manifest, written
//! last, that names every file with its digest and the rows that were counted.
//! Until it is whole it lies under another name. Nothing of it leaves the node.
//!
//! - `manifest`, `toc`: pure
//! - `keep`: what each node keeps of itself, its config directory first of all
//! - `error`: why a backup or a restore was not made, and what to do
//! - `files`: the directory; `drafts`: what is not whole yet
//! - `programs`: which there are; `child`: running one; `container`: out of an image
//! - `postgres`, `mysql`, `sqlite`: the kinds of database
//! - `storage`: the blobs beside it

mod child;
pub(crate) mod container;
mod drafts;
mod error;
mod files;
mod free;
mod keep;
mod key_tables;
mod manifest;
mod mysql;
mod passwords;
mod postgres;
mod programs;
mod sqlite;
pub(crate) mod storage;
mod toc;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use quaymaster_proto::backup::{BackUp, Backup, BackupFacts, CheckBackup, Restore};
use quaymaster_proto::database::{DatabaseIdentity, Session};
use quaymaster_proto::{ClusterName, FileDigest, NodeName, RunId};

use self::container::Containers;
pub(crate) use self::drafts::{Owner, sweep};
pub(crate) use self::error::BackupError;
use self::files::Draft;
pub(crate) use self::files::look_at_directory;
pub(crate) use self::keep::{Keeping, left};
use self::manifest::{Live, Manifest, Origin};
use self::programs::{Program, Programs};
use crate::engine::Mount;
use crate::quay::database::{self, Asked, Ground};
use crate::quay::database_uri::{DatabaseUri, ServerKind, ServerUri};
use crate::quay::settings::Settings;

/// `backup` of agent.yaml.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupConfig {
    /// Where backups are put: absolute, outside of what any container sees.
    pub directory: PathBuf,
    /// Which pg_dump.
    pub pg_dump: DumpProgram,
    /// Which mysqldump or mariadb-dump.
    pub mysqldump: DumpProgram,
    /// The operator's own program that backs the storage up; absolute.
    pub storage_hook: Option<PathBuf>,
}

/// Which program dumps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum DumpProgram {
    /// The one that fits the server best, of those that the host has.
    #[default]
    Auto,
    /// This one.
    At(PathBuf),
    /// The pg_dump in this image of the node's engine.
    Image(String),
}

/// Whose backup, of what.
pub(crate) struct Subject<'a> {
    pub(crate) config: &'a BackupConfig,
    pub(crate) cluster: &'a ClusterName,
    pub(crate) node: &'a NodeName,
    pub(crate) run: RunId,
    /// What this node's Quay reads.
    pub(crate) settings: &'a Settings,
    /// The Quay container's.
    pub(crate) mounts: &'a [Mount],
    /// Of the agent's own sessions.
    pub(crate) application: &'a str,
    /// Whether this agent has restored the run's backup, and knows of nothing
    /// that was done here since.
    pub(crate) is_restored: bool,
    /// Told so many bytes, and what is done now.
    pub(crate) progress: &'a (dyn Fn(u64, &str) + Send + Sync),
}

impl<'a> Subject<'a> {
    fn owner(&self) -> Owner<'a> {
        Owner { cluster: self.cluster, node: self.node }
    }
}

/// A backup, and whether it was there already.
#[derive(Debug)]
pub(crate) struct BackedUp {
    pub(crate) backup: Backup,
    pub(crate) was_there: bool,
}

/// Whatever makes backups; a simulation brings its own.
pub(crate) trait Dump: Send + Sync {
    /// What could be done here.
    fn look<'a>(&'a self, config: &'a BackupConfig) -> BoxFuture<'a, BackupFacts>;

    /// Makes a backup and reads it back, or finds that of the run as it should
    /// be. Dropped, it ends whatever it began.
    fn back_up<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a BackUp,
    ) -> BoxFuture<'a, Result<BackedUp, BackupError>>;

    /// Reads the backup of the run back, and sees that the database that it
    /// would go to is the one that it came from.
    fn check<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a CheckBackup,
    ) -> BoxFuture<'a, Result<Backup, BackupError>>;

    /// Keeps what a node is before its window.
    fn keep(&self, keeping: &Keeping<'_>) -> Result<(), BackupError>;

    /// Restores the backup of the run; rows in the tables that were counted.
    fn restore<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a Restore,
    ) -> BoxFuture<'a, Result<u64, BackupError>>;
}

/// The host's programs.
#[derive(Default)]
pub(crate) struct HostDump {
    programs: Programs,
    /// Where programs out of images are run.
    containers: Option<Arc<dyn Containers>>,
}

impl Dump for HostDump {
    fn look<'a>(&'a self, config: &'a BackupConfig) -> BoxFuture<'a, BackupFacts> {
        async {
            let programs = self.postgres_programs(config).await;
            let mysql_programs = self.programs.find_mysql(&config.mysqldump).await;
            let versions = mysql_programs.iter().map(|found| found.version.to_string());
            let (free_bytes, problem, newest) = look_at_directory(&config.directory);
            BackupFacts {
                directory: config.directory.display().to_string(),
                free_bytes,
                dump_versions: programs.iter().map(|found| found.version.to_string()).collect(),
                mysql_dump_versions: versions.collect(),
                problem,
                newest,
            }
        }
        .boxed()
    }

    fn back_up<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a BackUp,
    ) -> BoxFuture<'a, Result<BackedUp, BackupError>> {
        self.make(subject, order).boxed()
    }

    fn check<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a CheckBackup,
    ) -> BoxFuture<'a, Result<Backup, BackupError>> {
        let CheckBackup { identity, manifest } = order;
        async move {
            let source = self.source(&subject).await?;
            let (_, backup) = sound(&source, &subject, identity, manifest).await?;
            source.is_it(identity).await?;
            Ok(backup)
        }
        .boxed()
    }

    fn keep(&self, keeping: &Keeping<'_>) -> Result<(), BackupError> {
        keep::keep(keeping)
    }

    fn restore<'a>(
        &'a self,
        subject: Subject<'a>,
        order: &'a Restore,
    ) -> BoxFuture<'a, Result<u64, BackupError>> {
        self.put_back(subject, order).boxed()
    }
}

impl HostDump {
    /// The same, and programs out of images.
    pub(crate) fn with(containers: Arc<dyn Containers>) -> Self {
        Self { containers: Some(containers), ..Self::default() }
    }

    async fn postgres_programs(&self, config: &BackupConfig) -> Vec<Program> {
        match &config.pg_dump {
            DumpProgram::Image(name) => {
                let found = container::program(self.containers.as_deref(), name).await;
                found.into_iter().collect()
            }
            host @ (DumpProgram::Auto | DumpProgram::At(_)) => self.programs.find(host).await,
        }
    }

    async fn make(&self, subject: Subject<'_>, order: &BackUp) -> Result<BackedUp, BackupError> {
        let source = self.source(&subject).await?;
        let live = source.look(&subject).await?;
        live.is_wanted(&order.database)?;
        if let Some(backup) = self.found(&subject, order, &live).await? {
            return Ok(BackedUp { backup, was_there: true });
        }
        let storage = storage::find(&subject, order.storage).await?;
        let needed = live.needed_bytes().saturating_add(storage.needed_bytes());
        // What is left of an earlier one takes no room.
        sweep(drafts::left(&subject.config.directory, subject.owner()));
        files::has_room(&subject.config.directory, needed)?;
        let draft = Draft::begin(&subject.config.directory, subject.owner(), subject.run)?;
        let begun = now();
        source.dump(&subject, &draft, &live).await?;
        (subject.progress)(draft.bytes(), "reading it back");
        let rows = source.read_back(draft.path(), &live).await.map_err(BackupError::just_made)?;
        let storage = storage.keep(&subject, &draft).await?;
        let after = source.look(&subject).await?;
        live.is_like(&after)?;
        live.has_rows(&rows).map_err(BackupError::just_made)?;
        let origin = Origin {
            cluster: subject.cluster.clone(),
            node: subject.node.clone(),
            run: subject.run,
            ran: order.ran.clone(),
            tool: source.tool(),
        };
        (subject.progress)(draft.bytes(), "writing its manifest");
        let backup = draft.finish(origin, (live, storage), begun).await?;
        Ok(BackedUp { backup, was_there: false })
    }

    /// The backup that this run has already, where nothing has run since, and the
    /// database is still as it was then. Of anything else another one is made:
    /// counts alone do not show a row that was changed.
    async fn found(
        &self,
        subject: &Subject<'_>,
        order: &BackUp,
        live: &Live,
    ) -> Result<Option<Backup>, BackupError> {
        let directory = files::directory_of(&subject.config.directory, subject.run);
        let Ok((manifest, backup)) = files::read(&directory) else { return Ok(None) };
        let is_it = manifest.origin.ran == order.ran
            && manifest.live.is_like(live).is_ok()
            && files::verify(&directory).await.is_ok()
            && storage::is_as_ordered(&directory, manifest.storage.as_ref(), order.storage).await;
        Ok(is_it.then_some(backup))
    }

    async fn put_back(&self, subject: Subject<'_>, order: &Restore) -> Result<u64, BackupError> {
        let source = self.source(&subject).await?;
        if subject.is_restored
            && let Some(rows) = restored(&source, &subject, order).await
        {
            return Ok(rows);
        }
        let Restore { identity, manifest, expected_sessions: _ } = order;
        let (manifest, backup) = sound(&source, &subject, identity, manifest).await?;
        let directory = files::directory_of(&subject.config.directory, subject.run);
        free::is_free(&source, order).await?;
        (subject.progress)(backup.bytes, "restoring");
        source.restore(&subject, &directory, &manifest).await?;
        let after = source.look(&subject).await?;
        manifest.live.is_like(&after)?;
        Ok(after.rows.values().sum())
    }

    async fn source(&self, subject: &Subject<'_>) -> Result<Source, BackupError> {
        let uri = subject.settings.database().map_err(database::LookError::from)?;
        match uri {
            DatabaseUri::Sqlite { path } => {
                Ok(Source::Sqlite(database::host_path(subject.mounts, &path)?))
            }
            DatabaseUri::Server(server @ ServerUri { kind: ServerKind::Postgresql, .. }) => {
                let found = self.postgres_programs(subject.config).await;
                let containers = self.containers.clone();
                let source = postgres::Source::new(server, subject, found, containers)?;
                Ok(Source::Postgres(Box::new(source)))
            }
            DatabaseUri::Server(server @ ServerUri { kind: ServerKind::Mysql, .. }) => {
                let found = self.programs.find_mysql(&subject.config.mysqldump).await;
                let source = mysql::Source::new(server, subject, found)?;
                Ok(Source::Mysql(Box::new(source)))
            }
        }
    }
}

/// A database that is dumped or restored.
enum Source {
    /// Behind a server.
    Postgres(Box<postgres::Source>),
    /// Behind a server, MariaDB's too.
    Mysql(Box<mysql::Source>),
    /// A file of a lab.
    Sqlite(PathBuf),
}

impl Source {
    /// Identity, revision and rows, as they are now.
    async fn look(&self, subject: &Subject<'_>) -> Result<Live, BackupError> {
        let Subject { settings, mounts, application, .. } = subject;
        let asked = Asked { sessions: false, counts: false };
        let look = database::look(settings, mounts, application, asked).await?;
        if look.in_recovery {
            return Err(BackupError::Standby { shown_as: look.shown_as });
        }
        let counted = match self {
            Self::Postgres(source) => source.count().await?,
            Self::Mysql(source) => source.count().await?,
            Self::Sqlite(path) => sqlite::count(path).await?,
        };
        Ok(Live::new(look, counted))
    }

    async fn dump(
        &self,
        subject: &Subject<'_>,
        draft: &Draft,
        live: &Live,
    ) -> Result<(), BackupError> {
        match self {
            Self::Postgres(source) => source.dump(draft, live, subject.progress).await,
            Self::Mysql(source) => source.dump(draft, live, subject.progress).await,
            Self::Sqlite(path) => sqlite::dump(path, draft.path()).await,
        }
    }

    /// The rows that a dump holds of the tables that were counted.
    async fn read_back(
        &self,
        directory: &Path,
        live: &Live,
    ) -> Result<manifest::Rows, BackupError> {
        match self {
            Self::Postgres(source) => source.read_back(directory, live).await,
            Self::Mysql(source) => source.read_back(directory, live).await,
            Self::Sqlite(_) => sqlite::read_back(directory).await,
        }
    }

    /// Refuses where there is no program that would restore it.
    async fn can_restore(&self, manifest: &Manifest) -> Result<(), BackupError> {
        match self {
            Self::Postgres(source) => source.restorer(manifest).await.map(drop),
            Self::Mysql(source) => source.restorer(manifest).await.map(drop),
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Refuses a database that is another one; who is on it, agents included.
    async fn is_it(&self, wanted: &DatabaseIdentity) -> Result<Vec<Session>, BackupError> {
        let (ground, shown_as) = match self {
            Self::Postgres(source) => (source.ground().await?, source.shown_as()),
            Self::Mysql(source) => (source.ground().await?, source.shown_as()),
            Self::Sqlite(_) => return Ok(Vec::new()),
        };
        let Ground { identity, in_recovery, sessions } = ground;
        if identity != wanted.as_str() {
            let wanted = wanted.to_string();
            return Err(BackupError::OtherDatabase { wanted, found: identity });
        }
        if in_recovery {
            return Err(BackupError::Standby { shown_as });
        }
        Ok(sessions)
    }

    async fn restore(
        &self,
        subject: &Subject<'_>,
        directory: &Path,
        manifest: &Manifest,
    ) -> Result<(), BackupError> {
        match self {
            Self::Postgres(source) => {
                let scratch =
                    Draft::begin(&subject.config.directory, subject.owner(), subject.run)?;
                source.restore(&scratch, directory, manifest).await
            }
            Self::Mysql(source) => {
                let scratch =
                    Draft::begin(&subject.config.directory, subject.owner(), subject.run)?;
                source.restore(&scratch, directory, manifest).await
            }
            Self::Sqlite(path) => sqlite::restore(path, directory),
        }
    }

    /// What makes the dump, for the manifest.
    fn tool(&self) -> String {
        match self {
            Self::Postgres(source) => source.tool(),
            Self::Mysql(source) => source.tool(),
            Self::Sqlite(_) => "VACUUM INTO".to_owned(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "when a backup was made")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The rows of a database into which the backup was put already, where nobody is
/// on it and it is as it was then; `None` = it has to be restored.
async fn restored(source: &Source, subject: &Subject<'_>, order: &Restore) -> Option<u64> {
    let directory = files::directory_of(&subject.config.directory, subject.run);
    let (manifest, backup) = files::read(&directory).ok()?;
    is_the_one(&backup, &order.manifest).ok()?;
    free::is_free(source, order).await.ok()?;
    let found = source.look(subject).await.ok()?;
    manifest.live.is_like(&found).ok()?;
    Some(found.rows.values().sum())
}

/// The backup of the run, all of it read back, on a host that can restore it.
async fn sound(
    source: &Source,
    subject: &Subject<'_>,
    identity: &DatabaseIdentity,
    ordered: &FileDigest,
) -> Result<(Manifest, Backup), BackupError> {
    let directory = files::directory_of(&subject.config.directory, subject.run);
    (subject.progress)(0, "verifying the backup");
    let (manifest, backup) = files::verify(&directory).await?;
    manifest.is_of(identity)?;
    is_the_one(&backup, ordered)?;
    source.can_restore(&manifest).await?;
    let rows = source.read_back(&directory, &manifest.live).await?;
    manifest.live.has_rows(&rows)?;
    Ok((manifest, backup))
}

/// Refuses a backup that is not the one that was ordered.
fn is_the_one(backup: &Backup, ordered: &FileDigest) -> Result<(), BackupError> {
    if backup.manifest == *ordered {
        return Ok(());
    }
    Err(BackupError::OtherBackup { directory: backup.directory.clone() })
}

#[cfg(test)]
mod tests;
