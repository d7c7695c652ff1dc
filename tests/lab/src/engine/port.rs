//! Published ports: what a container asks for, and who already has it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr};

/// A port of the container that is published at an address of the host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct PublishedPort {
    pub(crate) container_port: u16,
    /// `tcp` or `udp`.
    pub(crate) protocol: String,
    /// The unspecified address means all of the host's.
    pub(crate) host_address: IpAddr,
    /// 0 until the engine has chosen one.
    pub(crate) host_port: u16,
}

impl PublishedPort {
    pub(crate) fn clashes_with(&self, other: &Self) -> bool {
        let everywhere = self.host_address.is_unspecified() || other.host_address.is_unspecified();
        self.host_port == other.host_port
            && self.host_port != 0
            && self.protocol == other.protocol
            && (everywhere || self.host_address == other.host_address)
    }

    /// As Docker names it: `8080/tcp`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.container_port, self.protocol)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct BindingAsTyped {
    host_ip: Option<String>,
    host_port: Option<String>,
}

/// Reads `HostConfig.PortBindings`; the text of an entry that cannot be read
/// is the error.
pub(crate) fn published_ports(host: &Map<String, Value>) -> Result<Vec<PublishedPort>, String> {
    let Some(Value::Object(bindings)) = host.get("PortBindings") else {
        return Ok(Vec::new());
    };
    let mut published = Vec::new();
    for (key, given) in bindings {
        let (container_port, protocol) = split_key(key).ok_or_else(|| key.clone())?;
        let typed: Option<Vec<BindingAsTyped>> =
            serde_json::from_value(given.clone()).map_err(|_| key.clone())?;
        for BindingAsTyped { host_ip, host_port } in typed.unwrap_or_default() {
            published.push(PublishedPort {
                container_port,
                protocol: protocol.to_owned(),
                host_address: parse_or(host_ip, IpAddr::V4(Ipv4Addr::UNSPECIFIED))?,
                host_port: parse_or(host_port, 0)?,
            });
        }
    }
    Ok(published)
}

/// Takes `8080/tcp` or `8080` apart.
pub(crate) fn split_key(key: &str) -> Option<(u16, &str)> {
    let (port, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    Some((port.parse().ok()?, protocol))
}

fn parse_or<T: std::str::FromStr>(text: Option<String>, absent: T) -> Result<T, String> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(|_| text),
        None => Ok(absent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ports(bindings: Value) -> Result<Vec<PublishedPort>, String> {
        let host = json!({ "PortBindings": bindings });
        published_ports(host.as_object().unwrap())
    }

    #[test]
    fn the_same_port_clashes_only_at_the_same_address() {
        let at = |address: &str| {
            let bindings = json!({ "80/tcp": [{ "HostIp": address, "HostPort": "80" }] });
            ports(bindings).unwrap().remove(0)
        };
        assert!(at("127.0.1.1").clashes_with(&at("127.0.1.1")));
        assert!(at("127.0.1.1").clashes_with(&at("")));
        assert!(!at("127.0.1.1").clashes_with(&at("127.0.1.2")));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let odd = ports(json!({ "80/tcp": [{ "HostPort": "many" }] }));
        assert_eq!(odd, Err("many".to_owned()));
    }
}
