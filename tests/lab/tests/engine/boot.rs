//! What an engine that starts again makes of its containers. Only a stand-in
//! can be ended by a test.

use crate::bench::{Bench, POLITE, policy, until};
use bollard::models::{ContainerStateStatusEnum, RestartPolicyNameEnum};
use futures::StreamExt;
use quaymaster_lab::engine::{EngineError, power_off, serve};

async fn run_with(bench: &Bench, short: &str, name: RestartPolicyNameEnum) -> String {
    let mut body = bench.body(POLITE);
    body.host_config = Some(policy(name, 0));
    bench.run_as(short, body).await
}

#[tokio::test]
async fn always_comes_back_even_when_a_person_stopped_it() {
    let mut bench = Bench::stand_in().await;
    use RestartPolicyNameEnum::{ALWAYS, NO, UNLESS_STOPPED};
    let stopped_always = run_with(&bench, "stopped-always", ALWAYS).await;
    let stopped_unless = run_with(&bench, "stopped-unless", UNLESS_STOPPED).await;
    for id in [&stopped_always, &stopped_unless] {
        bench.stop(id, 30).await;
    }
    let running_unless = run_with(&bench, "running-unless", UNLESS_STOPPED).await;
    let running_no = run_with(&bench, "running-no", NO).await;
    let staged = bench.create("staged", POLITE).await;

    bench.shut_down().await;
    bench.boot().await;

    for id in [&stopped_always, &running_unless] {
        assert_eq!(bench.state(id).await.running, Some(true));
    }
    assert_eq!(bench.state(&stopped_unless).await.exit_code, Some(7));
    let killed = bench.state(&running_no).await;
    assert_eq!(killed.status, Some(ContainerStateStatusEnum::EXITED));
    assert_eq!(killed.exit_code, Some(137));
    let staged = bench.state(&staged).await;
    assert_eq!(staged.status, Some(ContainerStateStatusEnum::CREATED));
    bench.finish().await;
}

#[tokio::test]
async fn an_engine_keeps_its_name_and_its_images() {
    let mut bench = Bench::stand_in().await;
    let before = bench.docker.info().await.unwrap();
    let images = bench.docker.list_images(None::<bollard::query_parameters::ListImagesOptions>);
    let images = images.await.unwrap();
    assert_eq!(images.len(), 1);
    bench.shut_down().await;
    bench.boot().await;
    let after = bench.docker.info().await.unwrap();
    assert_eq!(before.id, after.id);
    assert_eq!(after.name.as_deref(), Some("quay-1"));
    assert_eq!(after.images, Some(1));
    assert_ne!(Bench::stand_in().await.docker.info().await.unwrap().id, after.id);
    bench.finish().await;
}

#[tokio::test]
async fn what_a_lost_engine_left_running_is_ended() {
    let mut bench = Bench::stand_in().await;
    let id = run_with(&bench, "a", RestartPolicyNameEnum::NO).await;
    let pid = bench.state(&id).await.pid.unwrap();
    bench.lose().await;
    bench.boot().await;
    assert_eq!(bench.state(&id).await.exit_code, Some(137));
    let path = format!("/proc/{pid}");
    until("the process's end", async || (!std::path::Path::new(&path).exists()).then_some(()))
        .await;
    bench.finish().await;
}

#[tokio::test]
async fn a_machine_without_power_runs_nothing() {
    let mut bench = Bench::stand_in().await;
    let id = run_with(&bench, "a", RestartPolicyNameEnum::NO).await;
    let pid = bench.state(&id).await.pid.unwrap();
    bench.lose().await;
    assert_eq!(power_off(&bench.own().state()).await.unwrap(), 1);
    assert_eq!(power_off(&bench.own().state()).await.unwrap(), 0);
    let path = format!("/proc/{pid}");
    until("the process's end", async || (!std::path::Path::new(&path).exists()).then_some(()))
        .await;
    bench.boot().await;
    bench.finish().await;
}

#[tokio::test]
async fn streams_end_with_the_engine() {
    let mut bench = Bench::stand_in().await;
    let events = bench.docker.clone();
    let events = tokio::spawn(async move { events.events(None).collect::<Vec<_>>().await.len() });
    run_with(&bench, "a", RestartPolicyNameEnum::NO).await;
    bench.shut_down().await;
    events.await.unwrap();
    bench.boot().await;
    bench.finish().await;
}

#[tokio::test]
async fn an_older_engine_says_so_and_refuses_newer_paths() {
    let mut bench = Bench::stand_in().await;
    bench.shut_down().await;
    let mut options = bench.options();
    options.api_version = "1.39".to_owned();
    options.engine_version = "18.09.9-standin".to_owned();
    bench.boot_with(options).await;
    let version = bench.docker.version().await.unwrap();
    assert_eq!(version.api_version.as_deref(), Some("1.39"));
    assert_eq!(version.version.as_deref(), Some("18.09.9-standin"));
    assert_eq!(bench.status("GET", "/v1.39/info").await, 200);
    assert_eq!(bench.status("GET", "/v1.41/info").await, 400);
    let negotiated = bench.docker.clone().negotiate_version().await.unwrap();
    assert_eq!(negotiated.client_version().to_string(), "1.39");
    bench.finish().await;
}

#[tokio::test]
async fn two_engines_do_not_share_a_socket() {
    let bench = Bench::stand_in().await;
    let second = serve(bench.options(), std::future::pending()).await;
    assert!(matches!(second, Err(EngineError::InUse { .. })), "{second:?}");
    bench.docker.ping().await.unwrap();
    bench.finish().await;
}
