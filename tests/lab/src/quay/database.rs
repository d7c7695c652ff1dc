//! Quay's database: PostgreSQL, MariaDB, or the lab's SQLite. Statements are the fixed texts of `schema`.

mod mysql;
mod postgres;

use std::time::Duration;

use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgRow, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqlitePool};

use tokio::time::timeout;

use self::postgres::Server;
use super::database_uri::{DatabaseUri, InvalidDatabaseUri, ServerUri};
use super::paths::Paths;
use super::{release, schema};
use crate::record::Session;

#[derive(Clone, Debug)]
pub(super) enum Database {
    Sqlite(SqlitePool),
    Postgres(Server),
    Mysql(mysql::Server),
}

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("the database's address cannot be used")]
    Uri(#[source] InvalidDatabaseUri),
    #[error("cannot connect to the database `{uri:?}`")]
    Connect { uri: DatabaseUri, source: sqlx::Error },
    #[error("the database refused a statement")]
    Statement(#[source] sqlx::Error),
    #[error("the database did not answer in time")]
    Hung,
}

/// What a lab's database looks like from outside, for the witness and for tests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DatabaseState {
    pub revision: Option<String>,
    pub visible_tags: i64,
    pub mapped_tags: i64,
    /// Visible tags that the new data model does not know: lost to a Quay in complete mode.
    pub unmapped_tags: i64,
    /// In words; empty where every revision is whole. Ask while no migration runs.
    pub damage: Vec<String>,
}

/// How long a health check waits for the database (quay-facts 1.2).
const HEALTH_LIMIT: Duration = Duration::from_secs(3);
/// How long a start waits for the database (quay-observed 4).
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a statement waits for another process to let go of a SQLite file.
const BUSY_LIMIT: Duration = Duration::from_secs(30);

const SESSIONS: &str = "SELECT pid::bigint, coalesce(usename::text, ''), \
     coalesce(application_name, ''), host(client_addr) FROM pg_stat_activity \
     WHERE datname = current_database() AND pid <> pg_backend_pid() \
     AND backend_type = 'client backend' ORDER BY pid";

/// Looks at the database of a lab; `uri` has paths as the caller sees them.
pub async fn inspect(uri: &str) -> Result<DatabaseState, DatabaseError> {
    let uri = uri.parse().map_err(DatabaseError::Uri)?;
    let database = Database::connect(&uri, &Paths::new(Vec::new(), None)).await?;
    database.state().await
}

impl Database {
    pub(super) async fn connect(uri: &DatabaseUri, paths: &Paths) -> Result<Self, DatabaseError> {
        Self::open(uri, paths, false).await
    }

    /// As `connect`, and makes the file of a SQLite database that is not there.
    pub(super) async fn create(uri: &DatabaseUri) -> Result<Self, DatabaseError> {
        Self::open(uri, &Paths::new(Vec::new(), None), true).await
    }

    async fn open(uri: &DatabaseUri, paths: &Paths, create: bool) -> Result<Self, DatabaseError> {
        let opened = match uri {
            DatabaseUri::Sqlite { path } => {
                let options = SqliteConnectOptions::new()
                    .filename(paths.outside(path))
                    .create_if_missing(create)
                    .busy_timeout(BUSY_LIMIT);
                let pool = SqlitePoolOptions::new().max_connections(2);
                pool.connect_with(options).await.map(Self::Sqlite)
            }
            DatabaseUri::Postgres(ServerUri { user, password, host, port, name }) => {
                // No application name, as psycopg2 sends none.
                let options = PgConnectOptions::new_without_pgpass()
                    .username(user)
                    .password(password)
                    .host(host)
                    .port(*port)
                    .database(name)
                    .ssl_mode(PgSslMode::Disable)
                    .disable_statement_logging();
                let connected = timeout(CONNECT_LIMIT, Server::connect(options)).await;
                connected.map_err(|_| DatabaseError::Hung)?.map(Self::Postgres)
            }
            DatabaseUri::Mysql(server) => {
                let connected = timeout(CONNECT_LIMIT, mysql::Server::connect(server)).await;
                connected.map_err(|_| DatabaseError::Hung)?.map(Self::Mysql)
            }
        };
        opened.map_err(|source| DatabaseError::Connect { uri: uri.clone(), source })
    }

