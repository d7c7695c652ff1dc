//! Two coordinators of one run: the first stands still in the dark, another one takes over, and then
//! the first goes on.

use std::fs;

use quaymaster_lab::record::QuayEvent;
use quaymaster_suite::command::finish;
use rustix::process::Signal;

use super::scene::{ONE, Window, is_upgraded};

/// The exit code where the lease is another's.
const LEASE_HELD: i32 = 5;

#[tokio::test]
async fn a_coordinator_that_wakes_up_too_late_is_refused_by_the_nodes() {
    let window = Window::held_in_the_dark().await;
    // A machine that has never seen the run.
    let dir = window.lab.dir();
    let cluster = fs::read_to_string(dir.join("cluster.yaml")).unwrap();
    let elsewhere = cluster.replace("\nstate: state\n", "\nstate: elsewhere\n");
    assert_ne!(cluster, elsewhere);
    fs::write(dir.join("elsewhere.yaml"), elsewhere).unwrap();
    let digest = window.plan.digest.as_str();
    let take_over = ["resume", "--from-nodes", "--take-over", "--yes", "--wait"];
    let agreed = ["--accept-irreversible", digest];
    let second =
        window.lab.spawn_quaymaster_of("elsewhere.yaml", take_over.into_iter().chain(agreed));
    window.until_quay(ONE, |event| matches!(event, QuayEvent::MigrationBegun { .. })).await;

    window.signal(Signal::CONT);
    let Window { lab, coordinator, plan: _, before } = window;
    let first = finish(coordinator, "the first coordinator").await.expect_code(LEASE_HELD);
    eprintln!("{}", first.page());
    finish(second, "the second coordinator").await.expect_code(0);
    is_upgraded(&lab, &before).await;
}
