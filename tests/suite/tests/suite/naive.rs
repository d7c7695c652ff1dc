//! The witness bites: what goes wrong by hand is seen, and the stand-in
//! database is ruined by it as a real one would be. Done carefully, the same
//! hands leave nothing to see.

use quaymaster_lab::cluster::Agents;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::quay::inspect;
use quaymaster_lab::record::QuayEvent;
use quaymaster_suite::{Shape, TestLab};
use sqlx::{Connection, SqliteConnection};

use crate::by_hand::{BOUND, Hands};

const ONE: &str = "quay-1";
const TWO: &str = "quay-2";
/// What the container of a start that failed exits with.
const START_FAILED: i64 = 255;
/// How the database says that a revision has changed it and is not stamped.
const HALF_DONE: &str = "but the database is stamped";

/// Two nodes whose migration is slow enough to be met in its middle.
async fn lab() -> TestLab {
    lab_with_revisions_of(0.1).await
}

async fn lab_with_revisions_of(seconds: f64) -> TestLab {
    let mut shape = Shape::of(2);
    shape.agents = Agents::LeftOut;
    shape.pace.revision_seconds = seconds;
    TestLab::up(shape).await
}

#[tokio::test]
async fn a_careful_person_leaves_nothing_to_see() {
    let lab = lab().await;
    let hands = Hands(&lab);
    let (one, two) = (hands.prepare(ONE).await, hands.prepare(TWO).await);
    go_dark(&hands).await;
    hands.start(ONE, &one).await;
    hands.until_healthy(ONE).await;
    hands.start(TWO, &two).await;
    hands.until_healthy(TWO).await;

    let verdict = lab.check().await;
    verdict.expect_clean();
    assert_eq!(verdict.damage(), Vec::<String>::new());
    assert_eq!(verdict.migrations(), 1);
    assert_eq!(lab.look().await.revision.as_deref(), Some("b918abdbee43"));
}

#[tokio::test]
async fn two_nodes_started_at_once_ruin_the_database() {
    let lab = lab().await;
    let hands = Hands(&lab);
    let (one, two) = (hands.prepare(ONE).await, hands.prepare(TWO).await);
    go_dark(&hands).await;
    hands.start(ONE, &one).await;
    hands.start(TWO, &two).await;
    // One of them loses; which one is chance.
    for node in [ONE, TWO] {
        hands.until_recorded(node, is_migrations_end).await;
    }

    let verdict = lab.check().await;
    assert!(!verdict.is_clean);
    assert_eq!(verdict.broken(), [1, 2], "{:#}", verdict.json["violations"]);
    let damage = verdict.damage().join("\n");
    assert!(damage.contains("is there twice"), "{damage}");
}

#[tokio::test]
async fn a_start_before_every_old_one_is_stopped_loses_what_is_pushed_meanwhile() {
    let lab = lab().await;
    let hands = Hands(&lab);
    let (one, two) = (hands.prepare(ONE).await, hands.prepare(TWO).await);
    hands.retire(ONE).await;
    for node in [ONE, TWO] {
        hands.set_mode(node, "complete");
    }
    hands.start(ONE, &one).await;
    hands.until_healthy(ONE).await;
    push_to_2_9(&lab).await;
    hands.retire(TWO).await;
    hands.start(TWO, &two).await;
    hands.until_healthy(TWO).await;

    let verdict = lab.check().await;
    assert!(!verdict.is_clean);
    assert_eq!(verdict.broken(), [1, 3], "{:#}", verdict.json["violations"]);
    let damage = verdict.damage().join("\n");
    assert!(damage.contains("1 visible tags are not mapped"), "{damage}");
}

#[tokio::test]
async fn a_migration_killed_half_way_is_wedged_for_good() {
    let lab = lab_with_revisions_of(2.0).await;
    let hands = Hands(&lab);
    let (one, two) = (hands.prepare(ONE).await, hands.prepare(TWO).await);
    go_dark(&hands).await;
    hands.start(ONE, &one).await;
    until("the middle of a revision", BOUND, async || {
        let damage = inspect(&lab.database_uri()).await.unwrap().damage;
        if damage.iter().any(|what| what.contains(HALF_DONE)) { Ok(()) } else { Err("no".into()) }
    })
    .await
    .unwrap();
    hands.kill(ONE, &one).await;
    hands.until_ended(ONE, &one).await;

    let verdict = lab.check().await;
    assert!(!verdict.is_clean);
    assert_eq!(verdict.broken(), [2], "{:#}", verdict.json["violations"]);
    let damage = verdict.damage().join("\n");
    assert!(damage.contains(HALF_DONE), "{damage}");

    // A fresh container meets what the killed one left.
    hands.start(TWO, &two).await;
    assert_eq!(hands.until_ended(TWO, &two).await, START_FAILED);
}

/// Every old Quay stopped, then the new mode in place everywhere.
async fn go_dark(hands: &Hands<'_>) {
    for node in [ONE, TWO] {
        hands.retire(node).await;
    }
    for node in [ONE, TWO] {
        hands.set_mode(node, "complete");
    }
}

fn is_migrations_end(event: &QuayEvent) -> bool {
    matches!(event, QuayEvent::MigrationEnded { .. })
}

/// What a Quay 2.9 that still serves does with every push: a row of the old model, and nothing in
/// the new one.
async fn push_to_2_9(lab: &TestLab) {
    let path = lab.lab().layout().database_file();
    let mut database =
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query(
        "INSERT INTO repositorytag (id, name, repository_id, hidden, lifetime_start_ts) \
         SELECT max(id) + 1, 'pushed-meanwhile', 1, false, 1600000000 FROM repositorytag",
    )
    .execute(&mut database)
    .await
    .unwrap();
    database.close().await.unwrap();
}
