//! Empties a schema before a dump is put into it.

use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};

use crate::backup::free::LOCK_LIMIT;
use crate::quay::database::{LookError, mysql_connect, mysql_rows, mysql_text};

/// Tables and views, in whatever order; a sequence is a table to MariaDB's DROP.
const ALL: &str = "SELECT table_name, table_type FROM information_schema.TABLES \
     WHERE table_schema = database()";

/// The servers' number where `lock_wait_timeout` is over.
const LOCK_WAIT_TIMEOUT: u16 = 1205;

/// Why a schema is not empty.
pub(super) enum NotEmpty {
    /// Some session held a lock for too long.
    Locked,
    /// Anything else.
    Failed(LookError),
}

/// Drops every table and view of the schema. Routines and triggers: those go
/// with their tables, and these the dump replaces by itself.
pub(super) async fn empty(options: &MySqlConnectOptions) -> Result<(), NotEmpty> {
    let mut connection = mysql_connect(options).await.map_err(NotEmpty::Failed)?;
    let dropped = drop_all(&mut connection).await;
    let _ = connection.close().await; // each statement stood alone
    dropped.map_err(|source| {
        let answer = source.as_database_error();
        let answer = answer.and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
        if answer.is_some_and(|error| error.number() == LOCK_WAIT_TIMEOUT) {
            return NotEmpty::Locked;
        }
        NotEmpty::Failed(LookError::query("empty the database", &source))
    })
}

async fn drop_all(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    mysql_rows(connection, &format!("SET lock_wait_timeout = {LOCK_LIMIT}")).await?;
    // A table that another one refers to goes all the same.
    mysql_rows(connection, "SET foreign_key_checks = 0").await?;
    for row in mysql_rows(connection, ALL).await? {
        let (name, kind) = (mysql_text(&row, 0)?, mysql_text(&row, 1)?);
        mysql_rows(connection, &statement(&name, &kind)).await?;
    }
    Ok(())
}

fn statement(name: &str, kind: &str) -> String {
    let kind = if kind.ends_with("VIEW") { "VIEW" } else { "TABLE" };
    format!("DROP {kind} IF EXISTS `{}`", name.replace('`', "``"))
}
