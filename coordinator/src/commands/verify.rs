//! `verify`: pushes and pulls as a client, at every node and by the public name.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads and writes these files")]

use std::path::Path;

use quaymaster_proto::NodeName;

use crate::args::{Output, VerifyArgs};
use crate::commands::context::Context;
use crate::commands::error::VerifyError;
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::nodes::asking::Counts;
use crate::preflight::common_generation;
use crate::registry::Patience;
use crate::render;
use crate::survey::Survey;
use crate::verifier::{Means, Round, Wanted};
use crate::verify::verdict::Generation;
use crate::verify::{Sample, Verification};

pub(super) async fn run(context: &Context, args: &VerifyArgs) -> Result<Exit, CommandError> {
    let means = Means::read(&context.cluster.verify).map_err(VerifyError::Means)?;
    let before = args.against.as_deref().map(read_sample).transpose()?;
    let fleet = context.fleet()?;
    let survey = context.survey(fleet.as_ref(), Counts::Leave).await;
    if let Some(path) = &args.sample {
        return sample(context, &survey, &means, path).await;
    }
    let seen = common_generation(context.reader(), &survey.facts);
    let settings = &context.cluster.verify;
    let (facts, patience) = (&survey.facts, Patience::default());
    let round = Round { settings, means: &means, facts, patience };
    let mode = seen.as_ref().map(|seen| seen.mode);
    let wanted = Wanted { mode, sample: before.as_ref(), tell: None };
    let nodes: Vec<NodeName> = context.cluster.names().cloned().collect();
    let places = round.verify(&nodes, wanted).await.map_err(VerifyError::NotAsked)?;
    let verification = Verification {
        at: context.clock.now(),
        generation: seen.map(|seen| Generation { release: seen.release, mode: seen.mode }),
        places,
    };
    match context.output {
        Output::Text => talk::print(&render::verification(
            &context.cluster.name,
            &verification,
            &context.program(),
            talk::style(),
        )),
        Output::Json => {
            talk::print(&format!("{:#}\n", render::verification_json(&verification)));
        }
    }
    Ok(if verification.is_good() { Exit::Done } else { Exit::Failed })
}

/// Writes down what the repositories hold now.
async fn sample(
    context: &Context,
    survey: &Survey,
    means: &Means,
    path: &Path,
) -> Result<Exit, CommandError> {
    let settings = &context.cluster.verify;
    if settings.samples.is_empty() {
        return Err(VerifyError::NothingToSample.into());
    }
    let round = Round { settings, means, facts: &survey.facts, patience: Patience::default() };
    let nodes: Vec<NodeName> = context.cluster.names().cloned().collect();
    let sample = round.sample(&nodes, context.clock.now()).await;
    let sample = sample.map_err(VerifyError::NotSampled)?;
    let text = serde_json::to_string_pretty(&sample).unwrap_or_default() + "\n";
    std::fs::write(path, text).map_err(|source| CommandError::File {
        what: "write",
        path: path.to_owned(),
        source,
    })?;
    talk::print(&render::sampled(&sample, path, &context.program()));
    Ok(Exit::Done)
}

fn read_sample(path: &Path) -> Result<Sample, VerifyError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| VerifyError::ReadSample { path: path.to_owned(), source })?;
    let sample: Option<Sample> = serde_json::from_str(&text).ok();
    sample.filter(Sample::is_known).ok_or_else(|| VerifyError::NoSample { path: path.to_owned() })
}
