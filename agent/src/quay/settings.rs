//! What a Quay reads from its config.yaml.
//!
//! Quay loads the upper-case top-level keys with PyYAML and lays the JSON of
//! `QUAY_OVERRIDE_CONFIG` over them, key by key (quay-facts 2.1, 2.4). Values
//! leave this room as keyed digests, as the few answers below, or as secrets.

mod connection;
mod digest;
mod footing;
mod secrets;
mod storage;

use std::collections::BTreeMap;

use quaymaster_proto::Mode;

pub use self::connection::{ConnectionArguments, MysqlTls};
pub use self::digest::{SurveyKey, keyed_digest};
pub(crate) use self::secrets::passwords_in_address;
pub(crate) use self::storage::{Kept, Location};
use super::config_edit::MODE_KEY;
use super::database_uri::{DatabaseUri, InvalidDatabaseUri};
use super::yaml::value::{self, Value};
use super::yaml::{self, ParseError};
use crate::secret::Secret;

/// The environment variable whose JSON wins over config.yaml.
pub const OVERRIDE_VARIABLE: &str = "QUAY_OVERRIDE_CONFIG";

/// Quay's settings by their keys.
#[derive(Clone, PartialEq)]
pub struct Settings {
    values: BTreeMap<String, Value>,
}

/// Why no settings can be read. Never says what stands in the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not UTF-8.
    #[error("config.yaml is not UTF-8 from byte {offset} on: save it as UTF-8")]
    NotUtf8 {
        /// The first byte that is not.
        offset: usize,
    },
    /// Does not parse.
    #[error("config.yaml is not YAML at line {line}: correct it")]
    NotYaml {
        /// 1-based.
        line: usize,
    },
    /// More than one document.
    #[error("config.yaml holds more than one YAML document: keep one")]
    SeveralDocuments,
    /// Its values cannot be told.
    #[error("config.yaml {0}: correct it")]
    Unreadable(&'static str),
    /// A list or a word at the top, or nothing.
    #[error("config.yaml holds no settings: its top level is not a mapping of keys to values")]
    NotAMapping,
    /// The override is not a JSON object.
    #[error("`QUAY_OVERRIDE_CONFIG` is not a JSON object: correct it or take it away")]
    BadOverride,
}

/// Why Quay's database cannot be told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoDatabase {
    /// Quay would fall back to an empty SQLite file (quay-facts 2.3).
    #[error("config.yaml has no `DB_URI`")]
    Missing,
    /// Not a text.
    #[error("`DB_URI` in config.yaml is not a text")]
    NotText,
    /// Not one that Quay understands.
    #[error("`DB_URI` in config.yaml cannot be used")]
    Invalid(#[source] InvalidDatabaseUri),
}

impl std::fmt::Debug for Settings {
    /// Keys only.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.values.keys()).finish()
    }
}

impl Settings {
    /// Reads the bytes of a config.yaml.
    pub fn read(file: &[u8]) -> Result<Self, SettingsError> {
        let text = std::str::from_utf8(file)
            .map_err(|error| SettingsError::NotUtf8 { offset: error.valid_up_to() })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = yaml::parse(text).map_err(|error| match error {
            ParseError::Syntax { line } => SettingsError::NotYaml { line },
            ParseError::SeveralDocuments => SettingsError::SeveralDocuments,
        })?;
        let root =
            value::read(&document).map_err(|error| SettingsError::Unreadable(error.as_words()))?;
        let entries = root.into_entries().ok_or(SettingsError::NotAMapping)?;
        Ok(Self { values: upper_case(entries) })
    }

    /// The same with the JSON of `QUAY_OVERRIDE_CONFIG` laid over it.
    pub fn overridden_by(mut self, json: &str) -> Result<Self, SettingsError> {
        self.values.extend(override_values(json)?);
        Ok(self)
    }

