//! The tag backfill worker of a Quay in background mode: one on every node, no lock between them,
//! the first run at a random moment (quay-observed 1, quay-facts 2.5).
#![expect(clippy::disallowed_methods, reason = "an effect room: the worker waits")]

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::database::{Database, DatabaseError};
use super::migration::{TICK, chain, whole_tags};
use super::settings::Timing;
use super::witnessed::Witnessed;
use super::{log, schema};
use crate::record::QuayEvent;

const WORKER: &str = "__main__";
const ALLOCATOR: &str = "util.migrate.allocator";
/// Progress records are for reading; more than this many would drown the rest.
const RECORD_EVERY: Duration = Duration::from_millis(500);

/// Runs for as long as the process does. A pass that fails is taken up again at the next turn.
pub(super) async fn work(database: Database, witnessed: Witnessed, timing: Timing) {
    let mut wait = timing.stagger.mul_f64(random_fraction());
    if let Err(error) = record(&database, &witnessed).await {
        log::quay(WORKER, &format!("Could not count the tags: {}", chain(&error)));
    }
    loop {
        log::quay("workers.worker", &format!("First run scheduled for {}", log::clock(wait)));
        sleep(wait).await;
        if let Err(error) = pass(&database, &witnessed, timing.backfill_rate).await {
            log::quay(WORKER, &format!("Operation raised exception: {}", chain(&error)));
        }
        wait = timing.stagger.max(Duration::from_secs(1));
    }
}

async fn pass(database: &Database, witnessed: &Witnessed, rate: f64) -> Result<(), DatabaseError> {
    let highest = database.integer(schema::HIGHEST_TAG).await?;
    log::quay(WORKER, &format!("Found candidate range 1-{highest}"));
    let mut recorded: Option<Instant> = None;
    let mut budget = 0.0;
    loop {
        let is_done = database.integer(schema::UNMAPPED_TAGS).await? == 0;
        if is_done || recorded.is_none_or(|at| at.elapsed() >= RECORD_EVERY) {
            record(database, witnessed).await?;
            recorded = Some(Instant::now());
        }
        if is_done {
            log::quay(ALLOCATOR, "No more work");
            return Ok(());
        }
        budget += rate * TICK.as_secs_f64();
        let whole = whole_tags(&mut budget);
        if whole > 0 {
            #[expect(clippy::cast_precision_loss, reason = "an id to begin at, any will do")]
            let start = (highest as f64 * random_fraction()).max(1.0);
            #[expect(clippy::cast_possible_truncation, reason = "between 1 and the highest id")]
            let start = start as i64;
            log::quay(ALLOCATOR, &format!("Found {whole} candidates, processing block"));
            let moved = database.map_tags(start, whole).await?;
            if moved < whole {
                database.map_tags(1, whole - moved).await?;
            }
        }
        sleep(TICK).await;
    }
}

async fn record(database: &Database, witnessed: &Witnessed) -> Result<(), DatabaseError> {
    let total = database.integer(schema::VISIBLE_TAGS).await?;
    let mapped = database.integer(schema::MAPPED_TAGS).await?;
    witnessed.saw(QuayEvent::BackfillMoved { mapped, total });
    Ok(())
}

/// From 0 up to, not including, 1.
fn random_fraction() -> f64 {
    // A fresh `RandomState` is keyed at random; no more chance than this is needed.
    let random = RandomState::new().hash_one(0_u8) >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64")]
    let fraction = random as f64 / (1_u64 << 53) as f64;
    fraction
}
