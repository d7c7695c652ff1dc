//! Containers and images as the API shows them. The shapes, and the values of
//! what nobody set, are those of Docker 20.10.24.

use super::{
    container::{Container, Phase},
    filter::{Filters, name_matches},
    image::StoredImage,
    mount::{Mount, MountSource},
    port::split_key,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, path::Path};

/// What Docker shows for a moment that never was.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// The filters that a list of containers understands.
pub(crate) const LIST_FILTERS: &[&str] = &["id", "name", "label", "status", "ancestor"];

/// What Docker fills in where a request says nothing.
const DEFAULT_HOST_CONFIG: &str = include_str!("host_config.json");

/// Directories that the shown paths lie in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    pub(crate) volumes: &'a Path,
    pub(crate) log: &'a Path,
}

/// The full answer of `GET /containers/{id}/json`.
pub(crate) fn inspect(container: &Container, places: Places<'_>) -> Value {
    let words = container.config.words();
    let (path, arguments) = words.split_first().map_or(("", &[][..]), |(p, rest)| (p, rest));
    json!({
        "Id": container.id,
        "Created": container.created.to_string(),
        "Path": path,
        "Args": arguments,
        "State": state(container),
        "Image": container.image_id,
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": places.log,
        "Name": format!("/{}", container.name),
        "RestartCount": container.restart_count,
        "Driver": "stand-in",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": host_config(container),
        "GraphDriver": { "Name": "stand-in", "Data": null },
        "Mounts": mounts(&container.mounts, places.volumes),
        "Config": config(container),
        "NetworkSettings": network_settings(container),
    })
}

fn state(container: &Container) -> Value {
    let moment = |at: Option<Timestamp>| at.map_or_else(|| NEVER.to_owned(), |at| at.to_string());
    json!({
        "Status": container.phase.name(),
        "Running": container.phase.is_up(),
        "Paused": false,
        "Restarting": container.phase == Phase::Restarting,
        "OOMKilled": false,
        "Dead": false,
        "Pid": container.phase.pid().unwrap_or(0),
        "ExitCode": container.exit_code,
        "Error": container.error,
        "StartedAt": moment(container.started_at),
        "FinishedAt": moment(container.finished_at),
    })
}

/// The given host configuration over Docker's own values.
fn host_config(container: &Container) -> Value {
    let mut shown = default_host_config();
    let given = container.host_config.iter().filter(|(_, value)| !value.is_null());
    shown.extend(given.map(|(key, value)| (key.clone(), value.clone())));
    shown.insert(
        "RestartPolicy".to_owned(),
        json!({ "Name": container.policy.name(), "MaximumRetryCount": container.policy.limit() }),
    );
    Value::Object(shown)
}

fn default_host_config() -> Map<String, Value> {
    serde_json::from_str(DEFAULT_HOST_CONFIG).expect("the file beside this one is an object")
}

fn config(container: &Container) -> Value {
    let mut shown = json!({
        "Domainname": "", "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false, "OnBuild": null,
    });
    let own = serde_json::to_value(&container.config).unwrap_or_default();
    if let (Value::Object(shown), Value::Object(own)) = (&mut shown, own) {
        let never_shown = |key: &str, value: &Value| {
            value.is_null() && matches!(key, "ExposedPorts" | "Healthcheck")
        };
        shown.extend(own.into_iter().filter(|(key, value)| !never_shown(key, value)));
    }
    shown
}

fn mounts(mounts: &[Mount], volumes: &Path) -> Vec<Value> {
    let shown = mounts.iter().map(|mount| {
        let source = mount.host_path(volumes);
        let writable = !mount.read_only;
        let Mount { source: kind, target, mode, read_only: _ } = mount;
        match kind {
            MountSource::Bind(_) => json!({
                "Type": "bind", "Source": source, "Destination": target, "Mode": mode,
                "RW": writable, "Propagation": "rprivate",
            }),
            MountSource::Volume { name, is_anonymous: _ } => json!({
                "Type": "volume", "Name": name, "Source": source, "Destination": target,
                "Driver": "local", "Mode": mode, "RW": writable, "Propagation": "",
            }),
        }
    });
    shown.collect()
}

