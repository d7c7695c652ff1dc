//! `resume`: go on with the run that was left unfinished.

use std::sync::Arc;

use quaymaster_proto::Epoch;

use crate::args::{DriveArgs, ResumeArgs};
use crate::commands::apply::warn_of_damage;
use crate::commands::context::{Context, whoami};
use crate::commands::drive::{Drive, Ordered, claimant, drive};
use crate::commands::unfinished::{Unfinished, latest, unfinished};
use crate::commands::{CommandError, from_nodes, question, talk};
use crate::exit::Exit;
use crate::journal::History;
use crate::journal::store::Journal;
use crate::nodes::grpc::Fleet;
use crate::plan::members::{differences, with_planned_nodes};
use crate::run::{Direction, Event, RunState};

pub(super) async fn run(context: &Context, args: &ResumeArgs) -> Result<Exit, CommandError> {
    let ResumeArgs { from_nodes, retry, hand_over, without, because, drive } = args;
    if *from_nodes {
        from_nodes::adopt(context, drive.take_over).await?;
    }
    let found = find(context).await?;
    may_go_on(&found.found.state)?;
    let ordered = match (retry, hand_over, without) {
        (Some(node), ..) => Some(Ordered::Retry { node: node.clone() }),
        (_, Some(to), _) => Some(Ordered::HandOver { to: to.clone() }),
        (.., Some(node)) => {
            let because = because.clone().unwrap_or_default();
            Some(Ordered::LeaveOut { node: node.clone(), because })
        }
        (None, None, None) => None,
    };
    take_in_hand(context, found, drive, ordered).await
}

/// A rollback that was ordered and not begun is asked for again by a person.
fn may_go_on(state: &RunState) -> Result<(), CommandError> {
    let Direction::Rollback { by, .. } = &state.direction else { return Ok(()) };
    if !state.can_be_called_off() {
        return Ok(());
    }
    Err(CommandError::RollbackNotBegun { run: state.run.to_string(), by: by.clone() })
}

/// The run that a command means, and what it needs.
pub(super) struct Found {
    pub(super) journal: Journal,
    pub(super) history: History,
    pub(super) found: Unfinished,
    pub(super) nodes: Arc<Fleet>,
}

pub(super) async fn find(context: &Context) -> Result<Found, CommandError> {
    // Reading first: where nothing ever ran, nothing is made.
    if context.history().await?.is_none() {
        return Err(nothing(context));
    }
    let (mut journal, history) = context.journal().await?;
    warn_of_damage(&history);
    let mut found = match unfinished(context, &history)? {
        Some(found) => found,
        None => return Err(ended(context, &history)?),
    };
    let nodes = nodes(context, &found)?;
    // What people said while nothing drove the run.
    for word in journal.collect(found.state.run).await? {
        fold(&mut found.state, &word)?;
    }
    Ok(Found { journal, history, found, nodes })
}

pub(super) async fn take_in_hand(
    context: &Context,
    found: Found,
    args: &DriveArgs,
    ordered: Option<Ordered>,
) -> Result<Exit, CommandError> {
    let Found { mut journal, history, found: Unfinished { mut state, plan }, nodes } = found;
    let accepted = question::accepted(&plan, args, context.clock.now())?;
    let mut events = Vec::new();
    let goes_back = !state.direction.is_there() || matches!(ordered, Some(Ordered::Abort { .. }));
    if question::is_open(&state) && !goes_back {
        match accepted {
            Some(approved) => events.push(approved),
            None if question::is_asked_later(&plan, &state) => {}
            None => events.push(question::needed(context, &plan).await?),
        }
    }
    let epoch = state.epoch.map_or(Epoch::FIRST, Epoch::next);
    events.push(Event::Driven { epoch, by: whoami(), at: context.clock.now() });
    for event in &events {
        fold(&mut state, event)?;
    }
    journal.append(state.run, &events).await?;
    let claimant = claimant(context, &history, args, nodes.as_ref()).await?;
    let args = args.clone();
    drive(context, Drive { nodes, plan, state, journal, args, claimant, ordered }).await
}

pub(super) fn fold(state: &mut RunState, event: &Event) -> Result<(), CommandError> {
    let run = state.run.to_string();
    state.apply(event).map_err(|source| CommandError::Replay { run, source })
}

/// The agents of the run's nodes. Before the first stop a cluster file with
/// other nodes needs another plan; after it only this plan leads on.
pub(super) fn nodes(context: &Context, found: &Unfinished) -> Result<Arc<Fleet>, CommandError> {
    let plan = found.plan.plan();
    let Some(differences) = differences(plan, &context.cluster) else { return context.fleet() };
    if !found.is_dark() {
        let run = found.state.run.to_string();
        let plan = found.plan.digest().short().to_owned();
        return Err(CommandError::OtherNodes { run, plan, differences });
    }
    talk::say(&format!(
        "warning: cluster.yaml has other nodes than this run's plan: {differences}. The outage \
         has begun, so the run goes on with the nodes of its plan"
    ));
    context.fleet_of(&with_planned_nodes(plan, &context.cluster))
}

/// There is nothing to go on with: how the last run ended.
fn ended(context: &Context, history: &History) -> Result<CommandError, CommandError> {
    let Some(RunState { run, finished_at: Some(at), direction, .. }) = latest(history)? else {
        return Ok(nothing(context));
    };
    let went_back = !direction.is_there();
    Ok(CommandError::RunEnded { run: run.to_string(), at, went_back })
}

pub(super) fn nothing(context: &Context) -> CommandError {
    CommandError::NothingUnfinished { cluster: context.cluster.name.to_string() }
}
