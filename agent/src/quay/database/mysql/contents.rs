//! What a MySQL or MariaDB database holds: its tables, their size, the rows of
//! some of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};

use super::server::Server;
use super::{close, connect, number, rows, run, server, text};
use crate::quay::database::LookError;

/// One count of the largest table.
const COUNT_LIMIT: Duration = Duration::from_secs(600);

/// What a database holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Contents {
    /// Every table's name; views are none.
    pub(crate) tables: BTreeSet<String>,
    /// Of the tables that were asked for and are there.
    pub(crate) rows: BTreeMap<String, u64>,
    /// Of the tables and their indexes, as the server last saw it.
    pub(crate) size_bytes: u64,
}

/// Opens a session, counts, and closes it.
pub(crate) async fn contents(
    options: &MySqlConnectOptions,
    counted: &[&str],
) -> Result<Contents, LookError> {
    let mut connection = connect(options).await?;
    let found = ask(&mut connection, counted).await;
    let ended = run(&mut connection, "ROLLBACK").await;
    close(connection, ended, found).await
}

async fn ask(connection: &mut MySqlConnection, counted: &[&str]) -> Result<Contents, LookError> {
    run(connection, "START TRANSACTION READ ONLY")
        .await
        .map_err(|source| LookError::query("begin a read-only transaction", &source))?;
    let server = server(connection).await?;
    let failed = |source| LookError::query("count the rows", &source);
    let (tables, size_bytes) = tables(connection).await.map_err(failed)?;
    let mut found = BTreeMap::new();
    for table in counted.iter().filter(|table| tables.contains(**table)) {
        let query = server.limited(&format!("SELECT count(*) FROM `{table}`"), COUNT_LIMIT);
        let answer = rows(connection, &query).await.map_err(failed)?;
        let row = answer.first().ok_or_else(|| failed(sqlx::Error::RowNotFound))?;
        let count = number(row, 0).map_err(failed)?;
        found.insert((*table).to_owned(), u64::try_from(count).unwrap_or_default());
    }
    Ok(Contents { tables, rows: found, size_bytes })
}

/// The size alone, for a look.
pub(super) async fn size(
    connection: &mut MySqlConnection,
    server: &Server,
) -> Result<u64, LookError> {
    let query = "SELECT coalesce(sum(data_length + index_length), 0) \
                 FROM information_schema.TABLES WHERE table_schema = database()";
    let failed = |source| LookError::query("ask for its size", &source);
    let found = rows(connection, &server.limited(query, super::COUNTS_LIMIT)).await;
    let found = found.map_err(failed)?;
    let row = found.first().ok_or_else(|| failed(sqlx::Error::RowNotFound))?;
    // A sum is a decimal, which comes as a text.
    Ok(text(row, 0).map_err(failed)?.parse().unwrap_or_default())
}

async fn tables(connection: &mut MySqlConnection) -> Result<(BTreeSet<String>, u64), sqlx::Error> {
    let query = "SELECT table_name, coalesce(data_length, 0) + coalesce(index_length, 0) \
                 FROM information_schema.TABLES \
                 WHERE table_schema = database() AND table_type = 'BASE TABLE'";
    let (mut names, mut size) = (BTreeSet::new(), 0_u64);
    for row in rows(connection, query).await? {
        names.insert(text(&row, 0)?);
        size += u64::try_from(number(&row, 1)?).unwrap_or_default();
    }
    Ok((names, size))
}
