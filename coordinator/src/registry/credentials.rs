//! The login of a verification, out of a Docker `config.json` such as Quay offers for each robot.
//! Pure. The password is never shown.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Such as `quaymaster+verify`.
    pub user: String,
    /// For the request alone.
    pub(super) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why a file holds no login that could be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Not a Docker `config.json`.
    #[error("it is not JSON with a map `auths`, at line {line}")]
    Json {
        /// 1-based.
        line: usize,
    },
    /// It names no registry.
    #[error("it holds no login at all")]
    Empty,
    /// Several registries, and none of them is meant.
    #[error("it holds logins for {}, and none for {}", found.join(", "), wanted.join(" or "))]
    Other {
        /// Each registry of the file.
        found: Vec<String>,
        /// What was looked for.
        wanted: Vec<String>,
    },
    /// An entry without a login.
    #[error("its entry `{key}` holds neither `auth` nor user and password")]
    NoAuth {
        /// In the file.
        key: String,
    },
    /// The login is not base64 of `user:password`.
    #[error("its entry `{key}` holds an `auth` that is not base64 of user and password")]
    Auth {
        /// In the file.
        key: String,
    },
}

#[derive(Deserialize)]
struct ConfigFile {
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
}

/// The login for one of the names in `wanted` (host, or host and port); with only one in the file,
/// that one.
pub fn login(json: &str, wanted: &[String]) -> Result<Login, CredentialsError> {
    let ConfigFile { auths } = serde_json::from_str(json)
        .map_err(|error| CredentialsError::Json { line: error.line() })?;
    let is_wanted = |key: &str| {
        let host = key.trim_start_matches("https://").trim_start_matches("http://");
        let host = host.split('/').next().unwrap_or(host);
        wanted.iter().any(|wanted| wanted == host)
    };
    let found: Vec<String> = auths.keys().cloned().collect();
    let is_only = found.len() == 1;
    let entry = auths.into_iter().find(|(key, _)| is_only || is_wanted(key));
    match entry {
        Some((key, entry)) => entry.login(&key),
        None if found.is_empty() => Err(CredentialsError::Empty),
        None => Err(CredentialsError::Other { found, wanted: wanted.to_owned() }),
    }
}

impl Entry {
    fn login(self, key: &str) -> Result<Login, CredentialsError> {
        let Self { auth, username, password } = self;
        if !username.is_empty() && !password.is_empty() {
            return Ok(Login { user: username, password });
        }
        if auth.is_empty() {
            return Err(CredentialsError::NoAuth { key: key.to_owned() });
        }
        let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let Some((user, password)) = pair else {
            return Err(CredentialsError::Auth { key: key.to_owned() });
        };
        Ok(Login { user: user.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        login(json, &["registry.example.com".to_owned()]).unwrap_err().to_string()
    }

    #[test]
    fn the_registrys_entry_is_taken_or_the_only_one() {
        let one = r#"{"auths":{"quay.lab.example":{"auth":"bGFiK3Y6c2VzYW1l"}}}"#;
        let found = login(one, &["registry.example.com".to_owned()]).unwrap();
        assert_eq!((found.user.as_str(), found.password.as_str()), ("lab+v", "sesame"));
        assert!(!format!("{found:?}").contains("sesame"));
        let two = r#"{"auths":{"a":{"username":"x","password":"y"},
            "https://registry.example.com/v2/":{"username":"u","password":"p"}}}"#;
        assert_eq!(login(two, &["registry.example.com".to_owned()]).unwrap().user, "u");
    }

    #[test]
    fn what_is_no_login_is_refused_by_name() {
        assert_eq!(refusal("{"), "it is not JSON with a map `auths`, at line 1");
        assert_eq!(refusal(r#"{"auths":{}}"#), "it holds no login at all");
        assert_eq!(
            refusal(r#"{"auths":{"a":{"auth":"eDp5"},"b":{}}}"#),
            "it holds logins for a, b, and none for registry.example.com"
        );
        assert_eq!(
            refusal(r#"{"auths":{"a":{}}}"#),
            "its entry `a` holds neither `auth` nor user and password"
        );
        assert_eq!(
            refusal(r#"{"auths":{"a":{"auth":"%%"}}}"#),
            "its entry `a` holds an `auth` that is not base64 of user and password"
        );
    }
}
