#![expect(clippy::disallowed_methods, reason = "tests write certificates and speak over loopback")]

use crate::node::Kept;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quaymaster_proto::wire::agent_client::AgentClient;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::config::AgentConfig;
use crate::engine::fake::{FakeEngine, image_id, spec};
use crate::ledger::LedgerSlot;
use crate::quay::http::QuayClient;
use crate::surroundings::Surroundings;

/// An authority that signs whatever a test wants.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, PEM.
struct Signed {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "authority");
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    fn sign(&self, uri: &str, usage: ExtendedKeyUsagePurpose, last_year: i32) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["quay-1".to_owned()]).unwrap();
        parameters.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        parameters.extended_key_usages = vec![usage];
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap().pem();
        Signed { certificate, key: key.serialize_pem() }
    }

    fn person(&self, role: &str) -> Signed {
        let uri = format!("quaymaster://prod/{role}/alice");
        self.sign(&uri, ExtendedKeyUsagePurpose::ClientAuth, 2090)
    }
}

/// An agent that serves on loopback.
struct Served {
    address: SocketAddr,
    authority: Authority,
    _directory: TempDir,
}

async fn serve_one() -> Served {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = Authority::new();
    let uri = "quaymaster://prod/agent/quay-1";
    let own = authority.sign(uri, ExtendedKeyUsagePurpose::ServerAuth, 2090);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { directory.path().join(name) };
    std::fs::write(path("ca.crt"), &authority.pem).unwrap();
    std::fs::write(path("agent.crt"), &own.certificate).unwrap();
    std::fs::write(path("agent.key"), &own.key).unwrap();
    let yaml = "version: 1\ncluster: prod\nnode: quay-1\nlisten: 127.0.0.1:9643\n\
        tls: { ca: ca.crt, certificate: agent.crt, key: agent.key }\n\
        engine: unix:///run/none.sock\nstate: state\ncomponents:\n  quay: { container: quay, \
        config: config.yaml, repositories: [quay.io/redhat/quay] }\n";
    std::fs::write(path("config.yaml"), "SETUP_COMPLETE: true\nSECRET_KEY: hunter2\n").unwrap();
    let config = AgentConfig::parse(yaml, directory.path()).unwrap();
    let identity = crate::app::load_identity(&config).unwrap();
    let ledger = LedgerSlot::open(&config.state);
    let engine = FakeEngine::default();
    engine.run(1, "quay", spec(image_id(1), &[]));
    let surroundings = Surroundings::of_host(QuayClient::new().unwrap());
    let node = Arc::new(Node::new(
        config,
        engine,
        surroundings,
        identity.not_after,
        Kept::in_tests(ledger),
    ));
    let worker = Arc::new(Worker::new(Arc::clone(&node)));
    let service = Service::new(Arc::clone(&node), worker, Jobs::new(node));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = tls::connections(listener, tokio::sync::watch::channel(identity.config).1);
    tokio::spawn(serve(service, connections, std::future::pending()));
    Served { address, authority, _directory: directory }
}

