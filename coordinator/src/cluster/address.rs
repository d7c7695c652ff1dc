//! Where an agent listens.

use std::fmt;
use std::str::FromStr;

use quaymaster_proto::DEFAULT_PORT;
use serde::{Deserialize, Serialize};

/// A host and a port: `10.0.0.11:9643`, `quay-1.example.com`, `[fd00::1]:9643`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeAddress {
    host: String,
    port: u16,
}

/// A text that is no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not an address such as `10.0.0.11:9643`")]
pub struct InvalidAddress {
    /// What was given.
    pub text: String,
}

impl NodeAddress {
    /// A name or an IP address in lower case, IPv6 without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            formatter.pad(&format!("[{host}]:{port}"))
        } else {
            formatter.pad(&format!("{host}:{port}"))
        }
    }
}

impl FromStr for NodeAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress { text: text.to_owned() };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(invalid)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| invalid())?;
                match port {
                    "" => (host, None),
                    port => (host, Some(port.strip_prefix(':').ok_or_else(invalid)?)),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host) {
            return Err(invalid());
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?,
            None => DEFAULT_PORT,
        };
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

impl TryFrom<String> for NodeAddress {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl From<NodeAddress> for String {
    fn from(address: NodeAddress) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_in_full_however_it_was_given() {
        for (given, written) in [
            ("10.0.0.11:9643", "10.0.0.11:9643"),
            ("Quay-1.Example.com", "quay-1.example.com:9643"),
            ("[fd00::1]:1", "[fd00::1]:1"),
            ("[::1]", "[::1]:9643"),
        ] {
            assert_eq!(given.parse::<NodeAddress>().unwrap().to_string(), written);
        }
        for bad in
            ["", ":9643", "host:", "host:0", "host:65536", "a b", "fd00::1", "http://x", "[x]:1"]
        {
            assert!(bad.parse::<NodeAddress>().is_err(), "{bad}");
        }
    }
}
