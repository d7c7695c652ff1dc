//! `resume`: go on with the run that was left unfinished.

use quaymaster_proto::Epoch;

use crate::args::DriveArgs;
use crate::commands::apply::warn_of_damage;
use crate::commands::context::{Context, whoami};
use crate::commands::drive::{Drive, drive};
use crate::commands::unfinished::{Unfinished, unfinished};
use crate::commands::{CommandError, question};
use crate::exit::Exit;
use crate::journal::store::{self, Journal, JournalError};
use crate::run::Event;

pub(super) async fn run(context: &Context, args: &DriveArgs) -> Result<Exit, CommandError> {
    // Reading first: where nothing ever ran, nothing is made.
    match store::read(&context.cluster.state).await {
        Err(JournalError::Absent { .. }) => return Err(nothing(context)),
        Ok(_) => {}
        Err(other) => return Err(other.into()),
    }
    let (mut journal, history) = Journal::open(&context.cluster.state).await?;
    warn_of_damage(&history);
    let Unfinished { mut state, plan } =
        unfinished(context, &history)?.ok_or_else(|| nothing(context))?;
    let accepted = question::accepted(&plan, args, context.clock.now())?;
    question::not_for_production(&plan, args).await?;
    let mut events = Vec::new();
    if question::is_open(&state) {
        match accepted {
            Some(approved) => events.push(approved),
            None if question::is_asked_later(&plan, &state) => {}
            None => events.push(question::typed(context, &plan).await?),
        }
    }
    let epoch = state.epoch.map_or(Epoch::FIRST, Epoch::next);
    events.push(Event::Driven { epoch, by: whoami(), at: context.clock.now() });
    for event in &events {
        let run = state.run.to_string();
        state.apply(event).map_err(|source| CommandError::Replay { run, source })?;
    }
    journal.append(state.run, &events).await?;
    let nodes = context.fleet()?;
    drive(context, Drive { nodes, plan, state, journal, args: args.clone() }).await
}

fn nothing(context: &Context) -> CommandError {
    CommandError::NothingUnfinished { cluster: context.cluster.name.to_string() }
}
