//! A look at MySQL or MariaDB: one read-only transaction in a session of its
//! own, gone when the look is over.
//!
//! These servers know no application names. So that one agent knows another
//! one's session, each takes a user-level lock named after the session's own
//! number, and whoever lists the sessions asks who holds theirs. It costs no
//! privilege, changes no data, and ends with the session.
//!
//! What nobody may see is not taken for nothing: a user without the privilege
//! PROCESS sees its own sessions only, and a member of a group of servers shows
//! the sessions of that one alone. Such a look fails as a whole, asked for
//! sessions or not: preflight asks for none, and the dark is too late to learn
//! it.

mod contents;
mod server;
pub(super) mod threads;

use std::path::Path;

use quaymaster_proto::database::TagCounts;
use sqlx::mysql::{
    MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow, MySqlSslMode,
};
use sqlx::{ConnectOptions as _, Row as _};

pub(crate) use self::contents::{Contents, contents};
use self::server::Server;
use self::threads::Thread;
use super::{
    Asked, COUNTS_LIMIT, Found, Ground, LookError, STATEMENT_LIMIT, close, host_path, no_revision,
    one_revision,
};
use crate::engine::Mount;
use crate::quay::database_uri::ServerUri;
use crate::quay::settings::{ConnectionArguments, MysqlTls};

/// ER_SPECIFIC_ACCESS_DENIED_ERROR.
const LACKS_PRIVILEGE: u16 = 1227;

/// Needs PROCESS, and fails without it, unlike the list of sessions.
const NEEDS_PROCESS: &str = "SELECT 1 FROM information_schema.INNODB_TRX LIMIT 1";

/// The name of the lock by which a session says that it is an agent's, in SQL;
/// at most 64 characters. `{id}` = the session's number.
const MARK: &str = "concat('quaymaster-agent/', {id})";

/// As Quay's own client connects: no TLS where config.yaml asks for none.
pub(crate) fn options(
    server: &ServerUri,
    arguments: &ConnectionArguments,
    mounts: &[Mount],
) -> Result<MySqlConnectOptions, LookError> {
    let ServerUri { kind: _, host, port, name, user, password } = server;
    let mut options = MySqlConnectOptions::new()
        .port(*port)
        .database(name)
        // Poolers keep no prepared statements from one question to the next.
        .statement_cache_capacity(0)
        // Nothing of the session is changed that a pooler might hand on.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None);
    if !host.is_empty() {
        options = options.host(host);
    }
    if let Some(user) = user {
        options = options.username(user);
    }
    if let Some(password) = password {
        options = options.password(password.expose());
    }
    let ConnectionArguments { ssl_mode: _, ssl_root_certificate, ssl_certificate, ssl_key, .. } =
        arguments;
    let mode = match arguments.mysql_tls {
        MysqlTls::Off => return Ok(options.ssl_mode(MySqlSslMode::Disabled)),
        MysqlTls::Unverified => MySqlSslMode::Required,
        MysqlTls::Ca => MySqlSslMode::VerifyCa,
        MysqlTls::Name => MySqlSslMode::VerifyIdentity,
    };
    options = options.ssl_mode(mode);
    if let Some(certificate) = ssl_root_certificate {
        options = options.ssl_ca(host_path(mounts, Path::new(certificate))?);
    }
    if let (Some(certificate), Some(key)) = (ssl_certificate, ssl_key) {
        options = options
            .ssl_client_cert(host_path(mounts, Path::new(certificate))?)
            .ssl_client_key(host_path(mounts, Path::new(key))?);
    }
    Ok(options)
}

/// Opens a session, asks, and closes it.
pub(super) async fn look(options: &MySqlConnectOptions, asked: Asked) -> Result<Found, LookError> {
    let mut connection = connect(options).await?;
    let found = ask(&mut connection, asked).await;
    let ended = run(&mut connection, "ROLLBACK").await;
    close(connection, ended, found).await
}

/// A session that says it is an agent's.
pub(crate) async fn connect(options: &MySqlConnectOptions) -> Result<MySqlConnection, LookError> {
    let mut connection = options.connect().await.map_err(|source| connect_error(&source))?;
    let mark = format!("SELECT GET_LOCK({}, 0)", MARK.replace("{id}", "connection_id()"));
    let marked = run(&mut connection, &mark).await;
    marked.map_err(|source| LookError::query("mark this session as an agent's", &source))?;
    Ok(connection)
}

