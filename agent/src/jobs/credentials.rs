//! Which login a registry gets, out of a Docker `config.json`. Pure.
//!
//! What the file itself holds is used, the longest matching key first. A login
//! that a helper program keeps is refused by name: an agent runs no programs.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::secret::Secret;

/// Docker Hub, as images name it and as `docker login` writes it.
const HUB: (&str, &str) = ("docker.io", "index.docker.io");

/// A login for one registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    /// The registry's host and port.
    pub registry: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// Instead of user and password, where the file has one.
    pub identity_token: Option<Secret>,
}

/// Why a login cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// Not a Docker `config.json`.
    #[error("it is not JSON with a map `auths`, at line {line}")]
    Json {
        /// 1-based.
        line: usize,
    },
    /// The login is kept elsewhere.
    #[error(
        "`{key}` says that the login for `{registry}` is kept by the program \
         `docker-credential-{helper}`, and agents run no credential helpers"
    )]
    Helper {
        /// In the file.
        key: String,
        /// The registry.
        registry: String,
        /// As the file names it.
        helper: String,
    },
    /// An entry without a login.
    #[error("the entry `{key}` holds neither `auth` nor user and password nor a token")]
    NoAuth {
        /// In the file.
        key: String,
    },
    /// The login is not base64 of `user:password`.
    #[error("the entry `{key}` holds an `auth` that is not base64 of user and password")]
    Auth {
        /// In the file.
        key: String,
    },
}

impl CredentialsError {
    /// What to do about the file at `path`.
    pub(crate) fn remedy(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Json { .. } => format!(
                "write it anew (docker login writes such a file), and name it under \
                 registries.credentials in agent.yaml: {path}"
            ),
            Self::Helper { registry, .. } => format!(
                "let {path} hold the login itself: podman login --authfile {path} {registry}, or \
                 docker login with a config.json that has no credsStore and no credHelpers"
            ),
            Self::NoAuth { key } | Self::Auth { key } => {
                format!("log in to `{key}` anew, into {path}, or take the entry out of it")
            }
        }
    }
}

/// As typed; Docker puts more into the file than is used here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigFile {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
}

impl Entry {
    /// As `docker login` leaves it where a helper keeps the login.
    fn is_empty(&self) -> bool {
        let Self { auth, username, password: _, identitytoken } = self;
        auth.is_empty() && username.is_empty() && identitytoken.is_empty()
    }
}

/// The login for `repository` (with its registry): the entry that matches the
/// longest part of it. `None` = ask without one.
pub(crate) fn login(json: &str, repository: &str) -> Result<Option<Login>, CredentialsError> {
    let file: ConfigFile = serde_json::from_str(json)
        .map_err(|error| CredentialsError::Json { line: error.line() })?;
    let ConfigFile { auths, cred_helpers, creds_store } = file;
    let entry = longest(auths.unwrap_or_default(), repository);
    if let Some((key, entry)) = &entry
        && !entry.is_empty()
    {
        return entry.login(key, repository).map(Some);
    }
    let helper = longest(cred_helpers.unwrap_or_default(), repository)
        .map(|(key, helper)| (format!("credHelpers.{key}"), helper));
    let store = creds_store.map(|store| ("credsStore".to_owned(), store));
    match helper.or(store).filter(|(_, helper)| !helper.is_empty()) {
        Some((key, helper)) => {
            let registry = registry(repository).to_owned();
            Err(CredentialsError::Helper { key, registry, helper })
        }
        None => match entry {
            Some((key, _)) => Err(CredentialsError::NoAuth { key }),
            None => Ok(None),
        },
    }
}

impl Entry {
    fn login(&self, key: &str, repository: &str) -> Result<Login, CredentialsError> {
        let Self { auth, username, password, identitytoken } = self;
        let (user, password) = if auth.is_empty() {
            (username.clone(), password.clone())
        } else {
            decoded(auth).ok_or_else(|| CredentialsError::Auth { key: key.to_owned() })?
        };
        if identitytoken.is_empty() && (user.is_empty() || password.is_empty()) {
            return Err(CredentialsError::NoAuth { key: key.to_owned() });
        }
        Ok(Login {
            registry: registry(repository).to_owned(),
            user,
            password: Secret::new(password),
            identity_token: (!identitytoken.is_empty()).then(|| Secret::new(identitytoken.clone())),
        })
    }
}

/// User and password out of base64; some programs fill the password up with
/// zero bytes.
fn decoded(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// The entry whose key covers the longest part of `repository`; of two that
/// say the same, the one that says it plainly.
fn longest<T>(entries: BTreeMap<String, T>, repository: &str) -> Option<(String, T)> {
    entries
        .into_iter()
        .filter(|(key, _)| covers(bare(key), repository))
        .max_by_key(|(key, _)| (bare(key).len(), bare(key) == key.as_str()))
}

/// The registry part of a repository's name.
pub(crate) fn registry(repository: &str) -> &str {
    repository.split('/').next().unwrap_or(repository)
}

/// A key without scheme, version path and closing slash.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    let (name, login) = HUB;
    if key == login { name } else { key }
}

