//! Plans that may not be run: of another cluster, edited, stale, not agreed to.

use std::fs;

use quaymaster_suite::upgrade::apply_arguments;
use quaymaster_suite::{Shape, TestLab};

use super::refused;

#[tokio::test]
async fn plans_that_may_not_be_run() {
    let lab = TestLab::up(Shape::of(2)).await;
    let plan = lab.plan(Some("background")).await;
    let apply = apply_arguments(&plan);

    let cluster = fs::read_to_string(lab.dir().join("cluster.yaml")).unwrap();
    let other = cluster.replace("cluster: lab\n", "cluster: elsewhere\n");
    assert_ne!(other, cluster);
    fs::write(lab.dir().join("other.yaml"), other).unwrap();
    refused(&lab, "plan-of-another-cluster", "other.yaml", &apply).await;

    let text = fs::read_to_string(&plan.file).unwrap();
    let edited = text.replacen("481623ba00ba", "b918abdbee43", 1);
    assert_ne!(edited, text);
    fs::write(lab.dir().join("edited.json"), edited).unwrap();
    let arguments = ["apply", "edited.json", "--accept-irreversible", &plan.digest];
    refused(&lab, "plan-that-was-edited", "cluster.yaml", arguments).await;

    fs::write(lab.dir().join("torn.json"), text.split_inclusive('\n').take(40).collect::<String>())
        .unwrap();
    refused(&lab, "plan-that-is-torn", "cluster.yaml", ["apply", "torn.json"]).await;
    refused(&lab, "plan-that-is-not-there", "cluster.yaml", ["apply", "0123456789ab"]).await;
    refused(&lab, "plan-nobody-agreed-to", "cluster.yaml", ["apply", &plan.digest]).await;
    let arguments = ["apply", &plan.digest, "--accept-irreversible", "0123456789ab"];
    refused(&lab, "another-plan-was-agreed-to", "cluster.yaml", arguments).await;
    refused(&lab, "nothing-to-resume", "cluster.yaml", ["resume"]).await;
    refused(&lab, "no-way-was-named", "cluster.yaml", ["plan", "--to", "3.0.5"]).await;
    refused(&lab, "unknown-release", "cluster.yaml", ["plan", "--to", "3.9.9"]).await;

    for node in lab.nodes() {
        let path = lab.lab().layout().config_file(&node);
        let config = lab.config(&node).text;
        fs::write(path, format!("{config}# edited after the survey\n")).unwrap();
    }
    refused(&lab, "plan-that-is-stale", "cluster.yaml", &apply).await;
}
