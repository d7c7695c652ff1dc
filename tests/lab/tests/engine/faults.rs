//! The faults that the lab can order.

use crate::bench::{Bench, POLITE, refused, until};
use bollard::models::{ContainerStateStatusEnum, ContainerUpdateBody};
use quaymaster_lab::engine::{Faults, set_faults};

#[tokio::test]
async fn a_start_can_be_made_to_fail_and_to_recover() {
    let bench = Bench::stand_in().await;
    let id = bench.create("a", POLITE).await;
    let faults = Faults { start_fails: [bench.name("a")].into(), ..Default::default() };
    set_faults(&bench.own().state(), &faults).unwrap();
    assert_eq!(refused(bench.docker.start_container(&id, None).await).0, 500);
    assert_eq!(bench.state(&id).await.status, Some(ContainerStateStatusEnum::CREATED));
    set_faults(&bench.own().state(), &Faults::default()).unwrap();
    bench.start(&id).await;
    bench.finish().await;
}

#[tokio::test]
async fn a_start_can_happen_although_its_answer_says_no() {
    let bench = Bench::stand_in().await;
    let id = bench.create("a", POLITE).await;
    let faults = Faults { start_answer_lost: [bench.name("a")].into(), ..Default::default() };
    set_faults(&bench.own().state(), &faults).unwrap();
    assert_eq!(refused(bench.docker.start_container(&id, None).await).0, 500);
    assert_eq!(bench.state(&id).await.running, Some(true));
    bench.finish().await;
}

#[tokio::test]
async fn a_policy_can_be_made_unchangeable() {
    let bench = Bench::stand_in().await;
    let id = bench.create("a", POLITE).await;
    let faults = Faults { update_fails: [bench.name("a")].into(), ..Default::default() };
    set_faults(&bench.own().state(), &faults).unwrap();
    let update = bench.docker.update_container(&id, ContainerUpdateBody::default()).await;
    assert_eq!(refused(update).0, 500);
    bench.finish().await;
}

#[tokio::test]
async fn a_stop_can_hang_and_goes_on_without_its_asker() {
    let bench = Bench::stand_in().await;
    let id = bench.run("a", POLITE).await;
    let faults = Faults { stop_hangs_seconds: 1, ..Default::default() };
    set_faults(&bench.own().state(), &faults).unwrap();
    drop(bench.send("POST", &format!("/containers/{id}/stop")).await);
    until("the end", async || (bench.state(&id).await.exit_code == Some(7)).then_some(())).await;
    bench.finish().await;
}