fn network_settings(container: &Container) -> Value {
    let networks: Map<String, Value> = container
        .endpoints
        .iter()
        .map(|(network, given)| (network.clone(), endpoint(container, network, given)))
        .collect();
    let first = networks.values().next().cloned().unwrap_or_default();
    json!({
        "Bridge": "", "SandboxID": "", "HairpinMode": false, "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0, "Ports": ports(container), "SandboxKey": "",
        "SecondaryIPAddresses": null, "SecondaryIPv6Addresses": null,
        "EndpointID": first["EndpointID"], "Gateway": first["Gateway"],
        "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "IPAddress": first["IPAddress"],
        "IPPrefixLen": first["IPPrefixLen"], "IPv6Gateway": "", "MacAddress": first["MacAddress"],
        "Networks": networks,
    })
}

/// A network's entry. While the container runs it has the ids and addresses
/// that Docker would give out; they lead nowhere, but whoever copies them into
/// a new container is found out.
fn endpoint(container: &Container, network: &str, given: &Map<String, Value>) -> Value {
    let mut shown = json!({
        "IPAMConfig": null, "Links": null, "Aliases": null, "NetworkID": "", "EndpointID": "",
        "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
        "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "MacAddress": "", "DriverOpts": null,
    });
    if let Value::Object(shown) = &mut shown {
        let given = given.iter().filter(|(_, value)| !value.is_null());
        shown.extend(given.map(|(key, value)| (key.clone(), value.clone())));
    }
    if !matches!(network, "bridge" | "host" | "none") {
        let mut aliases = shown["Aliases"].as_array().cloned().unwrap_or_default();
        if !aliases.iter().any(|alias| alias == container.short_id()) {
            aliases.push(container.short_id().into());
        }
        shown["Aliases"] = aliases.into();
    }
    if container.phase.pid().is_some() && !matches!(network, "host" | "none") {
        let byte = |at: usize| container.id.get(at..at + 2).unwrap_or("02");
        let number = |at: usize| u8::from_str_radix(byte(at), 16).unwrap_or(2);
        let reversed: String = container.id.chars().rev().collect();
        shown["NetworkID"] = format!("{:0<64}", hexadecimal(network)).into();
        shown["EndpointID"] = reversed.into();
        shown["Gateway"] = "172.17.0.1".into();
        shown["IPAddress"] = format!("172.17.{}.{}", number(0), number(2)).into();
        shown["IPPrefixLen"] = 16.into();
        shown["MacAddress"] = format!("02:42:ac:11:{}:{}", byte(0), byte(2)).into();
    }
    shown
}

fn hexadecimal(text: &str) -> String {
    text.bytes().take(32).map(|byte| format!("{byte:02x}")).collect()
}

/// What is published now: nothing, unless the container runs. An exposed port
/// that is not published shows as null.
fn ports(container: &Container) -> Value {
    let mut shown = Map::new();
    if container.phase.pid().is_some() {
        for key in container.config.exposed_ports.iter().flat_map(|ports| ports.keys()) {
            shown.insert(key.clone(), Value::Null);
        }
        for port in &container.ports {
            let entry = shown.entry(port.key()).or_insert(Value::Null);
            if entry.is_null() {
                *entry = json!([]);
            }
            if let Value::Array(list) = entry {
                list.push(json!({
                    "HostIp": port.host_address, "HostPort": port.host_port.to_string(),
                }));
            }
        }
    }
    Value::Object(shown)
}

/// Whether a list request asks for the container.
pub(crate) fn is_listed(container: &Container, all: bool, filters: &Filters) -> bool {
    (all || filters.has("status") || container.phase.is_up())
        && filters.allows("status", |status| status == container.phase.name())
        && filters.allows("id", |id| container.id.starts_with(id.as_str()))
        && filters.allows("name", |pattern| name_matches(pattern, &container.name))
        && filters.allows("ancestor", |image| {
            *image == container.image_id || Some(image) == container.config.image.as_ref()
        })
        && filters.allows_labels(&container.labels())
}