impl Served {
    /// A client with this certificate, or none.
    fn client(&self, signed: Option<&Signed>) -> AgentClient<Channel> {
        let connector = connector(&self.authority.pem, signed);
        let address = self.address;
        let connect = tower::service_fn(move |_| {
            let connector = connector.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("quay-1").unwrap();
                Ok::<_, std::io::Error>(TokioIo::new(connector.connect(name, stream).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://quay-1").timeout(Duration::from_secs(10));
        AgentClient::new(endpoint.connect_with_connector_lazy(connect))
    }
}

fn connector(authority: &str, signed: Option<&Signed>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let builder = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots);
    let mut config = match signed {
        None => builder.with_no_client_auth(),
        Some(Signed { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

fn describe() -> wire::DescribeRequest {
    wire::DescribeRequest { survey_key: vec![7; 32] }
}

/// The refusal of a handshake: every cause, in one text.
async fn rejected(served: &Served, signed: Option<&Signed>) -> String {
    let status = served.client(signed).describe(describe()).await.unwrap_err();
    assert_eq!(Refusal::from_status(&status), None);
    quaymaster_proto::in_a_line(&status)
}

async fn refusal(served: &Served, signed: &Signed) -> Refusal {
    let status = served.client(Some(signed)).describe(describe()).await.unwrap_err();
    Refusal::from_status(&status).unwrap()
}

#[tokio::test]
async fn a_reader_looks_and_no_secret_leaves() {
    let served = serve_one().await;
    let mut client = served.client(Some(&served.authority.person("reader")));
    let description = client.describe(describe()).await.unwrap().into_inner();
    assert!(!format!("{description:?}").contains("hunter2"));
    let facts: quaymaster_proto::node::NodeFacts = description.try_into().unwrap();
    assert_eq!((facts.cluster.as_str(), facts.node.as_str()), ("prod", "quay-1"));
    assert!(facts.component(quaymaster_proto::Component::Quay).unwrap().container.is_some());
}

#[tokio::test]
async fn settings_are_compared_for_operators_alone() {
    let served = serve_one().await;
    for (role, compares) in [("reader", false), ("operator", true), ("admin", true)] {
        let mut client = served.client(Some(&served.authority.person(role)));
        let description = client.describe(describe()).await.unwrap().into_inner();
        let facts: quaymaster_proto::node::NodeFacts = description.try_into().unwrap();
        let quaymaster_proto::node::ConfigFacts::Readable(config) = facts.config else {
            panic!("{:?}", facts.config)
        };
        // What the rest of a status needs is there for all.
        assert_eq!(config.keyed_values.contains_key("SECRET_KEY"), compares, "{role}");
        assert_eq!(config.keyed_values.is_empty(), !compares, "{role}");
        assert!(config.setup_complete, "{role}");
    }
}

#[tokio::test]
async fn a_reader_may_not_act_and_an_operator_may() {
    let served = serve_one().await;
    let empty = wire::PromoteRequest::default();
    let mut reader = served.client(Some(&served.authority.person("reader")));
    let status = reader.promote(empty.clone()).await.unwrap_err();
    let refused = Refusal::from_status(&status).unwrap();
    assert_eq!((refused.reason, status.code()), (Reason::Role, Code::PermissionDenied));
    assert!(refused.message.contains("operator"), "{refused}");
    // The operator gets as far as the message's own mistakes.
    let mut operator = served.client(Some(&served.authority.person("operator")));
    let status = operator.promote(empty).await.unwrap_err();
    assert_eq!(Refusal::from_status(&status).unwrap().reason, Reason::Invalid);
}

#[tokio::test]
async fn a_lease_is_claimed_by_an_operator_and_its_run_is_read_by_a_reader() {
    let served = serve_one().await;
    let mut reader = served.client(Some(&served.authority.person("reader")));
    let mut operator = served.client(Some(&served.authority.person("operator")));
    let act = quaymaster_proto::Act {
        cluster: "prod".parse().unwrap(),
        run: "01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
        epoch: quaymaster_proto::Epoch::FIRST,
        step: quaymaster_proto::StepNumber::FIRST,
        plan: "a".repeat(64).parse().unwrap(),
    };
    let claim = crate::lease::claiming(&act, None);
    let refusal = |status: &Status| Refusal::from_status(status).unwrap();
    let status = reader.claim_lease(wire::ClaimLeaseRequest::from(claim.clone())).await;
    assert_eq!(refusal(&status.unwrap_err()).reason, Reason::Role);
    let mut long = wire::ClaimLeaseRequest::from(claim.clone());
    long.plan = vec![b' '; plans::LONGEST + 1];
    let refused = refusal(&operator.claim_lease(long).await.unwrap_err());
    assert!(refused.message.contains("keeps plans of up to"), "{refused}");
    let granted = operator.claim_lease(wire::ClaimLeaseRequest::from(claim.clone())).await;
    let lease = granted.unwrap().into_inner().lease.unwrap();
    assert_eq!(lease.holder, claim.holder);
    let told = reader.read_ledger(wire::ReadLedgerRequest::default()).await.unwrap().into_inner();
    assert_eq!((told.plan, told.epoch), (claim.plan_bytes, 1));
    let release = quaymaster_proto::lease::ReleaseLease {
        cluster: act.cluster,
        run: act.run,
        epoch: act.epoch,
    };
    operator.release_lease(wire::ReleaseLeaseRequest::from(release)).await.unwrap();
    let run = "01ARZ3NDEKTSV4RRFFQ69G5FAW".to_owned();
    let status = reader.read_ledger(wire::ReadLedgerRequest { run }).await.unwrap_err();
    assert_eq!(refusal(&status).reason, Reason::Invalid);
}

#[tokio::test]
async fn whoever_is_not_of_this_cluster_is_told_so() {
    let served = serve_one().await;
    let usage = ExtendedKeyUsagePurpose::ClientAuth;
    let sign = |uri| served.authority.sign(uri, usage.clone(), 2090);
    let other = refusal(&served, &sign("quaymaster://test/operator/alice")).await;
    assert_eq!(other.reason, Reason::WrongCluster);
    assert!(other.message.contains("`prod`"), "{other}");
    let agent = refusal(&served, &sign("quaymaster://prod/agent/quay-2")).await;
    assert_eq!(agent.reason, Reason::Role);
    let nobody = refusal(&served, &sign("https://prod/operator/alice")).await;
    assert_eq!(nobody.reason, Reason::Role);
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_ends_the_handshake() {
    let served = serve_one().await;
    let none = rejected(&served, None).await;
    assert!(none.contains("CertificateRequired"), "{none}");
    let stranger = Authority::new().person("operator");
    let other = rejected(&served, Some(&stranger)).await;
    assert!(other.contains("alert"), "{other}");
    let uri = "quaymaster://prod/operator/alice";
    let usage = ExtendedKeyUsagePurpose::ClientAuth;
    let expired = rejected(&served, Some(&served.authority.sign(uri, usage, 2021))).await;
    assert!(expired.contains("CertificateExpired"), "{expired}");
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    let wrong_use = rejected(&served, Some(&served.authority.sign(uri, usage, 2090))).await;
    assert!(wrong_use.contains("alert"), "{wrong_use}");
}

#[tokio::test]
async fn a_peer_that_is_silent_or_speaks_plain_text_holds_up_nobody() {
    let served = serve_one().await;
    let silent = TcpStream::connect(served.address).await.unwrap();
    let mut plain = TcpStream::connect(served.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: quay-1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await; // closed or reset
    assert!(!answer.starts_with(b"HTTP"));
    let mut client = served.client(Some(&served.authority.person("reader")));
    client.describe(describe()).await.unwrap();
    drop(silent);
}

#[tokio::test]
async fn an_agent_does_not_serve_with_another_nodes_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let uri = "quaymaster://prod/agent/quay-2";
    let own = authority.sign(uri, ExtendedKeyUsagePurpose::ServerAuth, 2090);
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("ca.crt", &authority.pem);
    write("agent.crt", &own.certificate);
    write("agent.key", &own.key);
    let yaml = "version: 1\ncluster: prod\nnode: quay-1\nlisten: 127.0.0.1:9643\n\
        tls: { ca: ca.crt, certificate: agent.crt, key: agent.key }\n\
        engine: unix:///run/none.sock\nstate: state\ncomponents:\n  quay: { container: quay, \
        config: config.yaml, repositories: [quay.io/redhat/quay] }\n";
    let config = AgentConfig::parse(yaml, directory.path()).unwrap();
    let error = crate::app::load_identity(&config).unwrap_err();
    assert!(error.to_string().contains("quaymaster://prod/agent/quay-2"), "{error}");
    write("agent.key", "no key\n");
    assert!(crate::app::load_identity(&config).is_err());
}
