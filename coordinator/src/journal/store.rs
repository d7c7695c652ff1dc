//! The journal on disk: one SQLite file in the state directory. Who writes
//! holds `journal.lock`; a call that appends returns once its records are
//! synced. Reading needs no lock.
//!
//! A person's word reaches a run that another process drives through the table
//! `inbox`, which needs no lock either; the process that holds it moves the
//! word into the journal.
#![expect(clippy::disallowed_methods, reason = "an effect room: it makes the state directory")]

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use quaymaster_proto::RunId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use crate::journal::reserve::Reserve;
use crate::journal::{History, Row, Tail};
use crate::run::Event;

mod error;

pub use error::JournalError;
use error::sqlite;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    at TEXT NOT NULL,
    version TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    body TEXT NOT NULL
);
";

/// A journal that this process alone writes.
#[derive(Debug)]
pub struct Journal {
    connection: SqliteConnection,
    path: PathBuf,
    tail: Tail,
    reserve: Reserve,
    /// Whether something failed on the connection.
    is_spoiled: bool,
    // Held for as long as the journal; the system lets go of it with the process.
    _lock: File,
}

/// Where the journal of a state directory lies.
pub fn path(state: &Path) -> PathBuf {
    state.join("journal.db")
}

/// Reads everything, without a lock; also where the disk takes no byte more.
pub async fn read(state: &Path) -> Result<History, JournalError> {
    let path = path(state);
    if !path.exists() {
        return Err(JournalError::Absent { path });
    }
    let mut connection = match connect(&path, false).await {
        // With nothing waiting beside it the file is whole as it lies.
        Err(full) if full.may_be_full() && !has_waiting(state) => connect_as_it_lies(&path).await?,
        connected => connected?,
    };
    let history = load(&mut connection, &path).await.map(|(history, _)| history);
    close(connection, &path).await?;
    history
}

/// Leaves a person's word for the process that drives the run.
pub async fn leave(state: &Path, run: RunId, event: &Event) -> Result<(), JournalError> {
    let path = path(state);
    if !path.exists() {
        return Err(JournalError::Absent { path });
    }
    let body =
        serde_json::to_string(event).map_err(|source| JournalError::Event { run, source })?;
    let mut connection = connect(&path, false).await?;
    sqlx::query("INSERT INTO inbox (run, body) VALUES ($1, $2)")
        .bind(run.to_string())
        .bind(body)
        .execute(&mut connection)
        .await
        .map_err(|source| sqlite("write to", &path, source))?;
    close(connection, &path).await
}

impl Journal {
    /// Takes the lock and reads everything; makes an empty journal where there
    /// is none. A damaged last record is removed: what it said is asked of the
    /// nodes again.
    pub async fn open(state: &Path) -> Result<(Self, History), JournalError> {
        let lock = lock(state)?;
        let reserve = Reserve::of(state);
        let opened = match Self::opened(state).await {
            Err(full) if full.may_be_full() && reserve.is_needed() && reserve.release() => {
                Self::opened(state).await?
            }
            opened => opened?,
        };
        let (connection, history, tail) = opened;
        reserve.keep();
        let path = path(state);
        let is_spoiled = false;
        Ok((Self { connection, path, tail, reserve, is_spoiled, _lock: lock }, history))
    }

    async fn opened(state: &Path) -> Result<(SqliteConnection, History, Tail), JournalError> {
        let path = path(state);
        let mut connection = connect(&path, true).await?;
        sqlx::raw_sql(SCHEMA)
            .execute(&mut connection)
            .await
            .map_err(|source| sqlite("prepare", &path, source))?;
        let (history, tail) = load(&mut connection, &path).await?;
        if let Some(seq) = history.damaged_end() {
            sqlx::query("DELETE FROM record WHERE seq = $1")
                .bind(seq)
                .execute(&mut connection)
                .await
                .map_err(|source| sqlite("mend", &path, source))?;
        }
        Ok((connection, history, tail))
    }

    /// That the way back of a run which begins now can be written, come what may.
    pub fn ensure_room(&self) -> Result<(), JournalError> {
        self.reserve.keep();
        if self.reserve.is_kept() {
            return Ok(());
        }
        let (what, path) = ("keep room for a run's way back as", self.reserve.path());
        Err(JournalError::Disk { what, path, source: ErrorKind::StorageFull.into() })
    }

    /// The lock alone: nobody writes the journal for as long as it is held.
    pub fn lock_alone(state: &Path) -> Result<File, JournalError> {
        lock(state)
    }

