//! A spec as the order to create a container.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, Mount,
    NetworkingConfig, PortBinding, PortMap, RestartPolicy as EnginePolicy, RestartPolicyNameEnum,
};
use quaymaster_proto::RestartPolicy;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::options;
use crate::container::spec::{
    ContainerPort, ContainerSpec, EndpointSpec, HostPort, NetworkSpec, ProcessSpec, StorageSpec,
};
use crate::secret::Secret;

/// A network that a container is connected to once it is created: engines take
/// one with the order to create it (Docker before API 1.44).
#[derive(Clone, PartialEq, Debug)]
pub struct FurtherNetwork {
    /// The network.
    pub name: String,
    /// The container's place in it.
    pub endpoint: EndpointSettings,
}

/// The networks beside the one that the order to create a container names.
pub fn further_networks(spec: &ContainerSpec) -> Vec<FurtherNetwork> {
    let network = &spec.network;
    let first = first_network(network);
    let further = network.endpoints.iter().filter(|(name, _)| Some(*name) != first);
    further
        .map(|(name, endpoint)| FurtherNetwork { name: name.clone(), endpoint: settings(endpoint) })
        .collect()
}

/// The endpoint in the network that the mode names.
fn first_network(network: &NetworkSpec) -> Option<&String> {
    let known = network.first.as_ref().and_then(|first| network.endpoints.get_key_value(first));
    let any = || network.endpoints.first_key_value();
    known.or_else(any).map(|(name, _)| name)
}

/// The order that makes an engine create this container, in its first network.
pub fn create_body(spec: &ContainerSpec) -> Value {
    let mut body = serde_json::to_value(model(spec)).expect("a model is written as JSON");
    let former = options::FORMER.iter().filter_map(|name| Some((name, spec.options.get(*name)?)));
    for (name, value) in former {
        body["HostConfig"][name] = value.clone();
    }
    if let Some(address) = &spec.network.mac_address {
        body["MacAddress"] = address.as_str().into();
    }
    body
}

fn model(spec: &ContainerSpec) -> ContainerCreateBody {
    let ContainerSpec {
        image,
        environment,
        labels,
        process,
        hostname,
        domainname,
        storage,
        network,
        restart_policy,
        auto_remove,
        options,
        unknown: _, // refused before
    } = spec;
    let ProcessSpec {
        entrypoint,
        command,
        user,
        working_dir,
        stop_signal,
        stop_timeout,
        healthcheck,
        tty,
        open_stdin,
        stdin_once,
    } = process;
    let exposed: BTreeSet<&ContainerPort> =
        network.exposed.iter().chain(network.ports.keys()).collect();
    let host_config = HostConfig {
        restart_policy: Some(engine_policy(*restart_policy)),
        auto_remove: Some(*auto_remove),
        ..reached(network, mounted(storage, options::host_config(options)))
    };
    ContainerCreateBody {
        image: Some(image.to_string()),
        env: Some(environment.iter().map(|(name, value)| entry(name, value.as_ref())).collect()),
        labels: Some(labels.clone().into_iter().collect()),
        entrypoint: entrypoint.clone(),
        cmd: command.clone(),
        user: user.clone(),
        working_dir: working_dir.clone(),
        stop_signal: stop_signal.clone(),
        stop_timeout: *stop_timeout,
        healthcheck: healthcheck.as_ref().map(as_model::<HealthConfig>),
        tty: Some(*tty),
        open_stdin: Some(*open_stdin),
        stdin_once: Some(*stdin_once),
        hostname: hostname.clone(),
        domainname: domainname.clone(),
        exposed_ports: Some(exposed.into_iter().map(ToString::to_string).collect()),
        host_config: Some(host_config),
        network_disabled: network.is_disabled.then_some(true),
        networking_config: networking(network),
        ..ContainerCreateBody::default()
    }
}

fn entry(name: &str, value: Option<&Secret>) -> String {
    value.map_or_else(|| name.to_owned(), |value| format!("{name}={}", value.expose()))
}

fn mounted(storage: &StorageSpec, host: HostConfig) -> HostConfig {
    // Nameless volumes come with the image, or not at all.
    let StorageSpec { binds, mounts, anonymous_volumes: _, volumes_from } = storage;
    HostConfig {
        binds: if_any(binds),
        mounts: (!mounts.is_empty()).then(|| mounts.iter().map(as_model::<Mount>).collect()),
        volumes_from: if_any(volumes_from),
        ..host
    }
}

fn reached(network: &NetworkSpec, host: HostConfig) -> HostConfig {
    let NetworkSpec {
        mode,
        first: _,
        links,
        ports,
        endpoints: _,
        exposed: _,
        is_disabled: _,
        mac_address: _,
    } = network;
    HostConfig {
        network_mode: (!mode.is_empty()).then(|| mode.clone()),
        links: if_any(links),
        port_bindings: Some(port_map(ports)),
        ..host
    }
}

fn port_map(ports: &BTreeMap<ContainerPort, Vec<HostPort>>) -> PortMap {
    let bindings = |hosts: &[HostPort]| {
        let binding = |HostPort { address, port }: &HostPort| PortBinding {
            host_ip: Some(address.clone()),
            host_port: Some(port.clone()),
        };
        hosts.iter().map(binding).collect::<Vec<PortBinding>>()
    };
    ports.iter().map(|(port, hosts)| (port.to_string(), Some(bindings(hosts)))).collect()
}

/// Only what somebody chose: an engine connects the first network by itself.
fn networking(network: &NetworkSpec) -> Option<NetworkingConfig> {
    let name = first_network(network)?;
    let endpoint = &network.endpoints[name];
    (*endpoint != EndpointSpec::default()).then(|| NetworkingConfig {
        endpoints_config: Some([(name.clone(), settings(endpoint))].into()),
    })
}

fn settings(endpoint: &EndpointSpec) -> EndpointSettings {
    let EndpointSpec {
        aliases,
        ipv4_address,
        ipv6_address,
        link_local_addresses,
        links,
        driver_options,
        gateway_priority,
    } = endpoint;
    let has_address =
        ipv4_address.is_some() || ipv6_address.is_some() || !link_local_addresses.is_empty();
    EndpointSettings {
        aliases: if_any(aliases),
        ipam_config: has_address.then(|| EndpointIpamConfig {
            ipv4_address: ipv4_address.clone(),
            ipv6_address: ipv6_address.clone(),
            link_local_ips: if_any(link_local_addresses),
        }),
        links: if_any(links),
        driver_opts: (!driver_options.is_empty())
            .then(|| driver_options.clone().into_iter().collect()),
        gw_priority: (*gateway_priority != 0).then_some(*gateway_priority),
        ..EndpointSettings::default()
    }
}

fn engine_policy(policy: RestartPolicy) -> EnginePolicy {
    let (name, count) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        RestartPolicy::OnFailure { maximum_retry_count } => {
            (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(maximum_retry_count)))
        }
    };
    EnginePolicy { name: Some(name), maximum_retry_count: count }
}

fn if_any(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn as_model<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("made out of the same model")
}