fn covers(key: &str, repository: &str) -> bool {
    repository.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `user:pass:word`, `robot:token`, `x:y`
    const FILE: &str = r#"{
        "auths": {
            "https://registry.example.com/v2/": { "auth": "dXNlcjpwYXNzOndvcmQ=" },
            "registry.example.com/team": { "auth": "cm9ib3Q6dG9rZW4=" },
            "registry.example.com:5000": { "username": "plain", "password": "words" },
            "https://index.docker.io/v1/": { "auth": "cm9ib3Q6dG9rZW4=" },
            "quay.io/redhat": { "auth": "cm9ib3Q6dG9rZW4=" },
            "https://quay.io/v1/": { "auth": "eDp5" },
            "quay.io": { "auth": "dXNlcjpwYXNzOndvcmQ=" },
            "token.example.com": { "auth": "PHRva2VuPjo=", "identitytoken": "refresh" },
            "empty.example.com": {},
            "half.example.com": { "username": "plain" },
            "broken.example.com": { "auth": "?" },
            "helped.example.com": {},
            "both.example.com": { "auth": "eDp5" }
        },
        "credHelpers": {
            "helped.example.com": "secretservice",
            "both.example.com": "secretservice",
            "ecr.example.com": "ecr-login"
        },
        "HttpHeaders": { "User-Agent": "Docker-Client" }
    }"#;

    fn of(repository: &str) -> Option<(String, String)> {
        let login = login(FILE, repository).unwrap()?;
        Some((login.user, login.password.expose().to_owned()))
    }

    #[test]
    fn the_longest_matching_entry_is_the_login() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of("registry.example.com/quay/quay"), pair("user", "pass:word"));
        assert_eq!(of("registry.example.com/team/quay"), pair("robot", "token"));
        assert_eq!(of("registry.example.com/teams/quay"), pair("user", "pass:word"));
        assert_eq!(of("registry.example.com:5000/team/quay"), pair("plain", "words"));
        assert_eq!(of("registry.example.com:5001/quay"), None);
        assert_eq!(of("registry.example.com.evil.org/quay"), None);
        assert_eq!(of("quay.io/redhat/quay"), pair("robot", "token"));
        assert_eq!(of("quay.io/redhatter/quay"), pair("user", "pass:word"));
        assert_eq!(of("docker.io/team/quay"), pair("robot", "token"));
        assert_eq!(of("registry.redhat.io/quay/quay-rhel8"), None);
    }

    #[test]
    fn a_token_stands_for_user_and_password() {
        let login = login(FILE, "token.example.com/quay").unwrap().unwrap();
        assert_eq!(login.identity_token.unwrap().expose(), "refresh");
        assert_eq!(login.registry, "token.example.com");
    }

    #[test]
    fn a_login_that_a_helper_keeps_is_refused_by_name() {
        let helper = |json: &str, repository: &str| match login(json, repository) {
            Err(error @ CredentialsError::Helper { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        let said = helper(FILE, "helped.example.com/quay");
        assert_eq!(
            said,
            "`credHelpers.helped.example.com` says that the login for `helped.example.com` is \
             kept by the program `docker-credential-secretservice`, and agents run no credential \
             helpers"
        );
        helper(FILE, "ecr.example.com/quay");
        // A login that stands there is used, whoever else keeps it.
        assert_eq!(of("both.example.com/quay").unwrap().0, "x");

        let stored = r#"{ "auths": { "quay.io": {} }, "credsStore": "desktop" }"#;
        let said = helper(stored, "quay.io/redhat/quay");
        assert!(said.starts_with("`credsStore` says"), "{said}");
        helper(stored, "registry.redhat.io/quay/quay-rhel8");
        let error = login(stored, "quay.io/redhat/quay").unwrap_err();
        let remedy = error.remedy(Path::new("/etc/quaymaster/auth.json"));
        assert!(remedy.contains("--authfile /etc/quaymaster/auth.json quay.io"), "{remedy}");
        let unused = r#"{ "auths": null, "credsStore": "" }"#;
        assert_eq!(login(unused, "quay.io/redhat/quay"), Ok(None));
    }

    #[test]
    fn a_login_that_cannot_be_used_is_named_and_not_shown() {
        let error = |repository| login(FILE, repository).unwrap_err();
        let key = |key: &str| key.to_owned();
        let none = CredentialsError::NoAuth { key: key("empty.example.com") };
        assert_eq!(error("empty.example.com/quay"), none);
        let half = CredentialsError::NoAuth { key: key("half.example.com") };
        assert_eq!(error("half.example.com/quay"), half);
        let broken = CredentialsError::Auth { key: key("broken.example.com") };
        assert_eq!(error("broken.example.com/quay"), broken);
        assert_eq!(login("{\n]", "a/b").unwrap_err(), CredentialsError::Json { line: 2 });
        let secret = r#"{ "auths": { "quay.io": { "auth": ["hunter2"] } } }"#;
        let said = login(secret, "quay.io/quay").unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }
}
