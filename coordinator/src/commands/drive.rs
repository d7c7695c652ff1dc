//! Driving a run from the command line: the loop beside its live view, the
//! person at the terminal, and the signals.

use std::collections::BTreeMap;
use std::sync::Arc;

use quaymaster_proto::{NodeName, Reason};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Duration, MissedTickBehavior, interval};
use tracing::Instrument as _;
use ulid::Ulid;

use crate::args::{DriveArgs, Output};
use crate::commands::context::{Context, whoami};
use crate::commands::live::View;
use crate::commands::signals::{Said, Signals};
use crate::commands::unfinished::over;
use crate::commands::{CommandError, Stands, question, talk, terminal};
use crate::exit::Exit;
use crate::journal::History;
use crate::journal::store::Journal;
use crate::nodes::Looks as _;
use crate::nodes::grpc::Fleet;
use crate::plan::{CheckedPlan, Verb, What};
use crate::render::{self, Explained};
use crate::report;
use crate::run::{Cause, Event, GateFailure, Problem, RunState, WaitingOn};
use crate::runner::{
    Claimant, Declined, Ended, Parts, Patience, Progress, RollbackWish, Runner, Unclaimed, spoiled,
};
use crate::telemetry::{self, Traces};
use crate::verifier::Verifier;

/// How often a live view is drawn afresh.
const REDRAW: Duration = Duration::from_millis(100);

/// What `apply` and `resume` hand over: a run that is taken in hand.
#[derive(Debug)]
pub(super) struct Drive {
    pub(super) nodes: Arc<Fleet>,
    pub(super) plan: CheckedPlan,
    pub(super) state: RunState,
    pub(super) journal: Journal,
    pub(super) args: DriveArgs,
    pub(super) claimant: Claimant,
    pub(super) ordered: Option<Ordered>,
}

/// What a person orders beside going on.
#[derive(Debug)]
pub(super) enum Ordered {
    /// Back.
    Abort { because: Option<String> },
    /// Back by the backup, past the point of no return.
    RollBack { because: String, without: BTreeMap<NodeName, String> },
    /// A node's part once more.
    Retry { node: NodeName },
    /// The first node's part to another one.
    HandOver { to: NodeName },
    /// To end without a node.
    LeaveOut { node: NodeName, because: String },
}

/// In whose name this process claims leases. Whose lease is taken is said
/// before it is.
pub(super) async fn claimant(
    context: &Context,
    history: &History,
    args: &DriveArgs,
    nodes: &Fleet,
) -> Result<Claimant, CommandError> {
    let over = over(context, history)?;
    if args.take_over {
        for node in context.cluster.names() {
            let Ok(facts) = nodes.describe(node, &context.key).await else { continue };
            if let Some(lease) = facts.lease.filter(|lease| !over.contains(&lease.run)) {
                talk::say(&format!(
                    "taking the lease of {node} from {}: run {}, since {}",
                    lease.holder,
                    lease.run,
                    render::moment(lease.since)
                ));
            }
        }
    }
    Ok(Claimant { process: Ulid::new(), over, takes_over: args.take_over })
}

/// What ended the driving.
enum Stop {
    Ended(Ended),
    Interrupted,
}

/// Drives, and leaves a trace of it where cluster.yaml says where to.
pub(super) async fn drive(context: &Context, drive: Drive) -> Result<Exit, CommandError> {
    let (traces, problem) = Traces::begin(&context.cluster, &drive.state);
    let span = telemetry::run(&drive.plan, &drive.state);
    let result = driven(context, drive).instrument(span.clone()).await;
    telemetry::ended(&span, &result);
    drop(span);
    if let Some(trouble) = traces.end().await.or(problem) {
        talk::say(&format!("warning: {trouble}"));
    }
    result
}

