//! Whether a run can be rolled back: read off its plan, its state and its nodes.
//! Pure.

use quaymaster_proto::NodeName;
use quaymaster_proto::backup::Backup;
use quaymaster_proto::node::NodeFacts;

use crate::plan::{Plan, PlannedBackup};
use crate::run::order;
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
    /// Another run has been over a node since.
    #[error(
        "{node} was driven by run {later} after run {run}: what that one left is not what this \
         one's backup belongs to"
    )]
    Later {
        /// Where.
        node: NodeName,
        /// Which.
        later: String,
        /// The one in question.
        run: String,
    },
    /// Somebody drives a node.
    #[error("{node} is driven by {holder} for run {run}")]
    Driven {
        /// Where.
        node: NodeName,
        /// Who: user@host.
        holder: String,
        /// For which run.
        run: String,
    },
    /// A node has another floor than this run set.
    #[error("the floor of {node} is not the one that run {run} set there")]
    Floor {
        /// Where.
        node: NodeName,
        /// Which run.
        run: String,
    },
    /// A node does not answer.
    #[error("{node} does not answer, and nothing is taken down before every node does: {why}")]
    Silent {
        /// Which.
        node: NodeName,
        /// Why.
        why: String,
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

/// Whether a node is still as this run left it: `Err` = no, and why.
pub fn is_ours(
    plan: &Plan,
    state: &RunState,
    node: &NodeName,
    facts: &NodeFacts,
) -> Result<(), NoRollback> {
    let run = state.run.to_string();
    if let Some(lease) = facts.lease.as_ref().filter(|lease| lease.run != state.run) {
        let holder = lease.holder.clone();
        return Err(NoRollback::Driven { node: node.clone(), holder, run: lease.run.to_string() });
    }
    if let Some(head) = facts.ledger.as_ref().filter(|head| head.run != state.run) {
        let later = head.run.to_string();
        return Err(NoRollback::Later { node: node.clone(), later, run });
    }
    if facts.floor != order::floor(plan, state, node) {
        return Err(NoRollback::Floor { node: node.clone(), run });
    }
    Ok(())
}
