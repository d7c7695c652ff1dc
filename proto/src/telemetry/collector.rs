//! Where spans go.

use std::fmt;
use std::str::FromStr;

use crate::text::InvalidText;

/// A collector that takes OTLP over gRPC: `http://host:port`, or `https` with a
/// certificate of the site's own CA.
///
/// Without path, query or login: a token does not belong into a file that
/// everybody reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collector {
    url: String,
    is_encrypted: bool,
}

const RULE: &str = "a collector's address (OTLP over gRPC), such as `http://10.0.0.5:4317`: \
     `http` or `https`, a host and a port, nothing else";

impl Collector {
    /// `http://host:port` or `https://host:port`.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether it is `https`.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }
}

impl FromStr for Collector {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let invalid = || InvalidText { text: without_secrets(text), rule: RULE };
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(invalid)?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
                !host.is_empty() && host.bytes().all(is_letter)
            }
        };
        if !matches!(scheme, "http" | "https") || !is_host || !is_port {
            return Err(invalid());
        }
        Ok(Self { url: text.to_owned(), is_encrypted: scheme == "https" })
    }
}

/// A refused text with what may be a login or a token taken out.
fn without_secrets(text: &str) -> String {
    let plain = text.split(['?', '#']).next().unwrap_or_default();
    match plain.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => plain.to_owned(),
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_host_and_a_port_and_no_login() {
        for good in ["http://10.0.0.5:4317", "https://otel.example.com:4317", "http://[fd00::1]:1"]
        {
            assert_eq!(good.parse::<Collector>().unwrap().as_str(), good);
        }
        assert!("https://otel:1".parse::<Collector>().unwrap().is_encrypted());
        for bad in [
            "",
            "otel:4317",
            "http://otel",
            "http://otel:0",
            "http://otel:4317/",
            "http://otel:4317/v1/traces",
            "http://user:pass@otel:4317",
            "http://otel:4317?token=x",
            "grpc://otel:4317",
            "HTTP://otel:4317",
            "http://:4317",
            "http://[otel]:4317",
        ] {
            let refusal = bad.parse::<Collector>().unwrap_err().to_string();
            assert!(!refusal.contains("pass") && !refusal.contains("token"), "{refusal}");
        }
    }
}