    /// The name that alembic prints.
    pub(super) const fn dialect(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLiteImpl",
            Self::Postgres(_) => "PostgresqlImpl",
            Self::Mysql(_) => "MySQLImpl",
        }
    }

    /// Executes one statement, committed by itself, and says how many rows it changed.
    pub(super) async fn execute(&self, sql: String) -> Result<u64, DatabaseError> {
        match self {
            Self::Sqlite(pool) => {
                sqlx::query(AssertSqlSafe(sql)).execute(pool).await.map(|done| done.rows_affected())
            }
            Self::Postgres(server) => server.execute(sql).await,
            Self::Mysql(server) => server.execute(sql).await,
        }
        .map_err(DatabaseError::Statement)
    }

    /// The number in the first row; 0 where there is none.
    pub(super) async fn integer(&self, sql: &str) -> Result<i64, DatabaseError> {
        let numbers: Result<Vec<i64>, sqlx::Error> = match self {
            Self::Sqlite(pool) => {
                sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await
            }
            Self::Postgres(server) => server.column(sql).await,
            Self::Mysql(server) => server.column(sql).await,
        };
        Ok(numbers.map_err(DatabaseError::Statement)?.first().copied().unwrap_or(0))
    }

    async fn texts(&self, sql: &'static str) -> Result<Vec<String>, DatabaseError> {
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Self::Postgres(server) => server.column(sql).await,
            Self::Mysql(server) => server.column(sql).await,
        }
        .map_err(DatabaseError::Statement)
    }

    /// The first column, as text.
    pub(super) async fn column(&self, sql: &str) -> Result<Vec<String>, DatabaseError> {
        match self {
            Self::Sqlite(pool) => {
                sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await
            }
            Self::Postgres(server) => server.column(sql).await,
            Self::Mysql(server) => server.column(sql).await,
        }
        .map_err(DatabaseError::Statement)
    }

    /// `None` where there is no `alembic_version`, or no row in it.
    pub(super) async fn revision(&self) -> Result<Option<String>, DatabaseError> {
        if !self.has_table("alembic_version").await? {
            return Ok(None);
        }
        Ok(self.texts("SELECT version_num FROM alembic_version").await?.pop())
    }

    /// `name` is one of `schema`'s.
    async fn has_table(&self, name: &str) -> Result<bool, DatabaseError> {
        let sql = match self {
            Self::Sqlite(_) => format!(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '{name}'"
            ),
            Self::Postgres(_) => format!(
                "SELECT count(*) FROM pg_tables \
                 WHERE schemaname = current_schema() AND tablename = '{name}'"
            ),
            Self::Mysql(_) => format!(
                "SELECT count(*) FROM information_schema.TABLES \
                 WHERE table_schema = database() AND table_name = '{name}'"
            ),
        };
        Ok(self.integer(&sql).await? > 0)
    }

    /// Every client session on this database but the one that asks. SQLite keeps no list.
    pub(super) async fn other_sessions(&self) -> Result<Vec<Session>, DatabaseError> {
        let found = match self {
            Self::Sqlite(_) => return Ok(Vec::new()),
            Self::Postgres(server) => {
                server.rows(SESSIONS).await.and_then(|rows| rows.iter().map(session).collect())
            }
            Self::Mysql(server) => server.other_sessions().await,
        };
        found.map_err(DatabaseError::Statement)
    }

    /// The statement that maps up to `limit` tags from the id `from` upwards.
    pub(super) async fn map_tags(&self, from: i64, limit: u64) -> Result<u64, DatabaseError> {
        let second = match self {
            Self::Sqlite(_) | Self::Postgres(_) => schema::Second::OnConflict,
            Self::Mysql(_) => schema::Second::Ignore,
        };
        self.execute(schema::map_tags(from, limit, second)).await
    }

    /// What Quay's own health check asks: one row, within its limit.
    pub(super) async fn answers(&self) -> Result<(), DatabaseError> {
        let asked = timeout(HEALTH_LIMIT, self.integer(schema::TEAM_ROLE)).await;
        asked.map_err(|_| DatabaseError::Hung)?.map(|_| ())
    }

    async fn state(&self) -> Result<DatabaseState, DatabaseError> {
        let revision = self.revision().await?;
        let has_tags = self.has_table(&schema::table(release::BASE)).await?;
        let has_mapping = self.has_table(&schema::table(release::MAPPING_TABLE)).await?;
        let visible_tags = if has_tags { self.integer(schema::VISIBLE_TAGS).await? } else { 0 };
        let (mapped_tags, unmapped_tags) = if has_mapping {
            let mapped = self.integer(schema::MAPPED_TAGS).await?;
            (mapped, self.integer(schema::UNMAPPED_TAGS).await?)
        } else {
            (0, visible_tags)
        };
        let mut damage = self.damage(revision.as_deref()).await?;
        if revision.as_deref() == Some(release::FULL_BACKFILL) && unmapped_tags > 0 {
            damage.push(format!(
                "{} is stamped, but {unmapped_tags} visible tags are not mapped",
                release::FULL_BACKFILL
            ));
        }
        Ok(DatabaseState { revision, visible_tags, mapped_tags, unmapped_tags, damage })
    }

    /// What a migration that met another one, or was killed, has left behind.
    pub(super) async fn damage(
        &self,
        revision: Option<&str>,
    ) -> Result<Vec<String>, DatabaseError> {
        let mut damage = Vec::new();
        let next = revision.map_or(Some(release::BASE), release::after);
        if let Some(next) = next.filter(|next| *next != release::FULL_BACKFILL)
            && self.has_table(&schema::table(next)).await?
        {
            let table = schema::table(next);
            damage.push(format!(
                "table `{table}` of revision {next} exists, but the database is stamped {}",
                revision.unwrap_or("with nothing")
            ));
        }
        if self.has_table("logentrykind").await? {
            let doubled = self.texts(schema::DOUBLED_KINDS).await?;
            damage.extend(
                doubled.iter().map(|kind| format!("log entry kind `{kind}` is there twice")),
            );
        }
        Ok(damage)
    }
}

fn session(row: &PgRow) -> Result<Session, sqlx::Error> {
    Ok(Session {
        pid: row.try_get(0)?,
        user: row.try_get(1)?,
        application: row.try_get(2)?,
        address: row.try_get(3)?,
    })
}
