//! Who is asked, and who is not: this node's Quay at its own port, whatever
//! it answers and whatever the agent's environment says.

use std::sync::Arc;

use quaymaster_proto::node::PublishedPort;

use super::server::{Reply, Server};
use super::*;
use crate::engine::fake::{FakeEngine, image_id, spec};

const INSTANCE: &str =
    "{\"data\":{\"services\":{\"auth\":true,\"database\":true}},\"status_code\":200}\n";
const PROGRESS: &str = "{\"progress\":1.0,\"tags_remaining\":0,\"total_tags\":0}\n";

/// As Quay answers in background mode.
fn background(head: &str) -> Reply {
    match head.split(' ').collect::<Vec<_>>()[..] {
        ["put", path, ..] if path.starts_with("/v2/") => ("415 Unsupported".to_owned(), "{}"),
        ["get", "/health/instance" | "/health/endtoend", ..] => ("200 OK".to_owned(), INSTANCE),
        ["get", "/upgradeprogress/", ..] => ("200 OK".to_owned(), PROGRESS),
        _ => ("404 Not Found".to_owned(), ""),
    }
}

/// As Quay answers in complete mode.
fn complete(head: &str) -> Reply {
    match background(head) {
        (status, _) if status.starts_with("415") => ("401 Unauthorized".to_owned(), "{}"),
        (_, PROGRESS) => ("404 Not Found".to_owned(), "{\"error\": \"Not Found\"}"),
        other => other,
    }
}

/// A node whose Quay publishes these ports.
fn publishing(directory: &tempfile::TempDir, ports: &[(u16, &Server)]) -> Arc<Node<FakeEngine>> {
    let node = node(directory);
    let id = node.engine.run(1, "quay", spec(image_id(1), &[]));
    let ports: Vec<PublishedPort> = ports
        .iter()
        .map(|(inside, server)| {
            port(*inside, &server.address.ip().to_string(), server.address.port())
        })
        .collect();
    node.engine.state().containers.get_mut(&id).unwrap().container.ports = ports;
    node
}

async fn seen(node: &Node<FakeEngine>) -> (HealthReport, BackfillSample) {
    let report = node.health(Component::Quay, None).await.unwrap();
    (report, node.sample_backfill().await.unwrap())
}

/// Each question names this very server, with its port, and no account.
fn assert_own(server: &Server) {
    let host = format!("host: {}", server.address);
    for head in server.heads() {
        assert!(head.lines().any(|line| line == host), "{head}");
        assert!(!head.contains("authorization:") && !head.contains("cookie:"), "{head}");
    }
}

#[tokio::test]
async fn quay_is_asked_itself_and_its_mode_by_a_push_without_login() {
    for (answer, mode) in
        [(background as fn(&str) -> Reply, Mode::Background), (complete, Mode::Complete)]
    {
        let quay = Server::plain(answer).await;
        let directory = tempfile::tempdir().unwrap();
        let (report, sample) = seen(&publishing(&directory, &[(8080, &quay)])).await;
        assert_eq!(report.verdict, HealthVerdict::Healthy, "{report:?}");
        assert_eq!(report.effective_mode, Some(mode));
        let is_counted = matches!(sample, BackfillSample::Counted { .. });
        assert_eq!(is_counted, mode == Mode::Background);
        assert_own(&quay);
        let is_push =
            |head: &String| head.starts_with("put /v2/") && head.contains("manifest.list.v2+json");
        assert_eq!(quay.heads().iter().filter(|head| is_push(head)).count(), 1);
    }
}