/// `sha256_password` and `caching_sha2_password` send the password itself where
/// the server does not remember it, which in clear takes an RSA key; the one
/// crate for that is open to timing (RUSTSEC-2023-0071) and left out.
fn connect_error(source: &sqlx::Error) -> LookError {
    if !source.to_string().contains("RSA auth backend disabled") {
        return LookError::connect(source);
    }
    LookError::Connect {
        said: "the server wants this user's password encrypted: use TLS (`ssl: {ca: ...}` in \
               DB_CONNECTION_ARGS), or give the user `mysql_native_password`"
            .to_owned(),
    }
}

/// Looks only at what every database has.
pub(crate) async fn ground(options: &MySqlConnectOptions) -> Result<Ground, LookError> {
    let mut connection = connect(options).await?;
    let looking = async {
        let (server, threads) = server_and_threads(&mut connection).await?;
        Ok(Ground {
            identity: server.identity(),
            in_recovery: server.is_read_only || threads.iter().any(Thread::replicates),
            sessions: threads::sessions(&server, &threads),
        })
    };
    let found = looking.await;
    close(connection, Ok(()), found).await
}

/// Who it is and who is on it, of a server that shows all of them.
async fn server_and_threads(
    connection: &mut MySqlConnection,
) -> Result<(Server, Vec<Thread>), LookError> {
    let server = server(connection).await?;
    server.refuse_group()?;
    prove_privilege(connection, &server).await?;
    let threads = threads(connection, &server).await?;
    Ok((server, threads))
}

async fn ask(connection: &mut MySqlConnection, asked: Asked) -> Result<Found, LookError> {
    run(connection, "START TRANSACTION READ ONLY")
        .await
        .map_err(|source| LookError::query("begin a read-only transaction", &source))?;
    let (server, threads) = server_and_threads(connection).await?;
    let revision = revision(connection, &server, asked).await?;
    let (counts, size_bytes) = if asked.counts {
        let counts = counts(connection, &server).await?;
        (Some(counts), Some(contents::size(connection, &server).await?))
    } else {
        (None, None)
    };
    let unmapped_names = if super::names_them(counts.as_ref()) {
        names(connection, &server).await?
    } else {
        Vec::new()
    };
    Ok(Found {
        identity: server.identity(),
        revision,
        in_recovery: server.is_read_only || threads.iter().any(Thread::replicates),
        sessions: asked.sessions.then(|| threads::sessions(&server, &threads)),
        counts,
        unmapped_names,
        size_bytes,
        server_version: server.version,
    })
}

async fn run(connection: &mut MySqlConnection, statement: &str) -> Result<(), sqlx::Error> {
    rows(connection, statement).await.map(drop)
}

pub(crate) async fn rows(
    connection: &mut MySqlConnection,
    statement: &str,
) -> Result<Vec<MySqlRow>, sqlx::Error> {
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).fetch_all(&mut *connection).await
}

/// Unchecked: what servers call a text differs, and so does what they call a
/// number.
pub(crate) fn text(row: &MySqlRow, column: usize) -> Result<String, sqlx::Error> {
    row.try_get_unchecked::<Option<String>, _>(column).map(Option::unwrap_or_default)
}

pub(super) fn number(row: &MySqlRow, column: usize) -> Result<i64, sqlx::Error> {
    row.try_get_unchecked::<Option<i64>, _>(column).map(Option::unwrap_or_default)
}

async fn server(connection: &mut MySqlConnection) -> Result<Server, LookError> {
    let failed = |source| LookError::query("ask which database this is", &source);
    let row = rows(connection, "SELECT database(), current_user(), user(), connection_id()");
    let row = row.await.map_err(failed)?;
    let Some(row) = row.first() else { return Err(failed(sqlx::Error::RowNotFound)) };
    let mut server = Server {
        schema: text(row, 0).map_err(failed)?,
        account: text(row, 1).map_err(failed)?,
        user: text(row, 2).map_err(failed)?.split('@').next().unwrap_or_default().to_owned(),
        session: number(row, 3).map_err(failed)?,
        ..Server::default()
    };
    // Which of these a server knows differs; those it does not are left out.
    for statement in server::VARIABLES {
        for row in rows(connection, statement).await.map_err(failed)? {
            let (name, value) = (text(&row, 0).map_err(failed)?, text(&row, 1).map_err(failed)?);
            server.learn(&name, value);
        }
    }
    Ok(server)
}

