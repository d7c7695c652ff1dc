use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Answers one request with this text and gives back what was asked.
async fn answering(text: &'static str) -> (Target, tokio::task::JoinHandle<String>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(format!("http://{}", listener.local_addr().unwrap()));
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    (target, task)
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let text = "HTTP/1.1 301 Moved\r\nLocation: https://quay.example.com/health/instance\r\n\
                Content-Length: 0\r\n\r\n";
    let (target, _) = answering(text).await;
    let answer = QuayClient::new().unwrap().get(&target, "/health/instance", HEALTH_LIMIT).await;
    assert!(answer.leads_to_https());
    assert_eq!(answer.status(), Some(301));
}

#[tokio::test]
async fn a_refused_connection_is_an_answer_in_words() {
    let (target, task) = answering("").await;
    task.abort();
    let _ = task.await;
    let answer = QuayClient::new().unwrap().get(&target, "/", HEALTH_LIMIT).await;
    let Answer::Nothing { problem } = answer else { panic!("{answer:?}") };
    assert!(problem.to_lowercase().contains("refused"), "{problem}");
}

#[tokio::test]
async fn the_mode_is_asked_by_a_push_without_login() {
    let text = "HTTP/1.1 415 Unsupported\r\nContent-Length: 2\r\n\r\n{}";
    let (target, task) = answering(text).await;
    let answer = QuayClient::new().unwrap().put_manifest_list(&target).await;
    assert_eq!(answer.status(), Some(415));
    let asked = task.await.unwrap().to_lowercase();
    assert!(asked.starts_with("put /v2/"), "{asked}");
    assert!(asked.contains("manifest.list.v2+json") && !asked.contains("authorization"), "{asked}");
}
