//! A mapping that is read key by key: whatever nobody asked for is unknown.
//! Unlike a derived reader it goes on after a mistake, so that a file's owner
//! mends it once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde_yaml::Value;

use super::mistake::{Mistake, Trouble};

/// One mapping of the file.
pub(super) struct Fields {
    path: String,
    left: BTreeMap<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// The file itself; `None` after a mistake was noted.
    pub(super) fn root(value: Value, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        Self::read(String::new(), value, mistakes)
    }

    /// A mapping inside a list.
    pub(super) fn element(path: String, value: Value, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        Self::read(path, value, mistakes)
    }

    fn read(path: String, value: Value, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        let Value::Mapping(mapping) = value else {
            mistakes.push(kind(path, "a mapping of keys", &value));
            return None;
        };
        let mut left = BTreeMap::new();
        for (key, value) in mapping {
            if let Value::String(key) = key {
                left.insert(key, value);
            } else {
                mistakes.push(kind(path.clone(), "a mapping with plain keys", &key));
            }
        }
        Some(Self { path, left, known: Vec::new() })
    }

    /// The path of a key in here.
    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self, mistakes: &mut Vec<Mistake>) {
        for key in self.left.keys() {
            let trouble = Trouble::UnknownKey { known: self.known.clone() };
            mistakes.push(Mistake::new(self.at(key), trouble));
        }
    }

    /// A value that may be absent; `null` is absence.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.left.remove(key).filter(|value| !value.is_null())
    }

    /// Every key and value that is left, for mappings with free keys.
    pub(super) fn rest(self) -> BTreeMap<String, Value> {
        self.left
    }

    /// A mapping that must be there.
    pub(super) fn section(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        match self.value(key) {
            Some(value) => Self::read(self.at(key), value, mistakes),
            None => self.missing(key, mistakes),
        }
    }

    /// A mapping that may be absent.
    pub(super) fn section_if_any(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let value = self.value(key)?;
        Self::read(self.at(key), value, mistakes)
    }

    /// A text that must be there.
    pub(super) fn text(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<String> {
        match self.value(key) {
            Some(value) => text(self.at(key), value, mistakes),
            None => self.missing(key, mistakes),
        }
    }

    /// A text that may be absent.
    pub(super) fn text_if_any(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<String> {
        let value = self.value(key)?;
        text(self.at(key), value, mistakes)
    }

    /// A text with a syntax, which must be there.
    pub(super) fn parsed<T>(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(key, mistakes)?;
        parse(self.at(key), &text, mistakes)
    }

    /// A text with a syntax, which may be absent.
    pub(super) fn parsed_if_any<T>(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text_if_any(key, mistakes)?;
        parse(self.at(key), &text, mistakes)
    }

    /// A list of texts; absent = empty.
    pub(super) fn texts(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Vec<String> {
        let path = self.at(key);
        match self.value(key) {
            None => Vec::new(),
            Some(Value::Sequence(values)) => values
                .into_iter()
                .enumerate()
                .filter_map(|(index, value)| text(format!("{path}[{index}]"), value, mistakes))
                .collect(),
            Some(other) => {
                mistakes.push(kind(path, "a list", &other));
                Vec::new()
            }
        }
    }

    /// A whole number that must be there.
    pub(super) fn whole(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<u64> {
        match self.value(key) {
            Some(value) => whole(self.at(key), &value, mistakes),
            None => self.missing(key, mistakes),
        }
    }

    /// A duration such as `90s`, which may be absent.
    pub(super) fn duration_if_any(
        &mut self,
        key: &'static str,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Duration> {
        let text = self.text_if_any(key, mistakes)?;
        duration(self.at(key), &text, mistakes)
    }

    fn missing<T>(&self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<T> {
        mistakes.push(Mistake::new(self.at(key), Trouble::Missing));
        None
    }
}

/// A text out of a value.
pub(super) fn text(path: String, value: Value, mistakes: &mut Vec<Mistake>) -> Option<String> {
    if let Value::String(text) = value {
        return Some(text);
    }
    mistakes.push(kind(path, "a text (in quotes if need be)", &value));
    None
}

/// A whole number out of a value.
pub(super) fn whole(path: String, value: &Value, mistakes: &mut Vec<Mistake>) -> Option<u64> {
    let number = value.as_u64();
    if number.is_none() {
        mistakes.push(kind(path, "a whole number", value));
    }
    number
}

/// A duration out of a text.
pub(super) fn duration(path: String, text: &str, mistakes: &mut Vec<Mistake>) -> Option<Duration> {
    let parsed = humantime::parse_duration(text).ok();
    if parsed.is_none() {
        let reason = format!("`{text}` is not a duration such as `90s`, `6h` or `100ms`");
        mistakes.push(Mistake::new(path, Trouble::Syntax { reason }));
    }
    parsed
}

/// A value with a syntax out of a text.
pub(super) fn parse<T>(path: String, text: &str, mistakes: &mut Vec<Mistake>) -> Option<T>
where
    T: FromStr,
    T::Err: Display,
{
    match text.parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => {
            mistakes.push(Mistake::new(path, Trouble::Syntax { reason: format!("{error}") }));
            None
        }
    }
}

/// A value of another kind than expected.
pub(super) fn kind(path: String, expected: &'static str, found: &Value) -> Mistake {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a value with a tag",
    };
    Mistake::new(path, Trouble::Kind { expected, found })
}