async fn driven(context: &Context, drive: Drive) -> Result<Exit, CommandError> {
    let Drive { nodes, plan, state, journal, args, claimant, ordered } = drive;
    let mut signals = Signals::listen()?;
    let _outlives = Signals::outlive_the_terminal()?;
    let (progress, mut happenings) = unbounded_channel();
    let plan = Arc::new(plan);
    let verifier = Arc::new(Verifier { settings: context.cluster.verify.clone() });
    let mut runner = Runner::new(Parts {
        nodes,
        plan: Arc::clone(&plan),
        state,
        book: journal,
        clock: context.clock.clone(),
        key: context.key.clone(),
        progress,
        claimant,
        verifier,
    });
    if let Some(ordered) = ordered
        && let Some(exit) = obey(context, &plan, &mut runner, &mut signals, ordered).await?
    {
        return Ok(exit);
    }
    let mut view = View::new(Arc::clone(&plan), runner.state().clone(), context.program());
    let patience = match (args.wait, talk::is_someone_there()) {
        (false, _) => Patience::Leave,
        (true, true) => Patience::StayUntilAsked,
        (true, false) => Patience::Stay,
    };
    loop {
        let stop = drive_once(&mut runner, patience, &mut happenings, &mut signals, &mut view);
        match stop.await? {
            Stop::Interrupted => {
                view.close();
                return leave(context, &plan, &mut runner).await;
            }
            Stop::Ended(asked @ Ended::Waiting { step: _, on: WaitingOn::Approval })
                if talk::is_someone_there() =>
            {
                view.close();
                let Some(typed) = typed(context, &plan, &mut signals).await else {
                    talk::say(&interrupted(context));
                    return Ok(Exit::Interrupted);
                };
                let Some(approved) = typed else {
                    talk::say("not agreed to, so the run stays where it is\n");
                    return finish(context, &plan, runner.state(), &asked);
                };
                runner.note(approved).await.map_err(|source| failed(&plan, &runner, source))?;
                view = View::new(Arc::clone(&plan), runner.state().clone(), context.program());
            }
            Stop::Ended(ended) => {
                view.close();
                return finish(context, &plan, runner.state(), &ended);
            }
        }
    }
}

/// The same, as long as nobody wants the process to end.
async fn obey(
    context: &Context,
    plan: &CheckedPlan,
    runner: &mut Runner<Fleet, Journal>,
    signals: &mut Signals,
    ordered: Ordered,
) -> Result<Option<Exit>, CommandError> {
    tokio::select! {
        biased;
        () = signals.end() => {}
        obeyed = order(context, plan, runner, ordered) => return obeyed,
    }
    leave(context, plan, runner).await.map(Some)
}

/// The end of an interrupted process. What goes on is what was begun: a rollback
/// for which nothing was stopped yet is called off.
async fn leave(
    context: &Context,
    plan: &CheckedPlan,
    runner: &mut Runner<Fleet, Journal>,
) -> Result<Exit, CommandError> {
    let stood_down = runner.stand_down("interrupted").await;
    let words = match stood_down.map_err(|source| failed(plan, runner, source))? {
        true => format!("interrupted; {}", called_off_in_words(context, runner.state())),
        false => interrupted(context),
    };
    talk::say(&words);
    Ok(Exit::Interrupted)
}

/// Follows what a person ordered, or says why not: then that is the end.
async fn order(
    context: &Context,
    plan: &CheckedPlan,
    runner: &mut Runner<Fleet, Journal>,
    ordered: Ordered,
) -> Result<Option<Exit>, CommandError> {
    let (what, heard) = match ordered {
        Ordered::Abort { because } => ("go back", runner.abort(plan.plan(), because).await),
        Ordered::RollBack { because, without } => {
            let wish = RollbackWish { by: whoami(), because, without };
            ("roll back", runner.roll_back(plan.plan(), wish).await)
        }
        Ordered::Retry { node } => ("try again", runner.retry(plan.plan(), &node).await),
        Ordered::HandOver { to } => ("hand over", runner.hand_over(plan.plan(), &to).await),
        Ordered::LeaveOut { node, because } => {
            ("leave it out", runner.go_without(plan.plan(), &node, because).await)
        }
    };
    match heard.map_err(|source| failed(plan, runner, source))? {
        Ok(()) => Ok(None),
        Err(Declined::Ended(ended)) => finish(context, plan, runner.state(), &ended).map(Some),
        Err(Declined::CalledOff) => {
            talk::say(&called_off_in_words(context, runner.state()));
            Ok(Some(Exit::Done))
        }
        Err(Declined::Because(why)) => {
            let stands = Stands::of(plan.plan(), runner.state());
            Err(CommandError::Impossible { what, why, stands })
        }
    }
}

