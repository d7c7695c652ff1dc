//! What has to be so when the first new Quay is started: every node has its
//! floor, and the database is backed up as it is.

use quaymaster_proto::{ContainerId, RunId};

use super::Witness;
use crate::world::{Cause, State};

/// So long before the intent nobody's look was later, in milliseconds: a look
/// at a node and its database, with a slow network, and the journal's write.
const LOOK: u64 = 1_000;

/// A run is about to start a container that migrates: its journal says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    run: RunId,
    at: u64,
}

/// A Quay that was on the database, and may have written into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    number: u64,
    /// Since when it ran, in milliseconds.
    since: u64,
    /// When it ended.
    until: Option<u64>,
}

impl Witness {
    /// A run is about to start this container.
    pub fn see_intent(&mut self, millis: u64, run: RunId, container: ContainerId) {
        self.intents.insert(container, Intent { run, at: millis });
    }

    /// A Quay comes to the database.
    pub(crate) fn see_writer(&mut self, number: u64, since: u64) {
        self.writers.push(Writer { number, since, until: None });
    }

    /// One is gone from it.
    pub(crate) fn see_writer_end(&mut self, number: u64, millis: u64) {
        let its = self.writers.iter_mut().filter(|writer| writer.number == number);
        its.for_each(|writer| writer.until = Some(millis));
    }

    /// Since when the first new Quay runs that an agent started to migrate, in
    /// milliseconds.
    pub fn crossed_at(&self) -> Option<u64> {
        self.crossed_at
    }

    /// The first new Quay starts: from here on a floor alone keeps the old ones
    /// away.
    pub(super) fn see_crossing(
        state: &mut State,
        millis: u64,
        id: &ContainerId,
        cause: Cause,
    ) -> Vec<(u32, String)> {
        let Some(Intent { at, .. }) = state.witness.intents.get(id).copied() else {
            return Vec::new();
        };
        if cause != Cause::Agent || state.witness.crossed_at.is_some() {
            return Vec::new();
        }
        state.witness.crossed_at = Some(millis);
        let without = state.hosts.iter().filter(|host| {
            let is_forgotten = host.forgotten.is_some_and(|lost| lost + LOOK < at);
            host.floor.is_none() || is_forgotten
        });
        let words = |name: &String| format!("{name}: has no floor when the first new Quay starts");
        without.map(|host| (4, words(&host.name))).collect()
    }

    /// The first migration that an agent began; what is wrong with its backup.
    pub(super) fn unbacked(state: &State, id: &ContainerId, number: u64) -> Option<String> {
        let by_agents = state.witness.migrations.iter().filter(|(_, by)| *by == Cause::Agent);
        // What follows it finds the database changed already.
        if by_agents.count() > 1 {
            return None;
        }
        let Some(Intent { run, at }) = state.witness.intents.get(id).copied() else {
            return Some("and no journal says so".to_owned());
        };
        let mut flaw = "and its run has no backup".to_owned();
        for kept in state.backups.iter().filter(|kept| kept.run == run) {
            let writer = state.witness.writers.iter().find(|writer| {
                let is_seen = writer.since + LOOK < at;
                let is_behind = writer.until.is_none_or(|until| until > kept.begun);
                writer.number != number && is_seen && is_behind
            });
            flaw = if kept.revision != state.witness.found {
                format!("and its backup is at {}", kept.revision)
            } else if kept.ended > at {
                "and its backup came after the intent".to_owned()
            } else if let Some(Writer { since, .. }) = writer {
                format!(
                    "and a Quay that ran from {since} on was on the database behind the backup, \
                     which was begun at {}",
                    kept.begun
                )
            } else {
                return None;
            };
        }
        Some(flaw)
    }
}