async fn prove_privilege(
    connection: &mut MySqlConnection,
    server: &Server,
) -> Result<(), LookError> {
    let Err(source) = rows(connection, &server.limited(NEEDS_PROCESS, STATEMENT_LIMIT)).await
    else {
        return Ok(());
    };
    let answer = source.as_database_error();
    let answer = answer.and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    if answer.is_some_and(|error| error.number() == LACKS_PRIVILEGE) {
        return Err(LookError::SessionsHidden { account: server.account_in_sql() });
    }
    Err(LookError::query("ask whether all sessions may be seen", &source))
}

/// Every thread of the server but this session's.
async fn threads(
    connection: &mut MySqlConnection,
    server: &Server,
) -> Result<Vec<Thread>, LookError> {
    let is_agent = format!("coalesce(is_used_lock({}) = id, 0)", MARK.replace("{id}", "id"));
    let query = format!(
        "SELECT id, user, host, db, command, {is_agent} FROM information_schema.PROCESSLIST \
         WHERE id <> connection_id() ORDER BY id"
    );
    let failed = |source| LookError::query("list the sessions", &source);
    let found = rows(connection, &server.limited(&query, STATEMENT_LIMIT)).await;
    let thread = |row: &MySqlRow| -> Result<Thread, sqlx::Error> {
        Ok(Thread {
            id: number(row, 0)?,
            user: text(row, 1)?,
            host: text(row, 2)?,
            schema: text(row, 3)?,
            command: text(row, 4)?,
            is_agent: number(row, 5)? != 0,
        })
    };
    found.map_err(failed)?.iter().map(thread).collect::<Result<_, _>>().map_err(failed)
}

/// `name` is one of Quay's tables.
async fn has_table(
    connection: &mut MySqlConnection,
    server: &Server,
    name: &str,
) -> Result<bool, sqlx::Error> {
    let query = format!(
        "SELECT count(*) FROM information_schema.TABLES \
         WHERE table_schema = database() AND table_name = '{name}'"
    );
    let found = rows(connection, &server.limited(&query, STATEMENT_LIMIT)).await?;
    found.first().map_or(Ok(false), |row| Ok(number(row, 0)? > 0))
}

async fn revision(
    connection: &mut MySqlConnection,
    server: &Server,
    asked: Asked,
) -> Result<String, LookError> {
    let found = has_table(connection, server, "alembic_version").await;
    let found =
        found.map_err(|source| LookError::query("look for table `alembic_version`", &source))?;
    if !found {
        return no_revision(asked);
    }
    let failed = |source| LookError::query("read table `alembic_version`", &source);
    let query = server.limited("SELECT version_num FROM alembic_version", STATEMENT_LIMIT);
    let found = rows(connection, &query).await.map_err(failed)?;
    one_revision(found.iter().map(|row| text(row, 0)).collect::<Result<_, _>>().map_err(failed)?)
}

async fn names(
    connection: &mut MySqlConnection,
    server: &Server,
) -> Result<Vec<String>, LookError> {
    let failed = |source| LookError::query("name the unmapped tags", &source);
    if !has_table(connection, server, "tagtorepositorytag").await.map_err(failed)? {
        return Ok(Vec::new());
    }
    let query = server.limited(&super::NAMES.replace("{user}", "`user`"), COUNTS_LIMIT);
    let found = rows(connection, &query).await.map_err(failed)?;
    let name = |row| Ok(super::tag_name((text(row, 0)?, text(row, 1)?, text(row, 2)?)));
    found.iter().map(name).collect::<Result<_, _>>().map_err(failed)
}

/// Exact, and never negative (quay-facts 3.3).
async fn counts(connection: &mut MySqlConnection, server: &Server) -> Result<TagCounts, LookError> {
    let failed = |source| LookError::query("count the tags", &source);
    let query = if has_table(connection, server, "tagtorepositorytag").await.map_err(failed)? {
        super::COUNT_WITH_MAPPING
    } else {
        super::COUNT_WITHOUT_MAPPING
    };
    let found = rows(connection, &server.limited(query, COUNTS_LIMIT)).await.map_err(failed)?;
    let Some(row) = found.first() else { return Err(failed(sqlx::Error::RowNotFound)) };
    Ok(TagCounts {
        visible: number(row, 0).map_err(failed)?,
        unmapped: number(row, 1).map_err(failed)?,
    })
}
