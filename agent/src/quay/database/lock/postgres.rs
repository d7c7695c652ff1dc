//! PostgreSQL's advisory lock, held by a session.

use std::time::{Duration, Instant};

use quaymaster_proto::database::Session;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{Keep, Key, Lock, keep};
use crate::quay::database::LookError;

/// A session of the server that is older than this client's by more was
/// another client's before.
const OLDER: Duration = Duration::from_secs(1);

const POOLER: &str = "a pooler or a proxy stands between, which hands sessions on";

/// Which session of the server this is: a pooler may change it at any time.
const WHO: &str = "SELECT pid, extract(epoch FROM clock_timestamp() - backend_start)::float8, \
     inet_server_port() FROM pg_stat_activity WHERE pid = pg_backend_pid()";

const HOLDER: &str = "SELECT l.pid::bigint, coalesce(a.usename::text, ''), \
     coalesce(a.application_name, ''), coalesce(host(a.client_addr), '') \
     FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid \
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
     AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
     AND (l.classid::bigint << 32) | l.objid::bigint = $1";

#[expect(clippy::disallowed_methods, reason = "an effect room: it asks the clock")]
pub(super) async fn lock(
    options: &PgConnectOptions,
    port: u16,
    key: Key,
) -> Result<Lock, LookError> {
    let begun = Instant::now();
    let mut session = options.connect().await.map_err(|source| LookError::connect(&source))?;
    let failed = |source: sqlx::Error| LookError::query("lock the database", &source);
    let (pid, age, server_port) = who(&mut session).await.map_err(failed)?;
    let is_older = age > (begun.elapsed() + OLDER).as_secs_f64();
    let is_elsewhere = server_port.is_some_and(|other| other != i32::from(port));
    // A lock on a session that a pooler hands on would outlive its owner: it is
    // asked for only where nothing speaks of one.
    if is_older || is_elsewhere || who(&mut session).await.map_err(failed)?.0 != pid {
        return void(session).await;
    }
    let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(key.number())
        .fetch_one(&mut session)
        .await
        .map_err(failed)?;
    if !locked {
        let holder = sqlx::query(HOLDER).bind(key.number()).fetch_optional(&mut session).await;
        let by = holder.map_err(failed)?.as_ref().map(holder_of).transpose().map_err(failed)?;
        let _ = session.close().await;
        return Ok(Lock::Taken { by });
    }
    if who(&mut session).await.map_err(failed)?.0 != pid {
        return void(session).await;
    }
    Ok(Lock::Held(keep(session)))
}

async fn void(session: PgConnection) -> Result<Lock, LookError> {
    let _ = session.close().await;
    Ok(Lock::Void { why: POOLER })
}

async fn who(session: &mut PgConnection) -> Result<(i32, f64, Option<i32>), sqlx::Error> {
    let row = sqlx::query(WHO).fetch_one(session).await?;
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}

fn holder_of(row: &PgRow) -> Result<Session, sqlx::Error> {
    Ok(Session {
        pid: row.try_get(0)?,
        user: row.try_get(1)?,
        application: row.try_get(2)?,
        address: row.try_get(3)?,
        since: None,
    })
}

impl Keep for PgConnection {
    async fn lives(&mut self) -> bool {
        self.ping().await.is_ok()
    }

    async fn end(self) {
        let _ = self.close().await;
    }
}