/// What a person answers; `None` = Ctrl-C, which is before the first stop, so
/// that there is nothing to warn of.
async fn typed(
    context: &Context,
    plan: &CheckedPlan,
    signals: &mut Signals,
) -> Option<Option<Event>> {
    let typed = question::typed(context, plan);
    tokio::pin!(typed);
    loop {
        tokio::select! {
            typed = &mut typed => return Some(typed),
            said = signals.next() => match said {
                Said::Stand => terminal::stop(),
                Said::End => return None,
            },
        }
    }
}

async fn drive_once(
    runner: &mut Runner<Fleet, Journal>,
    patience: Patience,
    happenings: &mut UnboundedReceiver<Progress>,
    signals: &mut Signals,
    view: &mut View,
) -> Result<Stop, CommandError> {
    let plan = view.plan();
    let result = {
        let driving = runner.drive(patience);
        tokio::pin!(driving);
        let mut redraw = interval(REDRAW);
        redraw.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                // What happened is shown before what follows from it.
                biased;
                Some(happening) = happenings.recv() => view.show(happening),
                said = signals.next() => match said {
                    Said::Stand => view.suspend(),
                    Said::End if view.is_interrupted() => return Ok(Stop::Interrupted),
                    Said::End => {}
                },
                result = &mut driving => break result,
                _ = redraw.tick() => view.draw(),
            }
        }
    };
    while let Ok(happening) = happenings.try_recv() {
        view.show(happening);
    }
    result.map(Stop::Ended).map_err(|source| failed(&plan, runner, source))
}

fn failed(
    plan: &CheckedPlan,
    runner: &Runner<Fleet, Journal>,
    source: crate::runner::RunError,
) -> CommandError {
    CommandError::Run { source, has_crossed: has_crossed(plan, runner.state()) }
}

/// Nothing was stopped for a rollback that is not to be.
fn called_off(
    plan: &CheckedPlan,
    state: &RunState,
    failures: &[(NodeName, Problem)],
) -> CommandError {
    let why = failures.first().map(|(node, why)| spoiled(node, why)).unwrap_or_default();
    CommandError::Impossible { what: "roll back", why, stands: Stands::of(plan.plan(), state) }
}

/// What is left where a rollback comes to nothing.
fn called_off_in_words(context: &Context, state: &RunState) -> String {
    let left = match state.finished_at {
        Some(_) => "the window's end stands".to_owned(),
        None => format!("the run is where it was; to go on: {} resume", context.program()),
    };
    format!("the rollback is called off, nothing was stopped for it; {left}")
}

fn has_crossed(plan: &CheckedPlan, state: &RunState) -> bool {
    state.has_crossed(plan.plan())
}

fn interrupted(context: &Context) -> String {
    format!("interrupted; what was done is written down.\nto go on: {} resume", context.program())
}

/// The report, or why there is none yet.
fn finish(
    context: &Context,
    plan: &CheckedPlan,
    state: &RunState,
    ended: &Ended,
) -> Result<Exit, CommandError> {
    let exit = exit(plan, state, ended);
    match ended {
        Ended::Unclaimed { nodes } => {
            let program = context.program();
            let is_behind = |(_, why): &(_, Unclaimed)| {
                matches!(why, Unclaimed::Behind { .. } | Unclaimed::Elsewhere(_))
            };
            let registry = if nodes.iter().any(is_behind) {
                // This journal does not know.
                format!("is as {program} status shows")
            } else {
                render::registry(plan.plan(), state, context.clock.now())
            };
            return Err(CommandError::Unclaimed { nodes: nodes.clone(), exit, program, registry });
        }
        Ended::LeaseLost { node } => {
            let registry = render::registry(plan.plan(), state, context.clock.now());
            return Err(CommandError::LeaseLost { node: node.clone(), registry });
        }
        // Called off, for nothing was stopped.
        Ended::Failed { step, failures } if step.what == What::Act(Verb::CheckBackup) => {
            return Err(called_off(plan, state, failures));
        }
        Ended::Done
        | Ended::Back { .. }
        | Ended::RolledBack
        | Ended::Waiting { .. }
        | Ended::Failed { .. }
        | Ended::Closed { .. } => {}
    }
    if let Ended::Back { .. } | Ended::RolledBack = ended {
        let (now, program) = (context.clock.now(), context.program());
        let explained = Explained { plan, state, now, program: &program };
        match context.output {
            Output::Text => talk::print(&render::put_back(&explained, talk::style())),
            Output::Json => talk::print(&format!("{:#}\n", render::explain_json(&explained))),
        }
        return Ok(exit);
    }
    if *ended != Ended::Done {
        let (now, program) = (context.clock.now(), context.program());
        let explained = Explained { plan, state, now, program: &program };
        match context.output {
            Output::Text => talk::say(render::explain(&explained, talk::style()).trim_end()),
            Output::Json => talk::print(&format!("{:#}\n", render::explain_json(&explained))),
        }
        return Ok(exit);
    }
    let report = report::report(plan.plan(), state);
    let json = format!("{:#}\n", render::report_json(plan, &report));
    match context.output {
        Output::Text => {
            talk::print(&render::report(plan, &report, &context.program(), talk::style()));
        }
        Output::Json => talk::print(&json),
    }
    // The window is done whether or not there is room for its report.
    match (context.keep_report(state.run, &json), context.output) {
        (Ok(path), Output::Text) => talk::say(&format!("written to {}", path.display())),
        (Ok(_), Output::Json) => {}
        (Err(error), Output::Text | Output::Json) => talk::warn(&error),
    }
    Ok(exit)
}

