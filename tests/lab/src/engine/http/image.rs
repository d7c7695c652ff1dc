//! Requests about images.

use super::{Shared, stream::json_lines};
use crate::engine::{
    inspect::{image_summary, inspect_image},
    reference::ImageReference,
    refusal::Refusal,
    registry::{RegistryCredentials, RegistryRefusal},
};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PullQuery {
    from_image: Option<String>,
    tag: Option<String>,
}

/// What `X-Registry-Auth` holds, as far as it is used.
#[derive(Deserialize)]
struct AuthHeader {
    username: Option<String>,
    password: Option<String>,
}

pub(super) async fn list(State(engine): Shared) -> Result<Json<Value>, Refusal> {
    let mut images = engine.store.images()?;
    images.sort_by_key(|stored| std::cmp::Reverse(stored.created));
    Ok(Json(images.iter().map(image_summary).collect()))
}

pub(super) async fn inspect(
    State(engine): Shared,
    Path(path): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let name = path.strip_suffix("/json").ok_or(Refusal::NoSuchPage)?;
    Ok(Json(inspect_image(&engine.image(name)?)))
}

pub(super) async fn pull(
    State(engine): Shared,
    Query(query): Query<PullQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let PullQuery { from_image, tag } = query;
    let name = from_image
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Refusal::InvalidArgument("fromImage".to_owned()))?;
    let reference = ImageReference::from_pull(&name, tag.as_deref());
    let shown = credentials(&headers)?;
    let entry = engine.find_in_registry(&reference, shown.as_ref())?;
    let mut closing = engine.closing.subscribe();
    let lines = ReceiverStream::new(engine.pull(reference, entry));
    let closed = async move {
        let _ = closing.wait_for(|closing| *closing).await;
    };
    Ok(json_lines(futures::StreamExt::take_until(lines.map(|line| line), closed)))
}

pub(super) async fn distribution(
    State(engine): Shared,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let name = path.strip_suffix("/json").ok_or(Refusal::NoSuchPage)?;
    let shown = credentials(&headers)?;
    match engine.find_in_registry(&ImageReference::parse(name), shown.as_ref()) {
        Ok(entry) => Ok(Json(json!({
            "Descriptor": {
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "digest": entry.digest, "size": 527,
            },
            "Platforms": [{ "architecture": "amd64", "os": "linux" }],
        }))
        .into_response()),
        // Docker answers a pull with 500 here, and this with 401.
        Err(refusal @ Refusal::Registry(RegistryRefusal::WrongCredentials)) => {
            let body = Json(json!({ "message": refusal.to_string() }));
            Ok((StatusCode::UNAUTHORIZED, body).into_response())
        }
        Err(refusal) => Err(refusal),
    }
}

/// Reads `X-Registry-Auth`: JSON in either of Base64's alphabets.
fn credentials(headers: &HeaderMap) -> Result<Option<RegistryCredentials>, Refusal> {
    let Some(header) = headers.get("X-Registry-Auth") else {
        return Ok(None);
    };
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decode = |alphabet| GeneralPurpose::new(alphabet, config).decode(header.as_bytes());
    let bytes = decode(&alphabet::URL_SAFE).or_else(|_| decode(&alphabet::STANDARD));
    let refusal = || Refusal::InvalidArgument("X-Registry-Auth".to_owned());
    let AuthHeader { username, password } =
        serde_json::from_slice(&bytes.map_err(|_| refusal())?).map_err(|_| refusal())?;
    Ok(username
        .map(|username| RegistryCredentials { username, password: password.unwrap_or_default() }))
}
