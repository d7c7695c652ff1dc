//! `rollback`: past the point of no return, back to what the window found, by
//! the window's own backup.

use crate::args::{DriveArgs, LeftOut, RollbackArgs};
use crate::commands::apply::warn_of_damage;
use crate::commands::context::Context;
use crate::commands::drive::{Drive, Ordered, claimant, drive};
use crate::commands::unfinished::{Unfinished, latest};
use crate::commands::{CommandError, Stands, question, resume, talk};
use crate::exit::Exit;
use crate::render;
use crate::run::rollback;

pub(super) async fn run(context: &Context, args: &RollbackArgs) -> Result<Exit, CommandError> {
    let RollbackArgs { run, because, accept_data_loss, without, take_over } = args;
    if context.history().await?.is_none() {
        return Err(resume::nothing(context));
    }
    let (mut journal, history) = context.journal().await?;
    warn_of_damage(&history);
    let Some(mut state) = latest(&history)? else { return Err(resume::nothing(context)) };
    let impossible = |why: String| CommandError::Impossible {
        what: "roll back",
        why,
        // Nothing was changed by asking.
        stands: Stands::Elsewhere,
    };
    if let Some(run) = run.filter(|run| *run != state.run) {
        let latest = state.run;
        return Err(impossible(format!(
            "run {run} is not the last one of this journal: run {latest} came after it, or this \
             machine does not know it"
        )));
    }
    let plan = context.plan_of(state.run, &state.plan)?;
    for word in journal.collect(state.run).await? {
        resume::fold(&mut state, &word)?;
    }
    let backup =
        rollback::backup(plan.plan(), &state).map_err(|why| impossible(why.to_string()))?;
    // What was ordered and never begun is asked for anew, whoever ordered it.
    let is_under_way = state.is_rollback() && !state.can_be_called_off();
    if !is_under_way {
        let warning = render::rollback(plan.plan(), &state, backup, context.clock.now());
        question::rollback(&plan, &warning, backup, accept_data_loss.as_deref()).await?;
    }
    let found = Unfinished { state, plan };
    let nodes = resume::nodes(context, &found)?;
    let args = DriveArgs { take_over: *take_over, ..DriveArgs::default() };
    if is_under_way {
        talk::say("that rollback was ordered before; going on with it");
        let found = resume::Found { journal, history, found, nodes };
        return resume::take_in_hand(context, found, &args, None).await;
    }
    let claimant = claimant(context, &history, &args, nodes.as_ref()).await?;
    let Unfinished { state, plan } = found;
    let without = without.iter().map(|LeftOut { node, how }| (node.clone(), how.clone()));
    let ordered = Ordered::RollBack { because: because.clone(), without: without.collect() };
    let ordered = Some(ordered);
    drive(context, Drive { nodes, plan, state, journal, args, claimant, ordered }).await
}
