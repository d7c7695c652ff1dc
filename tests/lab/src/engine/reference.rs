//! How an image is asked for: by name and tag, by name and digest, or by id.
//! Names are kept as they were typed; Docker Hub's short forms are not filled
//! in, for nothing in a lab comes from there.

use std::fmt;

/// What a request says about the image that it wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ImageReference {
    Tag { repository: String, tag: String },
    Digest { repository: String, digest: String },
    Id(String),
}

impl ImageReference {
    /// Reads a reference as the Engine API does: a digest wins over a tag, and
    /// without either the tag is `latest`.
    pub(crate) fn parse(text: &str) -> Self {
        if text.starts_with("sha256:") {
            return Self::Id(text.to_owned());
        }
        if let Some((name, digest)) = text.split_once('@') {
            let (repository, _) = split_tag(name);
            return Self::Digest { repository: repository.to_owned(), digest: digest.to_owned() };
        }
        let (repository, tag) = split_tag(text);
        Self::tag(repository, tag.unwrap_or("latest"))
    }

    /// Puts together the two halves that a pull sends apart; its `tag` may be
    /// a digest.
    pub(crate) fn from_pull(name: &str, tag: Option<&str>) -> Self {
        match tag.filter(|tag| !tag.is_empty()) {
            None => Self::parse(name),
            Some(digest) if digest.starts_with("sha256:") => {
                Self::Digest { repository: name.to_owned(), digest: digest.to_owned() }
            }
            Some(tag) => Self::tag(name, tag),
        }
    }

    fn tag(repository: &str, tag: &str) -> Self {
        Self::Tag { repository: repository.to_owned(), tag: tag.to_owned() }
    }

    /// The repository with its registry's host, where the reference names one.
    pub(crate) fn repository(&self) -> Option<&str> {
        match self {
            Self::Tag { repository, .. } | Self::Digest { repository, .. } => Some(repository),
            Self::Id(_) => None,
        }
    }
}

/// A registry's port also follows a colon: only one after the last slash
/// begins a tag.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        Some(_) | None => (name, None),
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { repository, tag } => write!(f, "{repository}:{tag}"),
            Self::Digest { repository, digest } => write!(f, "{repository}@{digest}"),
            Self::Id(id) => f.write_str(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ImageReference;

    #[test]
    fn a_port_is_not_a_tag() {
        let plain = ImageReference::parse("127.0.0.1:5000/quayio/coreos/quay");
        assert_eq!(plain.to_string(), "127.0.0.1:5000/quayio/coreos/quay:latest");
        let tagged = ImageReference::parse("127.0.0.1:5000/quayio/coreos/quay:v2.9.5");
        assert_eq!(tagged.to_string(), "127.0.0.1:5000/quayio/coreos/quay:v2.9.5");
    }

    #[test]
    fn a_digest_wins_over_a_tag() {
        let pinned = ImageReference::parse("quay.io/coreos/quay:v2.9.5@sha256:ab");
        assert_eq!(pinned.to_string(), "quay.io/coreos/quay@sha256:ab");
    }

    #[test]
    fn a_pull_may_send_a_digest_as_its_tag() {
        let pinned = ImageReference::from_pull("127.0.0.1:5000/quay", Some("sha256:ab"));
        assert_eq!(pinned.to_string(), "127.0.0.1:5000/quay@sha256:ab");
    }
}
