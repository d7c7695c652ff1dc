//! The long tail of a container's settings, in the engine's own words.
//!
//! The same engine gets them back as it showed them, so that none has to be
//! understood to be carried over.

use std::collections::BTreeMap;

use bollard::models::HostConfig;
use serde_json::Value;

/// Settings that have a place of their own in a spec, and the path of a file
/// that only a command line writes.
const ELSEWHERE: [&str; 10] = [
    "AutoRemove",
    "Binds",
    "ContainerIDFile",
    "ConsoleSize",
    "Links",
    "Mounts",
    "NetworkMode",
    "PortBindings",
    "RestartPolicy",
    "VolumesFrom",
];

/// Settings whose empty value is not the same as none: an empty list of masked
/// paths masks nothing, none masks the usual ones.
const MEANT_WHEN_EMPTY: [&str; 4] = ["Init", "MaskedPaths", "MemorySwappiness", "ReadonlyPaths"];

/// Settings that engines of these years have and bollard's model has no more.
pub(super) const FORMER: [&str; 2] = ["KernelMemory", "KernelMemoryTCP"];

/// Every other setting that says something. `raw` is the engine's own JSON.
pub(super) fn of(host: &HostConfig, raw: &Value) -> BTreeMap<String, Value> {
    let Ok(Value::Object(settings)) = serde_json::to_value(host) else {
        return BTreeMap::new();
    };
    let former =
        FORMER.iter().filter_map(|name| Some(((*name).to_owned(), raw.get(name)?.clone())));
    settings
        .into_iter()
        .chain(former)
        .filter(|(name, value)| {
            !ELSEWHERE.contains(&name.as_str())
                && (says_something(value)
                    || !value.is_null() && MEANT_WHEN_EMPTY.contains(&name.as_str()))
        })
        .collect()
}

/// Back into the engine's model, without what that has no more.
pub(super) fn host_config(options: &BTreeMap<String, Value>) -> HostConfig {
    let settings = options.iter().map(|(name, value)| (name.clone(), value.clone()));
    serde_json::from_value(Value::Object(settings.collect()))
        .expect("options are made out of a host configuration and nothing else")
}

/// Whether a value is anything but an engine's way to write none.
pub(super) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}
