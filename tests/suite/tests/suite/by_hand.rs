//! An upgrade done by hand at the engines, as it is done without Quaymaster:
//! every step does just what it says, and nothing keeps them in order.

use std::fs;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, ContainerUpdateBody, HostConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, KillContainerOptionsBuilder,
    RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use futures::TryStreamExt;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::http::Connection;
use quaymaster_lab::record::{QuayEvent, QuayRecord, Seen, read_directory};
use quaymaster_suite::TestLab;
use quaymaster_suite::cluster::name;

/// No wait in these tests is longer than a broken stand-in.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// A person at the engines of a lab.
pub(crate) struct Hands<'a>(pub(crate) &'a TestLab);

impl Hands<'_> {
    fn lab(&self) -> &TestLab {
        self.0
    }

    /// Pulls 3.0.5 and makes the next container out of the present one's spec.
    pub(crate) async fn prepare(&self, node: &str) -> String {
        let engine = self.lab().engine(node);
        let repository = format!("{}/quayio/redhat/quay", self.lab().lab().file().registry);
        let pull =
            CreateImageOptionsBuilder::default().from_image(&repository).tag("v3.0.5").build();
        engine.create_image(Some(pull), None, None).try_collect::<Vec<_>>().await.unwrap();
        let old = self.lab().quay_of(node).await;
        let next = format!("{}.by-hand-next", name(&old));
        self.create(node, &next, &format!("{repository}:v3.0.5")).await
    }

    /// One more container like the present one, of the new release.
    pub(crate) async fn create(&self, node: &str, called: &str, image: &str) -> String {
        let old = self.lab().quay_of(node).await;
        let old_host = old.host_config.unwrap();
        let old_config = old.config.unwrap();
        let place = self.lab().lab().node(node).unwrap();
        let publish = |inside: u16, outside: u16| {
            let binding = PortBinding {
                host_ip: Some(place.address.to_string()),
                host_port: Some(outside.to_string()),
            };
            (format!("{inside}/tcp"), Some(vec![binding]))
        };
        let mut env = old_config.env.unwrap_or_default();
        env.retain(|variable| variable.starts_with("LAB_"));
        let mut labels = old_config.labels.unwrap_or_default();
        labels.retain(|label, _| label.starts_with("quaymaster.lab"));
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            env: Some(env),
            labels: Some(labels),
            host_config: Some(HostConfig {
                binds: old_host.binds,
                port_bindings: Some(
                    [publish(8080, place.http_port), publish(8443, place.https_port)].into(),
                ),
                restart_policy: Some(policy()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(called).build();
        self.lab().engine(node).create_container(Some(options), body).await.unwrap().id
    }

    /// Keeps the present container from coming back, stops it, and gives up its name.
    pub(crate) async fn retire(&self, node: &str) {
        let engine = self.lab().engine(node);
        let old = self.lab().quay_of(node).await;
        let id = old.id.clone().unwrap();
        let update = ContainerUpdateBody {
            restart_policy: Some(policy()),
            ..ContainerUpdateBody::default()
        };
        engine.update_container(&id, update).await.unwrap();
        let stop = StopContainerOptionsBuilder::default().t(5).build();
        engine.stop_container(&id, Some(stop)).await.unwrap();
        let rename = RenameContainerOptionsBuilder::default()
            .name(&format!("{}.by-hand-old", name(&old)))
            .build();
        engine.rename_container(&id, rename).await.unwrap();
    }

    /// Adds the mode to a node's config.yaml, in one step.
    pub(crate) fn set_mode(&self, node: &str, mode: &str) {
        let path = self.lab().lab().layout().config_file(node);
        let next = path.with_extension("next");
        let text = self.lab().config(node).text;
        fs::write(&next, format!("{text}V3_UPGRADE_MODE: {mode}\n")).unwrap();
        fs::rename(&next, &path).unwrap();
    }

    pub(crate) async fn start(&self, node: &str, container: &str) {
        let engine = self.lab().engine(node);
        engine.start_container(container, None::<StartContainerOptions>).await.unwrap();
    }

    pub(crate) async fn kill(&self, node: &str, container: &str) {
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        self.lab().engine(node).kill_container(container, Some(options)).await.unwrap();
    }

    /// Waits until the node's Quay says so itself.
    pub(crate) async fn until_healthy(&self, node: &str) {
        let address = self.lab().lab().node(node).unwrap().http();
        until("health", BOUND, async || {
            match Connection::new(address).get("/health/instance").await {
                Some(answer) if answer.status == 200 => Ok(()),
                Some(answer) => Err(format!("HTTP {}", answer.status)),
                None => Err("no answer".to_owned()),
            }
        })
        .await
        .unwrap();
    }

    /// Waits until a container has ended, and says with what.
    pub(crate) async fn until_ended(&self, node: &str, container: &str) -> i64 {
        let engine = self.lab().engine(node);
        until("the end of a container", BOUND, async || {
            let state = engine.inspect_container(container, None).await.unwrap().state.unwrap();
            match state.running {
                Some(true) | None => Err("it runs".to_owned()),
                Some(false) => Ok(state.exit_code.unwrap()),
            }
        })
        .await
        .unwrap()
    }

    /// Waits until a Quay of this node wrote down something of this kind.
    pub(crate) async fn until_recorded(&self, node: &str, is_it: impl Fn(&QuayEvent) -> bool) {
        let witness = self.lab().lab().layout().witness();
        until("a record", BOUND, async || {
            let seen = read_directory(&witness).unwrap().into_iter().any(|record| {
                matches!(&record.seen, Seen::Quay(QuayRecord { node: of, event, .. })
                    if of == node && is_it(event))
            });
            if seen { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await
        .unwrap();
    }
}

fn policy() -> RestartPolicy {
    RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }
}
