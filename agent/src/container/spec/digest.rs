//! One digest for one owner's part.

use std::collections::BTreeSet;

use hmac::{Hmac, Mac as _};
use quaymaster_proto::SpecDigest;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::{ContainerSpec, EndpointSpec, NetworkSpec, ProcessSpec, SpecKey, StorageSpec};

/// Of every field but the image and the restart policy.
pub(super) fn of(spec: &ContainerSpec, key: &SpecKey) -> SpecDigest {
    let mut text = String::new();
    write_sorted(&Value::Object(parts(spec)), &mut text);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    let hex: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("an HMAC-SHA256 in hex is a digest")
}

/// The parts that two specs do not have in common, down to one setting where
/// settings have names.
pub(super) fn unlike(one: &ContainerSpec, other: &ContainerSpec) -> Vec<String> {
    let (one, other) = (parts(one), parts(other));
    let mut unlike = Vec::new();
    for (part, value) in &one {
        match (value, &other[part]) {
            (value, same) if value == same => {}
            (Value::Object(these), Value::Object(those)) => {
                let names: BTreeSet<&String> = these.keys().chain(those.keys()).collect();
                let differ = names.into_iter().filter(|name| these.get(*name) != those.get(*name));
                unlike.extend(differ.map(|name| format!("{part}.{name}")));
            }
            _ => unlike.push(part.clone()),
        }
    }
    unlike
}

/// Every field but the image and the restart policy.
fn parts(spec: &ContainerSpec) -> Map<String, Value> {
    let ContainerSpec {
        image: _,
        environment,
        labels,
        process,
        hostname,
        domainname,
        storage,
        network,
        restart_policy: _,
        auto_remove,
        options,
        unknown,
    } = spec;
    let environment: Vec<Value> = environment
        .iter()
        .map(|(name, value)| json!([name, value.as_ref().map(|secret| secret.expose())]))
        .collect();
    let parts = json!({
        "environment": environment,
        "labels": labels,
        "process": process_json(process),
        "hostname": hostname,
        "domainname": domainname,
        "storage": storage_json(storage),
        "network": network_json(network),
        "auto_remove": auto_remove,
        "options": options,
        "unknown": unknown.keys().collect::<Vec<_>>(),
    });
    match parts {
        Value::Object(parts) => parts,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("the literal above is an object")
        }
    }
}

fn process_json(process: &ProcessSpec) -> Value {
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
    json!([
        entrypoint,
        command,
        user,
        working_dir,
        stop_signal,
        stop_timeout,
        healthcheck,
        tty,
        open_stdin,
        stdin_once
    ])
}

fn storage_json(storage: &StorageSpec) -> Value {
    let StorageSpec { binds, mounts, anonymous_volumes: _, volumes_from } = storage;
    // Volumes without a name come with the image, mostly: not the owner's.
    json!({ "binds": binds, "mounts": mounts, "volumes_from": volumes_from })
}

fn network_json(network: &NetworkSpec) -> Value {
    let NetworkSpec { mode, first: _, endpoints, links, ports, exposed, is_disabled, mac_address } =
        network;
    let endpoints: Map<String, Value> = endpoints
        .iter()
        .map(|(name, endpoint)| {
            let EndpointSpec {
                aliases,
                ipv4_address,
                ipv6_address,
                link_local_addresses,
                links,
                driver_options,
                gateway_priority,
            } = endpoint;
            let endpoint = json!([
                aliases,
                ipv4_address,
                ipv6_address,
                link_local_addresses,
                links,
                driver_options,
                gateway_priority
            ]);
            (name.clone(), endpoint)
        })
        .collect();
    let ports: Vec<Value> = ports
        .iter()
        .map(|(port, hosts)| {
            let hosts: Vec<Value> =
                hosts.iter().map(|host| json!([host.address, host.port])).collect();
            json!([port.to_string(), hosts])
        })
        .collect();
    let exposed: Vec<String> = exposed.iter().map(ToString::to_string).collect();
    json!({
        "mode": mode,
        "endpoints": endpoints,
        "links": links,
        "ports": ports,
        "exposed": exposed,
        "is_disabled": is_disabled,
        "mac_address": mac_address,
    })
}

/// JSON with its keys in order, whatever map lies under `Value`.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(entries) => {
            let mut keys: Vec<&String> = entries.keys().collect();
            keys.sort();
            text.push('{');
            for key in keys {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_sorted(&entries[key], text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_sorted(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
    }
}
