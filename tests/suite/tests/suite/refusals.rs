//! What bad input gets: a clear refusal with an exit code, and nothing changed.
//! Every page is a real run's.

mod certificates;
mod companions;
mod configs;
mod containers;
mod engines;
mod files;
mod plans;
mod starters;
mod waivers;

use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use quaymaster_suite::{Outcome, TestLab, redact};

/// No wait in these tests is longer than a broken product.
const BOUND: Duration = Duration::from_secs(30);
/// What most of the cases ask for.
pub(crate) const PLAN: [&str; 5] = ["plan", "--to", "3.0.5", "--mode", "background"];

/// Runs a command that has to be refused, and shows that it changed nothing:
/// no container, no config.yaml, no revision, no plan.
pub(crate) async fn refused<S: AsRef<std::ffi::OsStr>>(
    lab: &TestLab,
    name: &str,
    cluster: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Outcome {
    let (before, plans) = (lab.look().await, lab.plans());
    let outcome = lab.quaymaster_of(cluster, arguments).await;
    assert_eq!(before.changes(&lab.look().await), Vec::<String>::new(), "{name}");
    assert_eq!(lab.plans(), plans, "{name}");
    shown(lab, name, &outcome);
    outcome
}

fn shown(lab: &TestLab, name: &str, outcome: &Outcome) {
    shown_in(lab.dir(), name, outcome);
}

fn shown_in(dir: &Path, name: &str, outcome: &Outcome) {
    assert_ne!(outcome.code, Some(0), "{name}");
    redact::settings_in(dir).bind(|| {
        assert_snapshot!(format!("refused-{name}"), redact::steady(&outcome.page()));
    });
}
