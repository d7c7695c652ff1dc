//! The whole upgrade on MariaDB, whose sessions have no names: agents know each
//! other's by the locks they hold, and a session that nobody can name ends the
//! window. What an agent may not see is not taken for nothing.

use insta::assert_snapshot;
use quaymaster_lab::cluster::lab_file::DatabaseKind;
use quaymaster_suite::{Shape, TestLab, redact};
use sqlx::{Connection, MySqlConnection};

use crate::gates::{self, Person};
use crate::postgres::put_back;
use crate::refusals::{PLAN, refused};
use crate::whole::{backfilled, is_complete, succeeded};

async fn lab_of(nodes: u8) -> TestLab {
    let mut shape = Shape::of(nodes);
    shape.database = DatabaseKind::Mariadb;
    TestLab::up(shape).await
}

/// A session that nobody named, of the lab's own user.
async fn stranger(lab: &TestLab) -> MySqlConnection {
    let secrets = &lab.lab().file().secrets;
    let own = secrets.iter().find(|secret| secret.name.ends_with("role lab")).unwrap();
    let uri = lab.database_uri();
    let (password, (_, place)) = (&own.value, uri.rsplit_once('@').unwrap());
    MySqlConnection::connect(&format!("mysql://lab:{password}@{place}")).await.unwrap()
}

/// A person's own look at what was kept.
pub(crate) fn is_whole(lab: &TestLab) {
    let backups = std::fs::read_dir(lab.lab().layout().backups("quay-1")).unwrap();
    let dumps: Vec<_> = backups
        .map(|entry| entry.unwrap().path().join("quay.sql"))
        .filter(|path| path.exists())
        .collect();
    assert_eq!(dumps.len(), 1, "{dumps:?}");
    let dump = &dumps[0];
    let text = std::fs::read_to_string(dump).unwrap();
    assert!(text.contains("INSERT INTO `repositorytag` VALUES"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("-- Dump completed"), "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&dump.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn two_nodes_in_two_windows_and_a_stranger_in_the_dark() {
    let lab = lab_of(2).await;
    let before = lab.look().await;
    let plan = lab.plan(Some("background")).await;

    let stranger = stranger(&lab).await;
    let held = lab.apply(&plan).await.expect_code(7);
    for said in ["lab", "127.0.0.1"] {
        assert!(held.stderr.contains(said), "`{said}` is not named:\n{}", held.page());
    }
    put_back(&lab, &before.revision).await;

    stranger.close().await.unwrap();
    let before = lab.look().await;
    let plan = lab.plan(Some("background")).await;
    let done = lab.apply(&plan).await.expect_code(0);
    assert!(done.stdout.contains("verified"), "{}", done.page());
    is_whole(&lab);
    succeeded(&lab, &before, &lab.look().await, "background").await;
    backfilled(&lab).await;

    lab.apply(&lab.plan(None).await).await.expect_code(0);
    is_complete(&lab, &before, 2).await;
    redact::settings(&lab).bind(|| {
        assert_snapshot!("mariadb-plan", redact::steady(&plan.outcome.page()));
        assert_snapshot!("mariadb-a-stranger", redact::steady(&held.page()));
    });
}

#[tokio::test]
async fn two_nodes_in_one_window_after_what_cannot_be_seen_or_written_was_refused() {
    let lab = lab_of(2).await;
    let before = lab.look().await;
    let cluster = "cluster.yaml";
    let person = Person::at(&lab).await;

    person.execute("REVOKE PROCESS ON *.* FROM quay@'%'").await;
    let blind = refused(&lab, "mariadb-without-the-privilege", cluster, PLAN).await;
    assert!(blind.stderr.contains("GRANT PROCESS ON *.* TO 'quay'@'%'"), "{}", blind.page());
    person.execute("GRANT PROCESS ON *.* TO quay@'%'").await;

    person.execute("SET GLOBAL read_only = ON").await;
    refused(&lab, "mariadb-read-only", cluster, PLAN).await;
    person.execute("SET GLOBAL read_only = OFF").await;
    drop(person);

    lab.apply(&lab.plan(Some("synchronous")).await).await.expect_code(0);
    is_complete(&lab, &before, 1).await;
}

#[tokio::test]
async fn a_second_quaymaster_is_refused_by_the_name_of_the_first() {
    gates::a_second_quaymaster_is_refused(DatabaseKind::Mariadb).await;
}

#[tokio::test]
async fn a_tag_that_stays_unmapped_is_named_in_the_report() {
    gates::a_tag_that_stays_unmapped_is_named(DatabaseKind::Mariadb).await;
}

#[tokio::test]
async fn green_health_short_of_the_target_revision_holds() {
    gates::a_revision_short_of_the_target_holds(DatabaseKind::Mariadb).await;
}
