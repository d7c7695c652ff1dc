//! What a manifest is made of. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::store::Kept;

pub(super) const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
pub(super) const SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
pub(super) const SCHEMA_2: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const FOREIGN_LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";

/// What a manifest needs to be there before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Needs {
    pub(super) blobs: Vec<String>,
    pub(super) manifests: Vec<String>,
}

/// Why a manifest is not taken: the detail of its MANIFEST_INVALID.
pub(super) fn needs(media_type: &str, bytes: &[u8]) -> Result<Needs, String> {
    let invalid = |why: &str| format!("failed to parse manifest: {why}");
    let read: Value =
        serde_json::from_slice(bytes).map_err(|_| invalid("malformed manifest data"))?;
    let mut needs = Needs { blobs: Vec::new(), manifests: Vec::new() };
    let digests = |list: &Value, key: &str| -> Option<Vec<String>> {
        list.as_array()?.iter().map(|part| part[key].as_str().map(str::to_owned)).collect()
    };
    let lacks = || invalid("manifest data does not match schema");
    match media_type {
        SCHEMA_1 | SIGNED => {
            needs.blobs = digests(&read["fsLayers"], "blobSum").ok_or_else(lacks)?;
            if media_type == SIGNED && payload(bytes).is_none() {
                return Err(invalid("it carries no signature"));
            }
        }
        SCHEMA_2 => {
            let layers = read["layers"].as_array().ok_or_else(lacks)?;
            // Not uploaded and not kept (quay-facts 8.1).
            let here = layers.iter().filter(|layer| layer["mediaType"] != FOREIGN_LAYER);
            let parts: Value = std::iter::once(&read["config"]).chain(here).cloned().collect();
            needs.blobs = digests(&parts, "digest").ok_or_else(lacks)?;
        }
        LIST => needs.manifests = digests(&read["manifests"], "digest").ok_or_else(lacks)?,
        other => {
            return Err(invalid(&format!("Unknown or unsupported manifest media type `{other}`")));
        }
    }
    Ok(needs)
}

/// Of a signed manifest that of what is signed.
pub(super) fn digest(media_type: &str, bytes: &[u8]) -> String {
    let signed = (media_type == SIGNED).then(|| payload(bytes)).flatten();
    format!("sha256:{:x}", Sha256::digest(signed.as_deref().unwrap_or(bytes)))
}

fn payload(bytes: &[u8]) -> Option<Vec<u8>> {
    let decode = |text: &Value| URL_SAFE_NO_PAD.decode(text.as_str()?.trim_end_matches('=')).ok();
    let read: Value = serde_json::from_slice(bytes).ok()?;
    let protected: Value =
        serde_json::from_slice(&decode(&read["signatures"][0]["protected"])?).ok()?;
    let length = usize::try_from(protected["formatLength"].as_u64()?).ok()?;
    let mut payload = bytes.get(..length)?.to_vec();
    payload.extend(decode(&protected["formatTail"])?);
    Some(payload)
}

/// The image of a list that a client gets which does not understand lists.
pub(super) fn for_amd64(list: &Kept) -> Option<String> {
    let read: Value = serde_json::from_slice(&list.bytes).ok()?;
    let is_it = |entry: &&Value| {
        entry["platform"]["architecture"] == "amd64" && entry["platform"]["os"] == "linux"
    };
    let entry = read["manifests"].as_array()?.iter().find(is_it)?;
    entry["digest"].as_str().map(str::to_owned)
}

/// What a client gets that understands schema 1 alone: made on the way, and without a signature.
pub(super) fn to_schema_1(schema2: &Kept, repository: &str, tag: &str) -> Option<Kept> {
    let read: Value = serde_json::from_slice(&schema2.bytes).ok()?;
    let layers: Vec<Value> = read["layers"]
        .as_array()?
        .iter()
        .rev()
        .map(|layer| json!({ "blobSum": layer["digest"] }))
        .collect();
    let history: Vec<Value> = layers
        .iter()
        .map(|layer| {
            let id = format!("{:x}", Sha256::digest(layer.to_string()));
            json!({ "v1Compatibility": json!({ "id": id, "os": "linux" }).to_string() })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 1, "tag": tag, "name": repository, "architecture": "amd64",
        "fsLayers": layers, "history": history,
    });
    Some(Kept { media_type: SCHEMA_1.to_owned(), bytes: manifest.to_string().into_bytes() })
}
