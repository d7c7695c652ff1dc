//! `preflight`: everything that speaks against a window, at once. Nothing on
//! any node changes.

use crate::args::{Output, PreflightArgs, Way};
use crate::commands::context::Context;
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::nodes::asking::Counts;
use crate::plan::request::{Request, Wanted, wanted};
use crate::preflight;
use crate::render::{self, CheckedFor, PreflightView};

pub(super) async fn run(context: &Context, args: &PreflightArgs) -> Result<Exit, CommandError> {
    let nodes = context.fleet()?;
    let facts = context.facts(nodes.as_ref(), Counts::Once).await?;
    let from = preflight::common_generation(context.reader(), &facts);
    let checked_for = match (&args.to, from) {
        (None, _) => CheckedFor::NoWindow,
        (Some(_), None) => CheckedFor::Unclear,
        (Some(to), Some(from)) => {
            let first_mode = args.mode.map(Way::first_mode);
            let request = Request { to: to.clone(), first_mode };
            let wanted = wanted(&context.catalogue, &from, &request)
                .map_err(|refusal| CommandError::Request { refusal, advice: None })?;
            match wanted {
                Wanted::Window(window) => CheckedFor::Window(window),
                Wanted::Nothing { at } => CheckedFor::Nothing(at),
            }
        }
    };
    let findings = match &checked_for {
        CheckedFor::Window(window) => {
            let answers = context.answers(nodes.as_ref(), &facts, window).await;
            let measured = context.measured().await;
            context.findings(&context.situation(&facts, window, &answers, &measured))
        }
        CheckedFor::NoWindow | CheckedFor::Unclear | CheckedFor::Nothing(_) => {
            preflight::of_cluster(context.reader(), &facts)
        }
    };
    let view = PreflightView {
        cluster: &context.cluster.name,
        nodes: facts.nodes.len(),
        checked_for: &checked_for,
        findings: &findings,
        program: &context.program(),
    };
    match context.output {
        Output::Text => talk::print(&render::preflight(&view, talk::style())),
        Output::Json => talk::print(&format!("{:#}\n", render::preflight_json(&view))),
    }
    Ok(if findings.allow() { Exit::Done } else { Exit::Refused })
}
