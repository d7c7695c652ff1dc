//! `heal`: a fresh container for a node whose Quay is gone, dead or spoiled.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use quaymaster_proto::health::HealthReport;
use quaymaster_proto::{Component, ContainerId, Lease, NodeName, RunId};
use ulid::Ulid;

use crate::args::{HealArgs, Output};
use crate::commands::context::{Context, whoami};
use crate::commands::unfinished::{Unfinished, latest, over, unfinished};
use crate::commands::{CommandError, HealError, question, talk};
use crate::exit::Exit;
use crate::heal::{Healing, Known, document, is_document, judge};
use crate::journal::History;
use crate::nodes::asking::Counts;
use crate::nodes::{HealthQuestion, Looks};
use crate::render;
use crate::run::rollback;
use crate::runner::{Heal, heal};
use crate::survey::Survey;

pub(super) async fn run(context: &Context, args: &HealArgs) -> Result<Exit, CommandError> {
    let HealArgs { node, take_over, yes } = args;
    if !context.cluster.names().any(|name| name == node) {
        return Err(HealError::NoSuchNode { node: node.clone() }.into());
    }
    let history = context.history().await?.unwrap_or_default();
    if let Some(found) = unfinished(context, &history)?.filter(Unfinished::is_in_the_way) {
        return Err(CommandError::Unfinished { run: found.state.run.to_string() });
    }
    let fleet = context.fleet()?;
    let mut survey = context.survey(fleet.as_ref(), Counts::Leave).await;
    if let Some(silence) = survey.silent.remove(node) {
        return Err(CommandError::Silent { silent: [(node.clone(), silence)].into() });
    }
    let health = health(fleet.as_ref(), &survey, node).await;
    let healings = healings(fleet.as_ref(), &survey).await;
    let (over, now) = (over(context, &history)?, context.clock.now());
    let known = Known {
        cluster: &context.cluster,
        reader: context.reader(),
        survey: &survey,
        health: &health,
        over: &over,
        healings: &healings,
        takes_over: *take_over,
        now,
    };
    let healing = judge(&known, node)
        .map_err(|against| HealError::Against { node: node.clone(), against })?;
    for silent in survey.silent.keys() {
        talk::say(&format!("warning: {silent} does not answer, and nobody knows what runs there"));
    }
    if let Some(run) = forecloses(context, &history)? {
        talk::say(&format!(
            "warning: up to now run {run} can be rolled back by its backup; behind a healing \
             only by hand"
        ));
    }
    question::healing(&healing, *yes).await?;
    let seen = survey.facts.nodes.get(node).and_then(|found| found.facts.lease.clone());
    let order = order(context, &healing, seen)?;
    let healed = heal(&fleet, &healing, &order, talk::say).await;
    let healed = healed.map_err(|source| HealError::Failed { node: node.clone(), source })?;
    match context.output {
        Output::Text => {
            talk::print(&render::healed(&healing, &healed, &context.program(), talk::style()));
        }
        Output::Json => {
            let json = render::healed_json(&healing, &healed, order.run);
            talk::print(&format!("{json:#}\n"));
        }
    }
    Ok(Exit::Done)
}

/// The run that no rollback undoes any more once something else was driven.
fn forecloses(context: &Context, history: &History) -> Result<Option<RunId>, CommandError> {
    let Some(state) = latest(history)? else { return Ok(None) };
    let plan = context.plan_of(state.run, &state.plan)?;
    Ok(rollback::backup(plan.plan(), &state).is_ok().then_some(state.run))
}

fn order(context: &Context, healing: &Healing, seen: Option<Lease>) -> Result<Heal, CommandError> {
    let cluster = context.cluster.name.clone();
    let document = document(&cluster, healing)
        .ok_or_else(|| CommandError::Unsound { flaws: "it has no digest".to_owned() })?;
    Ok(Heal {
        cluster,
        run: RunId::new(Ulid::new()),
        process: Ulid::new(),
        holder: format!("{}, to heal {}", whoami(), healing.node),
        document,
        seen,
        healthy_for: context.cluster.timings.healthy_for,
    })
}

/// Of every Quay that lives on the node.
async fn health<N: Looks>(
    nodes: &N,
    survey: &Survey,
    node: &NodeName,
) -> BTreeMap<ContainerId, HealthReport> {
    let quay = survey.facts.nodes.get(node).and_then(|node| node.quay());
    let alive = quay.into_iter().flat_map(|quay| quay.containers());
    let alive = alive.filter(|found| found.state.status.is_alive());
    let reports = join_all(alive.map(async |found| {
        let container = Some(found.state.id.clone());
        let question = HealthQuestion { component: Component::Quay, container };
        let report = nodes.health(node, &question).await.ok()?;
        Some((found.state.id.clone(), report))
    }));
    reports.await.into_iter().flatten().collect()
}

/// Which of the runs that hold leases are healings.
async fn healings<N: Looks>(nodes: &N, survey: &Survey) -> BTreeSet<RunId> {
    let leases = survey.facts.nodes.iter();
    let leases = leases.filter_map(|(name, node)| Some((name, node.facts.lease.as_ref()?.run)));
    let read = join_all(leases.map(async |(name, run)| {
        let ledger = nodes.read_ledger(name, Some(run)).await.ok()?;
        is_document(&ledger.plan_bytes).then_some(run)
    }));
    read.await.into_iter().flatten().collect()
}
