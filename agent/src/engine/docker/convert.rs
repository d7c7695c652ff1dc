//! Docker's models in the agent's words. Pure.

use std::collections::BTreeMap;
use std::error::Error;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, CreateImageInfo,
    ImageInspect, PortMap, RestartPolicyNameEnum, SystemInfo, SystemVersion,
};
use jiff::Timestamp;
use quaymaster_proto::node::{EngineFacts, PublishedPort};
use quaymaster_proto::{ContainerState, ContainerStatus, RestartPolicy};

use crate::engine::{Container, EngineError, EngineErrorKind, Image, Listed, Mount, PullStep};
use crate::quay::settings::OVERRIDE_VARIABLE;
use crate::secret::Secret;

/// An answer that makes no sense.
pub(super) fn senseless(
    tried: String,
    why: impl Into<Box<dyn Error + Send + Sync>>,
) -> EngineError {
    EngineError { tried, kind: EngineErrorKind::Senseless, source: why.into() }
}

/// `1.41` as numbers.
pub(super) fn api_version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

pub(super) fn facts(version: SystemVersion, info: SystemInfo) -> EngineFacts {
    let components = version.components.unwrap_or_default();
    let is_podman = components.iter().any(|part| part.name.contains("Podman"));
    EngineFacts {
        id: info.id.unwrap_or_default(),
        name: if is_podman { "Podman" } else { "Docker" }.to_owned(),
        version: version.version.unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
    }
}

pub(super) fn container(found: &ContainerInspectResponse) -> Result<Container, EngineError> {
    let labels = found.config.as_ref().and_then(|config| config.labels.clone());
    let mounts = found.mounts.iter().flatten().map(|mount| Mount {
        source: mount.source.clone().unwrap_or_default(),
        destination: mount.destination.clone().unwrap_or_default(),
    });
    let state = state(found)?;
    let published = found.network_settings.as_ref().and_then(|network| network.ports.as_ref());
    let asked = found.host_config.as_ref().and_then(|host| host.port_bindings.as_ref());
    // What is published is shown only while the container runs.
    let mut ports = published.map(ports).unwrap_or_default();
    if ports.is_empty() {
        ports = asked.map(self::ports).unwrap_or_default();
    }
    Ok(Container {
        state,
        labels: labels.unwrap_or_default().into_iter().collect(),
        mounts: mounts.collect(),
        ports,
    })
}

/// Of the whole environment, as the engine shows it: the image's words with
/// the owner's in their place.
pub(super) fn override_config(environment: &[String]) -> Option<Secret> {
    let of = |entry: &String| {
        let (name, value) = entry.split_once('=')?;
        (name == OVERRIDE_VARIABLE).then(|| Secret::new(value.to_owned()))
    };
    // The last one wins.
    environment.iter().rev().find_map(of)
}

fn state(found: &ContainerInspectResponse) -> Result<ContainerState, EngineError> {
    let name = found.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned();
    let tried = || format!("read the state of container `{name}`");
    let bad = |error: &dyn std::fmt::Display| senseless(tried(), error.to_string());
    let state = found.state.as_ref().ok_or_else(|| senseless(tried(), "it has none"))?;
    let policy = found.host_config.as_ref().and_then(|host| host.restart_policy.as_ref());
    let time = |text: &Option<String>| moment(text.as_deref()).map_err(|error| bad(&error));
    let id = found.id.as_deref().unwrap_or_default();
    let image = found.image.as_deref().unwrap_or_default();
    Ok(ContainerState {
        id: id.parse().map_err(|error| bad(&error))?,
        status: status(state.status).ok_or_else(|| senseless(tried(), "its status is unknown"))?,
        started_at: time(&state.started_at)?,
        finished_at: time(&state.finished_at)?,
        exit_code: state.exit_code.unwrap_or_default(),
        restart_count: found.restart_count.unwrap_or_default(),
        restart_policy: restart_policy(policy),
        image: image_id(image).parse().map_err(|error| bad(&error))?,
        name,
    })
}

/// Podman leaves the algorithm out.
fn image_id(text: &str) -> String {
    if text.contains(':') { text.to_owned() } else { format!("sha256:{text}") }
}

fn status(status: Option<ContainerStateStatusEnum>) -> Option<ContainerStatus> {
    match status? {
        ContainerStateStatusEnum::CREATED => Some(ContainerStatus::Created),
        // A container that is stopping still runs.
        ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::STOPPING => {
            Some(ContainerStatus::Running)
        }
        ContainerStateStatusEnum::PAUSED => Some(ContainerStatus::Paused),
        ContainerStateStatusEnum::RESTARTING => Some(ContainerStatus::Restarting),
        ContainerStateStatusEnum::REMOVING => Some(ContainerStatus::Removing),
        ContainerStateStatusEnum::EXITED => Some(ContainerStatus::Exited),
        ContainerStateStatusEnum::DEAD => Some(ContainerStatus::Dead),
        ContainerStateStatusEnum::EMPTY => None,
    }
}

