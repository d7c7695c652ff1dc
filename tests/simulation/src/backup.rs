//! Dumps of the database: how long they take, what they are of, and whom the
//! database shows meanwhile.
#![expect(clippy::disallowed_methods, reason = "it waits in tokio's time")]

use std::time::Duration;

use quaymaster_proto::backup::{BACKUP_APPLICATION, BackUp, Backup, CheckBackup, Restore};
use quaymaster_proto::database::DatabaseIdentity;
use quaymaster_proto::{FileDigest, RunId};

use crate::database::{Client, TAGS};
use crate::engine::AgentEngine;
use crate::world::{World, sha256};

/// A dump, and reading it back.
const DUMP: Duration = Duration::from_millis(900);
/// Longer than anybody looks whether it is dark.
const RESTORE: Duration = Duration::from_secs(7);
/// How long a restore waits for the sessions of one that broke off.
const FREE_WITHIN: Duration = Duration::from_secs(3);

/// The database as a dump of it holds it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose.
    pub run: RunId,
    /// When its dump was begun and ended, in milliseconds, by a clock that is
    /// never wrong.
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) revision: &'static str,
    mapped: i64,
    /// What had run by then.
    ran: FileDigest,
    backup: Backup,
}

/// Gone from the database when it is dropped.
struct Session {
    world: World,
    pid: i64,
}

impl Session {
    fn begin(world: &World, address: String) -> Self {
        let since = world.millis();
        let application = BACKUP_APPLICATION.to_owned();
        let client = Client { application, address, of: None, since };
        let pid = world.state().database.connect(client);
        Self { world: world.clone(), pid }
    }

    /// Whether its server has ended it.
    fn is_lost(&self) -> bool {
        !self.world.state().database.clients.contains_key(&self.pid)
    }

    /// Its agent died: it ends with it, or goes on for a while.
    fn outlive(self) {
        let lasts = if self.world.state().chance.once_in(2) { Duration::ZERO } else { DUMP * 2 };
        tokio::spawn(async move {
            tokio::time::sleep(lasts).await;
            drop(self);
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.world.state().database.clients.remove(&self.pid);
    }
}

impl World {
    /// A backup for a run by a node's agent, and whether it was there already.
    pub async fn back_up(
        self,
        agent: AgentEngine,
        run: RunId,
        order: BackUp,
    ) -> Result<(Backup, bool), String> {
        let node = agent.node;
        let found = self.look_at_database(node, false, false)?;
        if !order.database.revisions.contains(&found.revision) {
            return Err(format!("the database is at {}", found.revision));
        }
        let of = {
            let state = self.state();
            let now = (state.database.revision, state.database.mapped);
            let kept = state.backups.iter().find(|kept| kept.run == run);
            let is_it = |kept: &&Kept| (kept.revision, kept.mapped) == now && kept.ran == order.ran;
            if let Some(kept) = kept.filter(is_it) {
                return Ok((kept.backup.clone(), true));
            }
            now
        };
        let (begun, began) = (self.clock_of(node), self.millis());
        self.dump(&agent).await?;
        let after = self.look_at_database(node, false, false)?;
        if after.revision != of.0 || self.state().database.mapped != of.1 {
            return Err("somebody changed the database meanwhile".to_owned());
        }
        let backup = Backup {
            directory: format!("/backups/{run}"),
            manifest: sha256(&format!("{run} {of:?}")).parse().expect("a digest"),
            identity: DatabaseIdentity::new(found.identity.to_string()).expect("an identity"),
            revision: found.revision,
            bytes: 1_000_000,
            rows: u64::try_from(TAGS).unwrap_or_default(),
            begun,
            ended: self.clock_of(node),
            storage: None,
        };
        self.note(format!("quay-{}: the database is backed up", node + 1));
        let ended = self.millis();
        let mut state = self.state();
        state.backups.retain(|kept| kept.run != run);
        let ((revision, mapped), (begun, ran)) = (of, (began, order.ran));
        let kept = Kept { run, begun, ended, revision, mapped, ran, backup: backup.clone() };
        state.backups.push(kept);
        Ok((backup, false))
    }

    /// Reads the backup of a run back.
    pub async fn check_backup(self, run: RunId, order: CheckBackup) -> Result<Backup, String> {
        tokio::time::sleep(DUMP).await;
        let state = self.state();
        let mut kept = state.backups.iter().filter(|kept| kept.run == run);
        let kept = kept.find(|kept| kept.backup.manifest == order.manifest);
        kept.map(|kept| kept.backup.clone()).ok_or_else(|| "there is no such backup".to_owned())
    }

    /// Whatever befalls the agent, its disk or the server befalls its dump.
    async fn dump(&self, agent: &AgentEngine) -> Result<(), String> {
        let node = agent.node;
        let may_write = || match self.state().hosts[node].is_full {
            true => Err("no space left on device".to_owned()),
            false => Ok(()),
        };
        let dead = || "its agent is dead".to_owned();
        if !agent.point() {
            return Err(dead());
        }
        may_write()?;
        let address = self.state().hosts[node].address.clone();
        let session = Session::begin(self, address);
        self.note(format!("quay-{}: a dump is begun", node + 1));
        tokio::select! {
            biased;
            () = agent.life.ended() => {
                session.outlive();
                return Err(dead());
            }
            () = tokio::time::sleep(DUMP) => {}
        }
        if session.is_lost() {
            return Err("the server closed the connection".to_owned());
        }
        drop(session);
        may_write()?;
        // What is not whole yet goes with its agent.
        if agent.point() { Ok(()) } else { Err(dead()) }
    }

    /// Restores the backup of a run. Its session may outlive its agent; what it
    /// changes it changes at its end, or not at all.
    pub async fn restore(
        self,
        agent: AgentEngine,
        run: RunId,
        order: Restore,
    ) -> Result<u64, String> {
        let busy = tokio::time::Instant::now() + FREE_WITHIN;
        while !self.state().database.clients.is_empty() {
            if tokio::time::Instant::now() >= busy {
                return Err("somebody is on the database".to_owned());
            }
            tokio::time::sleep(DUMP / 4).await;
        }
        let address = self.state().hosts[agent.node].address.clone();
        let session = Session::begin(&self, address);
        self.note(format!("quay-{}: a restore is begun", agent.node + 1));
        tokio::select! {
            biased;
            () = agent.life.ended() => {
                session.outlive();
                return Err("its agent is dead".to_owned());
            }
            () = tokio::time::sleep(RESTORE) => {}
        }
        if session.is_lost() {
            return Err("the server closed the connection".to_owned());
        }
        drop(session);
        let mut state = self.state();
        let kept = state.backups.iter().find(|kept| kept.run == run).cloned();
        let kept = kept.filter(|kept| kept.backup.manifest == order.manifest);
        let Kept { revision, mapped, backup, .. } = kept.ok_or("there is no such backup")?;
        let database = &mut state.database;
        (database.revision, database.before, database.mapped) = (revision, revision, mapped);
        (database.midst, database.damage) = (None, Vec::new());
        state.witness.see_restore();
        Ok(backup.rows)
    }
}
