//! The whole upgrade on PostgreSQL, where the dark gate asks the database who
//! is there: a session that nobody can name ends the window, and the service is
//! back.

mod failover;

use std::process::Stdio;
use std::time::Duration;

use insta::assert_snapshot;
use quaymaster_lab::cluster::lab_file::DatabaseKind;
use quaymaster_lab::cluster::wait::until;
use quaymaster_suite::container::is_running;
use quaymaster_suite::{Shape, TestLab, redact};
use sqlx::{Connection, PgConnection};
use tokio::process::{Child, Command};

use crate::gates;
use crate::whole::{is_complete, succeeded};

const BOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn three_nodes_in_two_windows_and_a_stranger_in_the_dark() {
    let mut shape = Shape::of(3);
    shape.database = DatabaseKind::Postgres;
    let lab = TestLab::up(shape).await;
    let before = lab.look().await;
    let plan = lab.plan(Some("background")).await;

    let stranger = psql(&lab).await;
    let held = lab.apply(&plan).await.expect_code(7);
    for said in ["psql", "quay", "127.0.0.1"] {
        assert!(held.stderr.contains(said), "`{said}` is not named:\n{}", held.page());
    }
    put_back(&lab, &before.revision).await;

    // It stays: another window ends the same way.
    let plan = lab.plan(Some("background")).await;
    lab.apply(&plan).await.expect_code(7);
    put_back(&lab, &before.revision).await;

    end(stranger).await;
    let before = lab.look().await;
    let plan = lab.plan(Some("background")).await;
    let gone = lab.apply(&plan).await.expect_code(0);
    succeeded(&lab, &before, &lab.look().await, "background").await;

    let second = lab.plan(None).await;
    lab.apply(&second).await.expect_code(0);
    is_complete(&lab, &before, 2).await;

    redact::settings(&lab).bind(|| {
        assert_snapshot!("postgres-plan", redact::steady(&plan.outcome.page()));
        assert_snapshot!("postgres-a-stranger", redact::steady(&held.page()));
        assert_snapshot!("postgres-without-the-stranger", redact::steady(&gone.page()));
    });
}

#[tokio::test]
async fn a_second_quaymaster_is_refused_by_the_name_of_the_first() {
    gates::a_second_quaymaster_is_refused(DatabaseKind::Postgres).await;
}

#[tokio::test]
async fn a_tag_that_stays_unmapped_is_named_in_the_report() {
    gates::a_tag_that_stays_unmapped_is_named(DatabaseKind::Postgres).await;
}

#[tokio::test]
async fn green_health_short_of_the_target_revision_holds() {
    gates::a_revision_short_of_the_target_holds(DatabaseKind::Postgres).await;
}

#[tokio::test]
async fn a_migrating_container_that_restarts_once_holds() {
    gates::a_container_that_restarts_once_holds(DatabaseKind::Postgres).await;
}

/// On every node one Quay serves as before, no new one is left, and the database is as it was.
pub(crate) async fn put_back(lab: &TestLab, revision: &Option<String>) {
    serves_as_before(lab, revision).await;
    lab.check().await.expect_clean();
}

async fn serves_as_before(lab: &TestLab, revision: &Option<String>) {
    let now = lab.look().await;
    assert_eq!(&now.revision, revision);
    for (node, containers) in &now.containers {
        let running = containers.values().filter(|shown| is_running(shown));
        assert_eq!(running.count(), 1, "{node}");
        assert!(containers.keys().all(|name| !name.contains("-next")), "{node}");
    }
}

/// A person at the database, doing nothing.
async fn psql(lab: &TestLab) -> Child {
    let psql = Command::new("psql")
        .arg(lab.database_uri())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("psql's session", BOUND, async || match strangers(lab).await {
        0 => Err("none yet".to_owned()),
        _ => Ok(()),
    })
    .await
    .unwrap();
    psql
}

async fn end(mut psql: Child) {
    psql.kill().await.unwrap();
}

async fn strangers(lab: &TestLab) -> i64 {
    let mut database = PgConnection::connect(&lab.database_uri()).await.unwrap();
    let count =
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql'")
            .fetch_one(&mut database)
            .await
            .unwrap();
    database.close().await.unwrap();
    count
}