fn exit(plan: &CheckedPlan, state: &RunState, ended: &Ended) -> Exit {
    match ended {
        Ended::Done | Ended::RolledBack => Exit::Done,
        Ended::Back { because } => match because {
            Cause::Closed { step: _, failure: GateFailure::Drifted { .. } } => Exit::Stale,
            Cause::Closed { .. } | Cause::Failed { .. } | Cause::Person { .. } => Exit::PutBack,
        },
        Ended::Unclaimed { nodes } => exit_unclaimed(nodes),
        Ended::LeaseLost { .. } => Exit::LeaseHeld,
        Ended::Waiting { .. } => Exit::Waiting,
        Ended::Failed { .. } | Ended::Closed { .. } if has_crossed(plan, state) => {
            Exit::FailedBeyond
        }
        Ended::Failed { step: _, failures } => {
            if failures.iter().any(|(_, problem)| is_silence(problem)) {
                Exit::Unreachable
            } else {
                Exit::Failed
            }
        }
        Ended::Closed { step: _, failure } => match failure {
            GateFailure::Drifted { .. } => Exit::Stale,
            GateFailure::TooLong { limit: _, on } => match **on {
                WaitingOn::Answer { .. } => Exit::Unreachable,
                WaitingOn::Backfill { .. }
                | WaitingOn::Approval
                | WaitingOn::Containers { .. }
                | WaitingOn::Config { .. }
                | WaitingOn::Sessions { .. }
                | WaitingOn::Migration { .. }
                | WaitingOn::Health { .. }
                | WaitingOn::Lasting { .. }
                | WaitingOn::Verification { .. } => Exit::Failed,
            },
            GateFailure::Alive { .. }
            | GateFailure::Config { .. }
            | GateFailure::NoFloor { .. }
            | GateFailure::StaleBackup { .. }
            | GateFailure::Database { .. }
            | GateFailure::ForeignSessions { .. }
            | GateFailure::Exited { .. }
            | GateFailure::Gone { .. }
            | GateFailure::Restarted { .. }
            | GateFailure::WrongMode { .. }
            | GateFailure::NotVerified { .. } => Exit::Failed,
        },
    }
}

fn exit_unclaimed(nodes: &[(NodeName, Unclaimed)]) -> Exit {
    let is_held = |(_, why): &(_, Unclaimed)| match why {
        Unclaimed::Held(_) | Unclaimed::Elsewhere(_) | Unclaimed::Behind { .. } => true,
        Unclaimed::Refused(problem) => {
            matches!(problem, Problem::Refused { reason: Reason::Lease, .. })
        }
    };
    let is_silent = |(_, why): &(_, Unclaimed)| match why {
        Unclaimed::Refused(problem) => is_silence(problem),
        Unclaimed::Held(_) | Unclaimed::Elsewhere(_) | Unclaimed::Behind { .. } => false,
    };
    if nodes.iter().any(is_held) {
        Exit::LeaseHeld
    } else if nodes.iter().any(is_silent) {
        Exit::Unreachable
    } else {
        // Only before anything is begun.
        Exit::Refused
    }
}

fn is_silence(problem: &Problem) -> bool {
    match problem {
        Problem::Unreachable { .. } => true,
        Problem::Refused { .. } | Problem::Nonsense { .. } | Problem::AtGate { .. } => false,
    }
}
