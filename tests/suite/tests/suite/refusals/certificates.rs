//! Who may speak with whom: certificates of another CA, of another cluster,
//! expired ones, a role that may only look, and no TLS at all.

use std::fs;
use std::path::Path;

use quaymaster_lab::cluster::lab_file::Role;
use quaymaster_lab::pki::{Authority, Identity, Subject, Validity};
use quaymaster_suite::{Shape, TestLab};
use rustix::process::Signal;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{BOUND, PLAN, refused};

const TWO: &str = "quay-2";

/// An authority that this test can issue with, in place of the lab's own.
struct Trust {
    authority: Authority,
    validity: Validity,
}

#[tokio::test]
async fn who_may_speak_with_whom() {
    let mut lab = TestLab::up(Shape::of(2)).await;
    let now = OffsetDateTime::now_utc();
    let ours = Trust::new("of the test", now);
    let other = Trust::new("of someone else", now);
    ours.replace_all(&mut lab).await;
    lab.quaymaster(["status"]).await.expect_code(0);

    let expired = Validity { from: now - Duration::days(9), to: now - Duration::days(2) };
    for (name, cluster, trust, validity) in [
        ("agent-of-another-ca", "lab", &other, ours.validity),
        ("agent-of-another-cluster", "elsewhere", &ours, ours.validity),
        ("agent-with-an-expired-certificate", "lab", &ours, expired),
    ] {
        let identity = trust.agent(cluster, TWO, validity);
        serve_as(&mut lab, cluster, &identity).await;
        refused(&lab, name, "cluster.yaml", PLAN).await;
    }
    serve_as(&mut lab, "lab", &ours.agent("lab", TWO, ours.validity)).await;
    addresses_are_crossed(&lab).await;

    for (name, role, cluster, trust, validity) in [
        ("operator-of-another-ca", "operator", "lab", &other, ours.validity),
        ("operator-of-another-cluster", "operator", "elsewhere", &ours, ours.validity),
        ("operator-with-an-expired-certificate", "operator", "lab", &ours, expired),
    ] {
        let identity = trust.person(cluster, role, validity);
        write_operator(lab.dir(), &identity);
        refused(&lab, name, "cluster.yaml", PLAN).await;
    }
    write_operator(lab.dir(), &ours.person("lab", "operator", ours.validity));
    let plan = lab.plan(Some("background")).await;
    write_operator(lab.dir(), &ours.person("lab", "reader", ours.validity));
    refused(&lab, "reader-who-plans", "cluster.yaml", PLAN).await;
    refused(
        &lab,
        "reader-who-acts",
        "cluster.yaml",
        quaymaster_suite::upgrade::apply_arguments(&plan),
    )
    .await;
    write_operator(lab.dir(), &ours.person("lab", "operator", ours.validity));

    a_client_without_tls(&lab).await;
    an_agent_without_tls(&mut lab).await;
}

/// Each address leads to an agent of this cluster, but to the other node's.
async fn addresses_are_crossed(lab: &TestLab) {
    let text = fs::read_to_string(lab.dir().join("cluster.yaml")).unwrap();
    let crossed = text
        .replace("name: quay-1", "name: quay-other")
        .replace("name: quay-2", "name: quay-1")
        .replace("name: quay-other", "name: quay-2");
    fs::write(lab.dir().join("crossed.yaml"), crossed).unwrap();
    refused(lab, "agents-of-other-nodes", "crossed.yaml", PLAN).await;
}

/// Whoever speaks plain text to an agent gets no word out of it, and it goes on serving.
async fn a_client_without_tls(lab: &TestLab) {
    let agent = lab.lab().node(TWO).unwrap().agent();
    let mut stream = TcpStream::connect(agent).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as an orderly one.
    let read = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await.unwrap();
    let _reset_or_end = read;
    assert!(!answer.windows(4).any(|part| part == b"HTTP"), "{answer:?}");
    lab.quaymaster(["status"]).await.expect_code(0);
}

/// Something else listens where the agent should.
async fn an_agent_without_tls(lab: &mut TestLab) {
    let address = lab.lab().node(TWO).unwrap().agent();
    let agent = lab.lab().process(Role::Agent, Some(TWO)).unwrap();
    agent.end(Signal::TERM, BOUND).await.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    refused(lab, "plain-text-on-the-port", "cluster.yaml", PLAN).await;
    serving.abort();
    let _aborted = serving.await;
    refused(lab, "nobody-on-the-port", "cluster.yaml", PLAN).await;
}

impl Trust {
    fn new(name: &str, now: OffsetDateTime) -> Self {
        let validity = Validity::lab(now);
        Self { authority: Authority::new(name, validity).unwrap(), validity }
    }

    fn agent(&self, cluster: &str, node: &str, validity: Validity) -> Identity {
        let subject = Subject::Agent { node: node.to_owned() };
        self.authority.issue(cluster, &subject, validity).unwrap()
    }

    fn person(&self, cluster: &str, role: &str, validity: Validity) -> Identity {
        let subject = Subject::Person { role: role.to_owned(), person: "lab".to_owned() };
        self.authority.issue(cluster, &subject, validity).unwrap()
    }

    /// Makes this the only authority that the lab knows.
    async fn replace_all(&self, lab: &mut TestLab) {
        fs::write(lab.dir().join("ca.crt"), self.authority.certificate()).unwrap();
        write_operator(lab.dir(), &self.person("lab", "operator", self.validity));
        for node in lab.nodes() {
            let dir = lab.lab().layout().pki(&node);
            fs::write(dir.join("ca.crt"), self.authority.certificate()).unwrap();
            write(&dir, "agent", &self.agent("lab", &node, self.validity));
            lab.restart_agent(&node).await;
        }
    }
}

/// Starts the second node's agent with another certificate, and in the cluster that it names.
async fn serve_as(lab: &mut TestLab, cluster: &str, identity: &Identity) {
    let layout = lab.lab().layout().clone();
    write(&layout.pki(TWO), "agent", identity);
    let path = layout.agent_file(TWO);
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with("cluster: ")).unwrap();
    fs::write(&path, text.replace(line, &format!("cluster: {cluster}"))).unwrap();
    lab.restart_agent(TWO).await;
}

fn write_operator(dir: &Path, identity: &Identity) {
    write(dir, "operator", identity);
}

fn write(dir: &Path, name: &str, identity: &Identity) {
    fs::write(dir.join(format!("{name}.crt")), &identity.certificate).unwrap();
    fs::write(dir.join(format!("{name}.key")), &identity.key).unwrap();
}
