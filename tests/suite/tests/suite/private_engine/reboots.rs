//! Hosts that lose their power in the middle of a window.

use quaymaster_lab::record::EngineAction;
use rustix::process::Signal;

use super::scene::{ONE, TWO, Window, shape};

#[tokio::test]
async fn a_host_loses_power_before_its_stop_is_seen() {
    let mut shape = shape();
    shape.pace.stop_seconds = 1.0;
    let mut window = Window::begin(shape).await;
    window.until_engine(ONE, EngineAction::Kill).await;
    window.lab.cut_power(TWO).await;
    window.lab.boot(TWO).await;
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
