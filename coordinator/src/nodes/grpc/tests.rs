#![expect(clippy::disallowed_methods, reason = "tests write certificates")]

use std::path::Path;
use std::sync::Arc;

use quaymaster_proto::refusal::Reason;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration as Days, OffsetDateTime};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::cluster::TlsFiles;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

struct Leaf {
    certificate: String,
    key: String,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "prod");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

/// Valid from yesterday for so many days; 0 or less is in the past.
fn leaf(authority: &Authority, uri: &str, names: &[&str], days: i64) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = OffsetDateTime::now_utc() - Days::days(1);
    params.not_after = OffsetDateTime::now_utc() + Days::days(days - 1) + Days::hours(1);
    if days <= 0 {
        params.not_before = OffsetDateTime::now_utc() - Days::days(3);
    }
    let certificate = params.signed_by(&key, &authority.issuer).unwrap().pem();
    Leaf { certificate, key: key.serialize_pem() }
}

/// An agent that knows no call: a call that reaches it is answered
/// `Unimplemented`.
async fn agent(authority: &Authority, leaf: &Leaf) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (accepted, incoming) = tokio::sync::mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok((plain, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(plain).await {
                let (inner, mut outer) = tokio::io::duplex(65_536);
                let _ = accepted.send(Ok::<_, std::io::Error>(inner)).await;
                tokio::spawn(async move {
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut outer).await;
                });
            }
        }
    });
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_routes(tonic::service::Routes::default())
            .serve_with_incoming(ReceiverStream::new(incoming)),
    );
    address
}

fn identity(directory: &Path, authority: &Authority, leaf: &Leaf) -> Identity {
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    Identity::load(&TlsFiles {
        ca: write("ca.crt", &authority.pem),
        certificate: write("operator.crt", &leaf.certificate),
        key: write("operator.key", &leaf.key),
    })
    .unwrap()
}

/// Asks the agent at `address` as operator of `prod`, and says why it failed.
async fn ask(address: &str, authority: &Authority, operator: &Leaf) -> NoAnswer {
    let directory = tempfile::tempdir().unwrap();
    let identity = identity(directory.path(), authority, operator);
    let file = format!(
        "version: 1\ncluster: prod\ntls: {{ ca: a, certificate: b, key: c }}\nnodes:\n  - {{ name: quay-1, address: \"{address}\" }}\ntimings: {{ connect: 2s }}\n"
    );
    let cluster = Cluster::parse(&file, directory.path()).unwrap();
    let fleet = Fleet::new(&cluster, &identity);
    let node = "quay-1".parse().unwrap();
    let error = fleet.describe(&node, &SurveyKey::new([0; 32])).await.unwrap_err();
    assert_eq!(error.address, address);
    *error.why
}

async fn unreachable(address: &str, authority: &Authority, operator: &Leaf) -> Unreachable {
    match ask(address, authority, operator).await {
        NoAnswer::Unreachable(unreachable) => unreachable,
        other @ (NoAnswer::Refused(_) | NoAnswer::Malformed(_)) => panic!("{other:?}"),
    }
}

const AGENT: &str = "quaymaster://prod/agent/quay-1";
const OPERATOR: &str = "quaymaster://prod/operator/alice";

#[tokio::test]
async fn an_agent_of_this_cluster_and_node_is_talked_to() {
    let ca = authority();
    let address = agent(&ca, &leaf(&ca, AGENT, &["quay-1"], 7)).await;
    let why = unreachable(&address, &ca, &leaf(&ca, OPERATOR, &[], 7)).await;
    assert!(
        matches!(&why, Unreachable::Unexpected { problem } if problem.contains("Unimplemented")),
        "{why:?}"
    );
}

#[tokio::test]
async fn nobody_there_and_plain_text_are_told_apart() {
    let ca = authority();
    let operator = leaf(&ca, OPERATOR, &[], 7);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let why = unreachable(&free.to_string(), &ca, &operator).await;
    assert_eq!(why, Unreachable::ConnectionRefused);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let _ = plain.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    assert_eq!(unreachable(&address, &ca, &operator).await, Unreachable::PlainText);
}

#[tokio::test]
async fn a_silent_listener_is_given_up_after_the_connect_time() {
    let ca = authority();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let why = unreachable(&address, &ca, &leaf(&ca, OPERATOR, &[], 7)).await;
    assert_eq!(why, Unreachable::ConnectTimeout { after: Duration::from_secs(2) });
}

#[tokio::test]
async fn an_agents_bad_certificate_is_named() {
    let (ca, other) = (authority(), authority());
    let operator = leaf(&ca, OPERATOR, &[], 7);
    let address = agent(&ca, &leaf(&other, AGENT, &["quay-1"], 7)).await;
    assert_eq!(unreachable(&address, &ca, &operator).await, Unreachable::OtherAuthority);

    let address = agent(&ca, &leaf(&ca, AGENT, &["quay-1"], 0)).await;
    assert_eq!(unreachable(&address, &ca, &operator).await, Unreachable::Expired);

    let address = agent(&ca, &leaf(&ca, AGENT, &["quay-2"], 7)).await;
    let expected = Unreachable::OtherName { expected: "quay-1".to_owned() };
    assert_eq!(unreachable(&address, &ca, &operator).await, expected);

    for found in ["quaymaster://stage/agent/quay-1", "quaymaster://prod/agent/quay-2"] {
        let address = agent(&ca, &leaf(&ca, found, &["quay-1"], 7)).await;
        let (expected, found) = (AGENT.to_owned(), found.to_owned());
        let why = unreachable(&address, &ca, &operator).await;
        assert_eq!(why, Unreachable::OtherIdentity { expected, found });
    }
}

#[tokio::test]
async fn our_own_bad_certificate_is_named() {
    let (ca, other) = (authority(), authority());
    let address = agent(&ca, &leaf(&ca, AGENT, &["quay-1"], 7)).await;
    for operator in [leaf(&ca, OPERATOR, &[], 0), leaf(&other, OPERATOR, &[], 7)] {
        // Our own trust in the agent is not at stake: only its trust in us.
        let why = unreachable(&address, &ca, &operator).await;
        assert!(matches!(&why, Unreachable::RejectsUs { .. }), "{why:?}");
    }
}

#[test]
fn a_refusal_is_not_an_unreachable_agent() {
    let refusal = Refusal::new(Reason::Busy, "another act is in flight");
    let status = Status::from(refusal.clone());
    assert_eq!(no_answer(&status), NoAnswer::Refused(refusal));
}

#[test]
fn a_missing_certificate_is_named_by_its_setting() {
    let files = TlsFiles {
        ca: "/nonexistent/ca.crt".into(),
        certificate: "/nonexistent/operator.crt".into(),
        key: "/nonexistent/operator.key".into(),
    };
    let error = Identity::load(&files).unwrap_err();
    assert_eq!(error.to_string(), "cannot read tls.ca `/nonexistent/ca.crt`");
}
