//! Containers by request: created, shown, started, stopped, renamed, removed.

use crate::bench::{Bench, DEAF, IMAGE, POLITE, policy, published, refused, until};
use bollard::{
    models::{ContainerStateStatusEnum, ContainerUpdateBody, HostConfig, RestartPolicyNameEnum},
    query_parameters::{
        KillContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        RenameContainerOptionsBuilder,
    },
};
use std::collections::HashMap;

const NEVER: &str = "0001-01-01T00:00:00Z";

#[tokio::test]
async fn a_created_container_shows_the_image_s_and_the_request_s_part() {
    let bench = Bench::either().await;
    let bound = tempfile::tempdir().unwrap();
    let mut body = bench.body(POLITE);
    body.env = Some(vec!["B=request".to_owned(), "C=request".to_owned()]);
    body.host_config = Some(HostConfig {
        binds: Some(vec![format!("{}:/conf/stack:ro", bound.path().display())]),
        privileged: Some(false),
        ..published("127.0.99.1", 18081)
    });
    let id = bench.create_as("a", body).await.unwrap();

    let shown = bench.inspect(&id).await;
    assert_eq!(shown.name, Some(format!("/{}", bench.name("a"))));
    let image = bench.docker.inspect_image(IMAGE).await.unwrap();
    assert_eq!(shown.image, image.id);
    let state = shown.state.unwrap();
    assert_eq!(state.status, Some(ContainerStateStatusEnum::CREATED));
    assert_eq!(state.started_at.as_deref(), Some(NEVER));
    assert_eq!(state.finished_at.as_deref(), Some(NEVER));
    let config = shown.config.unwrap();
    assert_eq!(config.image.as_deref(), Some(IMAGE));
    let mut env = config.env.unwrap();
    env.retain(|line| !line.starts_with("PATH="));
    env.sort();
    assert_eq!(env, ["A=image", "B=request", "C=request"]);
    assert_eq!(config.labels.unwrap()["of"], "image");
    assert_eq!(config.entrypoint, Some(vec!["/bin/sh".to_owned()]));
    assert_eq!(config.exposed_ports, Some(vec!["8080/tcp".to_owned()]));
    let host = shown.host_config.unwrap();
    assert_eq!(host.network_mode.as_deref(), Some("default"));
    assert_eq!(host.shm_size, Some(67_108_864));
    assert!(shown.network_settings.unwrap().networks.unwrap().contains_key("bridge"));
    for mount in shown.mounts.unwrap() {
        if mount.destination.as_deref() == Some("/conf/stack") {
            assert_eq!(mount.typ, Some("bind".to_owned()));
            assert_eq!(mount.rw, Some(false));
        } else {
            assert_eq!(mount.destination.as_deref(), Some("/data"));
            assert_eq!(mount.typ, Some("volume".to_owned()));
            assert_eq!(mount.name.unwrap().len(), 64);
        }
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_second_start_and_a_second_stop_change_nothing() {
    let bench = Bench::either().await;
    let id = bench.run("a", POLITE).await;
    let first = bench.state(&id).await;
    assert_eq!(first.status, Some(ContainerStateStatusEnum::RUNNING));
    assert!(first.pid.unwrap() > 0);
    assert_eq!(bench.status("POST", &format!("/containers/{id}/start")).await, 304);
    assert_eq!(bench.state(&id).await.started_at, first.started_at);

    bench.stop(&id, 30).await;
    let ended = bench.state(&id).await;
    assert_eq!(ended.status, Some(ContainerStateStatusEnum::EXITED));
    assert_eq!((ended.exit_code, ended.pid), (Some(7), Some(0)));
    assert!(ended.finished_at > ended.started_at);
    assert!(bench.printed(&id).await.contains("bye"));
    assert_eq!(bench.status("POST", &format!("/containers/{id}/stop")).await, 304);
    bench.finish().await;
}

#[tokio::test]
async fn who_does_not_hear_is_killed_after_the_grace() {
    let bench = Bench::either().await;
    let id = bench.run("a", DEAF).await;
    bench.stop(&id, 1).await;
    assert_eq!(bench.state(&id).await.exit_code, Some(137));
    bench.finish().await;
}

#[tokio::test]
async fn a_signal_reaches_the_script() {
    let bench = Bench::either().await;
    let id = bench.run("a", POLITE).await;
    let term = KillContainerOptionsBuilder::default().signal("SIGTERM").build();
    bench.docker.kill_container(&id, Some(term.clone())).await.unwrap();
    until("the end", async || bench.state(&id).await.exit_code.filter(|code| *code == 7)).await;
    let (status, _) = refused(bench.docker.kill_container(&id, Some(term)).await);
    assert_eq!(status, 409);
    bench.finish().await;
}

#[tokio::test]
async fn a_taken_name_is_refused_and_a_rename_frees_it() {
    let bench = Bench::either().await;
    let first = bench.run("a", POLITE).await;
    let (status, words) = refused(bench.create_as("a", bench.body(POLITE)).await);
    assert_eq!(status, 409);
    assert!(words.contains("is already in use by container"), "{words}");

    let to =
        |short: &str| RenameContainerOptionsBuilder::default().name(&bench.name(short)).build();
    let second = bench.create("b", POLITE).await;
    assert_eq!(refused(bench.docker.rename_container(&second, to("a")).await).0, 409);
    bench.docker.rename_container(&first, to("old")).await.unwrap();
    assert_eq!(bench.state(&bench.name("old")).await.running, Some(true));
    assert_eq!(refused(bench.docker.inspect_container(&bench.name("a"), None).await).0, 404);
    bench.docker.rename_container(&second, to("a")).await.unwrap();
    assert_eq!(bench.inspect(&bench.name("a")).await.id, Some(second));
    bench.finish().await;
}

#[tokio::test]
async fn two_containers_cannot_have_one_port() {
    let bench = Bench::either().await;
    let with_port = || {
        let mut body = bench.body(POLITE);
        body.host_config = Some(published("127.0.99.2", 18082));
        body
    };
    let first = bench.run_as("a", with_port()).await;
    let ports = bench.inspect(&first).await.network_settings.unwrap().ports.unwrap();
    let binding = &ports["8080/tcp"].as_ref().unwrap()[0];
    assert_eq!(binding.host_ip.as_deref(), Some("127.0.99.2"));
    assert_eq!(binding.host_port.as_deref(), Some("18082"));

    let second = bench.create_as("b", with_port()).await.unwrap();
    let (status, words) = refused(bench.docker.start_container(&second, None).await);
    assert_eq!(status, 500);
    assert!(words.contains("port is already allocated"), "{words}");
    let refused = bench.state(&second).await;
    assert_eq!(refused.status, Some(ContainerStateStatusEnum::CREATED));
    assert_eq!(refused.started_at.as_deref(), Some(NEVER));
    assert_eq!(refused.exit_code, Some(128));

    bench.stop(&first, 30).await;
    bench.start(&second).await;
    assert_eq!(bench.state(&second).await.running, Some(true));
    bench.finish().await;
}

#[tokio::test]
async fn a_port_that_another_program_has_is_not_given_out() {
    let bench = Bench::either().await;
    let other = std::net::TcpListener::bind("127.0.99.4:18084").unwrap();
    let mut body = bench.body(POLITE);
    body.host_config = Some(published("127.0.99.4", 18084));
    let id = bench.create_as("a", body).await.unwrap();
    let (status, words) = refused(bench.docker.start_container(&id, None).await);
    assert_eq!(status, 500);
    assert!(words.contains("address already in use"), "{words}");
    drop(other);
    bench.start(&id).await;
    bench.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let bench = Bench::either().await;
    let mut no_image = bench.body(POLITE);
    no_image.image = Some("quaymaster-nowhere:1".to_owned());
    let (status, words) = refused(bench.create_as("a", no_image).await);
    assert_eq!((status, words.as_str()), (404, "No such image: quaymaster-nowhere:1"));

    let mut no_program = bench.body(POLITE);
    no_program.entrypoint = Some(vec!["/no/such/program".to_owned()]);
    let id = bench.create_as("b", no_program).await.unwrap();
    let (status, words) = refused(bench.docker.start_container(&id, None).await);
    assert_eq!(status, 400);
    assert!(words.contains("/no/such/program"), "{words}");
    let state = bench.state(&id).await;
    assert_eq!(state.status, Some(ContainerStateStatusEnum::CREATED));
    assert_eq!(state.exit_code, Some(127));

    assert_eq!(refused(bench.docker.start_container(&bench.name("c"), None).await).0, 404);
    assert_eq!(refused(bench.docker.inspect_image("quaymaster-nowhere:1").await).0, 404);
    bench.finish().await;
}

#[tokio::test]
async fn a_running_container_is_removed_only_by_force() {
    let bench = Bench::either().await;
    let id = bench.run("a", DEAF).await;
    assert_eq!(refused(bench.docker.remove_container(&id, None).await).0, 409);
    assert_eq!(bench.state(&id).await.running, Some(true));
    let force = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    bench.docker.remove_container(&id, Some(force)).await.unwrap();
    assert_eq!(refused(bench.docker.inspect_container(&id, None).await).0, 404);
    bench.finish().await;
}

#[tokio::test]
async fn a_list_shows_what_runs_or_everything() {
    let bench = Bench::either().await;
    bench.run("a", POLITE).await;
    bench.create("b", POLITE).await;
    let list = async |all: bool, key: &str, value: String| {
        let filters = HashMap::from([(key.to_owned(), vec![value])]);
        let options = ListContainersOptionsBuilder::default().all(all).filters(&filters).build();
        let listed = bench.docker.list_containers(Some(options)).await.unwrap();
        let mut names: Vec<String> = listed.into_iter().flat_map(|it| it.names.unwrap()).collect();
        names.sort();
        names
    };
    let named = |short: &str| format!("/{}", bench.name(short));
    let owned = || format!("quaymaster.suite={}", bench.name("").trim_end_matches('.'));
    assert_eq!(list(false, "label", owned()).await, [named("a")]);
    assert_eq!(list(true, "label", owned()).await, [named("a"), named("b")]);
    assert_eq!(list(true, "name", format!("^{}$", bench.name("b"))).await, [named("b")]);
    bench.finish().await;
}

#[tokio::test]
async fn an_update_without_a_policy_leaves_it() {
    let bench = Bench::either().await;
    let mut body = bench.body(POLITE);
    body.host_config = Some(policy(RestartPolicyNameEnum::ON_FAILURE, 3));
    let id = bench.create_as("a", body).await.unwrap();
    bench.docker.update_container(&id, ContainerUpdateBody::default()).await.unwrap();
    let kept = bench.inspect(&id).await.host_config.unwrap().restart_policy.unwrap();
    assert_eq!(kept.name, Some(RestartPolicyNameEnum::ON_FAILURE));
    assert_eq!(kept.maximum_retry_count, Some(3));
    bench.finish().await;
}

/// Only the stand-in tells its programs what a real container would find
/// around itself.
#[tokio::test]
async fn the_program_is_told_its_binds_ports_and_names() {
    let bench = Bench::stand_in().await;
    let bound = tempfile::tempdir().unwrap();
    let mut body = bench.body(
        "echo \"$STANDIN_BINDS $STANDIN_PORTS $STANDIN_CONTAINER_NAME $B $HOSTNAME\"; \
         echo \"inherited ${CARGO_MANIFEST_DIR:-nothing}\"; cd \"$STANDIN_ROOT\"; echo ready",
    );
    body.env = Some(vec!["B=request".to_owned()]);
    body.host_config = Some(HostConfig {
        binds: Some(vec![format!("{}:/conf/stack", bound.path().display())]),
        ..published("127.0.99.3", 18083)
    });
    let id = bench.run_as("a", body).await;
    let printed = bench.printed(&id).await;
    let volume = bench.inspect(&id).await.mounts.unwrap().remove(1).source.unwrap();
    let source = bound.path().display();
    for wanted in [
        format!(r#"{{"read_only":false,"source":"{source}","target":"/conf/stack"}}"#),
        format!(r#"{{"read_only":false,"source":"{volume}","target":"/data"}}"#),
        r#"[{"container_port":8080,"host_address":"127.0.99.3","host_port":18083}]"#.to_owned(),
        format!("{} request {}", bench.name("a"), &id[..12]),
        "inherited nothing".to_owned(),
    ] {
        assert!(printed.contains(&wanted), "{wanted} is not in {printed}");
    }
    bench.finish().await;
}

#[tokio::test]
async fn a_path_may_carry_a_version_and_an_id_may_be_short() {
    let bench = Bench::either().await;
    let id = bench.create("a", POLITE).await;
    assert_eq!(bench.status("GET", &format!("/v1.41/containers/{id}/json")).await, 200);
    assert_eq!(bench.status("GET", &format!("/containers/{}/json", &id[..10])).await, 200);
    assert_eq!(bench.status("GET", "/_ping").await, 200);
    assert_eq!(bench.status("GET", "/v1.999/_ping").await, 400);
    bench.finish().await;
}
