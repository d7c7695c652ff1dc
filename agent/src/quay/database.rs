//! Quay's database, as this node's own config.yaml names it: which one it is,
//! its revision, who is on it, what is left to map.
//!
//! Every look opens a session of its own, reads, and ends it. Nothing is ever
//! written, and no file is created.
#![expect(clippy::disallowed_methods, reason = "an effect room: it asks the clock")]

pub(crate) mod lock;
mod mysql;
mod postgres;
mod sqlite;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::database::{
    AGENT_APPLICATION, DatabaseIdentity, DatabaseLook, Session, TagCounts,
};
use quaymaster_proto::footing::DatabaseFooting;
use quaymaster_proto::{ClusterName, NodeName};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

pub(crate) use self::mysql::{
    Contents, connect as mysql_connect, contents as mysql_contents, ground as mysql_ground,
    options as mysql_options, rows as mysql_rows, text as mysql_text,
};
pub(crate) use self::postgres::ground as postgres_ground;
use crate::engine::Mount;
use crate::quay::database_uri::{DatabaseUri, ServerKind, ServerUri};
use crate::quay::settings::{ConnectionArguments, NoDatabase, Settings};

/// The limit of one statement: all but the counts are answered at once.
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);

/// The limit of the counts: two full-table scans of a large registry.
const COUNTS_LIMIT: Duration = Duration::from_secs(120);

/// The limit of a whole look without counts, connecting included.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// Visible tags, and the ones without a counterpart (quay-facts 3.3).
const COUNT_WITH_MAPPING: &str = "SELECT count(*), \
     count(CASE WHEN mapped.repository_tag_id IS NULL THEN 1 END) \
     FROM repositorytag AS old \
     LEFT JOIN tagtorepositorytag AS mapped ON mapped.repository_tag_id = old.id \
     WHERE NOT old.hidden";

/// The same before 3.0, when nothing is mapped.
const COUNT_WITHOUT_MAPPING: &str =
    "SELECT count(*), count(*) FROM repositorytag AS old WHERE NOT old.hidden";

/// Some of the tags that are not mapped, as people call them; `{user}` is that
/// table's name, which is quoted differently.
const NAMES: &str = "SELECT namespace.username, repository.name, old.name \
     FROM repositorytag AS old \
     LEFT JOIN tagtorepositorytag AS mapped ON mapped.repository_tag_id = old.id \
     JOIN repository ON repository.id = old.repository_id \
     JOIN {user} AS namespace ON namespace.id = repository.namespace_user_id \
     WHERE NOT old.hidden AND mapped.repository_tag_id IS NULL ORDER BY old.id LIMIT 10";

/// So many are worth naming: of more, ten say nothing.
const FEW: i64 = 1000;

/// What a look is to bring beside identity and revision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Asked {
    /// Who is on it.
    pub(crate) sessions: bool,
    /// How many tags.
    pub(crate) counts: bool,
}

/// What a kind of database answered.
#[derive(Debug)]
struct Found {
    identity: String,
    revision: String,
    in_recovery: bool,
    sessions: Option<Vec<Session>>,
    counts: Option<TagCounts>,
    unmapped_names: Vec<String>,
    size_bytes: Option<u64>,
    server_version: String,
}

/// A database, whatever is in it.
#[derive(Debug)]
pub(crate) struct Ground {
    /// Which.
    pub(crate) identity: String,
    /// A standby.
    pub(crate) in_recovery: bool,
    /// All but this agent's own.
    pub(crate) sessions: Vec<Session>,
}

/// Why a look brought nothing. No text in here holds a password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// config.yaml names none.
    #[error("cannot tell which database Quay uses")]
    Unnamed(#[from] NoDatabase),
    /// MySQL shows a user its own sessions only.
    #[error(
        "cannot see all sessions on the database: GRANT PROCESS ON *.* TO {account}, so that \
         nobody on it is overlooked while it is changed"
    )]
    SessionsHidden {
        /// As whom it connected, quoted.
        account: String,
    },
    /// A server shows the sessions of its own only.
    #[error(
        "cannot see all sessions on the database: this server is a member of {group}; take the \
         other members down for the window"
    )]
    OneOfMany {
        /// Which.
        group: String,
    },
    /// An `sslmode` that PostgreSQL does not know.
    #[error("`sslmode` in DB_CONNECTION_ARGS is none that PostgreSQL knows")]
    SslMode,
    /// A path inside the container that no mount brings to the host.
    #[error("no mount of the Quay container brings `{}` to the host", path.display())]
    NotMounted {
        /// As Quay sees it.
        path: PathBuf,
    },
    /// The SQLite file is not there.
    #[error("cannot find the database's file `{}`", path.display())]
    NoFile {
        /// On the host.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No session.
    #[error("cannot connect to the database: {said}")]
    Connect {
        /// What the other side said.
        said: String,
    },
    /// A question failed.
    #[error("cannot {tried} in the database: {said}")]
    Query {
        /// What was asked.
        tried: &'static str,
        /// What the other side said.
        said: String,
    },
    /// Not Quay's, or never migrated.
    #[error("the database has no table `alembic_version`: it is not Quay's, or was never set up")]
    NoAlembicTable,
    /// Two revisions at once.
    #[error("table `alembic_version` holds {count} revisions instead of one")]
    SeveralRevisions {
        /// How many.
        count: usize,
    },
    /// No answer.
    #[error("the database did not answer within {seconds} s")]
    Late {
        /// How long was waited.
        seconds: u64,
    },
}

