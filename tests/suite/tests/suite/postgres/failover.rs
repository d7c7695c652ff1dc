//! The database's address leads somewhere else in the dark: to a standby, to
//! another server. The nodes reach it through a relay of the test's own, as
//! through a name that somebody points elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use quaymaster_lab::cluster::lab_file::DatabaseKind;
use quaymaster_lab::cluster::network::free_port;
use quaymaster_lab::cluster::process::ProcessId;
use quaymaster_lab::cluster::wait::until;
use quaymaster_lab::postgres::Server;
use quaymaster_lab::quay::{inspect, seed};
use quaymaster_suite::command::finish;
use quaymaster_suite::container::policy;
use quaymaster_suite::upgrade::apply_arguments;
use quaymaster_suite::{Outcome, Shape, TestLab};
use rustix::process::Signal;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::serves_as_before;

const BOUND: Duration = Duration::from_secs(30);
const NODES: u8 = 2;

/// Where the relay leads.
struct Relay {
    port: u16,
    elsewhere: AtomicU16,
    /// So many sessions are led elsewhere yet.
    misled: AtomicUsize,
}

impl Relay {
    async fn to(primary: u16) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let relay = Self { port, elsewhere: AtomicU16::new(0), misled: AtomicUsize::new(0) };
        let relay = Arc::new(relay);
        let of = Arc::clone(&relay);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = match of.is_misled() {
                    true => of.elsewhere.load(Ordering::SeqCst),
                    false => primary,
                };
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        relay
    }

    fn is_misled(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.misled.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

/// A server beside the lab's, ended with the value.
struct Beside(ProcessId);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.signal(Signal::QUIT);
    }
}

fn port_of(uri: &str) -> u16 {
    let (_, place) = uri.rsplit_once(':').unwrap();
    place.split('/').next().unwrap().parse().unwrap()
}

fn secret<'a>(lab: &'a TestLab, role: &str) -> &'a str {
    let secrets = &lab.lab().file().secrets;
    &secrets.iter().find(|secret| secret.name.ends_with(role)).unwrap().value
}

#[tokio::test]
async fn an_address_that_leads_elsewhere_in_the_dark_ends_the_window() {
    let mut shape = Shape::of(NODES);
    shape.database = DatabaseKind::Postgres;
    let lab = TestLab::up(shape).await;
    let primary = port_of(&lab.database_uri());
    let relay = Relay::to(primary).await;
    for node in lab.nodes() {
        let path = lab.lab().layout().config_file(&node);
        let text = fs::read_to_string(&path).unwrap();
        let edited = text.replace(&format!(":{primary}/quay"), &format!(":{}/quay", relay.port));
        assert_ne!(text, edited);
        fs::write(&path, edited).unwrap();
    }
    let (lab_password, quay_password) = (secret(&lab, "role lab"), secret(&lab, "role quay"));
    let dirs = ["standby", "other"].map(|name| lab.dir().join(name));
    let [standby, other] = dirs.each_ref().map(|dir| Server {
        dir,
        port: free_port(&["127.0.0.1".parse().unwrap()]).unwrap(),
        further: None,
        superuser_password: lab_password,
        quay_password,
    });
    let detacher = &lab.binaries().lab;
    let _standby = Beside(standby.start_standby(detacher, primary).unwrap());
    until("the standby", BOUND, async || {
        inspect(&standby.quay_uri("127.0.0.1")).await.map_err(|error| format!("{error:?}"))
    })
    .await
    .unwrap();
    let process = other.start(detacher).unwrap();
    let _other = Beside(process);
    other.prepare(process).await.unwrap();
    seed(&other.quay_uri("127.0.0.1"), 5).await.unwrap();

    let before = lab.look().await;
    let held = misled(&lab, &relay, standby.port).await;
    assert!(held.stderr.contains("reaches a standby of 127.0.0.1"), "{}", held.page());
    serves_as_before(&lab, &before.revision).await;
    let held = misled(&lab, &relay, other.port).await;
    assert!(held.stderr.contains("reaches another database: 127.0.0.1"), "{}", held.page());
    serves_as_before(&lab, &before.revision).await;

    lab.apply(&lab.plan(Some("synchronous")).await).await.expect_code(0);
    let verdict = lab.check().await;
    // This test has put its relay's port into the config.yaml of a lab that was there: that is what
    // the witness sees, on each node, and nothing else.
    let violations = verdict.json["violations"].as_array().unwrap();
    let mut edited = BTreeSet::new();
    for violation in violations {
        let evidence = violation["evidence"].as_str().unwrap();
        let node = evidence.strip_prefix("config.yaml on ").unwrap_or(evidence);
        let node = node.strip_suffix(" differed outside its mode line");
        let node = node.unwrap_or_else(|| panic!("{violation}"));
        assert_eq!(violation["invariant"], 5, "{violation}");
        edited.insert(node.to_owned());
    }
    assert_eq!(edited, BTreeSet::from_iter(lab.nodes()));
    assert_eq!(verdict.migrations(), 1);
}

/// Leads every node's look elsewhere, once, from the moment that the first one's Quay is being
/// stopped.
async fn misled(lab: &TestLab, relay: &Relay, elsewhere: u16) -> Outcome {
    let plan = lab.plan(Some("synchronous")).await;
    let applying = lab.spawn_quaymaster(apply_arguments(&plan));
    until("the stop", BOUND, async || {
        let containers = lab.containers("quay-1").await;
        let stops = containers.values().all(|shown| policy(shown) == "no");
        if stops { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await
    .unwrap();
    relay.elsewhere.store(elsewhere, Ordering::SeqCst);
    relay.misled.store(usize::from(NODES), Ordering::SeqCst);
    finish(applying, "apply").await.expect_code(7)
}
