//! The one database: its revision, who is on it, and what two migrations at
//! once or a kill in the midst of one leave behind.

use std::collections::BTreeMap;

/// From 2.9's head to the last revision of 3.0, oldest first; fewer than there
/// are, for what is between them changes nothing here.
pub const CHAIN: [&str; 6] =
    [OLD, "1783530bee68", "610320e9dacf", "67f0abd172ae", BACKGROUND, COMPLETE];
/// 2.9's head.
pub const OLD: &str = "5b7503aada1b";
/// Where a start in background mode arrives.
pub const BACKGROUND: &str = "481623ba00ba";
/// Where a start in complete mode arrives: it moves tags, and no table.
pub const COMPLETE: &str = "b918abdbee43";

/// All tags.
pub const TAGS: i64 = 300;

/// A client of the database.
#[derive(Clone, Debug)]
pub struct Client {
    /// As it calls itself.
    pub application: String,
    /// From where.
    pub address: String,
    /// Of which Quay process; `None` = of somebody else.
    pub of: Option<u64>,
    /// Since when, in milliseconds of the simulation.
    pub since: u64,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Database {
    /// What `alembic_version` holds.
    pub revision: &'static str,
    /// The revision before the last one.
    pub before: &'static str,
    /// The process in the midst of a revision that changes tables.
    pub midst: Option<u64>,
    /// What was ruined, in words.
    pub damage: Vec<String>,
    /// Tags in the new tables.
    pub mapped: i64,
    /// A standby that was not promoted yet.
    pub in_recovery: bool,
    /// Nobody gets an answer.
    pub is_down: bool,
    /// By process of the server.
    pub clients: BTreeMap<i64, Client>,
    next: i64,
}

impl Database {
    /// At a revision, with so many tags in the new tables.
    pub fn at(revision: &'static str, mapped: i64) -> Self {
        Self {
            revision,
            before: revision,
            midst: None,
            damage: Vec::new(),
            mapped,
            in_recovery: false,
            is_down: false,
            clients: BTreeMap::new(),
            next: 100,
        }
    }

    /// A client comes.
    pub fn connect(&mut self, client: Client) -> i64 {
        self.next += 1;
        self.clients.insert(self.next, client);
        self.next
    }

    /// A process of Quay is gone, and with it its sessions.
    pub fn forget(&mut self, process: u64) {
        self.clients.retain(|_, client| client.of != Some(process));
    }

    /// A process is killed, wherever it was; `true` = that ruins it.
    pub fn kill(&mut self, process: u64) -> bool {
        let is_midst = self.midst == Some(process);
        if is_midst {
            let at = self.revision;
            self.damage.push(format!("a migration was killed in the midst, after {at}"));
            self.midst = None;
        }
        is_midst
    }

    /// Whether nothing can be migrated any more.
    pub fn is_ruined(&self) -> bool {
        !self.damage.is_empty()
    }

    /// The standby takes over, and the last revision never reached it.
    pub fn fail_over(&mut self) -> bool {
        let loses = self.revision != self.before;
        self.revision = self.before;
        if loses && self.revision == BACKGROUND {
            self.mapped = self.mapped.min(TAGS * 99 / 100);
        }
        self.midst = None;
        self.clients.clear();
        loses
    }
}

/// The place of a revision in the chain.
pub fn place(revision: &str) -> usize {
    CHAIN.iter().position(|known| *known == revision).unwrap_or_default()
}
