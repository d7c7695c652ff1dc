//! The journal as the disk has it, between two processes that write it.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use quaymaster_suite::Planned;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row};

/// SQLite's write-ahead log: a header, then frames of a header and a page each.
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// How a fact begins that says what is waited for.
pub(super) const WAITING: &str = "waiting";

pub(super) struct Book {
    state: PathBuf,
}

/// What a plan's run has come to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) is_begun: bool,
    /// A node was about to be asked, and how it went is not known.
    pub(super) has_open_intents: bool,
    /// What each transaction says, once: not who drives, which every process says anew, nor which
    /// nodes are asked, which one transaction says of all.
    /// In the order in which they were written.
    pub(super) written: Vec<String>,
}

impl Book {
    pub(super) fn of(state: PathBuf) -> Self {
        Self { state }
    }

    pub(super) async fn read(&self, plan: &Planned) -> Found {
        let path = self.state.join("journal.db");
        let mut found = Found::default();
        if !path.exists() {
            return found;
        }
        let mut journal = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        // A process may have died before it had made the table.
        let rows = sqlx::query("SELECT run, body FROM record ORDER BY seq").fetch_all(&mut journal);
        let rows = rows.await.unwrap_or_default();
        journal.close().await.unwrap();
        let mut run = None;
        let mut open = BTreeSet::new();
        for row in rows {
            let of: String = row.get("run");
            let event: Value = serde_json::from_str(&row.get::<String, _>("body")).unwrap();
            if event["event"] == "started" && event["plan"] == plan.digest.as_str() {
                run = Some(of.clone());
            }
            if run.as_ref() != Some(&of) {
                continue;
            }
            found.is_begun = true;
            let place = format!("{} {}", event["step"], event["node"]);
            let fact = match event["event"].as_str().unwrap() {
                "intended" => {
                    open.insert(place);
                    format!("intended {} all", event["step"])
                }
                "settled" => {
                    open.remove(&place);
                    format!("settled {place}")
                }
                "started" | "driven" | "approved" => "begun".to_owned(),
                "waiting" => format!("{WAITING} {place} {}", event["on"]),
                other => format!("{other} {place}"),
            };
            if !found.written.contains(&fact) {
                found.written.push(fact);
            }
        }
        found.has_open_intents = !open.is_empty();
        found
    }

    /// Cuts the last transaction off the log: written and not flushed, it may be gone when the
    /// machine comes back.
    pub(super) fn lose_the_last_transaction(&self) {
        let path = self.state.join("journal.db-wal");
        let bytes = fs::read(&path).unwrap();
        let number = |at: usize| {
            u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()).try_into().unwrap_or(0_usize)
        };
        if bytes.len() < HEADER {
            return;
        }
        let (frame, salt) = (FRAME_HEADER + number(8), &bytes[16..24]);
        let frames = (HEADER..bytes.len())
            .step_by(frame)
            .take_while(|at| at + frame <= bytes.len() && &bytes[at + 8..at + 16] == salt);
        // The last frame of a transaction says how large the database is then.
        let commits: Vec<usize> = frames.filter(|at| number(at + 4) != 0).collect();
        let kept = commits.iter().rev().nth(1).map_or(HEADER, |at| at + frame);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(u64::try_from(kept).unwrap()).unwrap();
    }
}
