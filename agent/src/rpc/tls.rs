//! The listener: TLS 1.3 with a client certificate of the cluster's authority,
//! or nothing.
//!
//! Each handshake runs by itself with a limit of its own, so that a peer that
//! is slow, silent or speaks plain text holds up nobody else.
#![expect(clippy::disallowed_methods, reason = "an effect room: it reads certificates and waits")]

mod callers;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use quaymaster_proto::Peer;
use quaymaster_proto::peer::{InvalidPeer, certificate_end};
use rustls::crypto::ring;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

pub(crate) use self::callers::verify_as_callers;

/// How long a peer may take for its handshake: ten times what the slowest link
/// to a node should need.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Handshakes at once; more wait in the kernel's backlog.
const HANDSHAKES: usize = 64;

/// How long to wait when the kernel has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the agent has no TLS to offer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file that is not there, not readable or not PEM.
    #[error("cannot read {what} `{}`", path.display())]
    File {
        /// Certificate, key or authority.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// A PEM file without a certificate in it.
    #[error("{what} `{}` holds no certificate", path.display())]
    Empty {
        /// Certificate or authority.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// The authority's certificate is not one.
    #[error("cannot use authority `{}`", path.display())]
    Authority {
        /// Where.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The authority cannot verify clients.
    #[error("cannot verify clients by authority `{}`", path.display())]
    Verifier {
        /// Where.
        path: PathBuf,
        /// Why.
        source: VerifierBuilderError,
    },
    /// Certificate and key do not belong together, or neither is usable.
    #[error("cannot serve with certificate `{}` and its key", path.display())]
    Identity {
        /// The certificate.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// It is a certificate, and callers will have none of it.
    #[error("callers would refuse certificate `{}`", path.display())]
    Refused {
        /// The certificate.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The certificate does not say what it must.
    #[error("cannot serve with certificate `{}`", path.display())]
    Name {
        /// The certificate.
        path: PathBuf,
        /// Why.
        source: InvalidPeer,
    },
}

/// The three files of a TLS identity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsFiles<'a> {
    /// Authority of the cluster.
    pub(crate) ca: &'a Path,
    /// This agent's certificate, with its chain.
    pub(crate) certificate: &'a Path,
    /// Its key.
    pub(crate) key: &'a Path,
}

/// The agent's own identity, ready to serve.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// For the listener.
    pub(crate) config: Arc<ServerConfig>,
    /// Who the certificate says that this agent is.
    pub(crate) peer: Peer,
    /// When it ends.
    pub(crate) not_after: Timestamp,
}

/// The certificates of a PEM file; at least one.
pub(crate) fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |source| TlsError::File { what, path: path.to_owned(), source };
    let all = CertificateDer::pem_file_iter(path).map_err(file)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(file)?;
    if all.is_empty() {
        return Err(TlsError::Empty { what, path: path.to_owned() });
    }
    Ok(all)
}

/// The authority behind everyone's certificates.
pub(crate) fn roots(ca: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates("authority", ca)? {
        roots
            .add(authority)
            .map_err(|source| TlsError::Authority { path: ca.to_owned(), source })?;
    }
    Ok(roots)
}

impl Identity {
    /// Reads the files.
    pub(crate) fn load(files: TlsFiles<'_>) -> Result<Self, TlsError> {
        let TlsFiles { ca, certificate, key } = files;
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots(ca)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|source| TlsError::Verifier { path: ca.to_owned(), source })?;
        let chain = certificates("certificate", certificate)?;
        let own = chain[0].clone();
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::File {
            what: "key",
            path: key.to_owned(),
            source,
        })?;
        let identity = |source| TlsError::Identity { path: certificate.to_owned(), source };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(identity)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, secret)
            .map_err(identity)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would not show its certificate again.
        config.send_tls13_tickets = 0;
        let name = |source| TlsError::Name { path: certificate.to_owned(), source };
        Ok(Self {
            config: Arc::new(config),
            peer: Peer::from_certificate(&own).map_err(name)?,
            not_after: certificate_end(&own).map_err(name)?,
        })
    }
}

/// Who is at the other end of a connection, as its certificate says.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Where it connects from.
    pub(crate) address: SocketAddr,
    /// Who it is and until when.
    pub(crate) name: Result<(Peer, Timestamp), InvalidPeer>,
}

/// A connection whose certificate was verified.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    caller: Arc<Caller>,
}

impl Connection {
    fn new(stream: TlsStream<TcpStream>, address: SocketAddr) -> Self {
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let name = certificate.ok_or(InvalidPeer::Unreadable).and_then(|certificate| {
            Ok((Peer::from_certificate(certificate)?, certificate_end(certificate)?))
        });
        Self { stream, caller: Arc::new(Caller { address, name }) }
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Caller>;

    fn connect_info(&self) -> Self::ConnectInfo {
        Arc::clone(&self.caller)
    }
}

/// Accepts connections until the returned stream is dropped, each with the
/// certificates that `config` holds at that moment.
pub(crate) fn connections(
    listener: TcpListener,
    config: watch::Receiver<Arc<ServerConfig>>,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(16);
    tokio::spawn(async move {
        let slots = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = ready.closed() => return,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "Cannot accept a connection.");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let acceptor = TlsAcceptor::from(Arc::clone(&config.borrow()));
            let ready = ready.clone();
            tokio::spawn(async move {
                if let Some(connection) = shake_hands(&acceptor, stream, address).await {
                    let _ = ready.send(Ok(connection)).await; // closed = shutting down
                }
                drop(slot);
            });
        }
    });
    ReceiverStream::new(stream)
}

async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
) -> Option<Connection> {
    let _ = stream.set_nodelay(true); // a matter of speed alone
    match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(Connection::new(stream, address)),
        Ok(Err(error)) => {
            tracing::warn!(peer = %address, %error, "Refused a connection.");
            None
        }
        Err(_) => {
            let limit = HANDSHAKE_LIMIT.as_secs();
            tracing::warn!(peer = %address, "Refused a connection: no handshake within {limit} s.");
            None
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
