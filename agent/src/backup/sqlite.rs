//! A SQLite file: for labs alone.
#![expect(clippy::disallowed_methods, reason = "an effect room: it replaces a file")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::error::{BackupError, Unsound};
use super::key_tables::KEY_TABLES;
use super::manifest::{Counted, Rows};
use crate::quay::database::LookError;

/// The copy, in a backup's directory.
const COPY: &str = "quay.db";

/// Rows and size of a file.
pub(super) async fn count(path: &Path) -> Result<Counted, BackupError> {
    let mut connection = open(path).await?;
    let rows = rows(&mut connection).await;
    let _ = connection.close().await; // nothing was written
    let size_bytes = path.metadata().map_err(BackupError::files("look at", path))?.len();
    Ok(Counted { rows: rows?, size_bytes, schema: String::new(), tables: BTreeSet::new() })
}

/// A whole copy, whoever reads the file meanwhile.
pub(super) async fn dump(path: &Path, directory: &Path) -> Result<(), BackupError> {
    let mut connection = open(path).await?;
    let copy = directory.join(COPY).display().to_string();
    let done = sqlx::query("VACUUM INTO ?1").bind(&copy).execute(&mut connection).await;
    let _ = connection.close().await; // nothing was written
    done.map(drop).map_err(|source| LookError::query("copy it", &source).into())
}

/// Rows of the copy, which must be sound.
pub(super) async fn read_back(directory: &Path) -> Result<Rows, BackupError> {
    let path = directory.join(COPY);
    if !path.exists() {
        return Err(Unsound::Missing { file: COPY.to_owned() }.into());
    }
    let mut connection = open(&path).await?;
    let verdict: Result<String, _> =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await;
    let rows = rows(&mut connection).await;
    let _ = connection.close().await; // nothing was written
    match verdict {
        Ok(verdict) if verdict == "ok" => rows,
        Ok(_) | Err(_) => Err(Unsound::Corrupted { file: COPY.to_owned() }.into()),
    }
}

/// Puts the copy in the file's place.
pub(super) fn restore(path: &Path, directory: &Path) -> Result<(), BackupError> {
    let beside = with_end(path, ".quaymaster-restore");
    std::fs::copy(directory.join(COPY), &beside).map_err(BackupError::files("write", &beside))?;
    if let Ok(about) = path.metadata() {
        std::fs::set_permissions(&beside, about.permissions())
            .map_err(BackupError::files("set the mode of", &beside))?;
    }
    File::open(&beside)
        .and_then(|file| file.sync_all())
        .map_err(BackupError::files("sync", &beside))?;
    for end in ["-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(with_end(path, end)); // of the file that goes
    }
    std::fs::rename(&beside, path).map_err(BackupError::files("replace", path))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(end);
    PathBuf::from(name)
}

async fn open(path: &Path) -> Result<SqliteConnection, BackupError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(std::time::Duration::from_secs(5));
    options.connect().await.map_err(|source| LookError::connect(&source).into())
}

async fn rows(connection: &mut SqliteConnection) -> Result<Rows, BackupError> {
    let failed = |source| BackupError::from(LookError::query("count the rows", &source));
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
    let mut rows = BTreeMap::new();
    for table in KEY_TABLES.iter().filter(|key| tables.iter().any(|table| table == *key)) {
        let query = format!("SELECT count(*) FROM \"{table}\"");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        rows.insert((*table).to_owned(), u64::try_from(count).unwrap_or_default());
    }
    Ok(rows)
}
