//! `approve`: a person's word on a gate, from wherever they are.

use crate::args::{ApproveArgs, ApprovedGate};
use crate::commands::context::{Context, whoami};
use crate::commands::unfinished::{Unfinished, unfinished};
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::journal::store::{self, Journal, JournalError};
use crate::plan::{CheckedPlan, Gate, What};
use crate::run::{Event, GateFailure, GateState, RunState};

pub(super) async fn run(context: &Context, args: &ApproveArgs) -> Result<Exit, CommandError> {
    let state_directory = &context.cluster.state;
    let nothing = || CommandError::NothingUnfinished { cluster: context.cluster.name.to_string() };
    let history = context.history().await?.ok_or_else(nothing)?;
    let Unfinished { state, plan } = unfinished(context, &history)?.ok_or_else(nothing)?;
    let gate = match args.gate {
        ApprovedGate::Dark => Gate::Approval,
        ApprovedGate::Backfill => Gate::Backfill,
        ApprovedGate::Verify => Gate::Verified,
    };
    let digest = plan.digest().short();
    if plan.plan().first_step(What::Gate(gate)).is_none() {
        return Err(CommandError::NoSuchGate { plan: digest.to_owned() });
    }
    // What nobody has seen yet is not waived beforehand.
    if gate == Gate::Verified && !is_held_there(&state, &plan) {
        return Err(CommandError::NothingToWaive);
    }
    let because = args.because.clone();
    let word = Event::Approved { gate, by: whoami(), because, at: context.clock.now() };
    let next = match Journal::open(state_directory).await {
        Ok((mut journal, fresh)) => {
            // The run may have ended since it was looked at.
            if unfinished(context, &fresh)?.is_none_or(|now| now.state.run != state.run) {
                return Err(nothing());
            }
            // Words keep the order in which they were said.
            journal.collect(state.run).await?;
            journal.append(state.run, &[word]).await?;
            format!("to go on: {} resume", context.program())
        }
        Err(JournalError::InUse { .. }) => {
            store::leave(state_directory, state.run, &word).await?;
            "the process that drives the run takes it from here".to_owned()
        }
        Err(other) => return Err(other.into()),
    };
    let what = match gate {
        Gate::Backfill => "the backfill gate is waived",
        Gate::Verified => "what the verification found is waived",
        Gate::Approval | Gate::Unchanged | Gate::Dark | Gate::FirstNode | Gate::Healthy => {
            "the outage and its point of no return are agreed to"
        }
    };
    talk::say(&format!("{what} for plan {digest}, run {}\n{next}", state.run));
    Ok(Exit::Done)
}

/// Whether the run is held by what its verification found.
fn is_held_there(state: &RunState, plan: &CheckedPlan) -> bool {
    let step = plan.plan().first_step(What::Gate(Gate::Verified));
    let gate = step.and_then(|step| state.gates.get(&step.number));
    matches!(gate, Some(GateState::Closed { failure: GateFailure::NotVerified { .. }, .. }))
}
