//! The whole upgrade from 2.9.5 to 3.0.5, shown to a person: a lab is made, the product's own
//! commands are run in it as they would be typed, and the witness has the last word.
#![expect(
    clippy::disallowed_methods,
    reason = "an effect room: disk, programs and waiting are its job"
)]

mod summary;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Serialize;
use tokio::process::{Child, Command};

use crate::check::{CheckError, check};
use crate::cluster::{DownError, KeepError, Lab, Say, UpError, UpOptions};
use crate::interrupt::interrupted;
use crate::witness::Verdict;

pub use summary::{Outcome, Summary};

/// How long a command that was interrupted may take to end by itself.
const LAST_WORDS: Duration = Duration::from_secs(3);
const TO: &str = "3.0.5";

/// The documented ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Two short outages with the backfill between them.
    Background,
    /// One outage.
    Synchronous,
}

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot make a directory for the lab")]
    Directory { source: io::Error },
    #[error(transparent)]
    Up { source: Box<UpError> },
    #[error("no image is there to be found again")]
    Keep { source: Box<KeepError> },
    #[error("cannot run `{}`", program.display())]
    Run { program: PathBuf, source: io::Error },
    #[error("cannot wait for signals")]
    Interrupt { source: io::Error },
    #[error("`quaymaster plan` left no new plan under `{}`", plans.display())]
    NoPlan { plans: PathBuf },
    #[error("cannot read the plan `{}`", path.display())]
    Plan { path: PathBuf, source: io::Error },
    #[error("the plan `{}` has no digest", path.display())]
    NoDigest { path: PathBuf },
    #[error("the witness cannot judge the lab")]
    Check { source: Box<CheckError> },
    #[error("the lab could not be ended")]
    Down { source: DownError },
    #[error("cannot write the summary `{}`", path.display())]
    Summary { path: PathBuf, source: io::Error },
}

/// How the commands of the product went.
enum Told {
    Done,
    /// This command did not end with 0.
    Failed {
        command: String,
        status: ExitStatus,
    },
    Interrupted,
}

/// Makes a lab in a new directory, upgrades it, judges it, ends it. The directory stays where
/// something went wrong. `options.dir` is not used.
pub async fn demo(mode: Mode, mut options: UpOptions, say: &Say) -> Result<Summary, DemoError> {
    let dir = tempfile::Builder::new()
        .prefix("quaymaster-lab-")
        .tempdir()
        .map_err(|source| DemoError::Directory { source })?;
    options.dir = dir.path().to_owned();
    let coordinator = options.binaries.coordinator.clone();
    let (engine, nodes) = (options.engine, options.nodes);
    let empty = |outcome| Summary::of(mode, engine, nodes, outcome, None);
    introduce(mode, &options, say);
    let lab = tokio::select! {
        lab = Lab::up(options, say) => lab,
        signalled = interrupted() => {
            signalled.map_err(|source| DemoError::Interrupt { source })?;
            end_half_made(dir.path(), say).await?;
            return Ok(empty(Outcome::Interrupted));
        }
    };
    let lab = match lab {
        Ok(lab) => lab,
        Err(source) => {
            say(&format!("the files of the lab stay in {}", dir.keep().display()));
            return Err(DemoError::Up { source: Box::new(source) });
        }
    };
    let kept = lab.keep_image("v1").await;
    let upgraded = match kept.map_err(|source| DemoError::Keep { source: Box::new(source) }) {
        Ok(()) => upgrade(mode, &coordinator, &lab, say).await,
        Err(error) => Err(error),
    };
    // Down only after the witness has looked: it asks the database too.
    let verdict = check(&lab).await.map_err(|source| DemoError::Check { source: Box::new(source) });
    let down = lab.down(say).await.map_err(|source| DemoError::Down { source });
    let judged = upgraded.and_then(|told| Ok((told, verdict?))).and_then(|judged| {
        down?;
        Ok(judged)
    });
    let (told, verdict) = match judged {
        Ok(judged) => judged,
        Err(error) => {
            say(&format!("the files of the lab stay in {}", dir.keep().display()));
            return Err(error);
        }
    };
    let summary =
        Summary::of(mode, engine, nodes, outcome(told, &verdict, nodes, say), Some(verdict));
    if !summary.is_good() && summary.outcome != Outcome::Interrupted {
        say(&format!("the files of the lab stay in {}", dir.keep().display()));
    }
    Ok(summary)
}

