//! What an owner asked for when a container was made: its spec without what its
//! image brought.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HostConfig};

use crate::lab::TestLab;

/// The owner's part of a container's spec.
#[derive(Clone, PartialEq, Debug)]
pub struct OwnersPart {
    pub env: BTreeSet<String>,
    /// Without those that Quaymaster puts on its own containers.
    pub labels: BTreeMap<String, String>,
    pub binds: BTreeSet<String>,
    pub privileged: Option<bool>,
    pub sysctls: BTreeMap<String, String>,
    pub network: Option<String>,
    pub log_driver: Option<String>,
    pub ulimits: usize,
    pub policy: String,
}

/// Where a container listens and where that is published.
pub type Ports = BTreeMap<String, Vec<(String, String)>>;

impl TestLab {
    /// What of a container is its owner's.
    pub async fn owners_part(&self, node: &str, shown: &ContainerInspectResponse) -> OwnersPart {
        let image = shown.image.clone().expect("a container has an image");
        let image = self.engine(node).inspect_image(&image).await.expect("the image is there");
        let of_image = image.config.unwrap_or_default();
        let config = shown.config.clone().unwrap_or_default();
        let host = shown.host_config.clone().unwrap_or_default();
        let image_env: BTreeSet<String> = of_image.env.unwrap_or_default().into_iter().collect();
        let image_labels = of_image.labels.unwrap_or_default();
        let env = config.env.unwrap_or_default().into_iter();
        let labels = config.labels.unwrap_or_default().into_iter();
        OwnersPart {
            env: env.filter(|one| !image_env.contains(one)).collect(),
            labels: labels
                .filter(|(name, value)| {
                    image_labels.get(name) != Some(value) && !name.starts_with("io.quaymaster.")
                })
                .collect(),
            policy: policy(shown),
            binds: host.binds.unwrap_or_default().into_iter().collect(),
            privileged: host.privileged,
            sysctls: host.sysctls.unwrap_or_default().into_iter().collect(),
            network: host.network_mode,
            log_driver: host.log_config.and_then(|log| log.typ),
            ulimits: host.ulimits.unwrap_or_default().len(),
        }
    }
}

/// `always`, `no`, ...
pub fn policy(shown: &ContainerInspectResponse) -> String {
    let host: Option<&HostConfig> = shown.host_config.as_ref();
    let policy = host.and_then(|host| host.restart_policy.as_ref());
    policy.and_then(|policy| policy.name).map(|name| name.to_string()).unwrap_or_default()
}

/// By the port inside: the addresses and ports outside.
pub fn ports(shown: &ContainerInspectResponse) -> Ports {
    let host = shown.host_config.clone().unwrap_or_default();
    let bindings = host.port_bindings.unwrap_or_default().into_iter();
    bindings
        .map(|(inside, outside)| {
            let outside = outside.unwrap_or_default().into_iter();
            let outside = outside
                .map(|one| (one.host_ip.unwrap_or_default(), one.host_port.unwrap_or_default()));
            (inside, outside.collect())
        })
        .collect()
}

/// Whether the engine says that its process runs.
pub fn is_running(shown: &ContainerInspectResponse) -> bool {
    let status = shown.state.as_ref().and_then(|state| state.status);
    status == Some(ContainerStateStatusEnum::RUNNING)
}
