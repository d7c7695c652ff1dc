//! The engine's own JSON, on the same socket: bollard's models leave out what
//! they do not know, and a container must not lose a setting in silence.

use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::CALL_LIMIT;
use crate::engine::{EngineError, EngineErrorKind};

/// A client whose every call opens a socket of its own, as bollard's do.
#[derive(Clone, Debug)]
pub(super) struct RawEngine(Client);

impl RawEngine {
    pub(super) fn new(socket: &Path) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .unix_socket(socket)
            .timeout(Duration::from_secs(CALL_LIMIT))
            .pool_max_idle_per_host(0)
            // No TLS on this socket: no certificates are looked for.
            .tls_certs_only([])
            .build()?;
        Ok(Self(client))
    }

    /// A container by id or name; `None` = there is none.
    pub(super) async fn container(&self, which: &str) -> Result<Option<Value>, EngineError> {
        let tried = || format!("inspect container `{which}`");
        let url = url(&["containers", which, "json"], &[]);
        let answer = self.0.get(url).send().await.map_err(|error| unanswered(error, tried()))?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        good(answer, tried).await.map(Some)
    }

    /// Creates a container; its id.
    pub(super) async fn create(&self, name: &str, body: &Value) -> Result<String, EngineError> {
        let tried = || format!("create container `{name}`");
        let request: RequestBuilder =
            self.0.request(Method::POST, url(&["containers", "create"], &[("name", name)]));
        let answer = request.json(body).send().await;
        let answer = answer.map_err(|error| unanswered(error, tried()))?;
        let answer = good(answer, tried).await?;
        Ok(answer["Id"].as_str().unwrap_or_default().to_owned())
    }
}

/// Any host will do: the socket decides.
fn url(path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = Url::parse("http://engine/").expect("a constant");
    url.path_segments_mut().expect("it has a host").clear().extend(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

async fn good(answer: Response, tried: impl Fn() -> String) -> Result<Value, EngineError> {
    let status = answer.status();
    let bytes = answer.bytes().await.map_err(|error| EngineError {
        tried: tried(),
        kind: EngineErrorKind::Midway,
        source: Box::new(error),
    })?;
    let json: Result<Value, _> = serde_json::from_slice(&bytes);
    if status.is_success() {
        return json.map_err(|error| super::convert::senseless(tried(), error));
    }
    let said = json.ok().and_then(|json| Some(json.get("message")?.as_str()?.to_owned()));
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim().to_owned());
    Err(EngineError {
        tried: tried(),
        kind: EngineErrorKind::Status(status.as_u16()),
        source: format!("the engine answered {}: {said}", status.as_u16()).into(),
    })
}

fn unanswered(error: reqwest::Error, tried: String) -> EngineError {
    EngineError { tried, kind: EngineErrorKind::Unreachable, source: Box::new(error) }
}
