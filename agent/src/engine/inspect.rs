//! An engine's words for containers and images in the agent's, and back. Pure.
//!
//! The only place beside `docker` that knows the engine's models.

mod create;
mod options;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, EndpointSettings, HealthConfig, HostConfig,
    ImageConfig, ImageInspect, MountPoint, PortMap, RestartPolicyNameEnum,
};
use quaymaster_proto::{ContainerId, ImageId, RestartPolicy};
use serde::Deserialize as _;
use serde_json::Value;

pub use self::create::{FurtherNetwork, create_body, further_networks};
use crate::container::owners_part;
use crate::container::spec::{
    ContainerPort, ContainerSpec, EndpointSpec, HostPort, ImageDefaults, InvalidPort, NetworkSpec,
    ProcessSpec, StorageSpec,
};
use crate::secret::Secret;

/// Why an engine's description of a container makes no sense.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InspectError {
    /// A part is missing.
    #[error("the engine does not tell `{0}`")]
    Missing(&'static str),
    /// An id that is none.
    #[error("the engine tells `{0}` and it is no id")]
    BadId(&'static str),
    /// JSON of another kind.
    #[error("the engine tells of a container in words that make no sense: {0}")]
    Unreadable(String),
    /// A port that is none.
    #[error("the engine tells a port that is none")]
    BadPort(#[from] InvalidPort),
}

/// What the owner of a container asked of it: what the engine shows, without
/// what came from its image and from the engine itself.
///
/// `raw` is the engine's own JSON: its models leave out what they do not know.
pub fn container_spec(raw: &Value, image: &ImageInspect) -> Result<ContainerSpec, InspectError> {
    let found = container_model(raw)?;
    let id = found.id.as_deref().ok_or(InspectError::Missing("Id"))?;
    let id: ContainerId = id.parse().map_err(|_| InspectError::BadId("Id"))?;
    let (mut spec, image) = (shown(raw, &found)?, image_defaults(image));
    // An engine shows the image's entrypoint as the container's own: where it
    // shows none, somebody switched the image's off.
    if spec.process.entrypoint.is_none() && image.process.entrypoint.is_some() {
        spec.process.entrypoint = Some(ProcessSpec::no_entrypoint());
    }
    Ok(owners_part(spec, &image, &id))
}

/// A container in the words of bollard's models.
pub(crate) fn container_model(raw: &Value) -> Result<ContainerInspectResponse, InspectError> {
    ContainerInspectResponse::deserialize(raw)
        .map_err(|error| InspectError::Unreadable(error.to_string()))
}

/// What an image brings into its containers' settings.
pub fn image_defaults(found: &ImageInspect) -> ImageDefaults {
    let Some(config) = &found.config else { return ImageDefaults::default() };
    let ImageConfig {
        user,
        exposed_ports,
        env,
        cmd,
        healthcheck,
        args_escaped: _,
        volumes,
        working_dir,
        entrypoint,
        on_build: _,
        labels,
        stop_signal,
        shell: _,
    } = config;
    ImageDefaults {
        environment: env.clone().unwrap_or_default(),
        labels: sorted(labels.as_ref()),
        process: ProcessSpec {
            entrypoint: words(entrypoint.as_ref()),
            command: words(cmd.as_ref()),
            user: user.clone(),
            working_dir: working_dir.clone(),
            stop_signal: stop_signal.clone(),
            healthcheck: healthcheck.as_ref().and_then(health_json),
            ..ProcessSpec::default()
        },
        volumes: volumes.iter().flatten().cloned().collect(),
        // A port that cannot be read is no container's either.
        exposed: exposed_ports.iter().flatten().filter_map(|port| port.parse().ok()).collect(),
    }
}

/// Everything that the engine shows, its own and the image's choices included.
fn shown(raw: &Value, found: &ContainerInspectResponse) -> Result<ContainerSpec, InspectError> {
    let config = found.config.as_ref().ok_or(InspectError::Missing("Config"))?;
    let host = found.host_config.as_ref().ok_or(InspectError::Missing("HostConfig"))?;
    let image = found.image.as_deref().ok_or(InspectError::Missing("Image"))?;
    Ok(ContainerSpec {
        image: image_id(image).ok_or(InspectError::BadId("Image"))?,
        environment: environment(config.env.as_deref().unwrap_or_default()),
        labels: sorted(config.labels.as_ref()),
        process: process(config),
        hostname: config.hostname.clone(),
        domainname: config.domainname.clone(),
        storage: storage(host, config, found.mounts.as_deref().unwrap_or_default()),
        network: NetworkSpec { mac_address: mac_address(raw), ..network(found, host, config)? },
        restart_policy: restart_policy(host),
        auto_remove: host.auto_remove.unwrap_or_default(),
        options: options::of(host, &raw["HostConfig"]),
        unknown: unknown::unknown(raw, found),
    })
}

/// Shown only where somebody chose it; what the engine gave a running container
/// is shown with its endpoint. bollard's model does not have it any more.
fn mac_address(raw: &Value) -> Option<String> {
    let address = raw.pointer(MAC_ADDRESS)?.as_str()?;
    (!address.is_empty()).then(|| address.to_owned())
}

/// Where in a container's JSON a chosen hardware address stands.
const MAC_ADDRESS: &str = "/Config/MacAddress";

/// Podman leaves the algorithm out.
fn image_id(text: &str) -> Option<ImageId> {
    text.parse().ok().or_else(|| format!("sha256:{text}").parse().ok())
}

fn environment(entries: &[String]) -> BTreeMap<String, Option<Secret>> {
    let split = |entry: &String| match entry.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(Secret::new(value))),
        None => (entry.clone(), None),
    };
    entries.iter().map(split).collect()
}

