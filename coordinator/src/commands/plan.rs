//! `plan`: ask every node, check, decide one window, write it down. Nothing
//! on any node changes.

use crate::args::{Output, PlanArgs};
use crate::commands::context::Context;
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::nodes::asking::Counts;
use crate::plan::request::{Request, Wanted, wanted};
use crate::plan::situation::Situation;
use crate::plan::{CheckedPlan, ReleaseInMode, build, check, file};
use crate::{preflight, render};

pub(super) async fn run(context: &Context, args: &PlanArgs) -> Result<Exit, CommandError> {
    let nodes = context.fleet()?;
    let facts = context.facts(nodes.as_ref(), Counts::Once).await?;
    let of_cluster = preflight::of_cluster(context.reader(), &facts);
    let Some(from) = preflight::common_generation(context.reader(), &facts) else {
        return Err(CommandError::Refused { findings: of_cluster });
    };
    let request =
        Request { to: args.to.clone(), first_mode: args.mode.map(crate::args::Way::first_mode) };
    let window = match wanted(&context.catalogue, &from, &request) {
        Ok(Wanted::Window(window)) => window,
        Ok(Wanted::Nothing { at }) => {
            nothing(context, &at);
            return Ok(Exit::Done);
        }
        Err(refusal) => return Err(CommandError::Request(refusal)),
    };
    let answers = context.answers(nodes.as_ref(), &facts, &window).await;
    let situation = Situation {
        cluster: &context.cluster,
        catalogue: &context.catalogue,
        facts: &facts,
        window: &window,
        answers: &answers,
    };
    let findings = of_cluster.and(preflight::of_window(&situation));
    if !findings.allow() {
        return Err(CommandError::Refused { findings });
    }
    let plan = build::build(&situation, &findings)?;
    let plan =
        plan.check().map_err(|flaws| CommandError::Unsound { flaws: check::in_words(&flaws) })?;
    let path = context.keep_plan(&plan)?;
    show(context, &plan, &path.display().to_string());
    Ok(Exit::Done)
}

fn show(context: &Context, plan: &CheckedPlan, path: &str) {
    match context.output {
        Output::Json => {
            let mut json: serde_json::Value =
                serde_json::from_str(&file::write(plan)).unwrap_or_default();
            if let Some(fields) = json.as_object_mut() {
                fields.insert("file".to_owned(), path.into());
            }
            talk::print(&format!("{json:#}\n"));
        }
        Output::Text => {
            let next = format!("{} apply {path}", context.program());
            talk::print(&render::plan(plan, context.clock.now(), &next, talk::style()));
        }
    }
}

fn nothing(context: &Context, at: &ReleaseInMode) {
    match context.output {
        Output::Json => {
            let answer = serde_json::json!({ "version": render::JSON_VERSION, "nothing": at });
            talk::print(&format!("{answer:#}\n"));
        }
        Output::Text => {
            talk::print(&render::nothing_to_do(at, context.cluster.nodes.len()));
        }
    }
}
