//! What Quay gets to see of a YAML or JSON value: anchors followed, merges
//! done, plain words given their YAML 1.1 meaning, order of keys forgotten.

use std::collections::BTreeMap;

use super::scalar::{self, Meaning};
use super::{Content, Document, Node, Style};

/// How many values one config.yaml may hold once its aliases are followed.
/// Real ones hold hundreds; a few lines of aliases to aliases hold billions.
const MOST_VALUES: usize = 100_000;

const MERGE_TAG: &str = "tag:yaml.org,2002:merge";

/// A value as a program sees it.
///
/// Has no `Debug`: it may be a password. Numbers are kept as their one
/// canonical text, so that a key of 96 digits loses none.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number in canonical text.
    Number(String),
    /// A text.
    Text(String),
    /// A date or time, as it is written.
    Timestamp(String),
    /// Values in order.
    List(Vec<Self>),
    /// Values by the canonical text of their key.
    Map(BTreeMap<String, Self>),
    /// A value with a tag that plain YAML does not know.
    Tagged(String, Box<Self>),
}

/// Why a document's values cannot be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueError {
    /// Aliases to aliases, or an alias inside of what it refers to.
    #[error("{}", self.as_words())]
    Unbounded,
    /// A merge key whose value is no mapping.
    #[error("{}", self.as_words())]
    MergeOfNoMapping,
}

impl ValueError {
    /// What is wrong with the document.
    pub(crate) fn as_words(self) -> &'static str {
        match self {
            Self::Unbounded => "has aliases that do not end",
            Self::MergeOfNoMapping => "merges something that is not a mapping",
        }
    }
}

impl Value {
    /// One text per value: equal texts are equal values.
    pub(crate) fn canonical(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Number(text) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::Timestamp(text) => format!("@{}", quoted(text)),
            Self::List(values) => {
                let inner: Vec<String> = values.iter().map(Self::canonical).collect();
                format!("[{}]", inner.join(","))
            }
            Self::Map(entries) => {
                let inner: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{key}:{}", value.canonical()))
                    .collect();
                format!("{{{}}}", inner.join(","))
            }
            Self::Tagged(tag, value) => format!("!{}{}", quoted(tag), value.canonical()),
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null
            | Self::Boolean(_)
            | Self::Number(_)
            | Self::Timestamp(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Tagged(..) => None,
        }
    }

    /// The value at a text key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.get(&quoted(key)),
            Self::Null
            | Self::Boolean(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Timestamp(_)
            | Self::List(_)
            | Self::Tagged(..) => None,
        }
    }

    /// A mapping without one of its text keys.
    pub(crate) fn without(&self, key: &str) -> Self {
        let mut rest = self.clone();
        if let Self::Map(entries) = &mut rest {
            entries.remove(&quoted(key));
        }
        rest
    }

    /// The entries of a mapping by the canonical text of their key.
    pub(crate) fn into_entries(self) -> Option<BTreeMap<String, Self>> {
        match self {
            Self::Map(entries) => Some(entries),
            Self::Null
            | Self::Boolean(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Timestamp(_)
            | Self::List(_)
            | Self::Tagged(..) => None,
        }
    }

    /// Reads JSON.
    pub(crate) fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Boolean(*value),
            serde_json::Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => Self::Number(float_text(float)),
                _ => Self::Number(number.to_string()),
            },
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(values) => {
                Self::List(values.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(entries) => Self::Map(
                entries.iter().map(|(key, value)| (quoted(key), Self::from_json(value))).collect(),
            ),
        }
    }
}

/// A key of a `Value::Map` as the text it was, if it was one.
pub(crate) fn key_text(canonical: &str) -> Option<String> {
    canonical.starts_with('"').then(|| serde_json::from_str(canonical).ok()).flatten()
}

/// The document's root as Quay sees it.
pub(crate) fn read(document: &Document) -> Result<Value, ValueError> {
    let Some(root) = &document.root else {
        return Ok(Value::Null);
    };
    Reader { document, left: MOST_VALUES, following: Vec::new() }.value(root)
}

