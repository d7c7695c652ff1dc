//! One digest for one owner's part.

use hmac::{Hmac, Mac as _};
use quaymaster_proto::SpecDigest;
use serde_json::{Value, json};
use sha2::Sha256;

use super::{ContainerSpec, EndpointSpec, NetworkSpec, ProcessSpec, SpecKey, StorageSpec};

/// Every field but the image and the restart policy.
pub(super) fn of(spec: &ContainerSpec, key: &SpecKey) -> SpecDigest {
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
    } = spec;
    let environment: Vec<Value> = environment
        .iter()
        .map(|(name, value)| json!([name, value.as_ref().map(|secret| secret.expose())]))
        .collect();
    let whole = json!({
        "environment": environment,
        "labels": labels,
        "process": process_json(process),
        "hostname": hostname,
        "domainname": domainname,
        "storage": storage_json(storage),
        "network": network_json(network),
        "auto_remove": auto_remove,
        "options": options,
    });
    let mut text = String::new();
    write_sorted(&whole, &mut text);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    let hex: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("an HMAC-SHA256 in hex is a digest")
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
    json!([binds, mounts, volumes_from])
}

fn network_json(network: &NetworkSpec) -> Value {
    let NetworkSpec { mode, endpoints, links, ports, exposed, is_disabled } = network;
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(name, endpoint)| {
            let EndpointSpec {
                aliases,
                ipv4_address,
                ipv6_address,
                link_local_addresses,
                links,
                driver_options,
            } = endpoint;
            json!([
                name,
                aliases,
                ipv4_address,
                ipv6_address,
                link_local_addresses,
                links,
                driver_options
            ])
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
    json!([mode, endpoints, links, ports, exposed, is_disabled])
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
