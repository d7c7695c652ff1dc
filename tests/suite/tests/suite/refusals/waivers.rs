//! What preflight finds, what may be waived, and what a waiver is worth.

use std::fs;

use quaymaster_suite::{Planned, Shape, TestLab};
use serde_json::Value;

use super::{PLAN, refused};

const TWO: &str = "quay-2";
const REASON: &str = "quay-2 logs more while a bug is looked for";

fn edit(lab: &TestLab, from: &str, to: &str) {
    let text = lab.config(TWO).text;
    assert!(text.contains(from), "{text}");
    fs::write(lab.lab().layout().config_file(TWO), text.replace(from, to)).unwrap();
}

fn plan(more: &[&'static str]) -> Vec<&'static str> {
    PLAN.iter().chain(more).copied().collect()
}

#[tokio::test]
async fn what_is_waived_is_honoured_and_told_and_nothing_else_is() {
    let lab = TestLab::up(Shape::of(2)).await;
    edit(&lab, "FEATURE_USER_CREATION: false", "FEATURE_USER_CREATION: true");
    let preflight = ["preflight", "--to", "3.0.5", "--mode", "background"];
    refused(&lab, "preflight", "cluster.yaml", preflight).await.expect_code(3);
    let never = ["--waive", "setup-incomplete", "--waive", "clock-skew", "--because", REASON];
    refused(&lab, "waivers", "cluster.yaml", plan(&never)).await.expect_code(3);

    // Never waived, whatever else is.
    edit(&lab, "SETUP_COMPLETE: true", "SETUP_COMPLETE: false");
    let waive = ["--waive", "config-differs", "--because", REASON];
    let outcome = refused(&lab, "beside-a-waiver", "cluster.yaml", plan(&waive)).await;
    outcome.expect_code(3);
    edit(&lab, "SETUP_COMPLETE: false", "SETUP_COMPLETE: true");

    let outcome = lab.quaymaster(plan(&waive)).await.expect_code(0);
    assert!(outcome.stdout.contains("waived    config.yaml is not the same"), "{}", outcome.page());
    let file = lab.plans().pop_first().unwrap();
    let json: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(json["waivers"][0]["because"], REASON);
    let digest = json["digest"].as_str().unwrap().to_owned();
    let done = lab.apply(&Planned { outcome, file, digest, json }).await.expect_code(0);
    assert!(done.stdout.contains("waived    config.yaml is not the same"), "{}", done.page());
}
