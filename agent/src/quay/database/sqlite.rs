//! A look at an SQLite file: for labs. It has no list of sessions.

use std::path::Path;

use quaymaster_proto::database::TagCounts;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{Asked, Found, LookError, STATEMENT_LIMIT, no_revision, one_revision};

/// Opens the file, which must exist, asks, and closes it.
pub(super) async fn look(path: &Path, asked: Asked) -> Result<Found, LookError> {
    let path = path
        .canonicalize()
        .map_err(|source| LookError::NoFile { path: path.to_owned(), source })?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(STATEMENT_LIMIT);
    let mut connection = options.connect().await.map_err(|source| LookError::connect(&source))?;
    let found = ask(&mut connection, &path, asked).await;
    let closed = connection.close().await;
    let found = found?;
    closed.map_err(|source| LookError::query("close the file", &source))?;
    Ok(found)
}

async fn ask(
    connection: &mut SqliteConnection,
    path: &Path,
    asked: Asked,
) -> Result<Found, LookError> {
    let version = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&mut *connection)
        .await
        .map_err(|source| LookError::query("ask for the version", &source))?;
    let revision = if has_table(connection, "alembic_version").await? {
        let revisions = sqlx::query_scalar("SELECT version_num FROM alembic_version")
            .fetch_all(&mut *connection)
            .await
            .map_err(|source| LookError::query("read table `alembic_version`", &source))?;
        one_revision(revisions)?
    } else {
        no_revision(asked)?
    };
    let counts = if asked.counts { Some(counts(connection).await?) } else { None };
    let unmapped_names = if super::names_them(counts.as_ref())
        && has_table(connection, "tagtorepositorytag").await?
    {
        names(connection).await?
    } else {
        Vec::new()
    };
    Ok(Found {
        identity: format!("sqlite:{}", path.display()),
        revision,
        in_recovery: false,
        sessions: None,
        counts,
        unmapped_names,
        size_bytes: asked.counts.then(|| path.metadata().ok()).flatten().map(|file| file.len()),
        server_version: version,
    })
}

async fn names(connection: &mut SqliteConnection) -> Result<Vec<String>, LookError> {
    let query = super::NAMES.replace("{user}", "\"user\"");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(connection).await;
    let found = found.map_err(|source| LookError::query("name the unmapped tags", &source))?;
    Ok(found.into_iter().map(super::tag_name).collect())
}

async fn has_table(connection: &mut SqliteConnection, name: &str) -> Result<bool, LookError> {
    let found: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1")
            .bind(name)
            .fetch_one(&mut *connection)
            .await
            .map_err(|source| LookError::query("list the tables", &source))?;
    Ok(found > 0)
}

async fn counts(connection: &mut SqliteConnection) -> Result<TagCounts, LookError> {
    let query = if has_table(connection, "tagtorepositorytag").await? {
        super::COUNT_WITH_MAPPING
    } else {
        super::COUNT_WITHOUT_MAPPING
    };
    let failed = |source| LookError::query("count the tags", &source);
    let row = sqlx::query(query).fetch_one(&mut *connection).await.map_err(failed)?;
    Ok(TagCounts {
        visible: row.try_get(0).map_err(failed)?,
        unmapped: row.try_get(1).map_err(failed)?,
    })
}