/// Names every setting, so that a new one of the model is not lost in silence.
fn process(config: &ContainerConfig) -> ProcessSpec {
    let ContainerConfig {
        // Places of their own in a spec.
        hostname: _,
        domainname: _,
        exposed_ports: _,
        env: _,
        volumes: _,
        network_disabled: _,
        labels: _,
        // Whoever ran the command line looked at it.
        attach_stdin: _,
        attach_stdout: _,
        attach_stderr: _,
        // The image's part.
        image: _,
        args_escaped: _,
        on_build: _,
        shell: _,
        user,
        tty,
        open_stdin,
        stdin_once,
        cmd,
        healthcheck,
        working_dir,
        entrypoint,
        stop_signal,
        stop_timeout,
    } = config;
    ProcessSpec {
        entrypoint: words(entrypoint.as_ref()),
        command: words(cmd.as_ref()),
        user: user.clone(),
        working_dir: working_dir.clone(),
        stop_signal: stop_signal.clone(),
        stop_timeout: *stop_timeout,
        healthcheck: healthcheck.as_ref().and_then(health_json),
        tty: tty.unwrap_or_default(),
        open_stdin: open_stdin.unwrap_or_default(),
        stdin_once: stdin_once.unwrap_or_default(),
    }
}

fn health_json(health: &HealthConfig) -> Option<Value> {
    serde_json::to_value(health).ok()
}

/// An empty list is none.
fn words(list: Option<&Vec<String>>) -> Option<Vec<String>> {
    list.filter(|list| !list.is_empty()).cloned()
}

fn storage(host: &HostConfig, config: &ContainerConfig, mounted: &[MountPoint]) -> StorageSpec {
    let is_nameless = |bind: &&String| is_anonymous(StorageSpec::bind_parts(bind).0);
    let binds = host.binds.as_deref().unwrap_or_default();
    // Compose gives nameless volumes on by their generated names.
    let nameless_binds =
        binds.iter().filter(is_nameless).map(|bind| StorageSpec::bind_parts(bind).1.to_owned());
    let nameless_mounts = mounted
        .iter()
        .filter(|mount| mount.typ.as_deref() == Some("volume"))
        .filter(|mount| mount.name.as_deref().is_some_and(is_anonymous))
        .filter_map(|mount| mount.destination.clone());
    let mut anonymous_volumes: BTreeSet<String> = nameless_binds.chain(nameless_mounts).collect();
    // Asked for, and not mounted (yet).
    let is_mounted = |path: &String| {
        mounted.iter().any(|mount| mount.destination.as_ref() == Some(path))
            || binds.iter().any(|bind| StorageSpec::bind_parts(bind).1 == path)
    };
    let asked = config.volumes.iter().flatten();
    anonymous_volumes.extend(asked.filter(|path| !is_mounted(path)).cloned());
    StorageSpec {
        binds: binds.iter().filter(|bind| !is_nameless(bind)).cloned().collect(),
        mounts: host
            .mounts
            .iter()
            .flatten()
            .filter_map(|mount| serde_json::to_value(mount).ok())
            .filter(|mount| !is_nameless_mount(mount))
            .collect(),
        anonymous_volumes,
        volumes_from: host.volumes_from.clone().unwrap_or_default(),
    }
}

