//! `apply`: begin a run of a plan.

use quaymaster_proto::{Epoch, RunId};
use ulid::Ulid;

use crate::args::ApplyArgs;
use crate::commands::context::{Context, whoami};
use crate::commands::drive::{Drive, claimant, drive};
use crate::commands::unfinished::{Unfinished, unfinished};
use crate::commands::{CommandError, question, talk};
use crate::exit::Exit;
use crate::nodes::asking::Counts;
use crate::nodes::grpc::Fleet;
use crate::plan::drift::drift;
use crate::plan::situation::Situation;
use crate::plan::{CheckedPlan, Plan, PlannedBackup};
use crate::preflight::waiver;
use crate::run::{Event, RunState};
use crate::survey::ClusterFacts;

pub(super) async fn run(context: &Context, args: &ApplyArgs) -> Result<Exit, CommandError> {
    let (plan, _) = context.named_plan(&args.plan)?;
    let accepted = question::accepted(&plan, &args.drive, context.clock.now())?;
    let nodes = context.fleet()?;
    let (mut journal, history) = context.journal().await?;
    warn_of_damage(&history);
    if let Some(before) = unfinished(context, &history)?.filter(Unfinished::is_in_the_way) {
        return Err(CommandError::Unfinished { run: before.state.run.to_string() });
    }
    journal.ensure_room()?;
    let facts = context.facts(nodes.as_ref(), Counts::Leave).await?;
    let drifts = drift(plan.plan(), &facts);
    if !drifts.is_empty() {
        return Err(CommandError::Stale { plan: plan.digest().short().to_owned(), drifts });
    }
    check_again(context, &nodes, &facts, plan.plan()).await?;

    let run = RunId::new(Ulid::new());
    let mut events = beginning(context, &plan, run);
    let state = replayed(run, &events)?;
    match accepted {
        Some(approved) => events.push(approved),
        None if question::is_asked_later(&plan, &state) => {
            question::beginning(&plan, &args.drive).await?;
        }
        None => events.push(question::needed(context, &plan).await?),
    }
    // Where the journal's readers look for it, wherever it was given from.
    context.keep_plan(&plan)?;
    journal.append(run, &events).await?;
    let state = replayed(run, &events)?;
    let claimant = claimant(context, &history, &args.drive, nodes.as_ref()).await?;
    let (args, ordered) = (args.drive.clone(), None);
    drive(context, Drive { nodes, plan, state, journal, args, claimant, ordered }).await
}

/// What the plan waives is waived here too, and nothing else. Images are not
/// asked for again: the plan has them by their digests.
async fn check_again(
    context: &Context,
    nodes: &Fleet,
    facts: &ClusterFacts,
    plan: &Plan,
) -> Result<(), CommandError> {
    let answers = context.previews(nodes, facts, &plan.window).await;
    let waived_backup = match &plan.backup {
        PlannedBackup::Waived { because, .. } => Some(because.as_str()),
        PlannedBackup::Taken { .. } => None,
    };
    let measured = context.measured().await;
    let situation = context.situation(facts, &plan.window, &answers, &measured);
    let situation = Situation { waived_backup, ..situation };
    let findings = context.findings(&situation);
    let findings = waiver::without(findings, &plan.waivers);
    if findings.allow() { Ok(()) } else { Err(CommandError::Refused { findings }) }
}

fn beginning(context: &Context, plan: &CheckedPlan, run: RunId) -> Vec<Event> {
    let at = context.clock.now();
    let (digest, cluster) = (plan.digest().clone(), plan.plan().cluster.clone());
    let waivers = plan.plan().waivers.clone();
    vec![
        Event::Started { run, plan: digest, cluster, waivers, at },
        Event::Driven { epoch: Epoch::FIRST, by: whoami(), at },
    ]
}

fn replayed(run: RunId, events: &[Event]) -> Result<RunState, CommandError> {
    RunState::replay(events).map_err(|source| CommandError::Replay { run: run.to_string(), source })
}

/// What the journal lost is asked of the nodes again.
pub(super) fn warn_of_damage(history: &crate::journal::History) {
    if let Some(seq) = history.damaged_end() {
        talk::say(&format!(
            "warning: the journal's last record ({seq}) was damaged and is left out; \
             what it said is asked of the nodes again"
        ));
    }
}