struct Reader<'a> {
    document: &'a Document,
    /// How many more values may be made.
    left: usize,
    /// The anchors whose values are being read.
    following: Vec<usize>,
}

impl Reader<'_> {
    fn value(&mut self, node: &Node) -> Result<Value, ValueError> {
        self.left = self.left.checked_sub(1).ok_or(ValueError::Unbounded)?;
        match &node.content {
            Content::Scalar(text, style) => Ok(scalar_value(text, *style, node.tag.as_deref())),
            Content::Alias(anchor) => self.follow(*anchor, Self::value),
            Content::Sequence(_, items) => {
                let values: Result<Vec<Value>, ValueError> =
                    items.iter().map(|item| self.value(item)).collect();
                Ok(with_tag(node, "tag:yaml.org,2002:seq", Value::List(values?)))
            }
            Content::Mapping(..) => {
                let mut entries = BTreeMap::new();
                self.collect(node, &mut entries)?;
                Ok(with_tag(node, "tag:yaml.org,2002:map", Value::Map(entries)))
            }
        }
    }

    /// What `read` makes of the node behind an anchor.
    fn follow<T>(
        &mut self,
        anchor: usize,
        read: impl FnOnce(&mut Self, &Node) -> Result<T, ValueError>,
    ) -> Result<T, ValueError> {
        let target = self.document.anchored.get(&anchor).ok_or(ValueError::Unbounded)?;
        if self.following.contains(&anchor) {
            return Err(ValueError::Unbounded);
        }
        self.following.push(anchor);
        let result = read(self, target);
        self.following.pop();
        result
    }

    /// A mapping's entries over those that it merges: its own win, and the
    /// last of several with one key, as in Python.
    fn collect(
        &mut self,
        node: &Node,
        into: &mut BTreeMap<String, Value>,
    ) -> Result<(), ValueError> {
        match &node.content {
            Content::Alias(anchor) => {
                self.follow(*anchor, |reader, target| reader.collect(target, into))
            }
            Content::Mapping(_, entries) => {
                self.left = self.left.checked_sub(1).ok_or(ValueError::Unbounded)?;
                for (_, value) in entries.iter().filter(|(key, _)| is_merge(key)) {
                    self.merge(value, into)?;
                }
                for (key, value) in entries.iter().filter(|(key, _)| !is_merge(key)) {
                    let key = self.value(key)?.canonical();
                    let value = self.value(value)?;
                    into.insert(key, value);
                }
                Ok(())
            }
            Content::Scalar(..) | Content::Sequence(..) => Err(ValueError::MergeOfNoMapping),
        }
    }

    /// One mapping, or a list of them of which the first wins.
    fn merge(&mut self, node: &Node, into: &mut BTreeMap<String, Value>) -> Result<(), ValueError> {
        match &node.content {
            Content::Sequence(_, items) => {
                items.iter().rev().try_for_each(|item| self.collect(item, into))
            }
            Content::Alias(anchor) => {
                self.follow(*anchor, |reader, target| reader.merge(target, into))
            }
            Content::Scalar(..) | Content::Mapping(..) => self.collect(node, into),
        }
    }
}

/// Whether a key is the merge key.
pub(crate) fn is_merge(key: &Node) -> bool {
    match (&key.content, key.tag.as_deref()) {
        (Content::Scalar(text, Style::Plain), None) => text == "<<",
        (_, tag) => tag == Some(MERGE_TAG),
    }
}

fn scalar_value(text: &str, style: Style, tag: Option<&str>) -> Value {
    let is_plain = style == Style::Plain;
    match tag {
        None if is_plain => plain_value(text),
        None | Some("!" | "tag:yaml.org,2002:str") => Value::Text(text.to_owned()),
        Some(
            "tag:yaml.org,2002:null"
            | "tag:yaml.org,2002:bool"
            | "tag:yaml.org,2002:int"
            | "tag:yaml.org,2002:timestamp",
        ) => plain_value(text),
        Some("tag:yaml.org,2002:float") => match scalar::meaning(text) {
            Meaning::Integer(digits) => Value::Number(digits.parse().map_or(digits, float_text)),
            Meaning::Null
            | Meaning::Boolean(_)
            | Meaning::Float(_)
            | Meaning::Timestamp
            | Meaning::Text => plain_value(text),
        },
        Some(tag) => Value::Tagged(tag.to_owned(), Box::new(Value::Text(text.to_owned()))),
    }
}

