//! What a migration of PostgreSQL would stand on: an extension, and how large
//! the tables are that it rewrites.

use quaymaster_proto::footing::{DatabaseFooting, TableSize};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Row as _};

use super::{LookError, STATEMENT_LIMIT, close, opening, run};

/// Those that the way from 2.9 to 3.0 rewrites (quay-facts 3.1, 7.2). Sizes are
/// those of files: nothing is counted.
const SIZES: &str = "SELECT relname::text, pg_total_relation_size(oid)::bigint FROM pg_class \
     WHERE oid IN (to_regclass('logentry')::oid, to_regclass('manifest')::oid) ORDER BY relname";

/// Opens a session, asks, and closes it.
pub(in super::super) async fn footing(
    options: &PgConnectOptions,
) -> Result<DatabaseFooting, LookError> {
    let mut connection = options.connect().await.map_err(|source| LookError::connect(&source))?;
    let found = ask(&mut connection).await;
    let ended = run(&mut connection, "ROLLBACK").await;
    close(connection, ended, found).await
}

async fn ask(connection: &mut PgConnection) -> Result<DatabaseFooting, LookError> {
    run(connection, &opening(STATEMENT_LIMIT))
        .await
        .map_err(|source| LookError::query("begin a read-only transaction", &source))?;
    let query = "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm')";
    let has_trigrams = sqlx::query_scalar(query)
        .fetch_one(&mut *connection)
        .await
        .map_err(|source| LookError::query("list the extensions", &source))?;
    let failed = |source| LookError::query("ask how large its tables are", &source);
    let rows = sqlx::query(SIZES).fetch_all(&mut *connection).await.map_err(failed)?;
    let size = |row: sqlx::postgres::PgRow| {
        let bytes: i64 = row.try_get(1).map_err(failed)?;
        Ok(TableSize { table: row.try_get(0).map_err(failed)?, bytes: bytes.unsigned_abs() })
    };
    let rewritten = rows.into_iter().map(size).collect::<Result<_, LookError>>()?;
    Ok(DatabaseFooting { has_trigrams, rewritten })
}