fn introduce(mode: Mode, options: &UpOptions, say: &Say) {
    let way = match mode {
        Mode::Background => "background: two short outages with the backfill between them",
        Mode::Synchronous => "synchronous: one outage, the backfill in it",
    };
    let UpOptions { nodes, tags, engine, database, .. } = options;
    say(&format!(
        "a cluster of {nodes} Quay 2.9.5 nodes is made here, with {} and {}, {tags} tags and an \
         agent on each node",
        engine.in_words(),
        database.in_words()
    ));
    say(&format!("then it goes to {TO}, {way}"));
    say("time is scaled: what takes Quay a minute takes the stand-in about a second");
}

async fn end_half_made(dir: &Path, say: &Say) -> Result<(), DemoError> {
    say("interrupted; ending what was started");
    match Lab::open(dir) {
        Ok(lab) => lab.down(say).await.map_err(|source| DemoError::Down { source }),
        // Interrupted before anything was there to be ended.
        Err(_) => Ok(()),
    }
}

/// The commands that a person would type.
async fn upgrade(mode: Mode, coordinator: &Path, lab: &Lab, say: &Say) -> Result<Told, DemoError> {
    let product = Product { coordinator, lab, say };
    let way = match mode {
        Mode::Background => "background",
        Mode::Synchronous => "synchronous",
    };
    let windows: &[&[&str]] = match mode {
        // The second plan needs no mode: it is read off the cluster.
        Mode::Background => &[&["--mode", way], &[]],
        Mode::Synchronous => &[&["--mode", way]],
    };
    for arguments in windows {
        let plan = [&["plan", "--to", TO], *arguments].concat();
        let before = product.plans();
        match product.run(&plan).await? {
            Told::Done => {}
            told @ (Told::Failed { .. } | Told::Interrupted) => return Ok(told),
        }
        let (file, digest) = product.new_plan(&before)?;
        let file = file.display().to_string();
        let apply = ["apply", &file, "--accept-irreversible", &digest, "--yes", "--wait"];
        match product.run(&apply).await? {
            Told::Done => {}
            told @ (Told::Failed { .. } | Told::Interrupted) => return Ok(told),
        }
    }
    product.run(&["status"]).await
}

struct Product<'a> {
    coordinator: &'a Path,
    lab: &'a Lab,
    say: &'a Say,
}

impl Product<'_> {
    /// Shows the command as it would be typed, and lets it have the terminal.
    async fn run(&self, arguments: &[&str]) -> Result<Told, DemoError> {
        let cluster = self.lab.layout().cluster_file();
        let typed = arguments.join(" ");
        (self.say)(&format!("$ quaymaster --cluster {} {typed}", cluster.display()));
        let failed = |source| DemoError::Run { program: self.coordinator.to_owned(), source };
        let mut child = Command::new(self.coordinator)
            .arg("--cluster")
            .arg(&cluster)
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .map_err(failed)?;
        tokio::select! {
            status = child.wait() => match status.map_err(failed)? {
                status if status.success() => Ok(Told::Done),
                status => Ok(Told::Failed { command: typed, status }),
            },
            signalled = interrupted() => {
                signalled.map_err(|source| DemoError::Interrupt { source })?;
                end_child(&mut child).await.map_err(failed)?;
                Ok(Told::Interrupted)
            }
        }
    }

    fn plans(&self) -> Vec<PathBuf> {
        let listing = fs::read_dir(self.lab.layout().plans()).into_iter().flatten();
        listing
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect()
    }

    /// The plan that was not there before, with its digest.
    fn new_plan(&self, before: &[PathBuf]) -> Result<(PathBuf, String), DemoError> {
        let path = self
            .plans()
            .into_iter()
            .find(|path| !before.contains(path))
            .ok_or_else(|| DemoError::NoPlan { plans: self.lab.layout().plans() })?;
        let text = fs::read_to_string(&path)
            .map_err(|source| DemoError::Plan { path: path.clone(), source })?;
        let plan: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        match plan.get("digest").and_then(serde_json::Value::as_str) {
            Some(digest) => Ok((path, digest.to_owned())),
            None => Err(DemoError::NoDigest { path }),
        }
    }
}

/// The terminal has sent it the same Ctrl-C.
async fn end_child(child: &mut Child) -> io::Result<()> {
    match tokio::time::timeout(LAST_WORDS, child.wait()).await {
        Ok(status) => status.map(|_| ()),
        Err(_) => child.kill().await,
    }
}

/// By what the witness saw: a command that ends with 0 has not proven anything.
fn outcome(told: Told, verdict: &Verdict, nodes: u8, say: &Say) -> Outcome {
    match told {
        Told::Interrupted => Outcome::Interrupted,
        Told::Failed { command, status } => {
            say(&format!("`quaymaster {command}` ended with {status}"));
            Outcome::Failed
        }
        Told::Done if summary::nodes_arrived(verdict, "3.0.5 complete") == usize::from(nodes) => {
            Outcome::Completed
        }
        Told::Done => Outcome::NotArrived,
    }
}
