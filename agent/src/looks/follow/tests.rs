use quaymaster_proto::Reason;
use quaymaster_proto::health::HealthRoute;

use super::*;
use crate::engine::fake::{image_id, spec};
use crate::looks::rig::node;

type Reports = ReceiverStream<Result<HealthReport, Refusal>>;

/// Reads reports until one has this verdict, with a bound.
async fn until(reports: &mut Reports, verdict: HealthVerdict) -> HealthReport {
    let waiting = async {
        loop {
            let report = reports.next().await.unwrap().unwrap();
            if report.verdict == verdict {
                return report;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap()
}

#[tokio::test]
async fn a_component_is_followed_through_its_life() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(&directory);
    let mut reports = follow(Arc::clone(&node), Component::Clair, None);
    // There is no container yet, and that is no error.
    assert_eq!(until(&mut reports, HealthVerdict::Down).await.container, None);
    let id = node.engine.run(3, "clair", spec(image_id(1), &[]));
    assert_eq!(until(&mut reports, HealthVerdict::Healthy).await.container.unwrap().id, id);
    node.engine.end(&id, 1);
    let down = until(&mut reports, HealthVerdict::Down).await;
    assert_eq!(down.container.unwrap().exit_code, 1);
}

#[tokio::test]
async fn a_quay_that_cannot_be_asked_is_not_healthy_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(&directory);
    let id = node.engine.run(3, "quay", spec(image_id(1), &[]));
    let mut reports = follow(Arc::clone(&node), Component::Quay, Some(id));
    let report = until(&mut reports, HealthVerdict::Unhealthy).await;
    assert!(report.instance.problem.contains("probe"), "{}", report.instance.problem);
    let foreign = node.engine.run(4, "postgres", spec(image_id(1), &[]));
    let mut reports = follow(node, Component::Quay, Some(foreign));
    assert_eq!(reports.next().await.unwrap().unwrap_err().reason, Reason::NotOurs);
}

#[test]
fn a_start_is_asked_often_and_a_lasting_trouble_less() {
    let begun = Instant::now();
    let later = |minutes| begun + Duration::from_mins(minutes);
    let report = |status, verdict| HealthReport {
        at: Timestamp::UNIX_EPOCH,
        container: None,
        instance: HealthRoute { status, ..HealthRoute::default() },
        endtoend: HealthRoute::default(),
        verdict,
        effective_mode: None,
    };
    let ill = |status| report(status, HealthVerdict::Unhealthy);
    let start: Start = (crate::engine::fake::container_id(1), None);
    let mut haste = Haste::default();
    // A migration may keep it silent for hours, and its end must be seen.
    for (minutes, status) in [(0, None), (100, None), (200, Some(502)), (200, Some(503))] {
        assert_eq!(haste.pause(Some(&start), &ill(status), later(minutes)), EAGER, "{minutes}");
    }
    assert_eq!(haste.pause(Some(&start), &ill(Some(503)), later(204)), STEADY);
    let well = report(Some(200), HealthVerdict::Healthy);
    assert_eq!(haste.pause(Some(&start), &well, later(204)), CALM);
    let other: Start = (crate::engine::fake::container_id(2), None);
    assert_eq!(haste.pause(Some(&other), &ill(Some(503)), later(204)), EAGER);
}

/// A Quay whose second answer to the push is one: the first is a 502.
#[tokio::test]
async fn a_mode_that_was_not_told_is_asked_again() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut pushes = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
            pushes += usize::from(asked.starts_with("PUT"));
            let status = match (asked.starts_with("PUT"), pushes) {
                (false, _) => 200,
                (true, 1) => 502,
                (true, _) => 415,
            };
            let body = r#"{"data":{"services":{"auth":true}},"status_code":200}"#;
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let node = node(&directory);
    let id = node.engine.run(3, "quay", spec(image_id(1), &[]));
    let ports = vec![quaymaster_proto::node::PublishedPort {
        container_port: 8080,
        protocol: "tcp".to_owned(),
        host_address: String::new(),
        host_port: port,
    }];
    node.engine.state().containers.get_mut(&id).unwrap().container.ports = ports;
    let mut reports = follow(node, Component::Quay, Some(id));
    let waiting = async {
        loop {
            let report = reports.next().await.unwrap().unwrap();
            if report.effective_mode.is_some() {
                return report.effective_mode;
            }
        }
    };
    let mode = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
    assert_eq!(mode, Some(Mode::Background));
}
