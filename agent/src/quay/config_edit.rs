//! Changes one top-level key of a config.yaml and leaves every other byte as
//! it is: comments, order, quotes, line ends.
//!
//! The parser only says where things stand; the bytes are spliced here, and the
//! result is parsed again: unless every other value reads as before, the edit
//! is refused. Nothing here touches a file.

mod place;
mod reader;
mod refusal;
#[cfg(test)]
mod tests;

use quaymaster_proto::Mode;

pub use self::refusal::EditRefusal;
use super::yaml::scalar::{self, Meaning};
pub use super::yaml::value::ValueError;
use super::yaml::value::{self, Value};
use super::yaml::{self, Content, Document, Node, ParseError};

/// The key that every node must carry alike before any 3.0 starts
/// (quay-facts 2.4).
pub const MODE_KEY: &str = "V3_UPGRADE_MODE";

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A file with one value set.
#[derive(Clone, PartialEq, Eq)]
pub struct Edit {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The line that was changed or added, 1-based.
    pub line: u32,
    /// What was done.
    pub how: EditKind,
}

/// What an edit does to a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EditKind {
    /// The file had that value already: the bytes are the same.
    Unchanged,
    /// The value changed.
    Replaced {
        /// What it was.
        old: String,
    },
    /// A line was added.
    Inserted,
}

impl std::fmt::Debug for Edit {
    /// Without the bytes, which hold passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes: _, line, how } = self;
        formatter.debug_struct("Edit").field("line", line).field("how", how).finish_non_exhaustive()
    }
}

/// A word that needs no quotes in YAML and means just itself there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlainWord<'a>(&'a str);

impl<'a> PlainWord<'a> {
    /// `None` for anything but a letter followed by letters, digits and `_`,
    /// and for words like `yes` that YAML takes for something else.
    pub fn new(text: &'a str) -> Option<Self> {
        let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && scalar::meaning(text) == Meaning::Text;
        is_plain.then_some(Self(text))
    }

    /// The word.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// Sets `V3_UPGRADE_MODE`.
pub fn set_mode(file: &[u8], mode: Mode) -> Result<Edit, EditRefusal> {
    let word = match mode {
        Mode::Background | Mode::Complete => mode.as_str(),
        Mode::Absent | Mode::Other => return Err(EditRefusal::NoSuchMode { mode }),
    };
    set(file, PlainWord(MODE_KEY), PlainWord(word))
}

/// Sets one top-level key.
pub fn set(file: &[u8], key: PlainWord<'_>, value: PlainWord<'_>) -> Result<Edit, EditRefusal> {
    let text = std::str::from_utf8(file)
        .map_err(|error| EditRefusal::NotUtf8 { offset: error.valid_up_to() })?;
    let (mark, body) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(body) => (BYTE_ORDER_MARK, body),
        None => ("", text),
    };
    reader::refuse_characters(body)?;
    let document = parse(body)?;
    let entries = top_level(&document)?;
    reader::refuse_tabs(body, &document)?;
    document.root.iter().try_for_each(|root| reader::refuse_foreign_tags(body, root))?;
    let before = values(&document)?;
    let ours: Vec<&(Node, Node)> =
        entries.iter().filter(|(name, _)| place::means_key(&document, name, key.0)).collect();
    let (candidates, old) = match ours[..] {
        [] if before.get(key.0).is_some() => {
            return Err(EditRefusal::OnlyInMerge { key: key.0.to_owned() });
        }
        [] => (place::insertions(body, entries, key.0, value.0), None),
        [(Node { content: Content::Alias(_), .. }, _)] => {
            return Err(EditRefusal::OnlyInMerge { key: key.0.to_owned() });
        }
        [(name, present)] => {
            let (splice, old) = place::replacement(body, name, present, value.0)?;
            (vec![splice], Some(old))
        }
        [(first, _), (second, _), ..] => {
            return Err(EditRefusal::DuplicateKey {
                key: key.0.to_owned(),
                first: place::line_at(body, first.span.start),
                second: place::line_at(body, second.span.start),
            });
        }
    };
    let wanted = Wanted { key, value, before };
    for splice in candidates {
        let edited = splice.applied_to(body);
        if !wanted.is_met_by(&edited) {
            continue;
        }
        let how = match old {
            _ if edited == body => EditKind::Unchanged,
            Some(old) => EditKind::Replaced { old },
            None => EditKind::Inserted,
        };
        let bytes = format!("{mark}{edited}").into_bytes();
        return Ok(Edit { bytes, line: splice.line(body), how });
    }
    Err(EditRefusal::OthersWouldChange { key: key.0.to_owned() })
}

/// What the edited file must say.
struct Wanted<'a> {
    key: PlainWord<'a>,
    value: PlainWord<'a>,
    before: Value,
}

impl Wanted<'_> {
    /// The key has the value, and everything else is as it was.
    fn is_met_by(&self, text: &str) -> bool {
        let Ok(document) = parse(text) else {
            return false;
        };
        let (Ok(after), Ok(entries)) = (values(&document), top_level(&document)) else {
            return false;
        };
        let is_ours = |(name, _): &&(Node, Node)| place::means_key(&document, name, self.key.0);
        entries.iter().filter(is_ours).count() == 1
            && after.get(self.key.0).and_then(Value::as_text) == Some(self.value.0)
            && after.without(self.key.0) == self.before.without(self.key.0)
    }
}

fn parse(text: &str) -> Result<Document, EditRefusal> {
    yaml::parse(text).map_err(|error| match error {
        ParseError::Syntax { line } => EditRefusal::NotYaml { line },
        ParseError::SeveralDocuments => EditRefusal::SeveralDocuments,
    })
}

fn values(document: &Document) -> Result<Value, EditRefusal> {
    value::read(document).map_err(|source| EditRefusal::Unreadable { source })
}

/// The entries of a root that is a mapping in block style.
fn top_level(document: &Document) -> Result<&[(Node, Node)], EditRefusal> {
    let Some(root) = &document.root else {
        return Err(EditRefusal::Empty);
    };
    match &root.content {
        Content::Mapping(yaml::Notation::Block, entries) => Ok(entries),
        Content::Mapping(yaml::Notation::Flow, _) => Err(EditRefusal::FlowRoot),
        Content::Scalar(_, yaml::Style::Plain) if root.span.is_empty() => Err(EditRefusal::Empty),
        Content::Scalar(..) | Content::Sequence(..) | Content::Alias(_) => {
            Err(EditRefusal::NotAMapping)
        }
    }
}
