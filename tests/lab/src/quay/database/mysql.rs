//! One session on a MariaDB server, opened again when it is lost; one for the reasons that
//! `postgres` gives.
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits between two lists")]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlRow, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Decode, Executor, MySql, MySqlConnection, Row, Type};
use tokio::sync::Mutex;

use crate::quay::database_uri::ServerUri;
use crate::record::Session;

/// A pass of one node's backfill must not lock the rows of another's.
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
/// One text of SQL for all databases; and a lab's tags are made by a recursion (MariaDB's name for
/// its limit).
const LIKE_THE_OTHERS: &str = "SET SESSION sql_mode = concat(@@sql_mode, ',ANSI_QUOTES'), \
     SESSION max_recursive_iterations = 4294967295";

/// An agent's session holds a lock of its own name.
const SESSIONS: &str = "SELECT CAST(id AS SIGNED), user, \
     CASE WHEN is_used_lock(concat('quaymaster-agent/', id)) = id THEN 'quaymaster-agent' \
     ELSE '' END, host FROM information_schema.PROCESSLIST \
     WHERE db = database() AND id <> connection_id() ORDER BY id";

/// Lists of sessions, and the pause between two: an agent's takes its lock right after it begins.
const LISTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(in crate::quay) struct Server(Arc<Held>);

struct Held {
    options: MySqlConnectOptions,
    /// `None` after it was lost.
    connection: Mutex<Option<MySqlConnection>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Server")
    }
}

impl Server {
    /// Opens the session, which stays for as long as the process.
    pub(super) async fn connect(uri: &ServerUri) -> Result<Self, sqlx::Error> {
        let ServerUri { user, password, host, port, name } = uri;
        let options = MySqlConnectOptions::new()
            .username(user)
            .password(password)
            .host(host)
            .port(*port)
            .database(name)
            .ssl_mode(MySqlSslMode::Disabled)
            .disable_statement_logging();
        let connection = open(&options).await?;
        Ok(Self(Arc::new(Held { options, connection: Mutex::new(Some(connection)) })))
    }

    /// Executes once: a statement whose session was lost may have been carried out.
    pub(super) async fn execute(&self, sql: String) -> Result<u64, sqlx::Error> {
        let mut held = self.0.connection.lock().await;
        // Taken out for the while: whoever stops waiting leaves no session half-way in an answer.
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => open(&self.0.options).await?,
        };
        let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await;
        // A statement that the server refused has cost no session.
        if done.as_ref().err().is_none_or(|error| error.as_database_error().is_some()) {
            *held = Some(connection);
        }
        Ok(done?.rows_affected())
    }

    /// Asks, and asks once more where the session turns out to have been lost meanwhile.
    async fn rows(&self, sql: &str) -> Result<Vec<MySqlRow>, sqlx::Error> {
        let mut held = self.0.connection.lock().await;
        if let Some(mut connection) = held.take()
            && let Ok(rows) = fetch(&mut connection, sql).await
        {
            *held = Some(connection);
            return Ok(rows);
        }
        let mut connection = open(&self.0.options).await?;
        let rows = fetch(&mut connection, sql).await?;
        *held = Some(connection);
        Ok(rows)
    }

    /// The first column of every row.
    pub(super) async fn column<T>(&self, sql: &str) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'row> Decode<'row, MySql> + Type<MySql>,
    {
        self.rows(sql).await?.iter().map(|row| row.try_get(0)).collect()
    }

    /// Whoever is in every one of several lists, or says that it is an agent.
    pub(super) async fn other_sessions(&self) -> Result<Vec<Session>, sqlx::Error> {
        let mut sessions = self.listed().await?;
        for _ in 1..LISTS {
            if sessions.iter().all(|session| !session.application.is_empty()) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            let again = self.listed().await?;
            sessions.retain_mut(|session| {
                let same = again.iter().find(|other| other.pid == session.pid);
                same.inspect(|same| session.application.clone_from(&same.application)).is_some()
            });
        }
        Ok(sessions)
    }

    async fn listed(&self) -> Result<Vec<Session>, sqlx::Error> {
        self.rows(SESSIONS).await?.iter().map(session).collect()
    }
}

async fn open(options: &MySqlConnectOptions) -> Result<MySqlConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    connection.execute(ISOLATION).await?;
    connection.execute(LIKE_THE_OTHERS).await?;
    Ok(connection)
}

async fn fetch(connection: &mut MySqlConnection, sql: &str) -> Result<Vec<MySqlRow>, sqlx::Error> {
    sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await
}

fn session(row: &MySqlRow) -> Result<Session, sqlx::Error> {
    let host: String = row.try_get_unchecked(3)?;
    let address = host.rsplit_once(':').map_or(host.as_str(), |(address, _)| address).to_owned();
    Ok(Session {
        pid: row.try_get(0)?,
        user: row.try_get_unchecked(1)?,
        application: row.try_get_unchecked(2)?,
        address: Some(address),
    })
}
