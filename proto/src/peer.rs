//! Who is at the other end, out of the one URI SAN of its certificate.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::name::{ClusterName, NodeName};

/// An identity: `quaymaster://<cluster>/agent/<node>` or
/// `quaymaster://<cluster>/<reader|operator|admin>/<person>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A node's agent.
    Agent {
        /// Its cluster.
        cluster: ClusterName,
        /// Its node.
        node: NodeName,
    },
    /// A person or a program of theirs.
    Person {
        /// The cluster they may act on.
        cluster: ClusterName,
        /// What they may do there.
        role: Role,
        /// Who they are, for the record.
        name: String,
    },
}

/// What a person may do; each role may do what the ones before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Look.
    Reader,
    /// Look, act, start jobs.
    Operator,
    /// All of these, and what only an owner should do.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}

/// Why a certificate names nobody.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPeer {
    /// It cannot be parsed.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// Exactly one URI SAN is needed.
    #[error("the certificate carries {count} URI names instead of one")]
    UriCount {
        /// How many it carries.
        count: usize,
    },
    /// The URI is none of ours.
    #[error("`{uri}` is not a Quaymaster identity")]
    Uri {
        /// As in the certificate.
        uri: String,
    },
    /// Its dates make no sense.
    #[error("the certificate's end is not a date")]
    NotAfter,
}

impl Peer {
    /// Reads the identity in a certificate (DER).
    pub fn from_certificate(der: &[u8]) -> Result<Self, InvalidPeer> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| InvalidPeer::Unreadable)?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| InvalidPeer::Unreadable)?
            .map(|extension| extension.value.general_names.as_slice())
            .unwrap_or_default();
        let uris: Vec<&str> = names.iter().filter_map(uri).collect();
        match uris.as_slice() {
            [uri] => uri.parse(),
            others => Err(InvalidPeer::UriCount { count: others.len() }),
        }
    }

    /// The cluster in the identity.
    pub fn cluster(&self) -> &ClusterName {
        match self {
            Self::Agent { cluster, .. } | Self::Person { cluster, .. } => cluster,
        }
    }
}

/// When a certificate (DER) ends.
pub fn certificate_end(der: &[u8]) -> Result<Timestamp, InvalidPeer> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| InvalidPeer::Unreadable)?;
    Timestamp::from_second(certificate.validity().not_after.timestamp())
        .map_err(|_| InvalidPeer::NotAfter)
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    if let GeneralName::URI(uri) = name { Some(uri) } else { None }
}

impl FromStr for Peer {
    type Err = InvalidPeer;

    fn from_str(uri: &str) -> Result<Self, InvalidPeer> {
        let invalid = || InvalidPeer::Uri { uri: uri.to_owned() };
        let rest = uri.strip_prefix("quaymaster://").ok_or_else(invalid)?;
        let mut parts = rest.split('/');
        let (Some(cluster), Some(kind), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        let cluster = cluster.parse().map_err(|_| invalid())?;
        let role = match kind {
            "agent" => {
                let node = name.parse().map_err(|_| invalid())?;
                return Ok(Self::Agent { cluster, node });
            }
            "reader" => Role::Reader,
            "operator" => Role::Operator,
            "admin" => Role::Admin,
            _ => return Err(invalid()),
        };
        if name.is_empty() {
            return Err(invalid());
        }
        Ok(Self::Person { cluster, role, name: name.to_owned() })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { cluster, node } => {
                write!(formatter, "quaymaster://{cluster}/agent/{node}")
            }
            Self::Person { cluster, role, name } => {
                write!(formatter, "quaymaster://{cluster}/{role}/{name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_as_it_is_read() {
        for uri in ["quaymaster://prod/agent/quay-1", "quaymaster://prod/operator/alice"] {
            assert_eq!(uri.parse::<Peer>().unwrap().to_string(), uri);
        }
    }

    #[test]
    fn anything_else_names_nobody() {
        for uri in [
            "",
            "https://prod/agent/quay-1",
            "quaymaster://prod/agent",
            "quaymaster://prod/agent/quay-1/more",
            "quaymaster://prod/root/alice",
            "quaymaster://PROD/operator/alice",
            "quaymaster://prod/operator/",
        ] {
            assert!(uri.parse::<Peer>().is_err(), "{uri}");
        }
    }

    #[test]
    fn an_operator_may_what_a_reader_may() {
        assert!(Role::Operator >= Role::Reader && Role::Admin >= Role::Operator);
    }
}