/// One entry of `GET /containers/json`.
pub(crate) fn summary(container: &Container, volumes: &Path) -> Value {
    let settings = network_settings(container);
    let status = match container.phase {
        Phase::Created => "Created".to_owned(),
        Phase::Running { .. } => "Up".to_owned(),
        Phase::Restarting => format!("Restarting ({})", container.exit_code),
        Phase::Exited => format!("Exited ({})", container.exit_code),
    };
    let mode = container.host_config.get("NetworkMode").and_then(Value::as_str);
    json!({
        "Id": container.id,
        "Names": [format!("/{}", container.name)],
        "Image": container.config.image,
        "ImageID": container.image_id,
        "Command": container.config.words().join(" "),
        "Created": container.created.as_second(),
        "Ports": port_summaries(container),
        "Labels": container.labels(),
        "State": container.phase.name(),
        "Status": status,
        "HostConfig": { "NetworkMode": mode.unwrap_or("default") },
        "NetworkSettings": { "Networks": settings["Networks"] },
        "Mounts": mounts(&container.mounts, volumes),
    })
}

fn port_summaries(container: &Container) -> Vec<Value> {
    if container.phase.pid().is_none() {
        return Vec::new();
    }
    let published: BTreeSet<String> = container.ports.iter().map(|port| port.key()).collect();
    let exposed = container.config.exposed_ports.iter().flat_map(|ports| ports.keys());
    let bare = exposed.filter(|key| !published.contains(*key)).filter_map(|key| {
        let (port, protocol) = split_key(key)?;
        Some(json!({ "PrivatePort": port, "Type": protocol }))
    });
    let mapped = container.ports.iter().map(|port| {
        json!({
            "IP": port.host_address, "PrivatePort": port.container_port,
            "PublicPort": port.host_port, "Type": port.protocol,
        })
    });
    bare.chain(mapped).collect()
}

/// The full answer of `GET /images/{name}/json`.
pub(crate) fn inspect_image(stored: &StoredImage) -> Value {
    let config = &stored.image.config;
    let set = |names: &BTreeSet<String>| match names.len() {
        0 => Value::Null,
        _ => names.iter().map(|name| (name.clone(), json!({}))).collect(),
    };
    let list = |words: &[String]| if words.is_empty() { Value::Null } else { json!(words) };
    let mut shown = json!({
        "Hostname": "", "Domainname": "", "User": config.user, "AttachStdin": false,
        "AttachStdout": false, "AttachStderr": false, "Tty": false, "OpenStdin": false,
        "StdinOnce": false, "Env": list(&config.env), "Cmd": list(&config.cmd), "Image": "",
        "Volumes": set(&config.volumes), "WorkingDir": config.working_dir,
        "Entrypoint": list(&config.entrypoint), "OnBuild": null, "Labels": config.labels,
    });
    if !config.exposed_ports.is_empty() {
        shown["ExposedPorts"] = set(&config.exposed_ports);
    }
    json!({
        "Id": stored.image.id, "RepoTags": stored.tags, "RepoDigests": stored.digests,
        "Parent": "", "Comment": "", "Created": stored.created.to_string(), "Container": "",
        "DockerVersion": "", "Author": "", "Config": shown, "Architecture": "amd64",
        "Os": "linux", "Size": stored.image.size_bytes, "VirtualSize": stored.image.size_bytes,
        "GraphDriver": { "Name": "stand-in", "Data": null },
        "RootFS": { "Type": "layers", "Layers": [stored.image.id] },
        "Metadata": { "LastTagTime": stored.created.to_string() },
    })
}

/// One entry of `GET /images/json`. Docker writes null for an empty list.
pub(crate) fn image_summary(stored: &StoredImage) -> Value {
    let list = |names: &BTreeSet<String>| if names.is_empty() { Value::Null } else { json!(names) };
    json!({
        "Containers": -1, "Created": stored.created.as_second(), "Id": stored.image.id,
        "Labels": stored.image.config.labels, "ParentId": "", "RepoDigests": list(&stored.digests),
        "RepoTags": list(&stored.tags), "SharedSize": -1, "Size": stored.image.size_bytes,
        "VirtualSize": stored.image.size_bytes,
    })
}
