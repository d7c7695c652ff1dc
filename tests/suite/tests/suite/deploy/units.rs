//! The unit, by systemd's own judgement.

use std::fs;
use std::path::Path;

use quaymaster_lab::cluster::binaries::Binaries;
use quaymaster_suite::command::run_in;
use quaymaster_suite::unit::{UNIT, deployed, deployed_text};

/// On a scale from 0 to 10, as `systemd-analyze security` gives it.
const MOST_EXPOSURE: f64 = 2.0;

#[tokio::test]
async fn systemd_finds_no_fault_in_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let agent = Binaries::ready(&|_: &str| ()).unwrap().agent;
    let copy = dir.path().join("quaymaster-agent.service");
    let installed = "ExecStart=/usr/bin/quaymaster-agent ";
    let text = deployed_text(UNIT);
    assert!(text.contains(installed), "the guide installs the program there");
    let built = format!("ExecStart={} ", agent.display());
    fs::write(&copy, text.replace(installed, &built)).unwrap();
    let copy = copy.to_str().unwrap();
    let outcome = run_in(
        Path::new("systemd-analyze"),
        dir.path(),
        ["verify", "--man=no", "--recursive-errors=no", copy],
    )
    .await
    .expect_code(0);
    // An unknown setting is a warning to it, and a mistake here.
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

#[tokio::test]
async fn the_unit_exposes_little() {
    let unit = deployed(UNIT);
    let arguments = ["security", "--offline=true", "--no-pager", unit.to_str().unwrap()];
    let outcome =
        run_in(Path::new("systemd-analyze"), Path::new("/"), arguments).await.expect_code(0);
    let overall = outcome.stdout.lines().find(|line| line.contains("Overall exposure level"));
    let overall = overall.unwrap_or_default();
    eprintln!("{overall}");
    let figure = overall.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
    let exposure: f64 = figure.unwrap_or_default().parse().expect("it ends with a figure");
    assert!(exposure <= MOST_EXPOSURE, "{}", outcome.stdout);
}