#[tokio::test]
async fn no_redirect_is_followed_to_another_port_or_host() {
    let elsewhere = Server::plain(background).await;
    let port = elsewhere.address.port();
    for (status, location) in [
        (308, format!("http://127.0.0.1:{port}/upgradeprogress/")),
        (308, format!("http://localhost:{port}/health/instance")),
        (307, format!("//127.0.0.1:{port}/")),
        (302, format!("http://127.0.0.1:{port}/")),
        (301, format!("https://localhost:{port}/")),
        // As nginx writes it: the host alone, with another port than it has.
        (308, "http://localhost/upgradeprogress/".to_owned()),
    ] {
        let leads = location.clone();
        let quay =
            Server::plain(move |_| (format!("{status} Moved\r\nLocation: {leads}"), "")).await;
        let directory = tempfile::tempdir().unwrap();
        let (report, sample) = seen(&publishing(&directory, &[(8080, &quay)])).await;
        assert_eq!(report.verdict, HealthVerdict::Unhealthy, "{location}");
        assert_eq!(report.instance.problem, "a redirect instead of an answer", "{location}");
        assert_eq!(report.instance.status, Some(status), "{location}");
        assert_eq!(report.effective_mode, None, "{location}");
        let BackfillSample::NoCount { problem, .. } = sample else { panic!("{location}") };
        assert_eq!(problem, "a redirect instead of an answer", "{location}");
        // Two routes, the push and the count, each asked once.
        assert_eq!(quay.heads().len(), 4, "{location}");
        assert_own(&quay);
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// With a TLS key of its own Quay only redirects in plain HTTP, to a name that
/// a load balancer answers to (quay-facts 1.1).
#[tokio::test]
async fn a_redirect_to_https_leads_to_the_nodes_own_port() {
    let balancer = Server::secure(background).await;
    let location = format!("https://localhost:{}/", balancer.address.port());
    let plain = Server::plain(move |_| (format!("301 Moved\r\nLocation: {location}"), "")).await;
    let secure = Server::secure(complete).await;
    let directory = tempfile::tempdir().unwrap();
    let node = publishing(&directory, &[(8080, &plain), (8443, &secure)]);
    let (report, sample) = seen(&node).await;
    assert_eq!(report.verdict, HealthVerdict::Healthy, "{report:?}");
    assert_eq!(report.effective_mode, Some(Mode::Complete));
    assert!(matches!(sample, BackfillSample::NoCount { status: Some(404), .. }), "{sample:?}");
    assert_eq!(balancer.connections(), 0);
    assert_own(&plain);
    assert_own(&secure);
}

#[tokio::test]
async fn a_quay_that_speaks_https_alone_is_asked_with_the_certificate_that_it_has() {
    let secure = Server::secure(background).await;
    let directory = tempfile::tempdir().unwrap();
    let (report, sample) = seen(&publishing(&directory, &[(8443, &secure)])).await;
    assert_eq!(report.verdict, HealthVerdict::Healthy, "{report:?}");
    assert_eq!(report.effective_mode, Some(Mode::Background));
    assert!(matches!(sample, BackfillSample::Counted { .. }), "{sample:?}");
    assert_own(&secure);
}

const INSIDE: &str = "QUAYMASTER_TEST_INSIDE_A_PROXIED_ENVIRONMENT";

/// Runs itself once more in an environment that names a proxy for everything.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the environment is what is tested")]
async fn no_proxy_of_the_agents_environment_is_asked() {
    if std::env::var_os(INSIDE).is_some() {
        return inside_a_proxied_environment().await;
    }
    let proxy = Server::plain(|_| ("200 OK".to_owned(), INSTANCE)).await;
    let url = format!("http://{}", proxy.address);
    let names = ["http_proxy", "https_proxy", "all_proxy"];
    let names = names.iter().flat_map(|name| [(*name).to_owned(), name.to_uppercase()]);
    let test = "looks::health::tests::probe::no_proxy_of_the_agents_environment_is_asked";
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs(names.map(|name| (name, url.clone())))
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .env(INSIDE, "yes")
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    // The one that shows that the environment counts, and nothing else.
    let heads = proxy.heads();
    assert_eq!((proxy.connections(), heads.len()), (1, 1), "{heads:?}");
    assert!(heads[0].starts_with("get http://control.example.com/"), "{heads:?}");
}

async fn inside_a_proxied_environment() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A client that nobody told otherwise takes the proxy.
    let control = reqwest::Client::new().get("http://control.example.com/").send().await;
    assert_eq!(control.unwrap().status(), 200);
    let (plain, secure) = (Server::plain(background).await, Server::secure(background).await);
    for (inside, quay) in [(8080, &plain), (8443, &secure)] {
        let directory = tempfile::tempdir().unwrap();
        let (report, sample) = seen(&publishing(&directory, &[(inside, quay)])).await;
        assert_eq!(report.verdict, HealthVerdict::Healthy, "{report:?}");
        assert_eq!(report.effective_mode, Some(Mode::Background));
        assert!(matches!(sample, BackfillSample::Counted { .. }), "{sample:?}");
        assert_own(quay);
        assert!(quay.connections() > 0);
    }
}
