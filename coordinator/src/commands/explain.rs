//! `explain`: why it waits, what ends that, what can still be undone.

use crate::args::{ExplainArgs, Output};
use crate::commands::context::Context;
use crate::commands::unfinished::{Unfinished, unfinished};
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::preflight::Code;
use crate::render::{self, Explained};

/// What a word about preflight is wanted of.
#[derive(Clone, Copy, Debug)]
pub(super) enum About {
    /// One kind of finding.
    One(Code),
    /// All of them.
    All,
}

impl About {
    /// `None` = about a run.
    pub(super) fn of(args: &ExplainArgs) -> Option<Self> {
        let ExplainArgs { code, codes } = *args;
        code.map(Self::One).or_else(|| codes.then_some(Self::All))
    }
}

/// Needs no cluster.
pub(super) fn codes(about: About, output: Output) -> Exit {
    let text = match (about, output) {
        (About::One(code), Output::Text) => render::code(code, talk::style()),
        (About::One(code), Output::Json) => format!("{:#}\n", render::code_json(code)),
        (About::All, Output::Text) => render::codes(),
        (About::All, Output::Json) => format!("{:#}\n", render::codes_json()),
    };
    talk::print(&text);
    Exit::Done
}

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
