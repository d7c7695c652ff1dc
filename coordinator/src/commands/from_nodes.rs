//! `resume --from-nodes`: a run on a machine that never saw it. The nodes are
//! the replica: each keeps the plan and its own part.
#![expect(clippy::disallowed_methods, reason = "an effect room: it moves an old journal aside")]

use std::collections::BTreeMap;

use futures::future::join_all;
use quaymaster_proto::lease::RunLedger;
use quaymaster_proto::{Lease, NodeName, RunId};

use crate::commands::context::Context;
use crate::commands::{CommandError, HealError, talk};
use crate::heal::is_document;
use crate::journal::store::{self, Journal, JournalError};
use crate::nodes::Looks;
use crate::nodes::grpc::Fleet;
use crate::plan::file;
use crate::render;
use crate::run::RunState;
use crate::run::rebuild::{Kept, rebuild};

/// Writes the run that the nodes know into this machine's journal.
pub(super) async fn adopt(context: &Context, takes_over: bool) -> Result<(), CommandError> {
    let fleet = context.fleet()?;
    let (kept, lease) = ask(context, fleet.as_ref()).await?;
    if let Some((node, lease)) = lease {
        if !takes_over {
            return Err(CommandError::LeaseHeld { node, lease: Box::new(lease) });
        }
        talk::say(&format!(
            "taking over run {} from {}, who drives it since {}",
            lease.run,
            lease.holder,
            render::moment(lease.since)
        ));
    }
    let events = rebuild(&kept, context.clock.now());
    let run = kept.run;
    RunState::replay(&events)
        .map_err(|source| CommandError::Replay { run: run.to_string(), source })?;
    context.keep_plan(&kept.plan)?;
    set_aside(context, run).await?;
    let (mut journal, _) = context.journal().await?;
    journal.append(run, &events).await?;
    talk::say(&format!(
        "run {run} of plan {} is rebuilt from {} nodes",
        kept.plan.digest().short(),
        kept.nodes.len()
    ));
    Ok(())
}

/// A journal that has an earlier copy of the run, or cannot be read, is kept
/// beside the new one.
async fn set_aside(context: &Context, run: RunId) -> Result<(), CommandError> {
    let state = &context.cluster.state;
    let is_in_the_way = match context.history().await {
        Ok(history) => history.is_some_and(|history| history.runs().contains(&run)),
        Err(CommandError::Journal(JournalError::Damaged { .. })) => true,
        Err(other) => return Err(other),
    };
    if !is_in_the_way {
        return Ok(());
    }
    // Nobody may be writing it.
    drop(Journal::lock_alone(state)?);
    let path = store::path(state);
    let mut beside = state.join("journal.db.earlier");
    for number in 2.. {
        if !beside.exists() {
            break;
        }
        beside = state.join(format!("journal.db.earlier-{number}"));
    }
    for suffix in ["-wal", "-shm", ""] {
        let of = |path: &std::path::Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            std::path::PathBuf::from(name)
        };
        let (from, to) = (of(&path), of(&beside));
        if from.exists() {
            std::fs::rename(&from, &to).map_err(|source| CommandError::File {
                what: "set aside",
                path: from,
                source,
            })?;
        }
    }
    talk::say(&format!("the journal that was here is kept as {}", beside.display()));
    Ok(())
}

type Found = (Kept, Option<(NodeName, Lease)>);

async fn ask(context: &Context, fleet: &Fleet) -> Result<Found, CommandError> {
    let nothing = || CommandError::NothingUnfinished { cluster: context.cluster.name.to_string() };
    let names: Vec<&NodeName> = context.cluster.names().collect();
    let facts = join_all(names.iter().map(|node| fleet.describe(node, &context.key))).await;
    let mut silent = BTreeMap::new();
    let mut runs: BTreeMap<RunId, usize> = BTreeMap::new();
    let mut lease = None;
    for (node, facts) in names.iter().zip(facts) {
        match facts {
            Ok(facts) => {
                let led = facts.lease.as_ref().map(|lease| lease.run);
                if let Some(run) = led.or_else(|| facts.ledger.map(|head| head.run)) {
                    *runs.entry(run).or_default() += if led.is_some() { 1000 } else { 1 };
                }
                lease = lease.or_else(|| facts.lease.map(|lease| ((*node).clone(), lease)));
            }
            Err(error) => {
                silent.insert((*node).clone(), error);
            }
        }
    }
    // Leases say which run is unfinished; without any, the latest is meant.
    let run = runs.iter().max_by_key(|(run, weight)| (**weight >= 1000, **run));
    let Some(run) = run.map(|(run, _)| *run) else {
        return match silent.into_values().next() {
            Some(error) => Err(CommandError::Call(error)),
            None => Err(nothing()),
        };
    };
    let asked = names.iter().filter(|node| !silent.contains_key(**node));
    let ledgers = join_all(
        asked.map(async |node| ((*node).clone(), fleet.read_ledger(node, Some(run)).await)),
    )
    .await;
    // A node that never took part in this run has nothing to say of it.
    let known: BTreeMap<NodeName, RunLedger> =
        ledgers.into_iter().filter_map(|(node, ledger)| Some((node, ledger.ok()?))).collect();
    let one = known.values().next().ok_or_else(nothing)?;
    if is_document(&one.plan_bytes) {
        return Err(healing(context, lease));
    }
    let path = context.plan_path(&one.plan);
    let unusable = |source| CommandError::PlanFile { path: path.clone(), source };
    let plan = file::read(&String::from_utf8_lossy(&one.plan_bytes), &context.cluster.name);
    let plan = plan.map_err(unusable)?;
    file::is_called(&plan, one.plan.as_str()).map_err(unusable)?;
    // It alone knows whether the migration was started.
    if let Some(error) = silent.remove(&plan.plan().first) {
        return Err(CommandError::Call(error));
    }
    for (node, error) in &silent {
        talk::say(&format!(
            "warning: {node} does not answer, so its part is asked for again: {}",
            error.reason()
        ));
    }
    let epoch = known.values().map(|ledger| ledger.epoch).max().ok_or_else(nothing)?;
    let nodes = known.into_iter().map(|(node, ledger)| (node, ledger.entries)).collect();
    Ok((Kept { run, plan, epoch, nodes }, lease))
}

/// A healing is ended by healing once more, and has nothing to rebuild.
fn healing(context: &Context, lease: Option<(NodeName, Lease)>) -> CommandError {
    match lease {
        Some((node, lease)) => HealError::UnderWay { node, lease: Box::new(lease) }.into(),
        None => CommandError::NothingUnfinished { cluster: context.cluster.name.to_string() },
    }
}