impl LookError {
    pub(crate) fn connect(source: &sqlx::Error) -> Self {
        Self::Connect { said: said(source) }
    }

    pub(crate) fn query(tried: &'static str, source: &sqlx::Error) -> Self {
        Self::Query { tried, said: said(source) }
    }

    /// The error with its cause, in one line.
    pub(crate) fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            line = format!("{line}: {source}");
            cause = source.source();
        }
        line
    }

    /// Takes a password out of whatever the other side said.
    pub(crate) fn without(self, password: &str) -> Self {
        let clean = |said: String| {
            if password.is_empty() { said } else { said.replace(password, "***") }
        };
        match self {
            Self::Connect { said } => Self::Connect { said: clean(said) },
            Self::Query { tried, said } => Self::Query { tried, said: clean(said) },
            Self::Unnamed(_)
            | Self::SessionsHidden { .. }
            | Self::OneOfMany { .. }
            | Self::SslMode
            | Self::NotMounted { .. }
            | Self::NoFile { .. }
            | Self::NoAlembicTable
            | Self::SeveralRevisions { .. }
            | Self::Late { .. } => self,
        }
    }
}

/// The server's own words where it answered; no query, no address.
fn said(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(answer) => answer.message().to_owned(),
        None => error.to_string(),
    }
}

/// The application name of this agent's sessions.
pub(crate) fn application(cluster: &ClusterName, node: &NodeName) -> String {
    format!("{AGENT_APPLICATION}/{cluster}/{node}")
}

/// Looks into the database that `settings` name, seen from inside a container
/// with these mounts.
pub(crate) async fn look(
    settings: &Settings,
    mounts: &[Mount],
    application: &str,
    asked: Asked,
) -> Result<DatabaseLook, LookError> {
    let uri = settings.database()?;
    let limit = if asked.counts { LOOK_LIMIT + COUNTS_LIMIT } else { LOOK_LIMIT };
    let looking = async {
        match &uri {
            DatabaseUri::Sqlite { path } => sqlite::look(&host_path(mounts, path)?, asked).await,
            DatabaseUri::Server(server) => {
                let arguments = settings.connection_arguments();
                let found = match server.kind {
                    ServerKind::Postgresql => {
                        let options = postgres_options(server, &arguments, mounts, application)?;
                        postgres::look(&options, asked).await
                    }
                    ServerKind::Mysql => {
                        mysql::look(&mysql_options(server, &arguments, mounts)?, asked).await
                    }
                };
                let password = server.password.as_ref().map(|secret| secret.expose());
                found.map_err(|error| error.without(password.unwrap_or_default()))
            }
        }
    };
    let late = |_| LookError::Late { seconds: limit.as_secs() };
    let found = tokio::time::timeout(limit, looking).await.map_err(late)??;
    let Found {
        identity,
        revision,
        in_recovery,
        sessions,
        counts,
        unmapped_names,
        size_bytes,
        server_version,
    } = found;
    Ok(DatabaseLook {
        at: Timestamp::now(),
        identity: DatabaseIdentity::new(identity).ok_or_else(|| LookError::Query {
            tried: "ask which database this is",
            said: "no answer".to_owned(),
        })?,
        kind: uri.kind().to_owned(),
        revision,
        in_recovery,
        sessions,
        counts,
        server_version,
        shown_as: uri.shown_as(),
        unmapped_names,
        size_bytes,
    })
}

