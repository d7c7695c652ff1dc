//! `status`: what every node runs, how it is, and what to type next.

use std::collections::BTreeMap;

use futures::future::join_all;
use quaymaster_proto::health::BackfillSample;
use quaymaster_proto::{Component, Mode};

use crate::args::Output;
use crate::commands::context::Context;
use crate::commands::unfinished::{known, latest};
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::nodes::asking::Counts;
use crate::nodes::{HealthQuestion, Looks};
use crate::plan::CheckedPlan;
use crate::preflight::common_generation;
use crate::render::{self, KnownRuns, RunSeen, StatusView};
use crate::run::RunState;
use crate::survey::Survey;

pub(super) async fn run(context: &Context) -> Result<Exit, CommandError> {
    let nodes = context.fleet()?;
    let nodes = nodes.as_ref();
    let survey = context.survey(nodes, Counts::Leave).await;
    let question = HealthQuestion { component: Component::Quay, container: None };
    let health = join_all(survey.facts.nodes.keys().map(async |node| {
        let report = nodes.health(node, &question).await.ok()?;
        Some((node.clone(), report))
    }))
    .await;
    let health: BTreeMap<_, _> = health.into_iter().flatten().collect();
    let backfill = backfill(context, nodes, &survey).await;
    // The nodes are worth seeing whatever became of the journal.
    let (seen, unread) = match journal(context, None).await {
        Ok(seen) => (seen, None),
        Err(error) => (JournalSeen::default(), Some(quaymaster_proto::in_a_line(&error))),
    };
    let view = StatusView {
        cluster: &context.cluster,
        survey: &survey,
        reader: context.reader(),
        health: &health,
        backfill: backfill.as_ref(),
        run: seen.latest.as_ref().map(|(plan, state)| RunSeen { plan, state }),
        unread: unread.as_deref(),
        known: &seen.known,
        watch: None,
        now: context.clock.now(),
        program: &context.program(),
    };
    match context.output {
        Output::Text => talk::print(&render::status(&view, talk::style())),
        Output::Json => talk::print(&format!("{:#}\n", render::status_json(&view))),
    }
    Ok(if survey.silent.is_empty() { Exit::Done } else { Exit::Unreachable })
}

/// Only a Quay in background mode counts; one of them is asked.
async fn backfill<N: Looks>(
    context: &Context,
    nodes: &N,
    survey: &Survey,
) -> Option<BackfillSample> {
    let generation = common_generation(context.reader(), &survey.facts)?;
    if generation.mode != Mode::Background {
        return None;
    }
    nodes.sample_backfill(survey.facts.nodes.keys().next()?).await.ok()
}

/// What this machine's journal says.
#[derive(Debug, Default)]
pub(super) struct JournalSeen {
    /// The latest run and its plan.
    pub(super) latest: Option<(CheckedPlan, RunState)>,
    /// Every run.
    pub(super) known: KnownRuns,
}

/// Reads the journal; a plan that is `known` is not read again.
pub(super) async fn journal(
    context: &Context,
    plan: Option<CheckedPlan>,
) -> Result<JournalSeen, CommandError> {
    let Some(history) = context.history().await? else { return Ok(JournalSeen::default()) };
    let known = known(&history)?;
    let Some(state) = latest(&history)? else { return Ok(JournalSeen { latest: None, known }) };
    let plan = match plan.filter(|known| *known.digest() == state.plan) {
        Some(known) => known,
        None => context.plan_of(state.run, &state.plan)?,
    };
    Ok(JournalSeen { latest: Some((plan, state)), known })
}
