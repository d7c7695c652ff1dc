//! Images: what one is made of, how the engine keeps it, and how a request
//! finds it. Values only.

use super::reference::ImageReference;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

/// An image's part of a container's configuration, under Docker's own names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct ImageConfig {
    pub env: Vec<String>,
    /// As in `8080/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// The paths that get an anonymous volume in every container.
    pub volumes: BTreeSet<String>,
    pub labels: BTreeMap<String, String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub user: String,
    pub working_dir: String,
}

/// What an image is, wherever it lies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// `sha256:` and 64 hexadecimal digits.
    pub id: String,
    pub config: ImageConfig,
    /// The program of this machine that stands for the first word of the
    /// image's entrypoint (or of its command, where it has no entrypoint).
    pub program: PathBuf,
    pub size_bytes: u64,
}

/// An image in the engine's store: one file under `<state>/images`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredImage {
    /// As in `127.0.0.1:5000/quayio/coreos/quay:v2.9.5`.
    pub tags: BTreeSet<String>,
    /// As in `127.0.0.1:5000/quayio/coreos/quay@sha256:...`; an image that was
    /// loaded from a file has none.
    pub digests: BTreeSet<String>,
    pub created: Timestamp,
    pub image: Image,
}

impl StoredImage {
    pub(crate) fn answers_to(&self, reference: &ImageReference) -> bool {
        match reference {
            ImageReference::Tag { repository, tag } => {
                self.tags.contains(&format!("{repository}:{tag}")) || self.has_short_id(repository)
            }
            ImageReference::Digest { repository, digest } => {
                self.digests.contains(&format!("{repository}@{digest}"))
            }
            ImageReference::Id(id) => self.image.id.starts_with(id.as_str()),
        }
    }

    /// Whether the text is the beginning of the id without its `sha256:`; under
    /// four digits are taken for a name.
    fn has_short_id(&self, text: &str) -> bool {
        let hexadecimal = text.len() >= 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        hexadecimal
            && self.image.id.strip_prefix("sha256:").is_some_and(|digits| digits.starts_with(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_by_tag_digest_id_and_short_id() {
        let stored = StoredImage {
            tags: ["r/quay:1".to_owned()].into(),
            digests: ["r/quay@sha256:dd".to_owned()].into(),
            created: Timestamp::UNIX_EPOCH,
            image: Image {
                id: "sha256:abcdef0123".to_owned(),
                config: ImageConfig::default(),
                program: "/bin/sh".into(),
                size_bytes: 1,
            },
        };
        let found = |text| stored.answers_to(&ImageReference::parse(text));
        for known in ["r/quay:1", "r/quay@sha256:dd", "sha256:abcdef0123", "sha256:abc", "abcdef"] {
            assert!(found(known), "{known}");
        }
        for unknown in ["r/quay:2", "r/quay", "other@sha256:dd", "sha256:ff", "bcde"] {
            assert!(!found(unknown), "{unknown}");
        }
    }
}