    /// Appends in one transaction, which is on the disk when this returns.
    /// Where the disk is full, in the room that was kept for it.
    pub async fn append(&mut self, run: RunId, events: &[Event]) -> Result<(), JournalError> {
        let mut tail = self.tail.clone();
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let row =
                tail.link(run, event).map_err(|source| JournalError::Event { run, source })?;
            tail = Tail { seq: row.seq, hash: row.hash.clone() };
            rows.push(row);
        }
        self.write(&rows, None).await
    }

    async fn write(&mut self, rows: &[Row], word: Option<i64>) -> Result<(), JournalError> {
        let written = match self.try_write(rows, word).await {
            Err(full) if full.may_be_full() && self.makes_room() => {
                self.try_write(rows, word).await
            }
            written => written,
        };
        written?;
        if let Some(Row { seq, hash, .. }) = rows.last() {
            self.tail = Tail { seq: *seq, hash: hash.clone() };
        }
        self.reserve.keep();
        Ok(())
    }

    fn makes_room(&self) -> bool {
        self.reserve.is_needed() && self.reserve.release()
    }

    async fn try_write(&mut self, rows: &[Row], word: Option<i64>) -> Result<(), JournalError> {
        if self.begin_anew().await? && self.has(rows).await? {
            return Ok(());
        }
        // Until it is known to be done.
        self.is_spoiled = true;
        let failed = |source| sqlite("write to", &self.path, source);
        let mut transaction = self.connection.begin().await.map_err(failed)?;
        for row in rows {
            insert(&mut transaction, row).await.map_err(failed)?;
        }
        if let Some(word) = word {
            sqlx::query("DELETE FROM inbox WHERE id = $1")
                .bind(word)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        self.is_spoiled = false;
        Ok(())
    }

    /// A connection on which a transaction failed may take what follows for a
    /// part of it, and never commit that. Whether there was one.
    async fn begin_anew(&mut self) -> Result<bool, JournalError> {
        if !self.is_spoiled {
            return Ok(false);
        }
        let fresh = connect(&self.path, false).await?;
        // What it would say is known: something failed on it.
        let _ = std::mem::replace(&mut self.connection, fresh).close().await;
        self.is_spoiled = false;
        Ok(true)
    }

    /// Whether these rows are there: a commit that failed may have been made.
    async fn has(&mut self, rows: &[Row]) -> Result<bool, JournalError> {
        let Some(last) = rows.last() else { return Ok(false) };
        let failed = |source| sqlite("read", &self.path, source);
        let found = sqlx::query("SELECT hash FROM record WHERE seq = $1")
            .bind(last.seq)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(failed)?;
        let hash: Option<String> =
            found.map(|row| row.try_get("hash")).transpose().map_err(failed)?;
        Ok(hash.as_ref() == Some(&last.hash))
    }

    /// Moves what people left for this run into the journal.
    pub async fn collect(&mut self, run: RunId) -> Result<Vec<Event>, JournalError> {
        self.begin_anew().await?;
        let path = self.path.clone();
        let failed = |source| sqlite("read", &path, source);
        let rows = sqlx::query("SELECT id, body FROM inbox WHERE run = $1 ORDER BY id")
            .bind(run.to_string())
            .fetch_all(&mut self.connection)
            .await
            .map_err(failed)?;
        let mut words = Vec::with_capacity(rows.len());
        for row in rows {
            let id: i64 = row.try_get("id").map_err(failed)?;
            let body: String = row.try_get("body").map_err(failed)?;
            let word: Event = serde_json::from_str(&body)
                .map_err(|source| JournalError::Event { run, source })?;
            self.take_over(run, id, &word).await?;
            words.push(word);
        }
        Ok(words)
    }

    async fn take_over(&mut self, run: RunId, id: i64, word: &Event) -> Result<(), JournalError> {
        let row =
            self.tail.link(run, word).map_err(|source| JournalError::Event { run, source })?;
        self.write(&[row], Some(id)).await
    }
}

fn lock(state: &Path) -> Result<File, JournalError> {
    let disk = |what, path: &Path| {
        let path = path.to_owned();
        move |source| JournalError::Disk { what, path, source }
    };
    std::fs::create_dir_all(state).map_err(disk("create the state directory", state))?;
    let path = state.join("journal.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(disk("open the lock", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: self::path(state) }),
        Err(TryLockError::Error(source)) => Err(disk("take the lock", &path)(source)),
    }
}

async fn connect(path: &Path, create: bool) -> Result<SqliteConnection, JournalError> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        // What waits beside the file stays small: the reserve is for records.
        .pragma("wal_autocheckpoint", "64")
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|source| sqlite("open", path, source))
}

/// Whether records lie beside the file that are not in it yet.
fn has_waiting(state: &Path) -> bool {
    std::fs::metadata(state.join("journal.db-wal")).is_ok_and(|beside| beside.len() > 0)
}

/// Without the files beside it that SQLite makes even to read.
async fn connect_as_it_lies(path: &Path) -> Result<SqliteConnection, JournalError> {
    SqliteConnectOptions::new()
        .filename(path)
        .immutable(true)
        .read_only(true)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|source| sqlite("open", path, source))
}

async fn close(connection: SqliteConnection, path: &Path) -> Result<(), JournalError> {
    connection.close().await.map_err(|source| sqlite("close", path, source))
}

async fn load(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(History, Tail), JournalError> {
    let failed = |source| sqlite("read", path, source);
    let rows = sqlx::query("SELECT seq, run, at, version, body, hash FROM record ORDER BY seq")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let rows = rows.iter().map(row).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    History::read(rows).map_err(|source| JournalError::Damaged { path: path.to_owned(), source })
}

fn row(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    Ok(Row {
        seq: row.try_get("seq")?,
        run: row.try_get("run")?,
        at: row.try_get("at")?,
        version: row.try_get("version")?,
        body: row.try_get("body")?,
        hash: row.try_get("hash")?,
    })
}

async fn insert(connection: &mut SqliteConnection, row: &Row) -> Result<(), sqlx::Error> {
    let Row { seq, run, at, version, body, hash } = row;
    sqlx::query(
        "INSERT INTO record (seq, run, at, version, body, hash) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(seq)
    .bind(run)
    .bind(at)
    .bind(version)
    .bind(body)
    .bind(hash)
    .execute(connection)
    .await
    .map(|_| ())
}