fn plain_value(word: &str) -> Value {
    match scalar::meaning(word) {
        Meaning::Null => Value::Null,
        Meaning::Boolean(value) => Value::Boolean(value),
        Meaning::Integer(digits) => Value::Number(digits),
        Meaning::Float(value) => Value::Number(float_text(value)),
        Meaning::Timestamp => Value::Timestamp(word.to_owned()),
        Meaning::Text => Value::Text(word.to_owned()),
    }
}

/// Always with a point or a letter, so that no fraction equals a whole number.
fn float_text(value: f64) -> String {
    format!("{value:?}")
}

fn with_tag(node: &Node, usual: &str, value: Value) -> Value {
    match node.tag.as_deref() {
        Some(tag) if tag != usual && tag != "!" => Value::Tagged(tag.to_owned(), Box::new(value)),
        _ => value,
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quay::yaml::parse;

    fn canonical(text: &str) -> String {
        read(&parse(text).unwrap()).unwrap().canonical()
    }

    #[test]
    fn two_ways_to_write_a_value_are_one_value() {
        let same = [
            ("A: yes", "A: true"),
            ("A: 'x'", "A: x"),
            ("A: 0123", "A: 83"),
            ("A: {b: 1, a: 2}", "A:\n  a: 2\n  b: 1\n"),
            ("A: |\n  x\n", "A: \"x\\n\""),
            ("X: &x {a: 1}\nA: *x", "X: {a: 1}\nA: {a: 1}"),
            ("X: &x {a: 1, b: 1}\nA: {<<: *x, b: 2}", "X: {a: 1, b: 1}\nA: {a: 1, b: 2}"),
            ("A: {<<: [{a: 1}, {a: 2, b: 2}]}", "A: {a: 1, b: 2}"),
            ("A: 1\nA: 2", "A: 2"),
            ("A: !!str 12", "A: '12'"),
            ("A: !!int '12'", "A: 12"),
            ("A: ~", "A:"),
        ];
        for (one, other) in same {
            assert_eq!(canonical(one), canonical(other), "{one}");
        }
    }

    #[test]
    fn what_python_tells_apart_stays_apart() {
        let different = [
            ("A: yes", "A: 'yes'"),
            ("A: 83", "A: '83'"),
            ("A: 1", "A: 1.0"),
            ("A: 1e3", "A: 1000"),
            ("A: 2020-01-01", "A: '2020-01-01'"),
            ("A: [1, 2]", "A: [2, 1]"),
            ("A: !custom x", "A: x"),
            ("1: x", "'1': x"),
        ];
        for (one, other) in different {
            assert_ne!(canonical(one), canonical(other), "{one}");
        }
    }

    #[test]
    fn aliases_without_end_are_refused() {
        let mut text = "A0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = level - 1;
            let items = vec![format!("*a{before}"); 10].join(", ");
            text.push_str(&format!("A{level}: &a{level} [{items}]\n"));
        }
        let error = |text: &str| read(&parse(text).unwrap()).err();
        assert_eq!(error(&text), Some(ValueError::Unbounded));
        assert_eq!(error("A: &a [*a]"), Some(ValueError::Unbounded));
        assert_eq!(error("A: 1\n<<: 2"), Some(ValueError::MergeOfNoMapping));
    }

    #[test]
    fn json_and_yaml_meet() {
        let json = serde_json::json!({"A": ["x", 1, 1.5, true, null], "B": {"c": "d"}});
        let yaml = "B: {c: d}\nA: [x, 1, 1.5, yes, ~]\n";
        assert_eq!(Value::from_json(&json).canonical(), canonical(yaml));
    }
}
