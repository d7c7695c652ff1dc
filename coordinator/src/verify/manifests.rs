//! What a manifest says of its parts, and whether what came back is what it should be. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

use super::image::{Document, PLATFORMS, Platform};
use super::{Fault, digest, schema1};
use crate::registry::Manifest;
use crate::registry::media_type::{FOREIGN_LAYER, LIST, SIGNED_SCHEMA_1};

/// A blob that a manifest names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Its digest.
    pub digest: String,
    /// In bytes; `None` = schema 1, which does not say.
    pub size: Option<u64>,
}

/// The digest that a manifest of this type has: of a signed schema 1, that of what is signed.
pub fn digest_of(media_type: &str, bytes: &[u8]) -> String {
    let signed = (media_type == SIGNED_SCHEMA_1).then(|| schema1::payload(bytes)).flatten();
    digest(signed.as_deref().unwrap_or(bytes))
}

/// Whether a manifest is what its registry says it is: its digest fits its bytes.
pub fn honest(what: &str, found: &Manifest) -> Vec<Fault> {
    let of_bytes = digest_of(&found.content_type, &found.bytes);
    if found.digest.is_empty() || found.digest == of_bytes {
        return Vec::new();
    }
    vec![Fault::OtherBytes {
        what: what.to_owned(),
        expected: found.digest.clone(),
        found: of_bytes,
    }]
}

/// What differs between what was pushed and what came back.
pub fn differences(what: &str, pushed: &Document, found: &Manifest) -> Vec<Fault> {
    let what = || what.to_owned();
    let mut faults = Vec::new();
    if found.content_type != pushed.media_type {
        faults.push(Fault::OtherType {
            what: what(),
            expected: pushed.media_type.to_owned(),
            found: found.content_type.clone(),
        });
    }
    if found.digest != pushed.digest {
        faults.push(Fault::OtherDigest {
            what: what(),
            pushed: pushed.digest.clone(),
            found: found.digest.clone(),
        });
    }
    if pushed.media_type == LIST {
        let missing = missing_platforms(&found.bytes);
        if !missing.is_empty() {
            faults.push(Fault::MissingPlatforms { platforms: missing });
        }
    }
    let of_bytes = digest_of(pushed.media_type, &found.bytes);
    if of_bytes != pushed.digest {
        let expected = pushed.digest.clone();
        faults.push(Fault::OtherBytes { what: what(), expected, found: of_bytes });
    }
    faults
}

fn missing_platforms(list: &[u8]) -> Vec<String> {
    let read: Value = serde_json::from_slice(list).unwrap_or_default();
    let entries = read["manifests"].as_array().cloned().unwrap_or_default();
    let there: BTreeSet<(String, String)> = entries
        .iter()
        .filter_map(|entry| {
            let of = |key: &str| entry["platform"][key].as_str().map(str::to_owned);
            Some((of("os")?, of("architecture")?))
        })
        .collect();
    let is_missing = |platform: &&Platform| {
        !there.contains(&(platform.os.to_owned(), platform.architecture.to_owned()))
    };
    PLATFORMS.iter().filter(is_missing).map(Platform::to_string).collect()
}

/// The blobs that the registry itself has to hold, without those that lie elsewhere; `None` = it
/// cannot be read. A list has none of its own.
pub fn parts(bytes: &[u8]) -> Option<Vec<Part>> {
    let read: Value = serde_json::from_slice(bytes).ok()?;
    if let Some(layers) = read["fsLayers"].as_array() {
        let digest = |layer: &Value| layer["blobSum"].as_str().map(str::to_owned);
        return layers
            .iter()
            .map(|layer| Some(Part { digest: digest(layer)?, size: None }))
            .collect();
    }
    if read["manifests"].is_array() {
        return Some(Vec::new());
    }
    let layers = read["layers"].as_array()?;
    let is_here = |part: &&Value| part["mediaType"] != FOREIGN_LAYER;
    let part = |part: &Value| {
        Some(Part { digest: part["digest"].as_str()?.to_owned(), size: part["size"].as_u64() })
    };
    std::iter::once(&read["config"]).chain(layers).filter(is_here).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::image::{list, schema2};
    use super::*;
    use crate::registry::media_type::SCHEMA_2;

    fn came_back(document: &Document) -> Manifest {
        Manifest {
            bytes: document.bytes.clone(),
            content_type: document.media_type.to_owned(),
            digest: document.digest.clone(),
        }
    }

    #[test]
    fn every_lie_is_told_apart() {
        let images = PLATFORMS.map(|platform| (platform, schema2("n", platform)));
        let pushed = list(&images);
        let good = came_back(&pushed);
        assert_eq!(differences("the list", &pushed, &good), []);
        let words = |found: &Manifest| {
            let faults = differences("the list", &pushed, found);
            faults.iter().map(|fault| fault.to_string()).collect::<Vec<_>>().join("\n")
        };
        let typed = Manifest { content_type: SCHEMA_2.to_owned(), ..good.clone() };
        assert!(words(&typed).contains("the list came back as"), "{}", words(&typed));
        let named = Manifest { digest: "sha256:00".to_owned(), ..good.clone() };
        assert!(words(&named).contains("is called sha256:00"), "{}", words(&named));
        let fewer = list(&images[1..]);
        let fewer = Manifest { bytes: fewer.bytes, ..good };
        assert!(words(&fewer).contains("without linux/amd64"), "{}", words(&fewer));
    }

    #[test]
    fn a_layer_that_lies_elsewhere_is_not_looked_for() {
        let parts = parts(&schema2("n", PLATFORMS[4]).manifest.bytes).unwrap();
        assert_eq!(parts.len(), 2);
        assert!(super::parts(b"{}").is_none());
        assert!(super::parts(b"nothing").is_none());
    }
}
