//! Engines that start again, and agents that are killed, in the middle of a window.

use std::fs;

use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::record::EngineAction;
use rustix::process::Signal;

use super::scene::{BOUND, ONE, TWO, Window, shape};

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

/// An engine that is told to leave its containers alone when it starts again.
#[tokio::test]
async fn the_engine_of_the_migrating_node_crashes_and_leaves_its_containers_alone() {
    let window = Window::migrating(4.0).await;
    let settings = window.lab.lab().layout().engine_data(ONE).join("daemon.json");
    fs::write(settings, r#"{"live-restore": true}"#).unwrap();
    let engine = window.lab.engine(ONE);
    window.lab.lab().signal_engine(ONE, Signal::HUP).unwrap();
    until("the engine to take its settings", BOUND, async || {
        match engine.info().await.unwrap().live_restore_enabled {
            Some(true) => Ok(()),
            Some(false) | None => Err("not yet".to_owned()),
        }
    })
    .await
    .unwrap();
    window.lab.restart_engine(ONE, Signal::KILL).await;
    window.ends_well().await;
}
