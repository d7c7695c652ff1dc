//! `plan`: ask every node, check, decide one window, write it down. Nothing
//! on any node changes.

use crate::args::{Output, PlanArgs};
use crate::commands::context::{Context, whoami};
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::nodes::asking::Counts;
use crate::plan::request::{Request, Wanted, wanted};
use crate::plan::situation::{Answers, Situation};
use crate::plan::{Advice, CheckedPlan, Plan, ReleaseInMode, Window, build, check, file};
use crate::preflight::Code;
use crate::preflight::waiver::{self, Asked, Judged};
use crate::survey::ClusterFacts;
use crate::{forecast, preflight, render};

pub(super) async fn run(context: &Context, args: &PlanArgs) -> Result<Exit, CommandError> {
    let asked = asked(&args.waive, &args.because)?;
    let nodes = context.fleet()?;
    let facts = context.facts(nodes.as_ref(), Counts::Once).await?;
    let Some(from) = preflight::common_generation(context.reader(), &facts) else {
        let findings = preflight::of_cluster(context.reader(), &facts);
        return Err(CommandError::Refused { findings });
    };
    let request =
        Request { to: args.to.clone(), first_mode: args.mode.map(crate::args::Way::first_mode) };
    let window = match wanted(&context.catalogue, &from, &request) {
        Ok(Wanted::Window(window)) => window,
        Ok(Wanted::Nothing { at }) => {
            nothing(context, &at);
            return Ok(Exit::Done);
        }
        Err(refusal) => {
            let advice = advice(context, &facts, &from, &request).await.map(Box::new);
            return Err(CommandError::Request { refusal, advice });
        }
    };
    let answers = context.answers(nodes.as_ref(), &facts, &window).await;
    let waived_backup = args.waive_backup.as_deref();
    let measured = context.measured().await;
    let situation = context.situation(&facts, &window, &answers, &measured);
    let situation = Situation { waived_backup, ..situation };
    let findings = context.findings(&situation);
    let Judged { findings, waivers } =
        waiver::waive(findings, &asked, &whoami(), context.clock.now())
            .map_err(|refused| CommandError::NotWaived { refused })?;
    if !findings.allow() {
        return Err(CommandError::Refused { findings });
    }
    let plan = Plan { waivers, ..build::build(&situation, &findings)? };
    let plan =
        plan.check().map_err(|flaws| CommandError::Unsound { flaws: check::in_words(&flaws) })?;
    let path = context.keep_plan(&plan)?;
    show(context, &plan, &path.display().to_string());
    Ok(Exit::Done)
}

/// Which way to choose, where there is a choice.
async fn advice(
    context: &Context,
    facts: &ClusterFacts,
    from: &ReleaseInMode,
    request: &Request,
) -> Option<Advice> {
    let to = context.catalogue.release(&request.to)?;
    let to = ReleaseInMode { release: to.name.clone(), mode: to.last_mode()? };
    let window = Window { number: 1, of: 1, from: from.clone(), to };
    let (answers, measured) = (Answers::default(), context.measured().await);
    forecast::advice(&context.situation(facts, &window, &answers, &measured))
}

/// One reason for all that is waived, or one for each.
fn asked(waive: &[Code], because: &[String]) -> Result<Vec<Asked>, CommandError> {
    let reasons: Vec<&String> = match because {
        [one] => waive.iter().map(|_| one).collect(),
        several => several.iter().collect(),
    };
    if reasons.len() != waive.len() {
        let (codes, reasons) = (waive.len(), because.len());
        return Err(CommandError::Reasons { codes, reasons });
    }
    let pairs = waive.iter().zip(reasons);
    Ok(pairs.map(|(code, because)| Asked { code: *code, because: because.clone() }).collect())
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
