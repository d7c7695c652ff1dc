//! The whole upgrade, both documented ways, with one node and with three: what
//! the operator reads, what became of every container and every config.yaml,
//! and the witness's word.

use std::time::Duration;

use insta::assert_snapshot;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::quay::inspect;
use quaymaster_suite::cluster::{Seen, changed_lines, name};
use quaymaster_suite::container::{Ports, is_running, policy, ports};
use quaymaster_suite::redact;
use quaymaster_suite::{Shape, TestLab};

const BACKGROUND: Option<&str> = Some("background");
const SYNCHRONOUS: Option<&str> = Some("synchronous");
const BACKGROUND_TARGET: &str = "481623ba00ba";
const COMPLETE_TARGET: &str = "b918abdbee43";

#[tokio::test]
async fn three_nodes_in_two_windows_as_the_operator_reads_them() {
    let lab = TestLab::up(Shape::of(3)).await;
    let before = lab.look().await;
    let mut pages = vec![("status-before", lab.quaymaster(["status"]).await.page())];

    let plan = lab.plan(BACKGROUND).await;
    pages.push(("plan-of-window-1", plan.outcome.page()));
    pages.push(("window-1", lab.apply(&plan).await.expect_code(0).page()));
    let between = lab.look().await;
    assert_eq!(between.revision.as_deref(), Some(BACKGROUND_TARGET));
    succeeded(&lab, &before, &between, "background").await;

    // What comes next is read off the cluster. With every tag mapped, so that the forecast does not
    // hang on how far the backfill is at this moment.
    backfilled(&lab).await;
    let plan = lab.plan(None).await;
    let parts = plan.json["forecast"]["parts"].as_array().unwrap();
    let start = parts.iter().find(|part| part["what"] == "rest-start").unwrap();
    assert!(start["basis"]["measured"]["run"].is_string(), "as the first window took it: {start}");
    pages.push(("plan-of-window-2", plan.outcome.page()));
    pages.push(("window-2", lab.apply(&plan).await.expect_code(0).page()));
    pages.push(("status-after", lab.quaymaster(["status"]).await.page()));
    pages.push(("nothing-left", lab.quaymaster(["plan", "--to", "3.0.5"]).await.page()));
    let after = lab.look().await;
    assert_eq!(after.revision.as_deref(), Some(COMPLETE_TARGET));
    succeeded(&lab, &before, &after, "complete").await;

    let verdict = lab.check().await;
    verdict.expect_clean();
    assert_eq!(verdict.migrations(), 2);
    assert_eq!(verdict.damage(), Vec::<String>::new());
    redact::settings(&lab).bind(|| {
        for (name, page) in pages {
            assert_snapshot!(format!("background-{name}"), redact::steady(&page));
        }
    });
}

#[tokio::test]
async fn three_nodes_in_one_window_as_the_operator_reads_it() {
    let lab = TestLab::up(Shape::of(3)).await;
    let before = lab.look().await;
    let plan = lab.plan(SYNCHRONOUS).await;
    let applied = lab.apply(&plan).await.expect_code(0);
    is_complete(&lab, &before, 1).await;
    redact::settings(&lab).bind(|| {
        assert_snapshot!("synchronous-plan", redact::steady(&plan.outcome.page()));
        assert_snapshot!("synchronous-window", redact::steady(&applied.page()));
    });
}