    /// The keys that Quay reads.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// One keyed digest for each key: equal on two nodes exactly where Quay
    /// reads equal values, and telling nothing to one without the key.
    pub fn keyed_digests(&self, survey_key: &SurveyKey) -> BTreeMap<String, [u8; 32]> {
        let digest =
            |key: &str, value: &Value| keyed_digest(survey_key, key, value.canonical().as_bytes());
        self.values.iter().map(|(key, value)| (key.clone(), digest(key, value))).collect()
    }

    /// Whether `SETUP_COMPLETE` is literally true. Anything else lets Quay
    /// migrate to the wrong end and skip the data (quay-facts 2.3).
    pub fn setup_complete(&self) -> bool {
        self.values.get("SETUP_COMPLETE") == Some(&Value::Boolean(true))
    }

    /// `V3_UPGRADE_MODE`.
    pub fn mode(&self) -> Mode {
        mode_of(self.values.get(MODE_KEY)).unwrap_or(Mode::Absent)
    }

    /// `DB_URI`.
    pub fn database(&self) -> Result<DatabaseUri, NoDatabase> {
        match self.values.get("DB_URI") {
            None | Some(Value::Null) => Err(NoDatabase::Missing),
            Some(value) => {
                value.as_text().ok_or(NoDatabase::NotText)?.parse().map_err(NoDatabase::Invalid)
            }
        }
    }

    /// What of `DB_CONNECTION_ARGS` matters to a client.
    pub fn connection_arguments(&self) -> ConnectionArguments {
        self.values.get("DB_CONNECTION_ARGS").map(ConnectionArguments::of).unwrap_or_default()
    }

    /// Every text that must not reach a log line.
    pub fn secrets(&self) -> Vec<Secret> {
        secrets::of(&self.values)
    }
}

/// The mode inside the JSON of `QUAY_OVERRIDE_CONFIG`; `None` = not set there.
pub fn override_mode(json: &str) -> Result<Option<Mode>, SettingsError> {
    Ok(mode_of(override_values(json)?.get(MODE_KEY)))
}

fn mode_of(value: Option<&Value>) -> Option<Mode> {
    let value = value?;
    let text = value.as_text();
    Some(match text {
        None if *value == Value::Null => Mode::Absent,
        None => Mode::Other,
        Some(_) => Mode::from_config_value(text),
    })
}

fn override_values(json: &str) -> Result<BTreeMap<String, Value>, SettingsError> {
    let parsed: serde_json::Value =
        serde_json::from_str(json).map_err(|_| SettingsError::BadOverride)?;
    let entries = Value::from_json(&parsed).into_entries().ok_or(SettingsError::BadOverride)?;
    Ok(upper_case(entries))
}

