//! The rig itself: what a real engine makes of its containers when it or its host goes.

use quaymaster_lab::cluster::wait::until;
use quaymaster_suite::container::{is_running, policy};
use quaymaster_suite::{Shape, TestLab};
use rustix::process::Signal;

use super::scene::{BOUND, ONE, TWO, shape};

#[tokio::test]
async fn a_host_without_power_takes_down_nobody_else_and_comes_back() {
    let mut lab = TestLab::up(shape()).await;
    let (one, two) = (lab.quay_of(ONE).await, lab.quay_of(TWO).await);
    assert_eq!(policy(&one), "always");

    lab.cut_power(TWO).await;
    assert!(is_running(&lab.quay_of(ONE).await));
    lab.boot(TWO).await;
    let again = lab.quay_of(TWO).await;
    assert_eq!(again.id, two.id);
    assert!(is_running(&again), "its policy brings it back");
    assert_ne!(started(&again), started(&two));
    assert_eq!(started(&lab.quay_of(ONE).await), started(&one));
    lab.check().await.expect_clean();
}

#[tokio::test]
async fn an_engine_that_starts_again_brings_back_what_is_to_run_always() {
    let lab = TestLab::up(Shape { nodes: 1, ..shape() }).await;
    for (ended, signal) in [Signal::TERM, Signal::KILL].into_iter().enumerate() {
        let before = lab.quay_of(ONE).await;
        lab.restart_engine(ONE, signal).await;
        let again = lab.quay_of(ONE).await;
        assert_eq!(again.id, before.id);
        assert!(is_running(&again), "{signal:?}");
        assert_ne!(started(&again), started(&before), "{signal:?}");
        // The witness has seen the same process's end and another's start.
        let seen = async || match lab.check().await.processes().len() {
            seen if seen == ended + 2 => Ok(()),
            seen => Err(format!("{seen} processes")),
        };
        until("one more process", BOUND, seen).await.unwrap();
        let verdict = lab.check().await;
        verdict.expect_clean();
        let processes = verdict.processes();
        for process in &processes {
            assert_eq!(process["container_id"].as_str(), before.id.as_deref());
        }
        let running = processes.iter().filter(|process| process["ended"].is_null()).count();
        assert_eq!(running, 1, "{:#}", verdict.json);
    }
}

fn started(shown: &bollard::models::ContainerInspectResponse) -> Option<String> {
    shown.state.as_ref().and_then(|state| state.started_at.clone())
}