/// Waits until every visible tag is mapped.
pub(crate) async fn backfilled(lab: &TestLab) {
    until("the backfill's end", Duration::from_secs(60), async || {
        match inspect(&lab.database_uri()).await.unwrap().unmapped_tags {
            0 => Ok(()),
            left => Err(format!("{left} tags left")),
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn one_node_goes_both_ways() {
    for (mode, migrations) in [(BACKGROUND, 2), (SYNCHRONOUS, 1)] {
        let lab = TestLab::up(Shape::of(1)).await;
        let before = lab.look().await;
        lab.apply(&lab.plan(mode).await).await.expect_code(0);
        if mode == BACKGROUND {
            lab.apply(&lab.plan(None).await).await.expect_code(0);
        }
        is_complete(&lab, &before, migrations).await;
    }
}

/// As on a filer that every node mounts: the one file is edited once in each window.
#[tokio::test]
async fn nodes_that_share_one_config_have_it_edited_once() {
    let mut shape = Shape::of(3);
    shape.shared_config = true;
    let lab = TestLab::up(shape).await;
    let before = lab.look().await;
    let plan = lab.plan(BACKGROUND).await;
    for verb in ["stage-config", "put-config"] {
        let steps = plan.json["steps"].as_array().unwrap().iter();
        let editing: Vec<_> = steps.filter(|step| step["what"]["act"] == verb).collect();
        assert_eq!(editing.len(), 1, "{verb}");
        assert_eq!(editing[0]["nodes"], serde_json::json!(["quay-1"]), "{verb}");
    }
    lab.apply(&plan).await.expect_code(0);
    let between = lab.look().await;
    succeeded(&lab, &before, &between, "background").await;
    lab.apply(&lab.plan(None).await).await.expect_code(0);
    let after = lab.look().await;
    succeeded(&lab, &before, &after, "complete").await;
    lab.check().await.expect_clean();
}

/// The whole way is gone, after so many migrations, and the witness saw nothing wrong.
pub(crate) async fn is_complete(lab: &TestLab, before: &Seen, migrations: usize) {
    let after = lab.look().await;
    assert_eq!(after.revision.as_deref(), Some(COMPLETE_TARGET));
    succeeded(lab, before, &after, "complete").await;
    let verdict = lab.check().await;
    verdict.expect_clean();
    assert_eq!(verdict.migrations(), migrations);
}

/// Every node runs a fresh container of the new generation under the known
/// name, with all that its owner asked for; the old one is put aside; and its
/// config.yaml differs in the one line.
pub(crate) async fn succeeded(lab: &TestLab, before: &Seen, after: &Seen, mode: &str) {
    for node in lab.nodes() {
        // What earlier windows put aside stays beside it.
        let old = before.containers[&node].values().find(|shown| is_running(shown)).unwrap();
        let known = name(old);
        let new = lab.quay_of(&node).await;
        assert!(is_running(&new), "{node}");
        assert_ne!(new.image, old.image, "{node} runs a new image");
        assert_eq!(
            lab.owners_part(&node, &new).await,
            lab.owners_part(&node, old).await,
            "what the owner of {node} asked for"
        );
        assert_eq!(ports(&new), moved(&ports(old)), "{node}");
        assert_eq!(new.restart_count, Some(0), "{node}");

        let old = &after.containers[&node][old.id.as_ref().unwrap()];
        assert!(!is_running(old), "{node}");
        assert_eq!(policy(old), "no", "{node}");
        assert!(is_old_name(&name(old), &known), "{}", name(old));

        let (config, original) = (&after.configs[&node], &before.configs[&node]);
        let (removed, added) = changed_lines(&original.text, &config.text);
        assert_eq!(removed, Vec::<String>::new(), "{node}");
        assert_eq!(added, [format!("V3_UPGRADE_MODE: {mode}\n")], "{node}");
        assert_eq!(
            (config.owner, config.group, config.mode),
            (original.owner, original.group, original.mode),
            "{node}"
        );
    }
}

/// The same outside, two other ports inside (quay-facts 2.2).
fn moved(old: &Ports) -> Ports {
    let inside = |port: &str| match port {
        "80/tcp" => "8080/tcp".to_owned(),
        "443/tcp" => "8443/tcp".to_owned(),
        other => other.to_owned(),
    };
    old.iter().map(|(port, outside)| (inside(port), outside.clone())).collect()
}

/// `<name>.quaymaster-<8 characters of the run>-old`.
fn is_old_name(found: &str, known: &str) -> bool {
    found
        .strip_prefix(known)
        .and_then(|rest| rest.strip_prefix(".quaymaster-"))
        .and_then(|rest| rest.strip_suffix("-old"))
        .is_some_and(|run| run.len() == 8 && run.bytes().all(|one| one.is_ascii_alphanumeric()))
}
