//! A cluster with builders, Clair and a mirror, both documented ways: in which order things stop
//! and start, as the engines saw it, and that each comes back as its owner had it.

use std::fmt::Write as _;

use insta::assert_snapshot;
use quaymaster_lab::cluster::lab_file::EngineKind;
use quaymaster_proto::Component;
use quaymaster_suite::cluster::name;
use quaymaster_suite::container::{is_running, policy};
use quaymaster_suite::redact;
use quaymaster_suite::{Shape, TestLab};

use crate::whole::succeeded;

pub(crate) async fn lab(engine: EngineKind) -> TestLab {
    let mut shape = Shape::of(6);
    shape.engine = engine;
    shape.companions = true;
    TestLab::up(shape).await
}

#[tokio::test]
async fn they_return_with_the_last_window_of_the_background_way() {
    background(EngineKind::Standin).await;
}

#[tokio::test]
async fn they_return_with_the_one_window_of_the_synchronous_way() {
    synchronous(EngineKind::Standin).await;
}

pub(crate) async fn background(engine: EngineKind) {
    let lab = lab(engine).await;
    let before = lab.look().await;
    let plan = lab.plan(Some("background")).await;
    lab.apply(&plan).await.expect_code(0);
    let between = lab.look().await;
    succeeded(&lab, &before, &between, "background").await;
    // Stopped for good, whatever the engine or a reboot does.
    for component in [Component::Builder, Component::Clair] {
        for (node, known) in lab.companions(component) {
            let shown = lab.companion(&node, &known).await;
            assert_eq!(shown.len(), 1, "{node} has one {component}");
            assert!(!is_running(&shown[0]) && policy(&shown[0]) == "no", "{node}: {component}");
        }
    }
    let status = lab.quaymaster(["status"]).await.page();

    let second = lab.plan(None).await;
    lab.apply(&second).await.expect_code(0);
    let after = lab.look().await;
    succeeded(&lab, &before, &after, "complete").await;
    returned(&lab).await;
    let moves = moves(&lab).await;
    redact::settings(&lab).bind(|| {
        if engine == EngineKind::Standin {
            assert_snapshot!(
                "companions-background-plan-of-window-1",
                redact::steady(&plan.outcome.page())
            );
            assert_snapshot!("companions-background-status-between", redact::steady(&status));
        }
        assert_snapshot!("companions-background-order", moves);
    });
}

pub(crate) async fn synchronous(engine: EngineKind) {
    let lab = lab(engine).await;
    let before = lab.look().await;
    let plan = lab.plan(Some("synchronous")).await;
    let window = lab.apply(&plan).await.expect_code(0).page();
    let after = lab.look().await;
    succeeded(&lab, &before, &after, "complete").await;
    returned(&lab).await;
    let moves = moves(&lab).await;
    redact::settings(&lab).bind(|| {
        if engine == EngineKind::Standin {
            assert_snapshot!("companions-synchronous-window", redact::steady(&window));
        }
        assert_snapshot!("companions-synchronous-order", moves);
    });
}

/// What was stopped and started, as the witness saw it; nothing broken.
async fn moves(lab: &TestLab) -> String {
    let verdict = lab.check().await;
    verdict.expect_clean();
    let mut text = String::new();
    for step in verdict.moves() {
        writeln!(text, "{step}").expect("a String takes everything");
    }
    text
}

/// Each runs again under its known name, on the new image and with its owner's policy; the old one
/// is put aside.
async fn returned(lab: &TestLab) {
    for component in [Component::Builder, Component::Clair, Component::Mirror] {
        let all = lab.companions(component);
        assert!(!all.is_empty(), "the lab has a {component}");
        for (node, known) in all {
            let shown = lab.companion(&node, &known).await;
            let own = shown.iter().find(|one| name(one) == known);
            let own = own.expect("the known name is taken");
            assert!(is_running(own), "{node}: {component}");
            assert_eq!(policy(own), "always", "{node}: {component}");
            // A mirror leaves one behind in each window.
            let mut old = shown.iter().filter(|one| name(one) != known);
            assert!(old.clone().any(|old| old.image != own.image), "{node}: {component}");
            let rests = |old: &_| !is_running(old) && policy(old) == "no";
            assert!(old.all(rests), "{node}: {component}");
        }
    }
}