/// The year 1 is Docker's way to say never.
fn moment(text: Option<&str>) -> Result<Option<Timestamp>, jiff::Error> {
    match text {
        None | Some("") => Ok(None),
        Some(text) if text.starts_with("0001-01-01") => Ok(None),
        Some(text) => text.parse().map(Some),
    }
}

fn restart_policy(policy: Option<&bollard::models::RestartPolicy>) -> RestartPolicy {
    let maximum = policy.and_then(|policy| policy.maximum_retry_count).unwrap_or_default();
    match policy.and_then(|policy| policy.name) {
        None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO) => RestartPolicy::No,
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => RestartPolicy::OnFailure {
            maximum_retry_count: u32::try_from(maximum).unwrap_or_default(),
        },
    }
}

fn ports(map: &PortMap) -> Vec<PublishedPort> {
    let mut all = Vec::new();
    for (inside, bindings) in map {
        let (port, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let Ok(container_port) = port.parse() else { continue };
        for binding in bindings.iter().flatten() {
            let host_port = binding.host_port.as_deref().unwrap_or_default();
            all.push(PublishedPort {
                container_port,
                protocol: protocol.to_owned(),
                host_address: binding.host_ip.clone().unwrap_or_default(),
                host_port: host_port.parse().unwrap_or_default(),
            });
        }
    }
    all.sort_by(|one, other| {
        (one.container_port, &one.protocol, &one.host_address, one.host_port).cmp(&(
            other.container_port,
            &other.protocol,
            &other.host_address,
            other.host_port,
        ))
    });
    all
}

pub(super) fn listed(found: ContainerSummary) -> Result<Listed, EngineError> {
    let id = found.id.unwrap_or_default();
    let names = found.names.unwrap_or_default();
    // A linked container has names of other containers too; its own has one slash.
    let name = names.iter().map(|name| name.trim_start_matches('/')).find(|n| !n.contains('/'));
    Ok(Listed {
        id: id.parse().map_err(|error| senseless("list the containers".to_owned(), error))?,
        name: name.unwrap_or_default().to_owned(),
        labels: found.labels.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>(),
        sources: found
            .mounts
            .unwrap_or_default()
            .into_iter()
            .filter_map(|mount| mount.source)
            .collect(),
        created: found.created.unwrap_or_default(),
    })
}

pub(super) fn image(found: &ImageInspect) -> Result<Image, EngineError> {
    let id = image_id(found.id.as_deref().unwrap_or_default());
    Ok(Image {
        id: id.parse().map_err(|error| senseless("read an image".to_owned(), error))?,
        tags: found.repo_tags.clone().unwrap_or_default(),
        digests: found.repo_digests.clone().unwrap_or_default(),
        bytes: found.size.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0),
        postgres: postgres(found),
    })
}

/// As the images of PostgreSQL itself and of Red Hat say it.
fn postgres(found: &ImageInspect) -> Option<String> {
    let environment = found.config.as_ref()?.env.as_ref()?;
    let value =
        |name: &str| environment.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let version = value("PG_VERSION").or_else(|| value("POSTGRESQL_VERSION"));
    // `15.6-1.pgdg120+2`
    Some(version?.split('-').next()?.to_owned())
}

pub(super) fn pull_step(info: CreateImageInfo) -> PullStep {
    let CreateImageInfo { id, error_detail: _, status, progress_detail } = info;
    let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
    let detail = progress_detail.unwrap_or_default();
    PullStep {
        layer: id.unwrap_or_default(),
        status: status.unwrap_or_default(),
        done: bytes(detail.current),
        total: bytes(detail.total),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_is_found_wherever_it_comes_from() {
        let over = |environment: &[&str]| {
            let environment: Vec<String> = environment.iter().map(ToString::to_string).collect();
            override_config(&environment).map(|json| json.expose().to_owned())
        };
        let entry = "QUAY_OVERRIDE_CONFIG={\"A\": \"b=c\"}";
        assert_eq!(over(&["PATH=/bin", entry]).as_deref(), Some("{\"A\": \"b=c\"}"));
        assert_eq!(over(&["PATH=/bin", "QUAY_OVERRIDE_CONFIGS={}"]), None);
    }
}
