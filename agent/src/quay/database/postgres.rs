//! A look at PostgreSQL: one read-only transaction in a session of its own,
//! gone when the look is over.
//!
//! Nothing is set beyond that transaction: a pooler hands the server's session
//! on to Quay, with whatever was set in it.

use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::database::{Session, TagCounts};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};

mod footing;

pub(super) use footing::footing;

use super::{
    Asked, COUNTS_LIMIT, Found, Ground, LookError, STATEMENT_LIMIT, close, no_revision,
    one_revision,
};

/// Opens a session, asks, and closes it.
pub(super) async fn look(options: &PgConnectOptions, asked: Asked) -> Result<Found, LookError> {
    let mut connection = options.connect().await.map_err(|source| LookError::connect(&source))?;
    let found = ask(&mut connection, options, asked).await;
    let ended = run(&mut connection, "ROLLBACK").await;
    close(connection, ended, found).await
}

/// Looks only at what every database has.
pub(crate) async fn ground(options: &PgConnectOptions) -> Result<Ground, LookError> {
    let mut connection = options.connect().await.map_err(|source| LookError::connect(&source))?;
    let own = options.get_application_name().unwrap_or_default();
    let looking = async {
        let (identity, in_recovery, _, version) = server(&mut connection).await?;
        let sessions = sessions(&mut connection, own, version).await?;
        Ok(Ground { identity, in_recovery, sessions })
    };
    let found = looking.await;
    let _ = connection.close().await; // nothing was changed
    found
}

async fn ask(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    asked: Asked,
) -> Result<Found, LookError> {
    run(connection, &opening(STATEMENT_LIMIT))
        .await
        .map_err(|source| LookError::query("begin a read-only transaction", &source))?;
    let (identity, in_recovery, version, version_number) = server(connection).await?;
    let revision = revision(connection, asked).await?;
    let sessions = if asked.sessions {
        let own = options.get_application_name().unwrap_or_default();
        Some(sessions(connection, own, version_number).await?)
    } else {
        None
    };
    let (counts, size_bytes) = if asked.counts {
        (Some(counts(connection).await?), Some(size(connection).await?))
    } else {
        (None, None)
    };
    let unmapped_names = if super::names_them(counts.as_ref()) && has_mapping(connection).await? {
        names(connection).await?
    } else {
        Vec::new()
    };
    let server_version = version;
    Ok(Found {
        identity,
        revision,
        in_recovery,
        sessions,
        counts,
        unmapped_names,
        size_bytes,
        server_version,
    })
}

/// Begins the transaction with its limits.
fn opening(limit: Duration) -> String {
    let limit = limit.as_millis();
    format!("BEGIN READ ONLY; SET LOCAL lock_timeout = {limit}; {}", statement_limit(limit))
}

/// For the rest of the transaction, in milliseconds.
fn statement_limit(limit: u128) -> String {
    format!("SET LOCAL statement_timeout = {limit}")
}

async fn run(connection: &mut PgConnection, statements: &str) -> Result<(), sqlx::Error> {
    let statements = sqlx::AssertSqlSafe(statements.to_owned());
    connection.execute(sqlx::raw_sql(statements)).await.map(drop)
}

async fn server(connection: &mut PgConnection) -> Result<(String, bool, String, i32), LookError> {
    let row = sqlx::query(
        "SELECT (SELECT system_identifier::text FROM pg_control_system()), \
                (SELECT oid::text FROM pg_database WHERE datname = current_database()), \
                pg_is_in_recovery(), current_setting('server_version'), \
                current_setting('server_version_num')::int",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|source| LookError::query("ask which database this is", &source))?;
    let failed = |source| LookError::query("read which database this is", &source);
    let system: String = row.try_get(0).map_err(failed)?;
    let oid: String = row.try_get(1).map_err(failed)?;
    Ok((
        format!("postgresql:{system}/{oid}"),
        row.try_get(2).map_err(failed)?,
        row.try_get(3).map_err(failed)?,
        row.try_get(4).map_err(failed)?,
    ))
}

