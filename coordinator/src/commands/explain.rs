//! `explain`: why it waits, what ends that, what can still be undone.

use crate::args::Output;
use crate::commands::context::Context;
use crate::commands::unfinished::{Unfinished, unfinished};
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::render::{self, Explained};

pub(super) async fn run(context: &Context) -> Result<Exit, CommandError> {
    let found = match context.history().await? {
        Some(history) => unfinished(context, &history)?,
        None => None,
    };
    let program = context.program();
    let explained = found.as_ref().map(|Unfinished { state, plan }| Explained {
        plan,
        state,
        now: context.clock.now(),
        program: &program,
    });
    let text = match (context.output, &explained) {
        (Output::Text, Some(explained)) => render::explain(explained, talk::style()),
        (Output::Text, None) => render::explain_nothing(&program),
        (Output::Json, Some(explained)) => format!("{:#}\n", render::explain_json(explained)),
        (Output::Json, None) => {
            let nothing = serde_json::json!({ "version": render::JSON_VERSION, "explain": null });
            format!("{nothing:#}\n")
        }
    };
    talk::print(&text);
    Ok(Exit::Done)
}
