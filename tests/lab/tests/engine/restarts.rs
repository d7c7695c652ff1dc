//! What brings a container back while the engine runs, and what keeps it down.

use crate::bench::{Bench, POLITE, policy, until};
use bollard::{
    models::{ContainerStateStatusEnum, ContainerUpdateBody, RestartPolicyNameEnum},
    query_parameters::KillContainerOptionsBuilder,
};

#[tokio::test]
async fn always_brings_a_crashed_container_back() {
    let bench = Bench::either().await;
    let mut body = bench.body("echo once; exit 3");
    body.host_config = Some(policy(RestartPolicyNameEnum::ALWAYS, 0));
    let id = bench.create_as("a", body).await.unwrap();
    bench.start(&id).await;
    until("three restarts", async || (bench.restart_count(&id).await >= 3).then_some(())).await;
    bench.stop(&id, 5).await;
    let state = bench.state(&id).await;
    assert_eq!(state.status, Some(ContainerStateStatusEnum::EXITED));
    assert!(bench.printed(&id).await.matches("once").count() >= 3);
    bench.finish().await;
}

#[tokio::test]
async fn on_failure_gives_up() {
    let bench = Bench::either().await;
    let mut body = bench.body("exit 3");
    body.host_config = Some(policy(RestartPolicyNameEnum::ON_FAILURE, 2));
    let id = bench.create_as("a", body).await.unwrap();
    bench.start(&id).await;
    let state = until("the last end", async || {
        let exited = |status| status == Some(ContainerStateStatusEnum::EXITED);
        Some(bench.state(&id).await).filter(|state| exited(state.status))
    })
    .await;
    assert_eq!((state.exit_code, bench.restart_count(&id).await), (Some(3), 2));
    bench.finish().await;
}

#[tokio::test]
async fn a_policy_changed_while_it_runs_counts_at_its_end() {
    let bench = Bench::either().await;
    let mut body = bench.body(POLITE);
    body.host_config = Some(policy(RestartPolicyNameEnum::ALWAYS, 0));
    let id = bench.run_as("a", body).await;
    let no = policy(RestartPolicyNameEnum::NO, 0).restart_policy;
    let update = ContainerUpdateBody { restart_policy: no.clone(), ..Default::default() };
    bench.docker.update_container(&id, update).await.unwrap();
    assert_eq!(bench.inspect(&id).await.host_config.unwrap().restart_policy, no);
    assert_eq!(bench.state(&id).await.running, Some(true));

    // Not by the engine's hand, so that only the policy decides.
    let pid = bench.state(&id).await.pid.unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let state = until("the end", async || {
        Some(bench.state(&id).await).filter(|state| state.running == Some(false))
    })
    .await;
    assert_eq!(state.status, Some(ContainerStateStatusEnum::EXITED));
    assert_eq!((state.exit_code, bench.restart_count(&id).await), (Some(137), 0));
    bench.finish().await;
}

#[tokio::test]
async fn a_container_killed_by_request_stays_down() {
    let bench = Bench::either().await;
    let mut body = bench.body(POLITE);
    body.host_config = Some(policy(RestartPolicyNameEnum::ALWAYS, 0));
    let id = bench.run_as("a", body).await;
    let kill = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
    bench.docker.kill_container(&id, Some(kill)).await.unwrap();
    let state = until("the end", async || {
        Some(bench.state(&id).await).filter(|state| state.running == Some(false))
    })
    .await;
    assert_eq!(state.status, Some(ContainerStateStatusEnum::EXITED));
    assert_eq!(bench.restart_count(&id).await, 0);
    bench.finish().await;
}
