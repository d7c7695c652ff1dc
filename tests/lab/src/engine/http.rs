//! The API's edge: paths and queries in, Docker's statuses and bodies out.
//! Paths come with or without a version in front.

mod container;
mod image;
mod stream;
mod system;

use super::{fleet::Engine, refusal::Refusal};
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt;

type Shared = State<Arc<Engine>>;

/// The whole API of one engine.
pub(crate) fn router(engine: Arc<Engine>) -> Router {
    let plain = Router::new()
        .route("/_ping", get(system::ping))
        .route("/version", get(system::version))
        .route("/info", get(system::info))
        .route("/events", get(stream::events))
        .route("/images/json", get(image::list))
        .route("/images/create", post(image::pull))
        .route("/images/{*name}", get(image::inspect))
        .route("/distribution/{*name}", get(image::distribution))
        .route("/containers/json", get(container::list))
        .route("/containers/create", post(container::create))
        .route("/containers/{key}", delete(container::remove))
        .route("/containers/{key}/json", get(container::inspect))
        .route("/containers/{key}/start", post(container::start))
        .route("/containers/{key}/stop", post(container::stop))
        .route("/containers/{key}/kill", post(container::kill))
        .route("/containers/{key}/rename", post(container::rename))
        .route("/containers/{key}/update", post(container::update))
        .route("/containers/{key}/wait", post(stream::wait))
        .route("/containers/{key}/logs", get(stream::logs))
        .fallback(async || Refusal::NoSuchPage)
        .with_state(Arc::clone(&engine));
    Router::new().fallback(versioned).with_state((engine, plain))
}

/// Takes the version off the path, and refuses one that is too new.
async fn versioned(
    State((engine, plain)): State<(Arc<Engine>, Router)>,
    mut request: Request,
) -> Response {
    let newest = &engine.options.api_version;
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if let Some((asked, rest)) = split_version(path) {
        if minor(asked) > minor(newest) {
            let (asked, newest) = (asked.to_owned(), newest.clone());
            return Refusal::TooNew { asked, newest }.into_response();
        }
        match rest.parse::<Uri>() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return Refusal::NoSuchPage.into_response(),
        }
    }
    plain.oneshot(request).await.into_response()
}

/// Takes `/v1.41/info` apart into `1.41` and `/info`.
fn split_version(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/v")?;
    let (version, _) = rest.split_once('/')?;
    minor(version)?;
    Some((version, rest.strip_prefix(version)?))
}

fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("1.")?.parse().ok()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), Json(json!({ "message": self.to_string() }))).into_response()
    }
}

/// Docker's answer to an act: done, or nothing to do.
fn changed(change: super::life::Change) -> StatusCode {
    match change {
        super::life::Change::Made => StatusCode::NO_CONTENT,
        super::life::Change::NotNeeded => StatusCode::NOT_MODIFIED,
    }
}

/// Docker's ways to write a truth in a query.
fn is_true(text: Option<&str>) -> bool {
    text.is_some_and(|text| !matches!(text, "" | "0" | "no" | "false" | "none"))
}

#[cfg(test)]
mod tests {
    use super::split_version;

    #[test]
    fn only_a_version_is_taken_off() {
        assert_eq!(split_version("/v1.41/info?a=b"), Some(("1.41", "/info?a=b")));
        assert_eq!(split_version("/version"), None);
        assert_eq!(split_version("/volumes/x"), None);
    }
}
