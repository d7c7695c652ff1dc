//! Where in a text a value is replaced or a line is added.

use super::EditRefusal;
use crate::quay::yaml::{Content, Document, Node, Notation, Style};

/// Bytes that take the place of others.
pub(super) struct Splice {
    start: usize,
    end: usize,
    new: String,
    /// Where in the spliced text the line begins that an operator looks for.
    shown: usize,
}

impl Splice {
    pub(super) fn applied_to(&self, text: &str) -> String {
        format!("{}{}{}", &text[..self.start], self.new, &text[self.end..])
    }

    /// The line that changes or is added.
    pub(super) fn line(&self, text: &str) -> u32 {
        line_at(&self.applied_to(text), self.shown)
    }
}

/// Whether a node is this key, quoted or not, or an alias of it.
pub(super) fn means_key(document: &Document, node: &Node, key: &str) -> bool {
    match &node.content {
        Content::Scalar(text, _) => text == key,
        Content::Alias(anchor) => document
            .anchored
            .get(anchor)
            .is_some_and(|node| matches!(&node.content, Content::Scalar(text, _) if text == key)),
        Content::Sequence(..) | Content::Mapping(..) => false,
    }
}

/// The 1-based line of a place.
pub(super) fn line_at(text: &str, offset: usize) -> u32 {
    let before = &text[..offset.min(text.len())];
    let line_feeds = before.matches('\n').count();
    let lone_returns = before.matches('\r').count() - before.matches("\r\n").count();
    u32::try_from(line_feeds + lone_returns + 1).unwrap_or(u32::MAX)
}

/// Puts `word` in the place of a value; also what the value was. Its quotes
/// stay, as they are its author's.
pub(super) fn replacement(
    text: &str,
    key: &Node,
    value: &Node,
    word: &str,
) -> Result<(Splice, String), EditRefusal> {
    let line = line_at(text, key.span.start);
    let (old, style) = match &value.content {
        Content::Scalar(old, style) => (old, *style),
        Content::Alias(_) => return Err(EditRefusal::ValueIsAlias { line }),
        Content::Sequence(..) | Content::Mapping(..) => {
            return Err(EditRefusal::ValueNotScalar { line });
        }
    };
    if !matches!(value.tag.as_deref(), None | Some("!" | "tag:yaml.org,2002:str")) {
        return Err(EditRefusal::ValueTagged { line });
    }
    let written = &text[value.span.clone()];
    if style == Style::Block || written.contains(['\n', '\r']) {
        return Err(EditRefusal::ValueSpansLines { line });
    }
    if written.is_empty() {
        let start = after_colon(text, key, value).ok_or(EditRefusal::ValueTagged { line })?;
        let splice = Splice { start, end: start, new: format!(" {word}"), shown: start };
        return Ok((splice, String::new()));
    }
    let quotes = match style {
        Style::Quoted => 1,
        Style::Plain | Style::Block => 0,
    };
    let start = value.span.start + quotes;
    let splice = Splice { start, end: value.span.end - quotes, new: word.to_owned(), shown: start };
    Ok((splice, old.clone()))
}

/// The place after the colon of a key without a value.
fn after_colon(text: &str, key: &Node, value: &Node) -> Option<usize> {
    if value.tag.is_some() || value.anchor.is_some() {
        return None;
    }
    let rest = &text[key.span.end..];
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest[blanks..].starts_with(':').then_some(key.span.end + blanks + 1)
}

/// Adds a line after the last entry: right after it, or, should that become
/// part of the entry's value, after the blank lines that follow.
pub(super) fn insertions(
    text: &str,
    entries: &[(Node, Node)],
    key: &str,
    word: &str,
) -> Vec<Splice> {
    let indentation = entries.first().map_or("", |(first, _)| indentation(text, first));
    let last = entries.last().map_or(0, |(key, value)| last_byte(text, value).max(key.span.end));
    let near = line_end(text, last);
    let mut places = vec![near];
    let far = after_blank_lines(text, near);
    if far != near {
        places.push(far);
    }
    let line = format!("{indentation}{key}: {word}");
    places.into_iter().map(|at| insertion(text, at, &line)).collect()
}

fn insertion(text: &str, at: usize, line: &str) -> Splice {
    let line_break = line_break(text, at);
    let new = if at == 0 || text[..at].ends_with(['\n', '\r']) {
        format!("{line}{line_break}")
    } else {
        format!("{line_break}{line}")
    };
    let shown = at + new.find(line).unwrap_or_default();
    Splice { start: at, end: at, new, shown }
}

/// The spaces before the first key.
fn indentation<'a>(text: &'a str, first: &Node) -> &'a str {
    let start = text[..first.span.start].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let line = &text[start..first.span.start];
    &line[..line.len() - line.trim_start_matches(' ').len()]
}

/// Where the last thing that is written of a value ends.
fn last_byte(text: &str, node: &Node) -> usize {
    let own_end = text[..node.span.end].trim_end().len();
    match &node.content {
        Content::Scalar(..)
        | Content::Alias(_)
        | Content::Mapping(Notation::Flow, _)
        | Content::Sequence(Notation::Flow, _) => own_end,
        Content::Mapping(Notation::Block, entries) => entries
            .iter()
            .map(|(key, value)| last_byte(text, value).max(key.span.end))
            .max()
            .unwrap_or(own_end),
        Content::Sequence(Notation::Block, items) => {
            items.iter().map(|item| last_byte(text, item)).max().unwrap_or(own_end)
        }
    }
}

/// Behind the line break of the line that holds `at`.
fn line_end(text: &str, at: usize) -> usize {
    match text[at..].find(['\n', '\r']) {
        None => text.len(),
        Some(offset) if text[at + offset..].starts_with("\r\n") => at + offset + 2,
        Some(offset) => at + offset + 1,
    }
}

/// Behind the blank lines that begin at `at`.
fn after_blank_lines(text: &str, mut at: usize) -> usize {
    while at < text.len() {
        let end = line_end(text, at);
        if !text[at..end].trim().is_empty() {
            break;
        }
        at = end;
    }
    at
}

/// The line break before `at`, or else the file's first.
fn line_break(text: &str, at: usize) -> &'static str {
    let before = &text[..at];
    if before.ends_with("\r\n") {
        return "\r\n";
    }
    if before.ends_with('\n') {
        return "\n";
    }
    if before.ends_with('\r') {
        return "\r";
    }
    match text.find(['\n', '\r']) {
        Some(first) if text[first..].starts_with("\r\n") => "\r\n",
        Some(first) if text[first..].starts_with('\r') => "\r",
        Some(_) | None => "\n",
    }
}
