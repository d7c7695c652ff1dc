//! Names of images: `repository[:tag][@digest]`.

use std::fmt;
use std::str::FromStr;

use quaymaster_proto::ImageDigest;

/// The name of an image in a registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ImageName {
    repository: String,
    tag: Option<String>,
    digest: Option<ImageDigest>,
}

/// A text that names no image in a registry; an engine's own image id is one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not the name of an image in a registry")]
pub struct InvalidImageName {
    /// What was given.
    pub text: String,
}

impl ImageName {
    /// With its registry, without tag and digest.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Such as `v3.0.5`.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Of the manifest.
    pub fn digest(&self) -> Option<&ImageDigest> {
        self.digest.as_ref()
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, tag, digest } = self;
        formatter.write_str(repository)?;
        if let Some(tag) = tag {
            write!(formatter, ":{tag}")?;
        }
        if let Some(digest) = digest {
            write!(formatter, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageName {
    type Err = InvalidImageName;

    fn from_str(text: &str) -> Result<Self, InvalidImageName> {
        let invalid = || InvalidImageName { text: text.to_owned() };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().map_err(|_| invalid())?)),
            None => (text, None),
        };
        // A `:` before a `/` is a registry's port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            Some(_) | None => (name, None),
        };
        let is_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
        // `sha256:…` is an image id, and reads like a repository with a tag.
        let is_id = repository == "sha256";
        if !is_word(repository) || is_id || tag.is_some_and(|tag| !is_word(tag)) {
            return Err(invalid());
        }
        Ok(Self { repository: repository.to_owned(), tag: tag.map(ToOwned::to_owned), digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag_and_an_image_id_is_no_name() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let name: ImageName =
            format!("127.0.0.1:5000/quayio/coreos/quay:v2.9.5@{digest}").parse().unwrap();
        assert_eq!(name.repository(), "127.0.0.1:5000/quayio/coreos/quay");
        assert_eq!(name.tag(), Some("v2.9.5"));
        assert_eq!(name.digest().unwrap().as_str(), digest);
        assert_eq!(name.to_string(), format!("127.0.0.1:5000/quayio/coreos/quay:v2.9.5@{digest}"));

        let name: ImageName = "127.0.0.1:5000/quay".parse().unwrap();
        assert_eq!((name.repository(), name.tag()), ("127.0.0.1:5000/quay", None));

        for bad in ["", ":v1", "a b", "quay@sha256:12", digest.as_str()] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }
}
