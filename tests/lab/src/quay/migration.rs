//! `alembic upgrade`, as every start of Quay runs it: no lock, no transaction, one stamp a
//! revision. What two of them at once or a kill in the middle leave behind is left behind.
#![expect(clippy::disallowed_methods, reason = "an effect room: revisions take their time")]

use std::time::Duration;

use tokio::time::sleep;

use super::database::{Database, DatabaseError};
use super::release::{FULL_BACKFILL, Step};
use super::settings::Timing;
use super::witnessed::Witnessed;
use super::{log, schema};
use crate::record::{MigrationResult, QuayEvent};

const LOGGER: &str = "alembic.runtime.migration";
const BACKFILL_LOGGER: &str = "b918abdbee43_run_full_tag_backfill_py";
/// How many ids the offline backfill looks at together (quay-observed 4).
const RANGE: i64 = 1000;
/// How often a backfill writes; its rate stays what the settings say.
pub(super) const TICK: Duration = Duration::from_millis(200);

pub(super) struct Migration<'a> {
    pub(super) database: &'a Database,
    pub(super) witnessed: &'a Witnessed,
    pub(super) timing: Timing,
    /// Without it the data part of a revision is skipped (quay-facts 2.3).
    pub(super) moves_data: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum MigrationError {
    #[error("revision {to} failed")]
    Statement { to: &'static str, source: DatabaseError },
    #[error("expected to match one row when updating to {to} in 'alembic_version'; {found} found")]
    Stamp { to: &'static str, found: u64 },
}

impl Migration<'_> {
    pub(super) async fn run(&self, steps: &[Step]) -> Result<(), MigrationError> {
        log::alembic(LOGGER, &format!("Context impl {}.", self.database.dialect()));
        log::alembic(LOGGER, "Will assume non-transactional DDL.");
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Ok(()) };
        let statement = |source| MigrationError::Statement { to: first.to, source };
        let sessions = self.database.other_sessions().await.map_err(statement)?;
        let from = first.from.map(str::to_owned);
        let target = last.to.to_owned();
        self.witnessed.saw(QuayEvent::MigrationBegun { from, target, sessions });
        let mut applied = Ok(());
        for step in steps {
            applied = self.apply(*step).await;
            if applied.is_err() {
                break;
            }
        }
        self.end(&applied).await;
        applied
    }

    async fn apply(&self, Step { from, to }: Step) -> Result<(), MigrationError> {
        let statement = |source| MigrationError::Statement { to, source };
        log::alembic(LOGGER, &upgrade_line(from, to));
        if from.is_none() {
            self.database.execute(schema::VERSION_TABLE.to_owned()).await.map_err(statement)?;
        }
        for (index, sql) in schema::statements(to).into_iter().enumerate() {
            // The time of a revision lies between its table and what comes after.
            if index == 2 {
                sleep(self.timing.revision / 2).await;
            }
            self.database.execute(sql).await.map_err(statement)?;
        }
        if to == FULL_BACKFILL {
            if self.moves_data {
                self.backfill().await.map_err(statement)?;
            }
        } else {
            sleep(self.timing.revision / 2).await;
        }
        let found = self.database.execute(schema::stamp(from, to)).await.map_err(statement)?;
        if found != 1 {
            return Err(MigrationError::Stamp { to, found });
        }
        let from = from.map(str::to_owned);
        self.witnessed.saw(QuayEvent::RevisionApplied { from, to: to.to_owned() });
        Ok(())
    }

    /// "Run full tag backfill": every unmapped tag, before any port is open.
    async fn backfill(&self) -> Result<(), DatabaseError> {
        let highest = self.database.integer(schema::HIGHEST_TAG).await?;
        log::alembic(BACKFILL_LOGGER, &format!("Found maximum ID {highest}"));
        let total = self.database.integer(schema::VISIBLE_TAGS).await?;
        let (mut range, mut done, mut budget) = (None, 0, 0.0);
        loop {
            let left = self.database.integer(schema::UNMAPPED_TAGS).await?;
            let mapped = total - left;
            if range.is_none_or(|range| mapped / RANGE > range) {
                range = Some(mapped / RANGE);
                let start = mapped / RANGE * RANGE;
                let end = start + RANGE;
                log::alembic(BACKFILL_LOGGER, &format!("Checking tag range {start} - {end}"));
                log::alembic(BACKFILL_LOGGER, &format!("Found {left} tags to backfill"));
            }
            self.witnessed.saw(QuayEvent::BackfillMoved { mapped, total });
            if left == 0 {
                return Ok(());
            }
            log::alembic(
                BACKFILL_LOGGER,
                &format!("Backfilling tag {} of {}", done + 1, done + left.unsigned_abs()),
            );
            budget += self.timing.offline_rate * TICK.as_secs_f64();
            let whole = whole_tags(&mut budget);
            if whole > 0 {
                let moved = self.database.map_tags(0, whole).await?;
                // What cannot be mapped is passed over in silence (quay-facts 3.3).
                if moved == 0 {
                    return Ok(());
                }
                done += moved;
            }
            sleep(TICK).await;
        }
    }

    async fn end(&self, applied: &Result<(), MigrationError>) {
        let revision = self.database.revision().await.unwrap_or(None);
        let result = match applied {
            Ok(()) => MigrationResult::Completed,
            Err(_) => MigrationResult::Failed,
        };
        let damage = self.database.damage(revision.as_deref()).await.unwrap_or_default();
        self.witnessed.saw(QuayEvent::MigrationEnded { result, revision });
        if let Err(error) = applied {
            self.witnessed.damaged(chain(error));
        }
        for what in damage {
            self.witnessed.damaged(what);
        }
    }
}

/// Takes the whole tags out of a budget of parts of tags.
pub(super) fn whole_tags(budget: &mut f64) -> u64 {
    let whole = budget.floor().max(0.0);
    *budget -= whole;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floored, >= 0")]
    let whole = whole as u64;
    whole
}

/// An error with its causes, as Python prints the last line of a traceback.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn upgrade_line(from: Option<&str>, to: &str) -> String {
    let message = match to {
        FULL_BACKFILL => "Run full tag backfill",
        _ => "stand-in schema",
    };
    format!("Running upgrade {} -> {to}, {message}", from.unwrap_or_default())
}
