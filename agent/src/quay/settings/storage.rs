//! Where Quay keeps its blobs, by `DISTRIBUTED_STORAGE_CONFIG`: drivers and
//! directories, never a key of an object store.

use std::path::PathBuf;

use super::Settings;
use crate::quay::yaml::value::{self, Value};

const KEY: &str = "DISTRIBUTED_STORAGE_CONFIG";

/// Quay's name of what keeps blobs in a directory.
const LOCAL: &str = "LocalStorage";

/// One location of the storage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Location {
    pub(crate) name: String,
    pub(crate) kept: Kept,
}

/// How a location keeps blobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// In a directory, as Quay sees it inside its container.
    Locally(PathBuf),
    /// In a directory that is not named.
    Nowhere,
    /// By this driver.
    By(String),
}

impl Settings {
    /// Every location, by name.
    pub(crate) fn storage(&self) -> Vec<Location> {
        let entries = self.values.get(KEY).cloned().and_then(Value::into_entries);
        let entries = entries.unwrap_or_default().into_iter();
        let location = |(key, value): (String, Value)| {
            let name = value::key_text(&key).unwrap_or(key);
            Location { name: plain(&name), kept: kept(&value) }
        };
        entries.map(location).collect()
    }
}

/// `[LocalStorage, {storage_path: /datastorage/registry}]`
fn kept(value: &Value) -> Kept {
    let Value::List(parts) = value else { return Kept::By(plain("")) };
    let driver = parts.first().and_then(Value::as_text).unwrap_or_default();
    if driver != LOCAL {
        return Kept::By(plain(driver));
    }
    let path = parts.get(1).and_then(|settings| settings.get("storage_path"));
    match path.and_then(Value::as_text) {
        Some(path) if !path.is_empty() => Kept::Locally(path.into()),
        Some(_) | None => Kept::Nowhere,
    }
}

/// A name such as people and drivers have. What is none may be anything, and
/// might be a secret in the wrong place.
fn plain(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name =
        (1..=40).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_plain);
    if is_name { name.to_owned() } else { "unnamed".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(text: &str) -> Vec<(String, Kept)> {
        let settings = Settings::read(text.as_bytes()).unwrap();
        settings.storage().into_iter().map(|location| (location.name, location.kept)).collect()
    }

    #[test]
    fn directories_and_drivers_are_told_and_no_key_is() {
        let found = storage(
            "DISTRIBUTED_STORAGE_CONFIG:\n  default: [LocalStorage, {storage_path: /data/a}]\n  \
             eu: [RadosGWStorage, {access_key: AKIA, secret_key: hunter2, bucket_name: quay}]\n  \
             lost: [LocalStorage, {}]\n  odd: [hunter2 hunter2, {}]\n  bad: text\n",
        );
        let driver = |name: &str| Kept::By(name.to_owned());
        let wanted = [
            ("bad", driver("unnamed")),
            ("default", Kept::Locally("/data/a".into())),
            ("eu", driver("RadosGWStorage")),
            ("lost", Kept::Nowhere),
            ("odd", driver("unnamed")),
        ];
        assert_eq!(found, wanted.map(|(name, kept)| (name.to_owned(), kept)));
        assert_eq!(storage("A: 1\n"), []);
    }
}
