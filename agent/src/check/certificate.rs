//! The agent's certificate as its callers will see it, and its key.
#![expect(clippy::disallowed_methods, reason = "an effect room: it asks the clock")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quaymaster_proto::Peer;
use rustls::crypto::ring;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Finding;
use super::files::others_may_read;
use crate::app::{self, AppError};
use crate::config::AgentConfig;
use crate::rpc::tls;

/// A certificate with less than this is worth a word.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long whoever has the port may take to say who it is.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

pub(super) fn check(config: &AgentConfig) -> Vec<Finding> {
    let mut findings = vec![identity(config)];
    findings.extend(others_may_read("key", &config.tls.key));
    findings
}

fn identity(config: &AgentConfig) -> Finding {
    let about = "certificate";
    let anew = || {
        format!(
            "issue it anew: signed by `{}`, for serverAuth, with the names DNS:{} and \
             URI:quaymaster://{}/agent/{}",
            config.tls.ca.display(),
            config.node,
            config.cluster,
            config.node
        )
    };
    let identity = match app::load_identity(config) {
        Ok(identity) => identity,
        Err(AppError::Tls(error @ tls::TlsError::File { .. })) => {
            let remedy = "see that the file is there, is PEM, and that the agent's group may read \
                          it: chgrp quaymaster, chmod 0640";
            return Finding::bad(about, quaymaster_proto::in_a_line(&error), remedy);
        }
        Err(error) => return Finding::bad(about, quaymaster_proto::in_a_line(&error), anew()),
    };
    let (now, end) = (Timestamp::now(), identity.not_after);
    if end < now {
        return Finding::bad(about, format!("`{}` ended on {end}", identity.peer), anew());
    }
    if let Err(error) = app::verify_as_callers(config) {
        return Finding::bad(about, quaymaster_proto::in_a_line(&error), anew());
    }
    let text = format!("`{}`, until {end}", identity.peer);
    if end < now + SOON {
        let remedy = "a window starts only if every certificate outlasts it twice; put a new one \
                      in place and `systemctl reload quaymaster-agent`";
        return Finding::note(about, text, remedy);
    }
    Finding::good(about, text)
}

/// Who serves at an address, if it is somebody of this authority with the name
/// of this node.
pub(super) async fn who_serves(config: &AgentConfig, ca: &Path) -> Option<Peer> {
    let mut client =
        rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .ok()?
            .with_root_certificates(tls::roots(ca).ok()?)
            .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(config.node.to_string()).ok()?;
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let ask = async {
        let stream = TcpStream::connect(address).await.ok()?;
        let stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await.ok()?;
        let certificate = stream.get_ref().1.peer_certificates()?.first()?;
        Peer::from_certificate(certificate).ok()
    };
    tokio::time::timeout(HANDSHAKE_LIMIT, ask).await.ok()?
}
