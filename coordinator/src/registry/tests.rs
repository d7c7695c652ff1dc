//! Certificates, as a real handshake meets them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const NAME: &str = "registry.example.com";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ntrue";

/// An authority, and what it signs.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }

    fn signs(
        &self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key)
    }
}

/// A registry that is open to all, with this certificate.
async fn serve((certificate, key): (CertificateDer<'static>, KeyPair)) -> SocketAddr {
    let _ = default_provider().install_default();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not like the certificate goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(ANSWER).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

async fn asked(name: &str, at: SocketAddr, ca: &str) -> Result<Option<Challenge>, Trouble> {
    let authority = format!("{name}:{}", at.port());
    let door = Door { scheme: "https".to_owned(), authority, at: Some(at) };
    let patience = Patience { tries: 2, pause: Duration::from_millis(1) };
    Client::new(door, Some(ca.as_bytes()), patience).unwrap().challenge().await
}

fn problem(result: Result<Option<Challenge>, Trouble>) -> CertificateTrouble {
    match result {
        Err(Trouble::Certificate { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_is_asked_by_its_address_and_known_by_the_registrys_name() {
    let authority = Authority::new();
    let at = serve(authority.signs(|_| {})).await;
    assert_eq!(asked(NAME, at, &authority.pem()).await, Ok(None));
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_told_apart() {
    let authority = Authority::new();
    let at = serve(authority.signs(|_| {})).await;
    let stranger = Authority::new();
    assert_eq!(problem(asked(NAME, at, &stranger.pem()).await), CertificateTrouble::UnknownIssuer);
    let other = "other.example.com".to_owned();
    assert_eq!(
        problem(asked(&other, at, &authority.pem()).await),
        CertificateTrouble::OtherName { name: format!("{other}:{}", at.port()) }
    );
    let at = serve(authority.signs(|params| {
        params.not_before = OffsetDateTime::UNIX_EPOCH;
        params.not_after = OffsetDateTime::UNIX_EPOCH + time::Duration::days(1);
    }))
    .await;
    assert_eq!(problem(asked(NAME, at, &authority.pem()).await), CertificateTrouble::NotValidNow);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let alone = params.self_signed(&key).unwrap().der().clone();
    let at = serve((alone, key)).await;
    assert_eq!(problem(asked(NAME, at, &authority.pem()).await), CertificateTrouble::UnknownIssuer);
}

#[test]
fn each_trouble_says_what_to_do() {
    let told = |trouble: Trouble| format!("{trouble}\n  {}", trouble.remedy());
    let at = "https://10.0.0.11".to_owned();
    let answer = |status, code: &str, said: &str| Trouble::Answer {
        what: "PUT /v2/a/b/manifests/t".to_owned(),
        status,
        code: code.to_owned(),
        said: said.to_owned(),
    };
    let certificate = |problem| Trouble::Certificate { at: at.clone(), problem };
    let all = [
        certificate(CertificateTrouble::UnknownIssuer),
        certificate(CertificateTrouble::OtherName { name: "10.0.0.11".to_owned() }),
        answer(401, "UNAUTHORIZED", "access to the requested resource is not authorized"),
        answer(405, "DENIED", "System is currently read-only."),
        answer(500, "", ""),
    ];
    insta::assert_snapshot!(all.map(told).join("\n"));
}
