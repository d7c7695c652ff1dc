//! `verify`: pushes and pulls as a client, at every node and by the public name.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads and writes these files")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use quaymaster_proto::NodeName;

use crate::args::{Output, VerifyArgs};
use crate::cluster::VerifySettings;
use crate::commands::context::Context;
use crate::commands::error::VerifyError;
use crate::commands::{CommandError, talk};
use crate::exit::Exit;
use crate::nodes::asking::Counts;
use crate::preflight::common_generation;
use crate::registry::{Login, Patience, login};
use crate::render;
use crate::survey::Survey;
use crate::verifier::{Errand, at_node, at_public, take_sample, verify};
use crate::verify::places::Reach;
use crate::verify::schema1::{Key, nonce};
use crate::verify::verdict::Generation;
use crate::verify::{Place, Sample, Verification, WhyNot};

/// What is read before anybody is asked.
struct Means {
    login: Option<Login>,
    ca: Option<Vec<u8>>,
}

pub(super) async fn run(context: &Context, args: &VerifyArgs) -> Result<Exit, CommandError> {
    let settings = &context.cluster.verify;
    let means = Means::read(settings)?;
    let before = args.against.as_deref().map(read_sample).transpose()?;
    let fleet = context.fleet()?;
    let survey = context.survey(fleet.as_ref(), Counts::Leave).await;
    if let Some(path) = &args.sample {
        return sample(context, &survey, &means, path).await;
    }
    let seen = common_generation(context.reader(), &survey.facts);
    let key = Key::make().map_err(VerifyError::Key)?;
    let nonce = nonce().map_err(VerifyError::Key)?;
    let errand = Errand {
        mode: seen.as_ref().map(|seen| seen.mode),
        login: means.login.as_ref(),
        repository: &settings.repository,
        sample: before.as_ref(),
        nonce: &nonce,
        key: &key,
    };
    let verification = Verification {
        at: context.clock.now(),
        generation: seen.map(|seen| Generation { release: seen.release, mode: seen.mode }),
        places: places(context, &survey, &means, &errand).await?,
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

async fn places(
    context: &Context,
    survey: &Survey,
    means: &Means,
    errand: &Errand<'_>,
) -> Result<Vec<Place>, VerifyError> {
    let at_nodes = context.cluster.names().enumerate().map(async |(number, name)| {
        let reach = match reach(context, survey, name) {
            Ok(reach) => reach,
            Err(why) => return Ok(Place::unasked(name.to_string(), why)),
        };
        let opened = at_node(&reach, means.ca(), Patience::default()).await;
        let opened = opened.map_err(VerifyError::Door)?;
        Ok(verify(&opened.client, name.as_str(), number, None, errand).await)
    });
    let mut places: Vec<Place> = join_all(at_nodes).await.into_iter().collect::<Result<_, _>>()?;
    if let Some(public) = &context.cluster.verify.public {
        let opened = at_public(public, means.ca(), Patience::default());
        let client = opened.map_err(VerifyError::Door)?.client;
        let authority = Some(public.authority());
        let number = places.len();
        places.push(verify(&client, &public.to_string(), number, authority, errand).await);
    }
    Ok(places)
}

/// Where the node's Quay is asked from here.
fn reach(context: &Context, survey: &Survey, name: &NodeName) -> Result<Reach, WhyNot> {
    let node = survey.facts.nodes.get(name).ok_or(WhyNot::Silent)?;
    let ports = node.quay_container().map(|container| container.ports.as_slice());
    let public = context.cluster.verify.public.as_ref();
    Reach::of(&node.address, ports.unwrap_or_default(), public).ok_or(WhyNot::NoPort)
}

/// Writes down what the repositories hold now.
async fn sample(
    context: &Context,
    survey: &Survey,
    means: &Means,
    path: &Path,
) -> Result<Exit, CommandError> {
    let repositories = &context.cluster.verify.samples;
    if repositories.is_empty() {
        return Err(VerifyError::NothingToSample.into());
    }
    let reaches = context.cluster.names().filter_map(|name| reach(context, survey, name).ok());
    let reach = reaches.into_iter().next().ok_or(VerifyError::Nowhere)?;
    let opened = at_node(&reach, means.ca(), Patience::default()).await;
    let client = opened.map_err(VerifyError::Door)?.client;
    let now = context.clock.now();
    let sample = take_sample(&client, means.login.as_ref(), repositories, now).await;
    let sample = sample.map_err(VerifyError::Sample)?;
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
    let text = std::fs::read_to_string(path).map_err(|source| VerifyError::ReadFile {
        setting: "--against",
        path: path.to_owned(),
        source,
    })?;
    let sample: Option<Sample> = serde_json::from_str(&text).ok();
    sample.filter(Sample::is_known).ok_or_else(|| VerifyError::NoSample { path: path.to_owned() })
}

impl Means {
    fn read(settings: &VerifySettings) -> Result<Self, VerifyError> {
        let VerifySettings { credentials, public, ca, .. } = settings;
        let login = match credentials {
            Some(path) => {
                let names = public.iter().flat_map(|public| [public.authority(), public.host()]);
                let names: Vec<String> = names.map(str::to_owned).collect();
                Some(read_login(path, &names)?)
            }
            None => None,
        };
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| VerifyError::ReadFile {
                setting: "verify.ca",
                path: path.clone(),
                source,
            })
        };
        Ok(Self { login, ca: ca.as_ref().map(read).transpose()? })
    }

    fn ca(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }
}

fn read_login(path: &Path, names: &[String]) -> Result<Login, VerifyError> {
    let unread = |source| VerifyError::ReadFile {
        setting: "verify.credentials",
        path: path.to_owned(),
        source,
    };
    let mode = std::fs::metadata(path).map_err(unread)?.mode();
    if mode & 0o077 != 0 {
        return Err(VerifyError::OpenToAll { path: path.to_owned(), mode: mode & 0o777 });
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    login(&text, names).map_err(|source| VerifyError::Credentials { path: path.to_owned(), source })
}
