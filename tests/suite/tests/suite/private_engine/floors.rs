//! What somebody else starts in the middle of a window: the agent stops on sight what is below the
//! floor, and nobody touches the container that migrates.

use bollard::query_parameters::StartContainerOptions;
use quaymaster_suite::cluster::name;

use super::scene::{ONE, TWO, Window};

#[tokio::test]
async fn a_cron_job_starts_the_retired_quay_while_another_node_migrates() {
    let window = Window::migrating(5.0).await;
    for node in [ONE, TWO] {
        // What it knows by name is not there to be restarted.
        let known = window.lab.lab().node(node).unwrap().container.clone();
        let engine = window.lab.engine(node);
        engine.restart_container(&known, None).await.unwrap_err();
    }
    // On the node that migrates the ports are taken.
    let (engine, old) = (window.lab.engine(ONE), window.old(ONE));
    engine.start_container(&old, None::<StartContainerOptions>).await.unwrap_err();
    let old = window.old(TWO);
    window.start_by_hand(TWO, &old).await;
    window.until_stopped(TWO, &old).await;
    window.ends_well().await;
}

/// Somebody gave the retired one its policy back, and then the power goes.
#[tokio::test]
async fn a_host_that_comes_back_does_not_keep_what_its_engine_revives() {
    let mut window = Window::migrating(6.0).await;
    let old = window.old(TWO);
    window.set_always_by_hand(TWO, &old).await;
    window.lab.cut_power(TWO).await;
    window.lab.boot(TWO).await;
    window.until_stopped(TWO, &old).await;
    let retired = window.lab.containers(TWO).await.remove(&old).unwrap();
    assert!(name(&retired).ends_with("-old"), "{}", name(&retired));
    window.ends_well().await;
}
