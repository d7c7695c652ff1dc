//! Which texts of the settings are secrets.
//!
//! By the names of the keys above them: Quay's own schema says it nowhere.
//! Better a harmless text too many than a password too few.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;

use crate::quay::yaml::value::{self, Value};
use crate::secret::Secret;

/// A key with one of these in its name holds a secret, and so does everything
/// below it.
const TELLING: [&str; 8] =
    ["secret", "password", "passwd", "token", "credential", "private", "key", "psk"];

/// Shorter texts are no secrets worth the name, and hiding them would make a
/// log unreadable.
const SHORTEST: usize = 4;

/// Every secret text of the settings.
pub(super) fn of(values: &BTreeMap<String, Value>) -> Vec<Secret> {
    let mut found = BTreeSet::new();
    for (key, value) in values {
        collect(value, is_telling(key), &mut found);
    }
    found.into_iter().map(Secret::new).collect()
}

fn collect(value: &Value, is_secret: bool, found: &mut BTreeSet<String>) {
    match value {
        Value::Text(text) => {
            if is_secret && text.len() >= SHORTEST {
                found.insert(text.clone());
            }
            found.extend(passwords_in_address(text));
        }
        Value::Number(digits) => {
            if is_secret && digits.len() >= SHORTEST {
                found.insert(digits.clone());
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect(item, is_secret, found)),
        Value::Map(entries) => {
            for (key, value) in entries {
                let key = value::key_text(key).unwrap_or_default();
                collect(value, is_secret || is_telling(&key), found);
            }
        }
        Value::Tagged(_, inner) => collect(inner, is_secret, found),
        Value::Null | Value::Boolean(_) | Value::Timestamp(_) => {}
    }
}

fn is_telling(key: &str) -> bool {
    let key = key.to_lowercase();
    TELLING.iter().any(|word| key.contains(word))
}

/// The password in `scheme://user:password@host`, as it is written and as it
/// is meant.
pub(crate) fn passwords_in_address(text: &str) -> Vec<String> {
    let password = text
        .split_once("://")
        .and_then(|(_, rest)| rest.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .map_or("", |(_, password)| password);
    if password.is_empty() {
        return Vec::new();
    }
    let meant = percent_decode_str(password).decode_utf8_lossy().into_owned();
    vec![password.to_owned(), meant]
}

#[cfg(test)]
mod tests {
    use crate::quay::settings::Settings;

    #[test]
    fn passwords_keys_and_tokens_are_found_at_any_depth() {
        let text = "\
DB_URI: postgresql://quay:p%40ss@db:5432/quay
SECRET_KEY: '0123456789'
DATABASE_SECRET_KEY: 12345678901234567890
SERVER_HOSTNAME: quay.example.com
BUILDLOGS_REDIS: {host: redis, password: r3dis}
DISTRIBUTED_STORAGE_CONFIG:
  default: [S3Storage, {s3_access_key: AKIA1, s3_secret_key: 'abc/def', s3_bucket: bucket}]
GITHUB_LOGIN_CONFIG: {CLIENT_SECRET: gh-secret, CLIENT_ID: gh-id}
FEATURE_DIRECT_LOGIN: true
";
        let settings = Settings::read(text.as_bytes()).unwrap();
        let secrets: Vec<String> =
            settings.secrets().iter().map(|secret| secret.expose().to_owned()).collect();
        assert_eq!(
            secrets,
            [
                "0123456789",
                "12345678901234567890",
                "AKIA1",
                "abc/def",
                "gh-secret",
                "p%40ss",
                "p@ss",
                "r3dis"
            ]
        );
    }
}