async fn revision(connection: &mut PgConnection, asked: Asked) -> Result<String, LookError> {
    let table: Option<String> = sqlx::query_scalar("SELECT to_regclass('alembic_version')::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(|source| LookError::query("look for table `alembic_version`", &source))?;
    if table.is_none() {
        return no_revision(asked);
    }
    let revisions = sqlx::query_scalar("SELECT version_num FROM alembic_version")
        .fetch_all(&mut *connection)
        .await
        .map_err(|source| LookError::query("read table `alembic_version`", &source))?;
    one_revision(revisions)
}

/// Client sessions on this database but those of this agent. A role that may
/// not see another role's sessions still sees that they are there.
async fn sessions(
    connection: &mut PgConnection,
    own: &str,
    version: i32,
) -> Result<Vec<Session>, LookError> {
    const COLUMNS: &str = "SELECT pid::bigint, coalesce(usename::text, ''), \
         coalesce(application_name, ''), coalesce(host(client_addr), ''), \
         (extract(epoch FROM backend_start) * 1000)::bigint \
         FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND coalesce(application_name, '') <> $1 AND ";
    // The server's own helpers are no sessions: before 10 they have no client
    // port; later their kind says so, or, where that is hidden, they have no user.
    let kind = if version >= 100_000 {
        "(backend_type = 'client backend' OR (backend_type IS NULL AND usesysid IS NOT NULL))"
    } else {
        "(client_port IS NOT NULL OR usename <> current_user)"
    };
    let query = format!("{COLUMNS}{kind} ORDER BY pid");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(own)
        .fetch_all(&mut *connection)
        .await
        .map_err(|source| LookError::query("list the sessions", &source))?;
    let failed = |source| LookError::query("read the list of sessions", &source);
    let session = |row: sqlx::postgres::PgRow| {
        let since: Option<i64> = row.try_get(4).map_err(failed)?;
        Ok(Session {
            pid: row.try_get(0).map_err(failed)?,
            user: row.try_get(1).map_err(failed)?,
            application: row.try_get(2).map_err(failed)?,
            address: row.try_get(3).map_err(failed)?,
            since: since.and_then(|since| Timestamp::from_millisecond(since).ok()),
        })
    };
    rows.into_iter().map(session).collect()
}

/// Exact, and never negative (quay-facts 3.3).
async fn counts(connection: &mut PgConnection) -> Result<TagCounts, LookError> {
    let failed = |source| LookError::query("count the tags", &source);
    run(connection, &statement_limit(COUNTS_LIMIT.as_millis())).await.map_err(failed)?;
    let query = match has_mapping(connection).await? {
        true => super::COUNT_WITH_MAPPING,
        false => super::COUNT_WITHOUT_MAPPING,
    };
    let row = sqlx::query(query).fetch_one(&mut *connection).await.map_err(failed)?;
    Ok(TagCounts {
        visible: row.try_get(0).map_err(failed)?,
        unmapped: row.try_get(1).map_err(failed)?,
    })
}

async fn has_mapping(connection: &mut PgConnection) -> Result<bool, LookError> {
    let found: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('tagtorepositorytag')::text")
            .fetch_one(&mut *connection)
            .await
            .map_err(|source| LookError::query("look for the mapped tags", &source))?;
    Ok(found.is_some())
}

async fn names(connection: &mut PgConnection) -> Result<Vec<String>, LookError> {
    let query = super::NAMES.replace("{user}", "\"user\"");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(connection).await;
    let found = found.map_err(|source| LookError::query("name the unmapped tags", &source))?;
    Ok(found.into_iter().map(super::tag_name).collect())
}

/// On the server's disk, indexes included.
async fn size(connection: &mut PgConnection) -> Result<u64, LookError> {
    let size: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())")
        .fetch_one(&mut *connection)
        .await
        .map_err(|source| LookError::query("ask for its size", &source))?;
    Ok(u64::try_from(size).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outlives_the_transaction() {
        let all = [opening(STATEMENT_LIMIT), statement_limit(COUNTS_LIMIT.as_millis())].join("; ");
        for statement in all.split("; ") {
            let is_bound = statement == "BEGIN READ ONLY" || statement.starts_with("SET LOCAL ");
            assert!(is_bound, "{statement}");
        }
        assert!(all.starts_with("BEGIN READ ONLY; "), "{all}");
    }
}
