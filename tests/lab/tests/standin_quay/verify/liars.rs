//! Each lie is caught, by name.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use quaymaster_proto::Mode;
use tokio::net::TcpListener;

use super::front::{Front, Lie};
use super::{ROBOT, faults, lab, passed, verified};
use crate::lab::{COMPLETE, Container, Lab};
use quaymaster::verify::Check;

#[tokio::test]
async fn every_lie_is_caught_by_name() {
    let lab = lab().await;
    let quay = Lab::container("quay", "3.0.5");
    let _quay = lab.start(&quay, COMPLETE);
    lab.until_healthy(&quay).await;
    for (lie, words) in [
        (Lie::Digest, "is called sha256:000000000000"),
        (Lie::Type, "came back as application/vnd.docker.distribution.manifest.v2+json, and was"),
        (Lie::Platform, "the list came back without windows/amd64"),
        (Lie::Truncated, "bytes, and should have"),
        (Lie::Altered, "and should have sha256:"),
        (
            Lie::ManifestElsewhere,
            "was answered with 307 and a way to http://mirror.example.com/v2/quaymaster/verify",
        ),
        (
            Lie::UploadElsewhere,
            "was answered with 202 and a way to http://mirror.example.com/v2/uploads/1, which was \
             not followed",
        ),
    ] {
        let front = Front::before(quay.port(), lie.clone()).await;
        let place = verified(front.port, Mode::Complete, ROBOT, None).await;
        let told = faults(&place).join("\n");
        assert!(told.contains(words), "{lie:?}:\n{told}");
        let missed = passed(&place);
        assert!(!missed.contains(&Check::List), "{lie:?}");
    }
}

/// Quay may leave blobs to its storage, where a client goes without its token.
#[tokio::test]
async fn blobs_may_come_from_a_storage_which_gets_no_token() {
    let lab = lab().await;
    let quay = Lab::container("quay", "3.0.5");
    let _quay = lab.start(&quay, COMPLETE);
    lab.until_healthy(&quay).await;
    let storage = Storage::over(lab.path("shared/storage/registry/blobs")).await;
    let front = Front::before(quay.port(), Lie::Storage(storage.base.clone())).await;
    let place = verified(front.port, Mode::Complete, ROBOT, None).await;
    assert_eq!(faults(&place), [""; 0]);
    let told = format!("{place:?}");
    assert!(told.contains("blobs came from 127.0.0.2"), "{told}");
    assert!(!told.contains("signature=secret"), "{told}");
    assert_eq!(*storage.tokens.lock().unwrap(), 0);
}

/// After a restart of the database (quay-facts' corrections).
#[tokio::test]
async fn what_fails_in_passing_is_asked_again_and_said() {
    let lab = lab().await;
    let quay = Lab::container("quay", "3.0.5");
    let _quay = lab.start(&quay, COMPLETE);
    lab.until_healthy(&quay).await;
    let front = Front::before(quay.port(), Lie::Stale(2)).await;
    let place = verified(front.port, Mode::Complete, ROBOT, None).await;
    assert_eq!(faults(&place), [""; 0]);
    assert_eq!(place.retried, ["GET /v2/ was answered with 500"; 2]);
    let front = Front::before(quay.port(), Lie::Stale(100)).await;
    let place = verified(front.port, Mode::Complete, ROBOT, None).await;
    assert_eq!(faults(&place), ["GET /v2/ was answered with 500"]);
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let port = Container::unused_port();
    let place = verified(port, Mode::Complete, ROBOT, None).await;
    let told = faults(&place).join("\n");
    assert!(told.contains("does not answer: Connection refused"), "{told}");
}

/// What an object storage would serve.
struct Storage {
    base: String,
    tokens: Arc<Mutex<u32>>,
}

type Kept = (std::path::PathBuf, Arc<Mutex<u32>>);

impl Storage {
    async fn over(blobs: std::path::PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tokens = Arc::new(Mutex::new(0));
        let state: Kept = (blobs, Arc::clone(&tokens));
        let routes = Router::new().fallback(blob).with_state(state);
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { base: format!("http://127.0.0.2:{port}"), tokens }
    }
}

async fn blob(State((blobs, tokens)): State<Kept>, request: Request) -> Vec<u8> {
    if request.headers().contains_key(AUTHORIZATION) {
        *tokens.lock().unwrap() += 1;
    }
    let digest = request.uri().path().rsplit("sha256:").next().unwrap().to_owned();
    std::fs::read(blobs.join(digest)).unwrap()
}
