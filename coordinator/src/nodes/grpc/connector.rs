//! One node's connection: dial its address, prove its name and its identity,
//! and keep what went wrong where the caller of an RPC can find it.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quaymaster_proto::peer::InvalidPeer;
use quaymaster_proto::{ClusterName, NodeName, Peer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use super::tls;
use crate::nodes::Unreachable;

/// A dead line is noticed after two of these.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What was read before it was asked for is handed out first.
type Connection = BufReader<TlsStream<TcpStream>>;

/// How one node is dialled.
#[derive(Clone, Debug)]
pub(super) struct Dialler {
    pub(super) cluster: ClusterName,
    pub(super) node: NodeName,
    pub(super) address: String,
    pub(super) connect: Duration,
    pub(super) tls: Arc<ClientConfig>,
}

/// What the connector tells the caller, through tonic's own errors.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Fault(#[from] Unreachable);

impl Dialler {
    /// A connection that is made at its first use, and again when it broke.
    pub(super) fn channel(self) -> Channel {
        // `http`: with `https` tonic asks for its own TLS, which knows neither
        // our identity check nor our words. The name becomes `:authority`.
        let endpoint = Endpoint::from_shared(format!("http://{}", self.node))
            .unwrap_or_else(|_| Endpoint::from_static("http://agent"))
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let connector = tower::service_fn(move |_: tonic::codegen::http::Uri| {
            let dialler = self.clone();
            async move { dialler.connect().await.map(TokioIo::new).map_err(Fault) }
        });
        endpoint.connect_with_connector_lazy(connector)
    }

    async fn connect(&self) -> Result<Connection, Unreachable> {
        let after = self.connect;
        tokio::time::timeout(after, self.dial_and_prove())
            .await
            .unwrap_or(Err(Unreachable::ConnectTimeout { after }))
    }

    async fn dial_and_prove(&self) -> Result<Connection, Unreachable> {
        let plain =
            TcpStream::connect(&self.address).await.map_err(|error| tls::dial_fault(&error))?;
        // Small frames, and each of them counts in the dark.
        plain.set_nodelay(true).map_err(|error| tls::dial_fault(&error))?;
        let name = ServerName::try_from(self.node.to_string())
            .map_err(|_| Unreachable::OtherName { expected: self.node.to_string() })?;
        let stream = TlsConnector::from(self.tls.clone())
            .connect(name, plain)
            .await
            .map_err(|error| tls::handshake_fault(&error, self.node.as_str()))?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let found = certificate
            .map_or(Err(InvalidPeer::Unreadable), |der| Peer::from_certificate(der.as_ref()));
        Unreachable::unless_expected(found, &self.cluster, &self.node)?;
        self.heard_from(stream).await
    }

    /// In TLS 1.3 an agent rejects our certificate only after our handshake has
    /// succeeded. Its alert is lost in the broken pipe of whoever writes before
    /// reading it; an agent that takes us speaks first (its HTTP/2 settings).
    async fn heard_from(&self, stream: TlsStream<TcpStream>) -> Result<Connection, Unreachable> {
        let mut connection = BufReader::new(stream);
        match connection.fill_buf().await {
            Ok([]) => {
                Err(tls::handshake_fault(&io::ErrorKind::UnexpectedEof.into(), self.node.as_str()))
            }
            Ok(_) => Ok(connection),
            Err(error) => Err(tls::handshake_fault(&error, self.node.as_str())),
        }
    }
}

/// Our own words in one link of an error's chain, if there are any.
pub(super) fn fault_in(error: &(dyn Error + 'static)) -> Option<Unreachable> {
    if let Some(Fault(fault)) = error.downcast_ref::<Fault>() {
        return Some(fault.clone());
    }
    // An agent that was restarted with another CA shows so on a line in use.
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls::tls_fault(tls, ""));
    }
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
        && let Some(tls) = inner.downcast_ref::<rustls::Error>()
    {
        return Some(tls::tls_fault(tls, ""));
    }
    // h2 keeps only the text of what it read.
    let text = error.to_string();
    let (_, alert) = text.split_once("received fatal alert: ")?;
    let alert = alert.split(|symbol: char| !symbol.is_alphanumeric()).next().unwrap_or(alert);
    Some(Unreachable::RejectsUs { alert: alert.to_owned() })
}
