//! The commands of an upgrade, as they are typed one after another.
#![expect(clippy::disallowed_methods, reason = "an effect room: the disk is its job")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::command::Outcome;
use crate::lab::TestLab;

/// The release that every suite goes to.
pub const TO: &str = "3.0.5";

/// A plan that `quaymaster plan` left.
#[derive(Clone, Debug)]
pub struct Planned {
    pub outcome: Outcome,
    pub file: PathBuf,
    pub digest: String,
    pub json: Value,
}

impl TestLab {
    /// Plans the next window; it has to be possible.
    pub async fn plan(&self, mode: Option<&str>) -> Planned {
        let before = self.plans();
        let mut arguments = vec!["plan", "--to", TO];
        arguments.extend(mode.into_iter().flat_map(|mode| ["--mode", mode]));
        let outcome = self.quaymaster(arguments).await.expect_code(0);
        let file =
            self.plans().difference(&before).next().cloned().expect("a new plan was written");
        let text = fs::read_to_string(&file).expect("the plan can be read");
        let json: Value = serde_json::from_str(&text).expect("the plan is JSON");
        let digest = json["digest"].as_str().expect("the plan has a digest").to_owned();
        Planned { outcome, file, digest, json }
    }

    /// Runs a plan, agreed to, and stays until it is done.
    pub async fn apply(&self, plan: &Planned) -> Outcome {
        self.quaymaster(apply_arguments(plan)).await
    }

    /// Every plan that was ever written.
    pub fn plans(&self) -> BTreeSet<PathBuf> {
        let listing = fs::read_dir(self.lab().layout().plans()).into_iter().flatten();
        listing
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect()
    }
}

/// `apply` with everything agreed to.
pub fn apply_arguments(plan: &Planned) -> Vec<String> {
    ["apply", &plan.digest, "--accept-irreversible", &plan.digest, "--yes", "--wait"]
        .map(str::to_owned)
        .into()
}

/// `resume` with everything agreed to.
pub fn resume_arguments(plan: &Planned) -> Vec<String> {
    ["resume", "--accept-irreversible", &plan.digest, "--yes", "--wait"].map(str::to_owned).into()
}
