//! Which run of the journal a command means.

use std::collections::BTreeSet;

use quaymaster_proto::{Component, RunId};

use crate::commands::CommandError;
use crate::commands::context::Context;
use crate::journal::History;
use crate::plan::{CheckedPlan, Stage, Step, Verb, What};
use crate::render::{InJournal, KnownRuns};
use crate::run::{ActState, RunState};

/// A run that has not reached its end.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) state: RunState,
    pub(super) plan: CheckedPlan,
}

/// The state of a run.
pub(super) fn replay(history: &History, run: RunId) -> Result<Option<RunState>, CommandError> {
    history
        .replay(run)
        .transpose()
        .map_err(|source| CommandError::Replay { run: run.to_string(), source })
}

/// The latest run's state, whether it ended or not.
pub(super) fn latest(history: &History) -> Result<Option<RunState>, CommandError> {
    match history.latest() {
        Some(run) => replay(history, run),
        None => Ok(None),
    }
}

/// The latest run, if it has not ended.
pub(super) fn unfinished(
    context: &Context,
    history: &History,
) -> Result<Option<Unfinished>, CommandError> {
    let Some(state) = latest(history)?.filter(|state| state.finished_at.is_none()) else {
        return Ok(None);
    };
    let plan = context.plan_of(state.run, &state.plan)?;
    Ok(Some(Unfinished { state, plan }))
}

/// Every run of the journal, and whether it has ended.
pub(super) fn known(history: &History) -> Result<KnownRuns, CommandError> {
    let mut known = KnownRuns::new();
    for run in history.runs() {
        let Some(state) = replay(history, run)? else { continue };
        let stands = match state.finished_at {
            Some(_) => InJournal::Ended,
            None => InJournal::Unfinished { epoch: state.epoch },
        };
        known.insert(run, stands);
    }
    Ok(known)
}

impl Unfinished {
    /// Whether another plan may not take its place: it has begun something, and
    /// not every Quay is back under its own name.
    pub(super) fn is_in_the_way(&self) -> bool {
        !self.state.begun.is_empty() && !self.is_back()
    }

    /// Whether every Quay is back under its own name; only what stands beside
    /// them can still be missing.
    fn is_back(&self) -> bool {
        let plan = self.plan.plan();
        let promote = if self.state.is_rollback() {
            let is_it = |step: &&Step| {
                step.component == Component::Quay && step.what == What::Act(Verb::Promote)
            };
            plan.rollback.iter().find(is_it)
        } else {
            plan.first_step(What::Act(Verb::Promote))
        };
        promote.is_some_and(|step| {
            let mut states = step.nodes.iter().map(|node| self.state.act_state(step.number, node));
            states.all(|act| matches!(act, ActState::Done { .. }))
        })
    }

    /// Whether the outage has begun: from then on nothing but this run may lead
    /// on, until every Quay is back.
    pub(super) fn is_dark(&self) -> bool {
        is_dark(&self.plan, &self.state)
    }
}

/// Every run that needs no lease any more: it has ended, or nothing of it can
/// be in the way.
pub(super) fn over(context: &Context, history: &History) -> Result<BTreeSet<RunId>, CommandError> {
    let known = known(history)?.into_iter();
    let ended = known.filter(|(_, stands)| *stands == InJournal::Ended);
    let mut over: BTreeSet<RunId> = ended.map(|(run, _)| run).collect();
    if let Some(found) = unfinished(context, history)?.filter(|found| !found.is_in_the_way()) {
        over.insert(found.state.run);
    }
    Ok(over)
}

/// Whether the outage of a run that has not ended has begun.
pub(super) fn is_dark(plan: &CheckedPlan, state: &RunState) -> bool {
    let begun = |number| state.has_begun(number);
    let steps = &plan.plan().steps;
    state.finished_at.is_none()
        && steps.iter().any(|step| step.stage >= Stage::Dark && begun(step.number))
}
