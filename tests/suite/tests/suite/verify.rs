//! `quaymaster verify` on a lab: in each release and mode, and with files that are wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use insta::assert_snapshot;
use quaymaster_suite::{Shape, TestLab, redact};

#[tokio::test]
async fn a_cluster_is_verified_before_between_and_after() {
    let lab = TestLab::up(Shape::of(2)).await;
    let before = lab.quaymaster(["verify"]).await.expect_code(0);
    let json = lab.quaymaster(["verify", "--output", "json"]).await.expect_code(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["verification"]["verified"], true);
    assert_eq!(json["verification"]["generation"]["release"], "2.9.5");

    lab.apply(&lab.plan(Some("background")).await).await.expect_code(0);
    let between = lab.quaymaster(["verify"]).await.expect_code(0);
    lab.apply(&lab.plan(None).await).await.expect_code(0);
    let after = lab.quaymaster(["verify"]).await.expect_code(0);
    redact::settings(&lab).bind(|| {
        assert_snapshot!("verify-before", before.page());
        assert_snapshot!("verify-between", between.page());
        assert_snapshot!("verify-after", after.page());
    });
    lab.check().await.expect_clean();
}

#[tokio::test]
async fn what_cannot_be_verified_is_said_and_wrong_files_are_refused() {
    let lab = TestLab::up(Shape::of(1)).await;
    let robot = lab.dir().join("robot.json");
    let right = fs::read_to_string(&robot).unwrap();
    let mut pages = String::new();
    let mut page = |outcome: quaymaster_suite::Outcome| pages += &(outcome.page() + "\n");

    let wrong = right.replacen("\"password\":\"", "\"password\":\"x", 1);
    fs::write(&robot, wrong).unwrap();
    page(lab.quaymaster(["verify"]).await.expect_code(1));
    fs::write(&robot, &right).unwrap();
    fs::set_permissions(&robot, fs::Permissions::from_mode(0o644)).unwrap();
    page(lab.quaymaster(["verify"]).await.expect_code(2));
    fs::set_permissions(&robot, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&robot, "{ \"auths\": {} }").unwrap();
    page(lab.quaymaster(["verify"]).await.expect_code(2));

    let cluster = lab.dir().join("cluster.yaml");
    let text = fs::read_to_string(&cluster).unwrap();
    fs::write(&cluster, text.replace("verify: { credentials: robot.json }\n", "")).unwrap();
    page(lab.quaymaster(["verify"]).await.expect_code(0));
    let secrets = lab.lab().file().secrets.iter();
    for secret in secrets.filter(|secret| secret.name.starts_with("password of the robot")) {
        assert!(right.contains(&secret.value) && !pages.contains(&secret.value));
    }
    redact::settings(&lab).bind(|| assert_snapshot!("verify-refusals", pages));
}