/// The text keys that Python's `isupper` takes: at least one letter, and none
/// in lower case.
fn upper_case(entries: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let is_upper =
        |key: &String| key.chars().any(char::is_uppercase) && !key.chars().any(char::is_lowercase);
    entries
        .into_iter()
        .filter_map(|(key, value)| Some((value::key_text(&key)?, value)))
        .filter(|(key, _)| is_upper(key))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_upper_case_top_level_keys_are_settings() {
        let text = "A_KEY: 1\nlower: 2\nMixed: 3\n12: 4\nA2: {INNER: 5}\n<<: {MERGED: 6}\n";
        assert_eq!(settings(text).keys().collect::<Vec<_>>(), ["A2", "A_KEY", "MERGED"]);
    }

    #[test]
    fn digests_compare_what_quay_reads_and_not_how_it_is_written() {
        let key = SurveyKey::new([7; 32]);
        let of = |text: &str| settings(text).keyed_digests(&key);
        let one = of("FEATURE_MAILING: yes\nSERVER_HOSTNAME: 'q.example.com'\nPORT: 0x50\n");
        let other = of("# note\nPORT: 80\nSERVER_HOSTNAME: q.example.com\nFEATURE_MAILING: true\n");
        assert_eq!(one, other);
        assert_ne!(one["PORT"], of("PORT: '80'\n")["PORT"]);
        // The same value under another key or another survey says nothing.
        assert_ne!(of("A: x\n")["A"], of("B: x\n")["B"]);
        assert_ne!(
            one["PORT"],
            settings("PORT: 80\n").keyed_digests(&SurveyKey::new([8; 32]))["PORT"]
        );
    }

    #[test]
    fn setup_is_complete_only_where_it_is_literally_true() {
        for yes in ["SETUP_COMPLETE: true\n", "SETUP_COMPLETE: yes\n"] {
            assert!(settings(yes).setup_complete(), "{yes}");
        }
        for no in
            ["A: 1\n", "SETUP_COMPLETE: 'true'\n", "SETUP_COMPLETE: 1\n", "setup_complete: true\n"]
        {
            assert!(!settings(no).setup_complete(), "{no}");
        }
    }

    #[test]
    fn the_mode_is_read_as_quay_reads_it() {
        let cases = [
            ("A: 1\n", Mode::Absent),
            ("V3_UPGRADE_MODE:\n", Mode::Absent),
            ("V3_UPGRADE_MODE: background\n", Mode::Background),
            ("V3_UPGRADE_MODE: \"complete\"\n", Mode::Complete),
            ("V3_UPGRADE_MODE: Complete\n", Mode::Other),
            ("V3_UPGRADE_MODE: production-transition\n", Mode::Other),
            ("V3_UPGRADE_MODE: yes\n", Mode::Other),
            ("V3_UPGRADE_MODE: [complete]\n", Mode::Other),
        ];
        for (text, mode) in cases {
            assert_eq!(settings(text).mode(), mode, "{text}");
        }
    }

    #[test]
    fn the_override_wins_key_by_key() {
        let file =
            settings("V3_UPGRADE_MODE: background\nDB_CONNECTION_ARGS: {sslmode: require}\n");
        let json = r#"{"V3_UPGRADE_MODE": "complete", "ignored": 1, "DB_CONNECTION_ARGS": {}}"#;
        let merged = file.overridden_by(json).unwrap();
        assert_eq!(merged.mode(), Mode::Complete);
        assert_eq!(merged.connection_arguments(), ConnectionArguments::default());
        assert_eq!(merged.keys().count(), 2);
        assert_eq!(override_mode(json), Ok(Some(Mode::Complete)));
        assert_eq!(override_mode("{}"), Ok(None));
        for bad in ["", "[]", "{", "\"x\""] {
            assert_eq!(override_mode(bad), Err(SettingsError::BadOverride), "{bad}");
        }
    }

    #[test]
    fn the_database_is_found_and_printing_settings_shows_keys_only() {
        let file = settings("DB_URI: postgresql://quay:hunter2@db/quay\nA: s3cret\n");
        assert_eq!(file.database().unwrap().shown_as(), "db:5432/quay");
        assert_eq!(format!("{file:?}"), r#"{"A", "DB_URI"}"#);
        assert_eq!(settings("A: 1\n").database().err(), Some(NoDatabase::Missing));
        assert_eq!(settings("DB_URI: [x]\n").database().err(), Some(NoDatabase::NotText));
    }

    #[test]
    fn a_file_that_quay_could_not_use_is_refused_without_its_text() {
        let cases: [(&[u8], &str); 5] = [
            (
                b"- A\n",
                "config.yaml holds no settings: its top level is not a mapping of keys to values",
            ),
            (
                b"# empty\n",
                "config.yaml holds no settings: its top level is not a mapping of keys to values",
            ),
            (b"A: 1\nDB_PASSWORD: *hunter2\n", "config.yaml is not YAML at line 2: correct it"),
            (b"A: \xff\n", "config.yaml is not UTF-8 from byte 3 on: save it as UTF-8"),
            (b"A: &a [*a]\n", "config.yaml has aliases that do not end: correct it"),
        ];
        for (file, said) in cases {
            assert_eq!(Settings::read(file).unwrap_err().to_string(), said);
        }
    }
}
