//! What is wrong with a message: every conversion failure says where.

use std::fmt::Display;

/// A field of a message that is missing or malformed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("field `{path}`: {reason}")]
pub struct InvalidField {
    /// Dotted path of the field in the schema.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl InvalidField {
    /// A field that must be there and is not.
    pub fn missing(path: &str) -> Self {
        Self { path: path.to_owned(), reason: "is missing".to_owned() }
    }

    /// A field whose value is refused.
    pub fn because(path: &str, reason: impl Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }

    /// The same failure, seen from the message that holds this one.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { path: format!("{outer}.{}", self.path), reason: self.reason }
    }
}

/// Takes a message field out of its `Option`.
pub(crate) fn required<T>(path: &str, value: Option<T>) -> Result<T, InvalidField> {
    value.ok_or_else(|| InvalidField::missing(path))
}

/// Parses a text field.
pub(crate) fn parsed<T>(path: &str, text: &str) -> Result<T, InvalidField>
where
    T: std::str::FromStr,
    T::Err: Display,
{
    if text.is_empty() {
        return Err(InvalidField::missing(path));
    }
    text.parse().map_err(|error: T::Err| InvalidField::because(path, error))
}

/// Parses a text field that may be empty.
pub(crate) fn parsed_if_any<T>(path: &str, text: &str) -> Result<Option<T>, InvalidField>
where
    T: std::str::FromStr,
    T::Err: Display,
{
    if text.is_empty() { Ok(None) } else { parsed(path, text).map(Some) }
}

/// Converts a message inside this one.
pub(crate) fn within<W, T>(path: &str, value: Option<W>) -> Result<T, InvalidField>
where
    T: TryFrom<W, Error = InvalidField>,
{
    required(path, value)?.try_into().map_err(|error: InvalidField| error.within(path))
}

/// Converts a message inside this one that may be unset.
pub(crate) fn within_if_any<W, T>(path: &str, value: Option<W>) -> Result<Option<T>, InvalidField>
where
    T: TryFrom<W, Error = InvalidField>,
{
    value.map(|inner| T::try_from(inner).map_err(|error| error.within(path))).transpose()
}

/// Converts a list of messages.
pub(crate) fn each<W, T>(path: &str, values: Vec<W>) -> Result<Vec<T>, InvalidField>
where
    T: TryFrom<W, Error = InvalidField>,
{
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            T::try_from(value).map_err(|error| error.within(&format!("{path}[{index}]")))
        })
        .collect()
}

/// An empty text for `None`.
pub(crate) fn or_empty<T: Display>(value: Option<T>) -> String {
    value.map(|inner| inner.to_string()).unwrap_or_default()
}
