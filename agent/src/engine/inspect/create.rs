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

/// The order that makes an engine create this container.
pub fn create_body(spec: &ContainerSpec) -> ContainerCreateBody {
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
    let NetworkSpec { mode, endpoints: _, links, ports, exposed: _, is_disabled: _ } = network;
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

/// Only what somebody chose: an engine connects the rest by itself.
fn networking(network: &NetworkSpec) -> Option<NetworkingConfig> {
    let chosen: Vec<(&String, &EndpointSpec)> = network
        .endpoints
        .iter()
        .filter(|(_, endpoint)| **endpoint != EndpointSpec::default())
        .collect();
    let endpoints = chosen.into_iter().map(|(name, endpoint)| (name.clone(), settings(endpoint)));
    let endpoints: std::collections::HashMap<_, _> = endpoints.collect();
    (!endpoints.is_empty()).then_some(NetworkingConfig { endpoints_config: Some(endpoints) })
}

fn settings(endpoint: &EndpointSpec) -> EndpointSettings {
    let EndpointSpec {
        aliases,
        ipv4_address,
        ipv6_address,
        link_local_addresses,
        links,
        driver_options,
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