/// What a migration would stand on; `None` where it is no PostgreSQL.
pub(crate) async fn footing(
    settings: &Settings,
    mounts: &[Mount],
    application: &str,
) -> Result<Option<DatabaseFooting>, LookError> {
    let uri = settings.database()?;
    let server = match &uri {
        DatabaseUri::Server(server) if server.kind == ServerKind::Postgresql => server,
        DatabaseUri::Server(_) | DatabaseUri::Sqlite { .. } => return Ok(None),
    };
    let arguments = settings.connection_arguments();
    let options = postgres_options(server, &arguments, mounts, application)?;
    let late = |_| LookError::Late { seconds: LOOK_LIMIT.as_secs() };
    let found = tokio::time::timeout(LOOK_LIMIT, postgres::footing(&options)).await;
    let password = server.password.as_ref().map(|secret| secret.expose());
    let found = found.map_err(late)?;
    found.map(Some).map_err(|error| error.without(password.unwrap_or_default()))
}

/// A client as this node's Quay is one, but for its application name.
pub(crate) fn postgres_options(
    server: &ServerUri,
    arguments: &ConnectionArguments,
    mounts: &[Mount],
    application: &str,
) -> Result<PgConnectOptions, LookError> {
    let ServerUri { kind: _, host, port, name, user, password } = server;
    let mut options = PgConnectOptions::new_without_pgpass()
        .port(*port)
        .database(name)
        .application_name(application)
        // Poolers refuse what they do not know at the start of a session.
        .extra_float_digits(None)
        // Poolers keep no prepared statements from one question to the next.
        .statement_cache_capacity(0);
    if !host.is_empty() {
        options = options.host(host);
    }
    if let Some(user) = user {
        options = options.username(user);
    }
    if let Some(password) = password {
        options = options.password(password.expose());
    }
    let ConnectionArguments { ssl_mode, ssl_root_certificate, ssl_certificate, ssl_key, .. } =
        arguments;
    if let Some(mode) = ssl_mode {
        let mode: PgSslMode = mode.parse().map_err(|_| LookError::SslMode)?;
        options = options.ssl_mode(mode);
    }
    if let Some(certificate) = ssl_root_certificate {
        options = options.ssl_root_cert(host_path(mounts, Path::new(certificate))?);
    }
    if let (Some(certificate), Some(key)) = (ssl_certificate, ssl_key) {
        options = options
            .ssl_client_cert(host_path(mounts, Path::new(certificate))?)
            .ssl_client_key(host_path(mounts, Path::new(key))?);
    }
    Ok(options)
}

/// Ends the session in which something was found, with how its transaction ended:
/// where that failed, the session's end ends it too.
async fn close<T>(
    connection: impl Connection,
    ended: Result<(), sqlx::Error>,
    found: Result<T, LookError>,
) -> Result<T, LookError> {
    // The server must see the session end before anyone counts sessions.
    let closed = connection.close().await;
    let found = found?;
    ended.map_err(|source| LookError::query("end the transaction", &source))?;
    closed.map_err(|source| LookError::query("end the session", &source))?;
    Ok(found)
}

/// Where on the host a path lies that Quay sees inside its container.
pub(crate) fn host_path(mounts: &[Mount], inside: &Path) -> Result<PathBuf, LookError> {
    // Quay's own directory has a link `conf/stack` to /conf/stack.
    let absolute = Path::new("/").join(inside);
    let under = |mount: &Mount| {
        let rest = absolute.strip_prefix(&mount.destination).ok()?;
        let source = Path::new(&mount.source);
        let path = if rest.as_os_str().is_empty() { source.into() } else { source.join(rest) };
        Some((mount.destination.len(), path))
    };
    let best = mounts.iter().filter(|mount| !mount.source.is_empty()).filter_map(under);
    let best = best.max_by_key(|(length, _)| *length);
    best.map(|(_, path)| path).ok_or_else(|| LookError::NotMounted { path: inside.to_owned() })
}

/// Whether the tags that are not mapped are to be named.
fn names_them(counts: Option<&TagCounts>) -> bool {
    counts.is_some_and(|counts| counts.unmapped > 0 && counts.unmapped <= FEW)
}

fn tag_name((namespace, repository, tag): (String, String, String)) -> String {
    format!("{namespace}/{repository}:{tag}")
}

/// An empty table is a revision of its own: while the very first one runs
/// (quay-observed 4).
fn one_revision(mut revisions: Vec<String>) -> Result<String, LookError> {
    match revisions.len() {
        0 => Ok(String::new()),
        1 => Ok(revisions.remove(0)),
        count => Err(LookError::SeveralRevisions { count }),
    }
}

/// Without the table: a restore that broke off leaves a database like this, and
/// it has to be seen to be restored again. Nothing is counted in one, though.
fn no_revision(asked: Asked) -> Result<String, LookError> {
    if asked.counts { Err(LookError::NoAlembicTable) } else { Ok(String::new()) }
}

#[cfg(test)]
mod tests;
