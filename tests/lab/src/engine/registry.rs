//! The stand-in registry: a file that lists what can be pulled, and what a
//! pull of each is answered. The words are those that Docker 20.10 was seen to
//! pass on from a real registry.

use super::{image::Image, reference::ImageReference};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Everything that the registry holds.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistryFile(pub Vec<RegistryEntry>);

/// One image of the registry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryEntry {
    /// With the registry's host, as in `127.0.0.1:5000/quayio/coreos/quay`.
    pub repository: String,
    pub tag: String,
    /// The manifest's digest: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    pub image: Image,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<RegistryCredentials>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<RegistryFault>,
}

/// Who may pull an image.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryCredentials {
    pub username: String,
    pub password: String,
}

/// The password stays out of whatever prints this.
impl fmt::Debug for RegistryCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryCredentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// How a pull goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryFault {
    /// The manifest is not there: refused before the first line.
    Missing,
    /// Access is denied: refused before the first line.
    Denied,
    /// The engine's disk fills up half-way: an error inside an answer of 200.
    DiskFull,
    /// The pull takes about ten seconds.
    Slow,
}

/// Why nothing is handed out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum RegistryRefusal {
    Unreachable { host: String },
    NoManifest { reference: ImageReference },
    Denied { repository: String },
    NoCredentials { repository: String, tag: String },
    WrongCredentials,
}

impl fmt::Display for RegistryRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { host } => {
                write!(f, "Get \"http://{host}/v2/\": dial tcp {host}: connect: connection refused")
            }
            Self::NoManifest { reference } => {
                write!(f, "manifest for {reference} not found: manifest unknown: manifest unknown")
            }
            Self::Denied { repository } => write!(
                f,
                "pull access denied for {repository}, repository does not exist or may require \
                 'docker login': denied: requested access to the resource is denied"
            ),
            Self::NoCredentials { repository, tag } => {
                let (host, path) = repository.split_once('/').unwrap_or((repository, ""));
                let url = format!("http://{host}/v2/{path}/manifests/{tag}");
                write!(f, "Head \"{url}\": no basic auth credentials")
            }
            Self::WrongCredentials => f.write_str("unauthorized: authentication required"),
        }
    }
}

impl RegistryFile {
    /// Finds what a request may have.
    pub(crate) fn find(
        &self,
        reference: &ImageReference,
        shown: Option<&RegistryCredentials>,
    ) -> Result<&RegistryEntry, RegistryRefusal> {
        let Some(entry) = self.0.iter().find(|entry| entry.answers_to(reference)) else {
            return Err(self.absent(reference));
        };
        match (&entry.credentials, shown) {
            (Some(_), None) => {
                return Err(RegistryRefusal::NoCredentials {
                    repository: entry.repository.clone(),
                    tag: entry.tag.clone(),
                });
            }
            (Some(wanted), Some(shown)) if wanted != shown => {
                return Err(RegistryRefusal::WrongCredentials);
            }
            (Some(_) | None, _) => {}
        }
        match entry.fault {
            Some(RegistryFault::Missing) => {
                Err(RegistryRefusal::NoManifest { reference: reference.clone() })
            }
            Some(RegistryFault::Denied) => {
                Err(RegistryRefusal::Denied { repository: entry.repository.clone() })
            }
            Some(RegistryFault::DiskFull | RegistryFault::Slow) | None => Ok(entry),
        }
    }

    /// A host that serves nothing here is one where nothing listens.
    fn absent(&self, reference: &ImageReference) -> RegistryRefusal {
        let host = reference.repository().map_or("", host);
        if self.0.iter().any(|entry| self::host(&entry.repository) == host) {
            RegistryRefusal::NoManifest { reference: reference.clone() }
        } else {
            RegistryRefusal::Unreachable { host: host.to_owned() }
        }
    }
}

impl RegistryEntry {
    fn answers_to(&self, reference: &ImageReference) -> bool {
        match reference {
            ImageReference::Tag { repository, tag } => {
                *repository == self.repository && *tag == self.tag
            }
            ImageReference::Digest { repository, digest } => {
                *repository == self.repository && *digest == self.digest
            }
            ImageReference::Id(_) => false,
        }
    }
}

fn host(repository: &str) -> &str {
    repository.split('/').next().unwrap_or(repository)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::image::ImageConfig;

    fn registry(fault: Option<RegistryFault>) -> RegistryFile {
        RegistryFile(vec![RegistryEntry {
            repository: "127.0.0.1:5000/quay".to_owned(),
            tag: "1".to_owned(),
            digest: "sha256:dd".to_owned(),
            image: Image {
                id: "sha256:aa".to_owned(),
                config: ImageConfig::default(),
                program: "/bin/sh".into(),
                size_bytes: 1,
            },
            credentials: Some(RegistryCredentials {
                username: "u".to_owned(),
                password: "p".to_owned(),
            }),
            fault,
        }])
    }

    fn answer(text: &str, password: Option<&str>, fault: Option<RegistryFault>) -> String {
        let shown = password.map(|password| RegistryCredentials {
            username: "u".to_owned(),
            password: password.to_owned(),
        });
        match registry(fault).find(&ImageReference::parse(text), shown.as_ref()) {
            Ok(entry) => entry.digest.clone(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn a_pull_is_answered_as_a_registry_answers_it() {
        let answers = [
            answer("127.0.0.1:5000/quay:1", Some("p"), None),
            answer("127.0.0.1:5000/quay@sha256:dd", Some("p"), None),
            answer("127.0.0.1:5000/quay:1", Some("x"), None),
            answer("127.0.0.1:5000/quay:1", None, None),
            answer("127.0.0.1:5000/quay:2", Some("p"), None),
            answer("127.0.0.1:6000/quay:1", Some("p"), None),
            answer("127.0.0.1:5000/quay:1", Some("p"), Some(RegistryFault::Denied)),
            answer("127.0.0.1:5000/quay:1", Some("p"), Some(RegistryFault::Missing)),
            answer("127.0.0.1:5000/quay:1", Some("p"), Some(RegistryFault::DiskFull)),
        ];
        insta::assert_snapshot!(answers.join("\n"), @r#"
        sha256:dd
        sha256:dd
        unauthorized: authentication required
        Head "http://127.0.0.1:5000/v2/quay/manifests/1": no basic auth credentials
        manifest for 127.0.0.1:5000/quay:2 not found: manifest unknown: manifest unknown
        Get "http://127.0.0.1:6000/v2/": dial tcp 127.0.0.1:6000: connect: connection refused
        pull access denied for 127.0.0.1:5000/quay, repository does not exist or may require 'docker login': denied: requested access to the resource is denied
        manifest for 127.0.0.1:5000/quay:1 not found: manifest unknown: manifest unknown
        sha256:dd
        "#);
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", registry(None)).contains("\"p\""));
    }
}
