//! What an engine shows of a container and bollard's models leave out. Pure.
//!
//! A model takes what it knows and drops the rest in silence. So what the
//! engine wrote is compared with what comes back out of the model.

use std::collections::BTreeMap;

use bollard::models::ContainerInspectResponse;
use serde_json::Value;

use super::options;
use crate::container::spec::Unknown;

/// The parts of a container's JSON that are its owner's to choose.
const OWNERS: [&str; 3] = ["Config", "HostConfig", "NetworkSettings.Networks"];

/// Known here though not to the model.
const KNOWN: [&str; 1] = ["Config.MacAddress"];

/// What Podman sets for the runtime's name, whichever it is.
const PODMANS_RUNTIME: &str = "oci";

/// What its answers leave out, at least to 4.3.1.
const HIDDEN: [&str; 2] = ["HostConfig.LogConfig.Config", "HostConfig.Sysctls"];

/// Paths of the settings that say something and are not known, or may be set
/// and are not shown.
pub(super) fn unknown(raw: &Value, found: &ContainerInspectResponse) -> BTreeMap<String, Unknown> {
    let known = serde_json::to_value(found).expect("a model is written as JSON");
    let mut unknown = BTreeMap::new();
    for part in OWNERS {
        let pointer = format!("/{}", part.replace('.', "/"));
        let known = known.pointer(&pointer).unwrap_or(&Value::Null);
        if let Some(raw) = raw.pointer(&pointer) {
            compare(part, raw, known, &mut unknown);
        }
    }
    unknown.retain(|path, _| !is_known(path));
    let host = &raw["HostConfig"];
    if host["Runtime"] == PODMANS_RUNTIME && host.get("Sysctls").is_none() {
        unknown.extend(HIDDEN.map(|path| (path.to_owned(), Unknown::NotShown)));
    }
    unknown
}

fn is_known(path: &str) -> bool {
    let former = path.strip_prefix("HostConfig.");
    KNOWN.contains(&path) || former.is_some_and(|name| options::FORMER.contains(&name))
}

fn compare(path: &str, raw: &Value, known: &Value, unknown: &mut BTreeMap<String, Unknown>) {
    match (raw, known) {
        (Value::Object(raw), Value::Object(known)) => {
            for (name, value) in raw {
                let path = format!("{path}.{name}");
                match known.get(name) {
                    Some(known) => compare(&path, value, known, unknown),
                    None if options::says_something(value) => {
                        unknown.insert(path, Unknown::ToAgent);
                    }
                    None => {}
                }
            }
        }
        (Value::Array(raw), Value::Array(known)) => {
            for (index, value) in raw.iter().enumerate() {
                match known.get(index) {
                    Some(known) => compare(path, value, known, unknown),
                    None => {
                        unknown.insert(path.to_owned(), Unknown::ToAgent);
                    }
                }
            }
        }
        _ => {}
    }
}
