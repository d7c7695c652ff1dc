//! Dumps of the database: how long they take, what they are of, and whom the
//! database shows meanwhile.
#![expect(clippy::disallowed_methods, reason = "it waits in tokio's time")]

use std::time::Duration;

use quaymaster_proto::RunId;
use quaymaster_proto::backup::{BACKUP_APPLICATION, BackUp, Backup, CheckBackup, Restore};
use quaymaster_proto::database::DatabaseIdentity;

use crate::database::{Client, TAGS};
use crate::world::{World, sha256};

/// A dump, and reading it back.
const DUMP: Duration = Duration::from_millis(900);

/// The database as a dump of it holds it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose.
    pub run: RunId,
    revision: &'static str,
    mapped: i64,
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
}

impl Drop for Session {
    fn drop(&mut self) {
        self.world.state().database.clients.remove(&self.pid);
    }
}

impl World {
    /// A backup for a run, and whether it was there already.
    pub async fn back_up(
        self,
        node: usize,
        run: RunId,
        order: BackUp,
    ) -> Result<(Backup, bool), String> {
        let found = self.look_at_database(node, false, false)?;
        if !order.database.revisions.contains(&found.revision) {
            return Err(format!("the database is at {}", found.revision));
        }
        let of = {
            let state = self.state();
            let now = (state.database.revision, state.database.mapped);
            let kept = state.backups.iter().find(|kept| kept.run == run);
            if let Some(kept) = kept.filter(|kept| (kept.revision, kept.mapped) == now) {
                return Ok((kept.backup.clone(), true));
            }
            now
        };
        let begun = self.clock_of(node);
        let address = self.state().hosts[node].address.clone();
        let session = Session::begin(&self, address);
        tokio::time::sleep(DUMP).await;
        drop(session);
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
        };
        self.note(format!("quay-{}: the database is backed up", node + 1));
        let mut state = self.state();
        state.backups.retain(|kept| kept.run != run);
        let (revision, mapped) = of;
        state.backups.push(Kept { run, revision, mapped, backup: backup.clone() });
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

    /// Restores the backup of a run.
    pub async fn restore(self, run: RunId, order: Restore) -> Result<u64, String> {
        tokio::time::sleep(DUMP).await;
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
