//! A server on loopback that answers by the head of a request and remembers
//! who asked what.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A status with its words and headers, and a body.
pub(super) type Reply = (String, &'static str);

type Answering = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

pub(super) struct Server {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Speaks plain HTTP.
    pub(super) async fn plain(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(answer)).await
    }

    /// Speaks HTTPS, with a certificate that it signed itself, for another
    /// name than it is asked by.
    pub(super) async fn secure(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = rcgen::generate_simple_self_signed(["quay.example.com".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))), Arc::new(answer)).await
    }

    async fn listen(acceptor: Option<TlsAcceptor>, answer: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, heads) = (Arc::default(), Arc::default());
        let server =
            Self { address, connections: Arc::clone(&connections), heads: Arc::clone(&heads) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (answer, heads) = (Arc::clone(&answer), Arc::clone(&heads));
                match acceptor.clone() {
                    None => tokio::spawn(converse(stream, answer, heads)),
                    Some(acceptor) => tokio::spawn(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            converse(stream, answer, heads).await;
                        }
                    }),
                };
            }
        });
        server
    }

    /// How often somebody connected.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Everything that was asked, in lower case.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// One question, one answer, and good-bye.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: Answering,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut asked = Vec::new();
    let head = loop {
        let text = String::from_utf8_lossy(&asked).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                break head.to_owned();
            }
        }
        match stream.read_buf(&mut asked).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    };
    let (status, body) = answer(&head);
    heads.lock().unwrap().push(head);
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    // Whoever asked may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
