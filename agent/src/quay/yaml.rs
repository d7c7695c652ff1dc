//! YAML as a tree that remembers where each value stands in its text.
//!
//! Values are only read here, never written back: what a parser makes of a
//! value is not what its author wrote. `scalar` says what Python's YAML 1.1
//! makes of a plain word, `value` what Quay gets to see of a whole node.

pub(crate) mod scalar;
pub(crate) mod value;

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StructureStyle, Tag};

/// The one document of a text.
pub(crate) struct Document {
    /// `None` when the text holds nothing but comments and white space.
    pub(crate) root: Option<Node>,
    /// Every finished node that has an anchor, by the anchor's number.
    pub(crate) anchored: HashMap<usize, Node>,
}

/// A value with its place.
///
/// Has no `Debug`: it may hold a password.
#[derive(Clone)]
pub(crate) struct Node {
    /// Bytes of the value itself, without its tag and anchor. Empty for a
    /// value that is not written; unreliable for block collections.
    pub(crate) span: Range<usize>,
    /// The resolved tag, where one is written.
    pub(crate) tag: Option<String>,
    /// The anchor's number, where one is written.
    pub(crate) anchor: Option<usize>,
    /// What the value is.
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Clone)]
pub(crate) enum Content {
    /// A word, quoted or not, with its escapes resolved.
    Scalar(String, Style),
    /// A list.
    Sequence(Notation, Vec<Node>),
    /// Keys and values in their order.
    Mapping(Notation, Vec<(Node, Node)>),
    /// A reference to the anchor with this number.
    Alias(usize),
}

/// How a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// Without quotes; also a value that is not written at all.
    Plain,
    /// In `'` or `"`.
    Quoted,
    /// After `|` or `>`.
    Block,
}

/// How a collection is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Notation {
    /// By indentation.
    Block,
    /// In braces or brackets.
    Flow,
}

/// Why a text is not one YAML document.
///
/// Never says what stands there: a password with a leading `*` is a broken
/// alias to YAML.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ParseError {
    /// Not YAML.
    #[error("is not YAML at line {line}")]
    Syntax {
        /// 1-based.
        line: usize,
    },
    /// More than one document.
    #[error("holds more than one YAML document")]
    SeveralDocuments,
}

/// Reads a text without byte order mark.
pub(crate) fn parse(text: &str) -> Result<Document, ParseError> {
    let mut builder = Builder::default();
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options()) {
        let (event, span) =
            event.map_err(|error| ParseError::Syntax { line: error.marker().line() })?;
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
            if documents > 1 {
                return Err(ParseError::SeveralDocuments);
            }
        }
        builder.take(event, span);
    }
    Ok(Document { root: builder.root, anchored: builder.anchored })
}

fn options() -> Options {
    let mut options = Options::default();
    // Comments are not values, and long runs of them would be refused.
    options.set_emit_comments(false);
    // As Python reads it: what is added after such a value would change it.
    options.block_scalar_eof_without_line_feed = true;
    options
}

/// Folds events into a tree.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchored: HashMap<usize, Node>,
}

/// A collection whose end has not come yet.
struct Open {
    node: Node,
    /// The key that waits for its value.
    key: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let span = span.byte_range().unwrap_or_default();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let content = Content::Scalar(text.into_owned(), style_of(style));
                self.put(node(span, tag.as_deref(), anchor, content));
            }
            Event::Alias(anchor) => self.put(node(span, None, 0, Content::Alias(anchor))),
            Event::SequenceStart(style, anchor, tag) => {
                let content = Content::Sequence(notation_of(style), Vec::new());
                self.open(node(span, tag.as_deref(), anchor, content));
            }
            Event::MappingStart(style, anchor, tag) => {
                let content = Content::Mapping(notation_of(style), Vec::new());
                self.open(node(span, tag.as_deref(), anchor, content));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { mut node, key: _ }) = self.open.pop() {
                    node.span.end = span.end;
                    self.put(node);
                }
            }
            // Marks without a value, and what its options above switch off.
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Anchor(..)
            | Event::UnresolvedAlias(_)
            | Event::Comment(..)
            | _ => {}
        }
    }

    fn open(&mut self, node: Node) {
        self.open.push(Open { node, key: None });
    }

    fn put(&mut self, node: Node) {
        if let Some(anchor) = node.anchor {
            self.anchored.insert(anchor, node.clone());
        }
        let Some(Open { node: parent, key }) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match (&mut parent.content, key.take()) {
            (Content::Sequence(_, items), _) => items.push(node),
            (Content::Mapping(_, entries), Some(key)) => entries.push((key, node)),
            (Content::Mapping(..), None) => *key = Some(node),
            // Only collections are ever opened.
            (Content::Scalar(..) | Content::Alias(_), _) => {}
        }
    }
}

fn node(span: Range<usize>, tag: Option<&Tag>, anchor: usize, content: Content) -> Node {
    Node { span, tag: tag.map(full_tag), anchor: (anchor != 0).then_some(anchor), content }
}

fn full_tag(tag: &Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}

fn notation_of(style: StructureStyle) -> Notation {
    match style {
        StructureStyle::Block => Notation::Block,
        StructureStyle::Flow => Notation::Flow,
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> Option<ParseError> {
        parse(text).err()
    }

    #[test]
    fn an_error_names_its_line_and_nothing_else() {
        let error = error("A: 1\nPASSWORD: *hunter2\n").unwrap();
        assert_eq!(error.to_string(), "is not YAML at line 2");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn two_documents_are_not_one() {
        assert_eq!(error("A: 1\n---\nA: 2\n"), Some(ParseError::SeveralDocuments));
        assert_eq!(error("A: 1\n...\n---\n"), Some(ParseError::SeveralDocuments));
        assert_eq!(error("---\nA: 1\n...\n"), None);
    }

    #[test]
    fn long_runs_of_comments_are_read() {
        let text = format!("A: 1\n{}B: 2\n", "# commented out\n".repeat(500));
        assert_eq!(error(&text), None);
    }

    #[test]
    fn deep_nesting_is_refused_and_not_a_crash() {
        let deep = format!("A: {}", "[".repeat(100_000));
        assert!(matches!(error(&deep), Some(ParseError::Syntax { .. })));
    }
}
