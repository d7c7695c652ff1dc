//! The operator's side of mutual TLS: TLS 1.3 only, one CA, and every fault of
//! a handshake told apart in our own words.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads the certificates' files")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quaymaster_proto::peer::{InvalidPeer, certificate_end};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::cluster::TlsFiles;
use crate::nodes::Unreachable;

/// Why the operator's certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {what} `{}`", path.display())]
    Read {
        /// The setting that names it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{what} `{}` holds no usable PEM block", path.display())]
    Pem {
        /// The setting that names it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// A certificate cannot be read.
    #[error("{what} `{}` holds a certificate that cannot be read", path.display())]
    Certificate {
        /// The setting that names it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: InvalidPeer,
    },
    /// The files do not make an identity.
    #[error(
        "cannot use tls.certificate `{}` with tls.key `{}`",
        certificate.display(), key.display()
    )]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The operator's identity, ready for use.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) config: Arc<ClientConfig>,
    /// End of the operator's certificate.
    pub not_after: jiff::Timestamp,
}

impl Identity {
    /// Reads the three files.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let TlsFiles { ca, certificate, key } = files;
        let unusable = |source| TlsError::Unusable {
            certificate: certificate.clone(),
            key: key.clone(),
            source,
        };
        let mut roots = RootCertStore::empty();
        for root in certificates("tls.ca", ca)? {
            roots.add(root).map_err(unusable)?;
        }
        let chain = certificates("tls.certificate", certificate)?;
        let not_after = end_of_first(&chain, certificate)?;
        let secret = PrivateKeyDer::from_pem_slice(&read("tls.key", key)?)
            .map_err(|source| TlsError::Pem { what: "tls.key", path: key.clone(), source })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, secret)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config), not_after })
    }
}

fn end_of_first(
    chain: &[CertificateDer<'static>],
    path: &Path,
) -> Result<jiff::Timestamp, TlsError> {
    let what = "tls.certificate";
    let none = || TlsError::Pem {
        what,
        path: path.to_owned(),
        source: rustls_pki_types::pem::Error::NoItemsFound,
    };
    let first = chain.first().ok_or_else(none)?;
    certificate_end(first).map_err(|source| TlsError::Certificate {
        what,
        path: path.to_owned(),
        source,
    })
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { what, path: path.to_owned(), source })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::Pem { what, path: path.to_owned(), source };
    let found = CertificateDer::pem_slice_iter(&read(what, path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(wrong)?;
    if found.is_empty() {
        return Err(wrong(rustls_pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

/// A failed TCP connection in our words.
pub(super) fn dial_fault(error: &io::Error) -> Unreachable {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        Unreachable::ConnectionRefused
    } else {
        Unreachable::Dial { problem: error.to_string() }
    }
}

/// A failed handshake in our words.
pub(super) fn handshake_fault(error: &io::Error, name: &str) -> Unreachable {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return Unreachable::Handshake { problem: error.to_string() };
    };
    tls_fault(tls, name)
}

/// `rustls::Error` in our words. Its own variants beyond these are another
/// crate's and open-ended: they keep its text.
#[expect(clippy::wildcard_enum_match_arm, reason = "another crate's open-ended enums")]
pub(super) fn tls_fault(error: &rustls::Error, name: &str) -> Unreachable {
    match error {
        rustls::Error::InvalidCertificate(fault) => match fault {
            // A CA of the same name with another key shows as a bad signature.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Unreachable::OtherAuthority
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Unreachable::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Unreachable::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Unreachable::OtherName { expected: name.to_owned() }
            }
            other => Unreachable::BadCertificate { problem: other.to_string() },
        },
        rustls::Error::InvalidMessage(_) => Unreachable::PlainText,
        rustls::Error::AlertReceived(alert) => alert_fault(*alert),
        other => Unreachable::Handshake { problem: other.to_string() },
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "another crate's open-ended enum")]
fn alert_fault(alert: AlertDescription) -> Unreachable {
    match alert {
        AlertDescription::ProtocolVersion | AlertDescription::NoApplicationProtocol => {
            Unreachable::Handshake { problem: format!("the agent answered {alert:?}") }
        }
        other => Unreachable::RejectsUs { alert: format!("{other:?}") },
    }
}
