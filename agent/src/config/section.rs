//! A mapping whose keys are taken out one by one; what is left is unknown.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_yaml::{Mapping, Value};

use super::mistakes::{ConfigError, Mistakes, Problem};

/// One mapping of the file, at its path from the top.
pub(super) struct Section {
    /// Ends with a dot, or is empty.
    prefix: String,
    keys: Mapping,
    /// What was asked for.
    known: Vec<String>,
    mistakes: Mistakes,
}

/// The top of a file, and where its mistakes gather.
pub(super) fn open(yaml: &str) -> Result<(Section, Mistakes), ConfigError> {
    let root: Value = serde_yaml::from_str(yaml)
        .map_err(|error| ConfigError::NotYaml { problem: error.to_string() })?;
    let Value::Mapping(keys) = root else {
        let problem = "its top level is not a mapping of keys to values".to_owned();
        return Err(ConfigError::NotYaml { problem });
    };
    let mistakes = Mistakes::default();
    let prefix = String::new();
    Ok((Section { prefix, keys, known: Vec::new(), mistakes: mistakes.clone() }, mistakes))
}

impl Section {
    /// Notes a mistake at a key below this section.
    pub(super) fn mistake(&self, key: &str, problem: Problem) {
        self.mistakes.add(format!("{}{key}", self.prefix), problem);
    }

    /// Says of every key that nobody took that it is unknown.
    pub(super) fn close(self) {
        for key in self.keys.keys() {
            let written = || serde_yaml::to_string(key).unwrap_or_default();
            let name = key.as_str().map_or_else(written, ToOwned::to_owned);
            self.mistake(name.trim(), Problem::UnknownKey { known: self.known.clone() });
        }
    }

    /// A key that may be left out or null.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.push(key.to_owned());
        self.keys.remove(key).filter(|value| !value.is_null())
    }

    fn take_required(&mut self, key: &str) -> Option<Value> {
        let value = self.take(key);
        if value.is_none() {
            self.mistake(key, Problem::Missing);
        }
        value
    }

    /// What `read` makes of a value; `None` notes that it is of another kind.
    fn of_kind<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
        value: Value,
    ) -> Option<T> {
        let read = read(value);
        if read.is_none() {
            self.mistake(key, Problem::WrongKind { expected });
        }
        read
    }

    fn text(&self, key: &str, value: Value) -> Option<String> {
        self.of_kind(key, "a text", as_text, value)
    }

    fn accepted<T, E: Display>(&self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.mistake(key, Problem::Invalid(error.to_string()))).ok()
    }

    /// A whole number that may be left out.
    pub(super) fn optional_number<T, E: Display>(
        &mut self,
        key: &str,
        read: impl FnOnce(u64) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let number = self.of_kind(key, "a whole number", |value| value.as_u64(), value)?;
        self.accepted(key, read(number))
    }

    pub(super) fn number(&mut self, key: &str) -> Option<u64> {
        let value = self.take_required(key)?;
        self.of_kind(key, "a whole number", |value| value.as_u64(), value)
    }

    /// A required text that `parse` reads.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take_required(key)?;
        let text = self.text(key, value)?;
        self.accepted(key, parse(&text))
    }

    /// A required text with a syntax of its own.
    pub(super) fn word<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(key, str::parse)
    }

    pub(super) fn optional_word<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.optional_parsed(key, str::parse)
    }

    /// A text that `parse` reads and that may be left out.
    pub(super) fn optional_parsed<T, E: Display>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take(key)?;
        let text = self.text(key, value)?;
        self.accepted(key, parse(&text))
    }

    /// A list of at least one.
    pub(super) fn words<T>(&mut self, key: &str) -> Option<Vec<T>>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = self.take_required(key)?;
        let items = self.of_kind(key, "a list", as_list, value)?;
        if items.is_empty() {
            self.mistake(key, Problem::EmptyList);
            return None;
        }
        let read = items.into_iter().enumerate().map(|(index, item)| {
            let key = format!("{key}[{index}]");
            let text = self.text(&key, item)?;
            self.accepted(&key, text.parse())
        });
        // All of them, and only then whether all are good.
        read.collect::<Vec<Option<T>>>().into_iter().collect()
    }

    pub(super) fn path(&mut self, key: &str, base: &Path) -> Option<PathBuf> {
        let value = self.take_required(key)?;
        self.joined(key, base, value)
    }

    pub(super) fn optional_path(&mut self, key: &str, base: &Path) -> Option<PathBuf> {
        let value = self.take(key)?;
        self.joined(key, base, value)
    }

    fn joined(&self, key: &str, base: &Path, value: Value) -> Option<PathBuf> {
        let text = self.text(key, value)?;
        if text.is_empty() || text.contains('\0') {
            self.mistake(key, Problem::WrongKind { expected: "a path" });
            return None;
        }
        Some(base.join(text))
    }

    pub(super) fn section(&mut self, key: &str) -> Option<Self> {
        let value = self.take_required(key)?;
        self.inner(key, value)
    }

    pub(super) fn optional_section(&mut self, key: &str) -> Option<Self> {
        let value = self.take(key)?;
        self.inner(key, value)
    }

    fn inner(&self, key: &str, value: Value) -> Option<Self> {
        let keys = self.of_kind(key, "a mapping", as_mapping, value)?;
        let prefix = format!("{}{key}.", self.prefix);
        Some(Self { prefix, keys, known: Vec::new(), mistakes: self.mistakes.clone() })
    }
}

fn as_text(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text) } else { None }
}

fn as_list(value: Value) -> Option<Vec<Value>> {
    if let Value::Sequence(items) = value { Some(items) } else { None }
}

fn as_mapping(value: Value) -> Option<Mapping> {
    if let Value::Mapping(keys) = value { Some(keys) } else { None }
}
