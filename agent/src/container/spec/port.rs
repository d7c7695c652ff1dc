//! Ports inside a container and on its host.

use std::fmt;
use std::str::FromStr;

/// `80/tcp`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ContainerPort {
    number: u16,
    protocol: String,
}

/// Where a container's port is published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort {
    /// Empty = every address.
    pub address: String,
    /// Empty or `0` = the engine's choice.
    pub port: String,
}

/// A text that is not `number/protocol`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not a container's port such as `80/tcp`")]
pub struct InvalidPort {
    text: String,
}

impl ContainerPort {
    /// From 1 to 65535.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `tcp`, `udp` or `sctp`.
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// The same protocol at another number.
    #[must_use]
    pub fn at(&self, number: u16) -> Self {
        Self { number, protocol: self.protocol.clone() }
    }
}

impl FromStr for ContainerPort {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let invalid = || InvalidPort { text: text.to_owned() };
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let number: u16 = number.parse().map_err(|_| invalid())?;
        if number == 0 || !matches!(protocol, "tcp" | "udp" | "sctp") {
            return Err(invalid());
        }
        Ok(Self { number, protocol: protocol.to_owned() })
    }
}

impl fmt::Display for ContainerPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.protocol)
    }
}

impl HostPort {
    /// Whether nobody said which port of the host.
    pub fn is_engines_choice(&self) -> bool {
        matches!(self.port.as_str(), "" | "0")
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = if self.is_engines_choice() { "any" } else { &self.port };
        if self.address.is_empty() {
            formatter.write_str(port)
        } else {
            write!(formatter, "{}:{port}", self.address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_a_number_and_a_protocol() {
        for (text, shown) in [("80/tcp", "80/tcp"), ("53/udp", "53/udp"), ("80", "80/tcp")] {
            assert_eq!(text.parse::<ContainerPort>().unwrap().to_string(), shown);
        }
        for bad in ["", "0/tcp", "x/tcp", "80/icmp", "70000/tcp", "80/"] {
            assert!(bad.parse::<ContainerPort>().is_err(), "{bad}");
        }
    }
}
