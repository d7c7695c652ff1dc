mod probe;
mod server;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::looks::rig::node;

fn port(container_port: u16, host_address: &str, host_port: u16) -> PublishedPort {
    PublishedPort {
        container_port,
        protocol: "tcp".to_owned(),
        host_address: host_address.to_owned(),
        host_port,
    }
}

fn shown(ports: &[PublishedPort]) -> Option<(String, Option<String>, bool)> {
    let Targets { first, second, has_mode } = Targets::of(&Probe::Auto, ports)?;
    Some((first.to_string(), second.map(|second| second.to_string()), has_mode))
}

#[test]
fn quay_is_asked_at_its_published_port() {
    let before = [port(80, "127.0.5.1", 80), port(443, "127.0.5.1", 443)];
    let (plain, secure) = ("http://127.0.5.1:80".to_owned(), "https://127.0.5.1:443".to_owned());
    assert_eq!(shown(&before), Some((plain, Some(secure), false)));
    let after = [port(8080, "0.0.0.0", 80)];
    assert_eq!(shown(&after), Some(("http://127.0.0.1:80".to_owned(), None, true)));
    let only_secure = [port(8443, "::", 443), port(9091, "", 9091)];
    assert_eq!(shown(&only_secure), Some(("https://[::1]:443".to_owned(), None, true)));
    assert_eq!(shown(&[port(9091, "", 9091)]), None);
    assert_eq!(shown(&[port(8080, "", 0)]), None);
}

/// Answers each request by its first word and path; where to ask it.
async fn answering(answer: fn(&str) -> &'static str) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            let head = answer(&String::from_utf8_lossy(&asked[..length]));
            let answer =
                format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    target
}

/// With TLS of its own Quay only redirects what is asked in plain HTTP
/// (quay-facts 1.1).
#[tokio::test]
async fn the_mode_is_asked_behind_the_redirect_to_https() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(&directory);
    let plain = answering(|_| "301 Moved\r\nLocation: https://quay.example.com/").await;
    let secure = answering(|asked| match asked.split(' ').next() {
        Some("PUT") => "401 Unauthorized",
        Some(_) | None => "404 Not Found",
    });
    let second = Some(secure.await);
    let mut targets = Targets { first: plain, second, has_mode: true };
    assert_eq!(node.effective_mode(&mut targets).await, Some(Mode::Complete));
}

/// Each question to `/upgradeprogress/` makes Quay count two whole tables.
#[tokio::test]
async fn a_background_quay_is_not_made_to_count() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(&directory);
    let first = answering(|asked| match asked.split(' ').next() {
        Some("PUT") => "415 Unsupported",
        Some(_) | None => panic!("asked for the progress"),
    });
    let mut targets = Targets { first: first.await, second: None, has_mode: true };
    assert_eq!(node.effective_mode(&mut targets).await, Some(Mode::Background));
    targets.has_mode = false;
    assert_eq!(node.effective_mode(&mut targets).await, None);
}

#[tokio::test]
async fn clair_is_asked_at_its_own_port_and_a_builder_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(&directory);
    let health = async |answer: fn(&str) -> &'static str| {
        let at = answering(answer).await.to_string();
        let published = port(6061, "127.0.0.1", at.rsplit(':').next().unwrap().parse().unwrap());
        let (instance, _, verdict) = node.ask_clair(&[published]).await;
        (instance.problem, verdict)
    };
    let well = health(|asked| match asked.split(' ').nth(1) {
        Some("/health") => "200 OK",
        Some(_) | None => "404 Not Found",
    });
    assert_eq!(well.await, (String::new(), HealthVerdict::Healthy));
    let sick = health(|_| "500 Internal Server Error").await;
    assert_eq!(sick, ("Clair answered 500".to_owned(), HealthVerdict::Unhealthy));
    let (unpublished, _, verdict) = node.ask_clair(&[]).await;
    assert_eq!(verdict, HealthVerdict::Healthy);
    assert!(unpublished.problem.contains("6061 is not published"), "{unpublished:?}");
}
