//! Hosts that lose their power in the middle of a window.

use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_lab::record::EngineAction;
use quaymaster_suite::container::policy;
use rustix::process::Signal;

use super::scene::{ONE, TWO, Window, shape};

/// Its engine brings the old Quay back, which nothing forbids yet.
#[tokio::test]
async fn a_host_loses_power_before_its_stop_is_seen() {
    let mut shape = shape();
    shape.pace.stop_seconds = 1.0;
    let mut window = Window::begin(shape).await;
    window.until_engine(ONE, EngineAction::Kill).await;
    window.lab.lab().pause(Role::Agent, Some(TWO)).unwrap();
    let old = window.old(TWO);
    // However far its agent had come by then.
    if policy(&window.lab.containers(TWO).await[&old]) != "always" {
        window.set_always_by_hand(TWO, &old).await;
    }
    window.lab.cut_power(TWO).await;
    window.lab.boot_engine(TWO).await;
    window.until_revived(TWO, &old).await;
    window.lab.restart_agent(TWO).await;
    window.ends_well().await;
}

#[tokio::test]
async fn a_host_loses_power_after_its_stop_was_seen() {
    let mut window = Window::held_in_the_dark().await;
    window.lab.cut_power(TWO).await;
    window.lab.boot(TWO).await;
    window.expect_dark().await;
    window.signal(Signal::CONT);
    window.ends_well().await;
}

#[tokio::test]
async fn a_host_loses_power_while_another_node_migrates() {
    let mut window = Window::migrating(4.0).await;
    window.lab.cut_power(TWO).await;
    window.lab.boot(TWO).await;
    window.expect_dark().await;
    window.ends_well().await;
}
