//! MySQL's user-level lock, held by a session. It is the server's, not the
//! schema's, so its name stands for both.

use quaymaster_proto::database::Session;
use sqlx::Connection as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};

use super::super::mysql::{connect, number, rows, text, threads};
use super::{Keep, Key, Lock, keep};
use crate::quay::database::LookError;

const POOLER: &str = "a pooler stands between, which hands sessions on";

pub(super) async fn lock(options: &MySqlConnectOptions, key: Key) -> Result<Lock, LookError> {
    let mut session = connect(options).await?;
    let failed = |source: sqlx::Error| LookError::query("lock the database", &source);
    let name = key.name();
    let mut ask = async |query: &str| -> Result<(i64, i64), sqlx::Error> {
        let found = rows(&mut session, query).await?;
        let row = found.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok((number(row, 0)?, number(row, 1)?))
    };
    let (own, _) = ask("SELECT connection_id(), 0").await.map_err(failed)?;
    let query = format!("SELECT get_lock('{name}', 0), connection_id()");
    let (locked, locks) = ask(&query).await.map_err(failed)?;
    let (asks, _) = ask("SELECT connection_id(), 0").await.map_err(failed)?;
    if (locks, asks) != (own, own) {
        let _ = session.close().await;
        return Ok(Lock::Void { why: POOLER });
    }
    if locked == 1 {
        return Ok(Lock::Held(keep(session)));
    }
    let query = format!(
        "SELECT id, user, host, coalesce(is_used_lock(concat('quaymaster-agent/', id)) = id, 0) \
         FROM information_schema.PROCESSLIST WHERE id = is_used_lock('{name}')"
    );
    let found = rows(&mut session, &query).await.map_err(failed)?;
    let by = found.first().map(|row| -> Result<Session, sqlx::Error> {
        let (id, user, host) = (number(row, 0)?, text(row, 1)?, text(row, 2)?);
        Ok(threads::session(id, &user, &host, number(row, 3)? != 0))
    });
    let by = by.transpose().map_err(failed)?;
    let _ = session.close().await;
    Ok(Lock::Taken { by })
}

impl Keep for MySqlConnection {
    async fn lives(&mut self) -> bool {
        self.ping().await.is_ok()
    }

    async fn end(self) {
        let _ = self.close().await;
    }
}
