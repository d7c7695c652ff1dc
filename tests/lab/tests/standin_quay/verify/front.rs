//! A registry that lies: a front before an honest one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::lab::Container;

/// What is not so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Lie {
    /// Another `Docker-Content-Digest`.
    Digest,
    /// A list comes back as an image.
    Type,
    /// A list comes back with fewer images.
    Platform,
    /// A blob comes back one byte shorter.
    Truncated,
    /// A blob comes back with another byte in it.
    Altered,
    /// Manifests are somewhere else.
    ManifestElsewhere,
    /// Uploads are to go somewhere else.
    UploadElsewhere,
    /// Blobs lie in a storage, as Quay's may: no lie at all.
    Storage(String),
    /// The first questions meet a stale connection to the database.
    Stale(u32),
}

pub(super) struct Front {
    pub(super) port: u16,
    serving: JoinHandle<()>,
}

struct Behind {
    upstream: u16,
    lie: Lie,
    asked: AtomicU32,
    client: reqwest::Client,
}

struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Front {
    pub(super) async fn before(upstream: u16, lie: Lie) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, client) = (AtomicU32::new(0), Container::client());
        let behind = Arc::new(Behind { upstream, lie, asked, client });
        let routes = Router::new().fallback(answer).with_state(behind);
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { port, serving }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(behind): State<Arc<Behind>>, request: Request) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let number = behind.asked.fetch_add(1, Ordering::Relaxed);
    let is_stale = matches!(behind.lie, Lie::Stale(many) if number < many);
    let mut got = if is_stale {
        let body = Bytes::from_static(b"<html>Internal Server Error</html>");
        Got { status: 500, headers: HeaderMap::new(), body }
    } else {
        behind.honest(request).await
    };
    behind.lie.tell(&method, &path, &mut got);
    let mut response = Response::new(Body::from(got.body));
    *response.status_mut() = StatusCode::from_u16(got.status).unwrap();
    got.headers.remove("content-length");
    got.headers.remove("transfer-encoding");
    *response.headers_mut() = got.headers;
    response
}

impl Behind {
    async fn honest(&self, request: Request) -> Got {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let path = parts.uri.path_and_query().unwrap().as_str();
        let url = format!("http://127.0.0.1:{}{path}", self.upstream);
        let mut asked = self.client.request(parts.method, url).body(body);
        for name in ["authorization", "accept", "content-type"] {
            if let Some(value) = parts.headers.get(name) {
                asked = asked.header(name, value);
            }
        }
        let answer = asked.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Got { status, headers, body: answer.bytes().await.unwrap() }
    }
}

impl Lie {
    fn tell(&self, method: &Method, path: &str, got: &mut Got) {
        let is_pull = *method == Method::GET && got.status == 200;
        let is_manifest = is_pull && path.contains("/manifests/");
        let is_blob = is_pull && path.contains("/blobs/");
        let is_list = is_manifest && got.content_type().contains("manifest.list");
        match self {
            Self::Digest if is_manifest => {
                got.set("docker-content-digest", &format!("sha256:{}", "0".repeat(64)));
            }
            Self::Type if is_list => {
                got.set("content-type", "application/vnd.docker.distribution.manifest.v2+json");
            }
            Self::Platform if is_list => got.drop_windows(),
            Self::Truncated if is_blob => got.body.truncate(got.body.len() - 1),
            Self::Altered if is_blob => {
                let mut bytes = got.body.to_vec();
                bytes[20] ^= 1;
                got.body = bytes.into();
            }
            Self::ManifestElsewhere if is_manifest => {
                got.status = 307;
                got.set("location", &format!("http://mirror.example.com{path}"));
            }
            Self::UploadElsewhere if *method == Method::POST => {
                got.set("location", "http://mirror.example.com/v2/uploads/1");
            }
            Self::Storage(base) if is_blob => {
                got.status = 302;
                got.set("location", &format!("{base}{path}?signature=secret"));
            }
            Self::Digest
            | Self::Type
            | Self::Platform
            | Self::Truncated
            | Self::Altered
            | Self::ManifestElsewhere
            | Self::UploadElsewhere
            | Self::Storage(_)
            | Self::Stale(_) => {}
        }
    }
}

impl Got {
    fn content_type(&self) -> &str {
        self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
    }

    fn drop_windows(&mut self) {
        let mut list: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let entries = list["manifests"].as_array_mut().unwrap();
        entries.retain(|entry| entry["platform"]["os"] != "windows");
        self.body = list.to_string().into();
    }
}
