//! Which login a registry gets, out of a Docker `config.json`. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::secret::Secret;

/// A login for one registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Login {
    /// The registry's host and port.
    pub(crate) registry: String,
    /// The user.
    pub(crate) user: String,
    /// The password.
    pub(crate) password: Secret,
    /// Instead of user and password, where the file has one.
    pub(crate) identity_token: Option<Secret>,
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
    #[error("the entry `{key}` holds no `auth`; credential helpers are not used")]
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

/// As typed; Docker puts more into the file than is used here.
#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
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

/// The login for `repository` (with its registry): the entry that matches the
/// longest part of it. `None` = ask without one.
pub(crate) fn login(json: &str, repository: &str) -> Result<Option<Login>, CredentialsError> {
    let ConfigFile { auths } = serde_json::from_str(json)
        .map_err(|error| CredentialsError::Json { line: error.line() })?;
    let best = auths
        .into_iter()
        .filter(|(key, _)| covers(bare(key), repository))
        .max_by_key(|(key, _)| bare(key).len());
    let Some((key, entry)) = best else { return Ok(None) };
    let Entry { auth, username, password, identitytoken } = entry;
    let identity_token = (!identitytoken.is_empty()).then(|| Secret::new(identitytoken));
    let (user, password) = if !auth.is_empty() {
        let decoded = STANDARD.decode(auth.trim()).ok().and_then(|b| String::from_utf8(b).ok());
        let decoded = decoded.ok_or_else(|| CredentialsError::Auth { key: key.clone() })?;
        let (user, password) =
            decoded.split_once(':').ok_or_else(|| CredentialsError::Auth { key: key.clone() })?;
        (user.to_owned(), password.trim_end_matches('\0').to_owned())
    } else if !username.is_empty() || identity_token.is_some() {
        (username, password)
    } else {
        return Err(CredentialsError::NoAuth { key });
    };
    Ok(Some(Login {
        registry: registry(repository).to_owned(),
        user,
        password: Secret::new(password),
        identity_token,
    }))
}

/// The registry part of a repository's name.
pub(crate) fn registry(repository: &str) -> &str {
    repository.split('/').next().unwrap_or(repository)
}

/// A key without scheme, version path and closing slash.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

fn covers(key: &str, repository: &str) -> bool {
    repository.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `user:pass:word`, `robot:token`
    const FILE: &str = r#"{
        "auths": {
            "https://registry.example.com/v2/": { "auth": "dXNlcjpwYXNzOndvcmQ=" },
            "registry.example.com/team": { "auth": "cm9ib3Q6dG9rZW4=" },
            "helper.example.com": {},
            "broken.example.com": { "auth": "?" }
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
        assert_eq!(of("registry.example.com.evil.org/quay"), None);
        assert_eq!(of("quay.io/coreos/quay"), None);
    }

    #[test]
    fn a_login_that_cannot_be_used_is_named_and_not_shown() {
        let error = login(FILE, "helper.example.com/quay").unwrap_err();
        assert!(error.to_string().contains("helper.example.com"), "{error}");
        let error = login(FILE, "broken.example.com/quay").unwrap_err();
        assert_eq!(error, CredentialsError::Auth { key: "broken.example.com".to_owned() });
        assert_eq!(login("{\n]", "a/b").unwrap_err(), CredentialsError::Json { line: 2 });
    }
}
