//! PostgreSQL: dumped and restored by the host's own programs.
//!
//! The login goes to them in their environment and a file of its own, never on
//! a command line; TLS is as Quay's own settings have it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quaymaster_proto::backup::BACKUP_APPLICATION;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tokio::io::AsyncReadExt as _;

use super::child::Job;
use super::container::{self, Containers, Within};
use super::error::{BackupError, Unsound};
use super::files::{self, Draft};
use super::key_tables::KEY_TABLES;
use super::manifest::{Counted, Live, Manifest, Rows};
use super::passwords::PasswordFile;
use super::programs::{self, Program};
use super::{Subject, free, toc};
use crate::quay::database::{self, LookError};
use crate::quay::database_uri::{DatabaseUri, ServerUri};
use crate::secret::Secret;

/// The dump, in a backup's directory.
const DUMP: &str = "dump";

/// More workers than these wait for the server's disk.
const MOST_JOBS: usize = 4;

/// One count of the largest table, in milliseconds.
const COUNT_LIMIT: u32 = 600_000;

/// For a lock that somebody holds, in milliseconds: it is dark, so nobody does.
const LOCK_LIMIT: &str = "--lock-wait-timeout=60000";

/// PostgreSQL's code where `lock_timeout` is over.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Everything that a role made, but not what extensions brought, in whatever
/// schema: tables with what hangs on them, then what may be left.
const DROP_ALL: &str = "DO $$ DECLARE it record; BEGIN \
    FOR it IN SELECT format('DROP %s IF EXISTS %I.%I CASCADE', \
        CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' \
            WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, \
        n.nspname, c.relname) AS words \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname NOT LIKE 'pg\\_%' \
        AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT 1 FROM pg_depend d \
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'i')) \
    LOOP EXECUTE it.words; END LOOP; \
    FOR it IN SELECT format('DROP FUNCTION IF EXISTS %s CASCADE', p.oid::regprocedure) AS words \
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
        WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' \
        AND NOT EXISTS (SELECT 1 FROM pg_depend d \
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') \
    LOOP EXECUTE it.words; END LOOP; \
    FOR it IN SELECT format('DROP TYPE IF EXISTS %s CASCADE', t.oid::regtype) AS words \
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
        WHERE t.typtype IN ('e', 'd') AND n.nspname NOT LIKE 'pg\\_%' \
        AND n.nspname <> 'information_schema' AND NOT EXISTS (SELECT 1 FROM pg_depend d \
            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e') \
    LOOP EXECUTE it.words; END LOOP; END $$";

/// A database behind a server, and what this host has for it.
pub(super) struct Source {
    server: ServerUri,
    options: PgConnectOptions,
    ssl: Vec<(&'static str, OsString)>,
    programs: Vec<Program>,
    containers: Option<Arc<dyn Containers>>,
    /// Of the container that programs out of an image run in.
    name: String,
    labels: [(&'static str, String); 2],
}

impl Source {
    pub(super) fn new(
        server: ServerUri,
        subject: &Subject<'_>,
        programs: Vec<Program>,
        containers: Option<Arc<dyn Containers>>,
    ) -> Result<Self, BackupError> {
        let Subject { settings, mounts, application, .. } = subject;
        let arguments = settings.connection_arguments();
        let options = database::postgres_options(&server, &arguments, mounts, application)?;
        let mut ssl = Vec::new();
        if let Some(mode) = &arguments.ssl_mode {
            ssl.push(("PGSSLMODE", OsString::from(mode)));
        }
        if let Some(certificate) = &arguments.ssl_root_certificate {
            let path = database::host_path(mounts, Path::new(certificate))?;
            ssl.push(("PGSSLROOTCERT", path.into_os_string()));
        }
        let (name, labels) = container::named(subject.cluster, subject.node);
        Ok(Self { server, options, ssl, programs, containers, name, labels })
    }

    /// For people.
    pub(super) fn shown_as(&self) -> String {
        DatabaseUri::Server(self.server.clone()).shown_as()
    }

    /// For the manifest.
    pub(super) fn tool(&self) -> String {
        let all = self.programs.iter().map(|program| program.version.to_string());
        format!("pg_dump, of {}", all.collect::<Vec<_>>().join(", "))
    }

    /// Rows of the key tables, and the database's size.
    pub(super) async fn count(&self) -> Result<Counted, BackupError> {
        let mut connection = self.connect().await?;
        let counted = count(&mut connection).await;
        let _ = connection.close().await; // nothing was written
        counted.map_err(|source| self.told("count the rows", &source))
    }

    pub(super) async fn dump(
        &self,
        draft: &Draft,
        live: &Live,
        progress: &(dyn Fn(u64, &str) + Send + Sync),
    ) -> Result<(), BackupError> {
        let program = programs::choose(&live.server_version, &self.programs)?;
        // Gone before the files are counted.
        let password = self.password_file(draft.path())?;
        let mut file = OsString::from("--file=");
        file.push(draft.path().join(DUMP));
        let arguments = vec![
            "--format=directory".into(),
            format!("--jobs={}", workers()).into(),
            "--compress=1".into(),
            "--no-password".into(),
            LOCK_LIMIT.into(),
            file,
        ];
        let job = self.job(&program.pg_dump, arguments, password.as_ref());
        let job = self.within(job, &program, draft.path(), Some(draft.path()));
        job.run(|| progress(draft.bytes(), "")).await
    }

    /// Every block of the dump, read and unpacked.
    pub(super) async fn read_back(
        &self,
        directory: &Path,
        live: &Live,
    ) -> Result<Rows, BackupError> {
        let program = programs::choose(&live.server_version, &self.programs)?;
        let mut arguments: Vec<OsString> = Vec::new();
        // Before 12 the script is what it prints when told nothing.
        if program.image.is_none() && program.version.major >= (12, 0) {
            arguments.extend(["-f".into(), "-".into()]);
        }
        arguments.push(directory.join(DUMP).into());
        let pg_restore = program.pg_restore().await?;
        let job = self.job(&pg_restore, arguments, None);
        let mut script = self.within(job, &program, directory, None).open()?;
        let read = toc::read_script(&mut script.printed, &live.schema).await;
        let dumped = script.close(read).await?;
        if dumped.revision != live.revision {
            let (live, dump) = (live.revision.clone(), dumped.revision);
            return Err(Unsound::Revision { live, dump }.into());
        }
        Ok(dumped.rows)
    }

    /// The program that restores it.
    pub(super) async fn restorer(&self, manifest: &Manifest) -> Result<PathBuf, BackupError> {
        let program = programs::choose(&manifest.live.server_version, &self.programs)?;
        program.pg_restore().await
    }

    /// Empties the database, and fills it from a dump.
    pub(super) async fn restore(
        &self,
        scratch: &Draft,
        directory: &Path,
        manifest: &Manifest,
    ) -> Result<(), BackupError> {
        let program = programs::choose(&manifest.live.server_version, &self.programs)?;
        let pg_restore = program.pg_restore().await?;
        let dump = directory.join(DUMP);
        let arguments = vec!["--list".into(), dump.clone().into()];
        let job = self.job(&pg_restore, arguments, None);
        let mut list = self.within(job, &program, directory, None).open()?;
        let mut text = String::new();
        let read = list.printed.read_to_string(&mut text).await;
        list.close(read).await?;
        let password = self.password_file(scratch.path())?;
        let path = scratch.path().join("list");
        files::write_new(&path, toc::to_restore(&text).as_bytes())
            .map_err(BackupError::files("write", &path))?;
        self.empty().await?;
        let mut only = OsString::from("--use-list=");
        only.push(&path);
        let name = self.server.name.replace('\\', "\\\\").replace('\'', "\\'");
        let arguments = vec![
            format!("--jobs={}", workers()).into(),
            "--exit-on-error".into(),
            "--no-owner".into(),
            "--no-password".into(),
            only,
            format!("--dbname=dbname='{name}'").into(),
            dump.into(),
        ];
        let job = self.job(&pg_restore, arguments, password.as_ref());
        let mut job = self.within(job, &program, directory, None);
        if let Some(within) = &mut job.within {
            within.reads.push(scratch.path().to_owned());
        }
        job.run(|| {}).await?;
        // Without it every query of the first hours would be planned blindly.
        self.execute("gather statistics", "ANALYZE").await
    }

    /// Which database this is and who is on it, whatever state it is in.
    pub(super) async fn ground(&self) -> Result<database::Ground, BackupError> {
        Ok(database::postgres_ground(&self.options).await?)
    }

    fn job<'a>(
        &'a self,
        program: &'a Path,
        arguments: Vec<OsString>,
        password: Option<&PasswordFile>,
    ) -> Job<'a> {
        let ServerUri { kind: _, host, port, name, user, password: secret } = &self.server;
        let mut environment: Vec<(&'static str, OsString)> = vec![
            ("LC_ALL", "C".into()),
            ("PATH", "/usr/bin:/bin".into()),
            ("PGPORT", port.to_string().into()),
            ("PGDATABASE", name.into()),
            ("PGAPPNAME", BACKUP_APPLICATION.into()),
            ("PGCONNECT_TIMEOUT", "10".into()),
        ];
        if !host.is_empty() {
            environment.push(("PGHOST", host.into()));
        }
        environment.extend(user.iter().map(|user| ("PGUSER", user.into())));
        environment.extend(self.ssl.iter().cloned());
        let file = password.map(|file| ("PGPASSFILE", file.path().as_os_str().to_owned()));
        environment.extend(file);
        let secrets = secret.iter().cloned().collect();
        Job { program, arguments, environment, secrets, input: None, within: None }
    }

    /// The same in the image that the program is in, if it is in one: it reads
    /// what lies in `directory`, and certificates; it writes `into`.
    fn within<'a>(
        &self,
        job: Job<'a>,
        program: &Program,
        directory: &Path,
        into: Option<&Path>,
    ) -> Job<'a> {
        let (Some(image), Some(containers)) = (&program.image, &self.containers) else {
            return job;
        };
        let certificates = self.ssl.iter().filter(|(name, _)| *name == "PGSSLROOTCERT");
        let mut reads: Vec<PathBuf> = certificates.map(|(_, path)| path.into()).collect();
        if into.is_none() {
            reads.push(directory.join(DUMP));
        }
        // The password's too, though it lies in a directory that is written.
        let password = job.environment.iter().filter(|(name, _)| *name == "PGPASSFILE");
        reads.extend(password.map(|(_, path)| PathBuf::from(path)).filter(|_| into.is_some()));
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        let within = Within {
            containers: Arc::clone(containers),
            image: image.clone(),
            name: self.name.clone(),
            labels: self.labels.clone(),
            reads,
            writes: into.map(Path::to_owned).into_iter().collect(),
            user: format!("{}:{}", user.as_raw(), group.as_raw()),
            pipes: directory.to_owned(),
        };
        Job { within: Some(within), ..job }
    }

    fn password_file(&self, directory: &Path) -> Result<Option<PasswordFile>, BackupError> {
        let password = self.server.password.as_ref();
        password.map(|password| PasswordFile::for_libpq(directory, password)).transpose()
    }

    async fn connect(&self) -> Result<PgConnection, BackupError> {
        let connected = self.options.connect().await;
        connected.map_err(|source| self.clean(LookError::connect(&source)))
    }

    /// All of it or nothing.
    async fn empty(&self) -> Result<(), BackupError> {
        let mut connection = self.connect().await?;
        let limit = free::LOCK_LIMIT;
        let statements = format!("SET lock_timeout = '{limit}s'; {DROP_ALL}");
        let done = connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements))).await;
        let _ = connection.close().await; // the statements stood alone
        let Err(source) = done else { return Ok(()) };
        let code = source.as_database_error().and_then(|answer| answer.code());
        if code.as_deref() == Some(LOCK_NOT_AVAILABLE) {
            return Err(free::locked(self.ground().await));
        }
        Err(self.told("empty the database", &source))
    }

    async fn execute(&self, tried: &'static str, statement: &str) -> Result<(), BackupError> {
        let mut connection = self.connect().await?;
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        let done = connection.execute(sqlx::raw_sql(statement)).await;
        let _ = connection.close().await; // the statement stood alone
        done.map(drop).map_err(|source| self.told(tried, &source))
    }

    fn told(&self, tried: &'static str, source: &sqlx::Error) -> BackupError {
        self.clean(LookError::query(tried, source))
    }

    fn clean(&self, error: LookError) -> BackupError {
        let password = self.server.password.as_ref().map(Secret::expose);
        error.without(password.unwrap_or_default()).into()
    }
}

async fn count(connection: &mut PgConnection) -> Result<Counted, sqlx::Error> {
    let opening = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {COUNT_LIMIT}");
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(opening))).await?;
    let row = sqlx::query(
        "SELECT pg_database_size(current_database()), n.nspname::text FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = to_regclass('alembic_version')",
    )
    .fetch_one(&mut *connection)
    .await?;
    let (size, schema): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')",
    )
    .bind(&schema)
    .fetch_all(&mut *connection)
    .await?;
    let mut rows = BTreeMap::new();
    for table in KEY_TABLES.iter().filter(|key| tables.iter().any(|table| table == *key)) {
        let query = format!("SELECT count(*) FROM \"{}\".\"{table}\"", schema.replace('"', "\"\""));
        let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        let count: i64 = query.fetch_one(&mut *connection).await?;
        rows.insert((*table).to_owned(), u64::try_from(count).unwrap_or_default());
    }
    connection.execute(sqlx::raw_sql("ROLLBACK")).await?;
    let (size_bytes, tables) = (u64::try_from(size).unwrap_or_default(), BTreeSet::new());
    Ok(Counted { rows, size_bytes, schema, tables })
}

/// At once, for a dump and a restore.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_JOBS)
}