/// A generated name: 64 hex digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// `--mount type=volume` without a source.
fn is_nameless_mount(mount: &Value) -> bool {
    let source = mount.get("Source").and_then(Value::as_str).unwrap_or_default();
    mount.get("Type").and_then(Value::as_str) == Some("volume")
        && (source.is_empty() || is_anonymous(source))
}

fn network(
    found: &ContainerInspectResponse,
    host: &HostConfig,
    config: &ContainerConfig,
) -> Result<NetworkSpec, InspectError> {
    let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let endpoints = networks.into_iter().flatten();
    let mode = host.network_mode.clone().unwrap_or_default();
    let named = if matches!(mode.as_str(), "" | "default") { "bridge" } else { &mode };
    let is_first = |(name, settings): &(&String, &EndpointSettings)| {
        *name == named || settings.network_id.as_deref() == Some(named)
    };
    let first = endpoints.clone().find(is_first).map(|(name, _)| name.clone());
    Ok(NetworkSpec {
        mode,
        first,
        endpoints: endpoints.map(|(name, settings)| (name.clone(), endpoint(settings))).collect(),
        links: host.links.clone().unwrap_or_default(),
        ports: host.port_bindings.as_ref().map(ports).transpose()?.unwrap_or_default(),
        exposed: config
            .exposed_ports
            .iter()
            .flatten()
            .map(|port| port.parse())
            .collect::<Result<_, InvalidPort>>()?,
        is_disabled: config.network_disabled.unwrap_or_default(),
        mac_address: None,
    })
}

/// Names every setting, so that a new one of the model is not lost in silence.
fn endpoint(settings: &EndpointSettings) -> EndpointSpec {
    let EndpointSettings {
        ipam_config,
        links,
        aliases,
        driver_opts,
        gw_priority,
        // The engine's, and another time others.
        mac_address: _,
        network_id: _,
        endpoint_id: _,
        gateway: _,
        ip_address: _,
        ip_prefix_len: _,
        ipv6_gateway: _,
        global_ipv6_address: _,
        global_ipv6_prefix_len: _,
        dns_names: _,
    } = settings;
    let chosen = ipam_config.as_ref();
    let address = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    EndpointSpec {
        aliases: aliases.clone().unwrap_or_default(),
        ipv4_address: address(chosen.and_then(|ipam| ipam.ipv4_address.as_ref())),
        ipv6_address: address(chosen.and_then(|ipam| ipam.ipv6_address.as_ref())),
        link_local_addresses: chosen
            .and_then(|ipam| ipam.link_local_ips.clone())
            .unwrap_or_default(),
        links: links.clone().unwrap_or_default(),
        driver_options: sorted(driver_opts.as_ref()),
        gateway_priority: gw_priority.unwrap_or_default(),
    }
}

fn ports(map: &PortMap) -> Result<BTreeMap<ContainerPort, Vec<HostPort>>, InspectError> {
    // Podman lists exposed ports too, and that they are published nowhere.
    let published = map.iter().filter(|(_, bindings)| bindings.iter().flatten().next().is_some());
    published
        .map(|(port, bindings)| {
            let hosts = bindings.iter().flatten().map(|binding| HostPort {
                address: binding.host_ip.clone().unwrap_or_default(),
                port: binding.host_port.clone().unwrap_or_default(),
            });
            Ok((port.parse()?, hosts.collect()))
        })
        .collect()
}

fn restart_policy(host: &HostConfig) -> RestartPolicy {
    let Some(policy) = &host.restart_policy else { return RestartPolicy::No };
    match policy.name {
        Some(RestartPolicyNameEnum::ALWAYS) => RestartPolicy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => RestartPolicy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => {
            let count = policy.maximum_retry_count.unwrap_or_default();
            RestartPolicy::OnFailure { maximum_retry_count: u32::try_from(count).unwrap_or(0) }
        }
        Some(RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY) | None => RestartPolicy::No,
    }
}

fn sorted(map: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    map.into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}
