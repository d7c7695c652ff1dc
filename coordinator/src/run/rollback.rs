//! Whether a run can be rolled back, as far as its plan and its state say it.
//! Pure.

use quaymaster_proto::backup::Backup;

use crate::plan::{Plan, PlannedBackup};
use crate::run::state::{Direction, RunState};

/// Why a run cannot be rolled back.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum NoRollback {
    /// Nothing was migrated.
    #[error(
        "the point of no return is not behind run {run}, and nothing has to be restored: abort \
         leads back"
    )]
    NotCrossed {
        /// Which run.
        run: String,
    },
    /// It goes back already, or went.
    #[error("run {run} went back to what its window found, or is on its way there")]
    GoesBack {
        /// Which run.
        run: String,
    },
    /// That was done.
    #[error("run {run} is rolled back already")]
    RolledBack {
        /// Which run.
        run: String,
    },
    /// Nobody made a backup.
    #[error("the backup of this window was waived, so there is nothing to restore from: {because}")]
    Waived {
        /// In an operator's words.
        because: String,
    },
    /// Nobody knows of one.
    #[error("no backup of run {run} is on record, so there is nothing to restore from")]
    NoBackup {
        /// Which run.
        run: String,
    },
}

/// The backup that a rollback of this run restores, as far as the run says it.
pub fn backup<'a>(plan: &Plan, state: &'a RunState) -> Result<&'a Backup, NoRollback> {
    let run = state.run.to_string();
    match (&state.direction, state.finished_at) {
        (Direction::Back { .. }, _) => return Err(NoRollback::GoesBack { run }),
        (Direction::Rollback { .. }, Some(_)) => return Err(NoRollback::RolledBack { run }),
        (Direction::There | Direction::Rollback { .. }, _) => {}
    }
    if !state.has_crossed(plan) {
        return Err(NoRollback::NotCrossed { run });
    }
    if let PlannedBackup::Waived { because, .. } = &plan.backup {
        return Err(NoRollback::Waived { because: because.clone() });
    }
    state.backup(plan).ok_or(NoRollback::NoBackup { run })
}
