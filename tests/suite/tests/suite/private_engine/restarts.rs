//! Engines that start again, and agents that are killed, in the middle of a window.

use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_lab::record::EngineAction;
use rustix::process::Signal;

use super::scene::{ONE, TWO, Window, shape};

#[tokio::test]
async fn every_engine_starts_again_in_the_dark() {
    let window = Window::held_in_the_dark().await;
    for node in window.lab.nodes() {
        window.lab.restart_engine(&node, Signal::TERM).await;
    }
    window.expect_dark().await;
    window.signal(Signal::CONT);
    window.ends_well().await;
}

#[tokio::test]
async fn an_engine_crashes_while_another_node_migrates() {
    let window = Window::migrating(4.0).await;
    window.lab.restart_engine(TWO, Signal::KILL).await;
    window.expect_dark().await;
    window.ends_well().await;
}

#[tokio::test]
async fn an_agent_is_killed_during_a_stop() {
    let mut shape = shape();
    shape.pace.stop_seconds = 1.0;
    let mut window = Window::begin(shape).await;
    window.until_engine(TWO, EngineAction::Kill).await;
    window.lab.lab().kill(Role::Agent, Some(TWO)).await.unwrap();
    window.lab.restart_agent(TWO).await;
    window.ends_well().await;
}

#[tokio::test]
async fn the_agent_of_the_migrating_node_is_killed() {
    let mut window = Window::migrating(3.0).await;
    window.lab.lab().kill(Role::Agent, Some(ONE)).await.unwrap();
    window.lab.restart_agent(ONE).await;
    window.ends_well().await;
}
