//! One session on a PostgreSQL server, opened again when it is lost. One and not a pool: what a
//! process holds open is what a dark gate must see, and what it must leave out of the list of other
//! sessions.

use std::fmt;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Decode, PgConnection, Postgres, Row, Type};
use tokio::sync::Mutex;

#[derive(Clone)]
pub(in crate::quay) struct Server(Arc<Session>);

struct Session {
    options: PgConnectOptions,
    /// `None` after it was lost.
    held: Mutex<Option<PgConnection>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Server")
    }
}

impl Server {
    /// Opens the session, which stays for as long as the process.
    pub(super) async fn connect(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        let connection = options.connect().await?;
        Ok(Self(Arc::new(Session { options, held: Mutex::new(Some(connection)) })))
    }

    /// Executes once: a statement whose session was lost may have been carried out.
    pub(super) async fn execute(&self, sql: String) -> Result<u64, sqlx::Error> {
        let mut held = self.0.held.lock().await;
        // Taken out for the while: whoever stops waiting leaves no session half-way in an answer.
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => self.0.options.connect().await?,
        };
        let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
        *held = Some(connection);
        Ok(done.rows_affected())
    }

    /// Asks, and asks once more where the session turns out to have been lost meanwhile.
    pub(super) async fn rows(&self, sql: &str) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut held = self.0.held.lock().await;
        if let Some(mut connection) = held.take()
            && let Ok(rows) = fetch(&mut connection, sql).await
        {
            *held = Some(connection);
            return Ok(rows);
        }
        let mut connection = self.0.options.connect().await?;
        let rows = fetch(&mut connection, sql).await?;
        *held = Some(connection);
        Ok(rows)
    }

    /// The first column of every row.
    pub(super) async fn column<T>(&self, sql: &str) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'row> Decode<'row, Postgres> + Type<Postgres>,
    {
        self.rows(sql).await?.iter().map(|row| row.try_get(0)).collect()
    }
}

async fn fetch(connection: &mut PgConnection, sql: &str) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await
}
