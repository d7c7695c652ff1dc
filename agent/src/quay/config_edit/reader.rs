//! What Quay's parser, PyYAML, refuses or reads otherwise though YAML 1.2
//! allows it. Such a file would be found out by the first start in the dark.

use std::ops::Range;

use super::EditRefusal;
use super::place::line_at;
use crate::quay::yaml::{Content, Document, Node, Style};

/// Characters that end a line in YAML 1.1 alone, and those that PyYAML takes
/// nowhere, not even in a comment.
pub(super) fn refuse_characters(text: &str) -> Result<(), EditRefusal> {
    if let Some(offset) = text.find(['\u{85}', '\u{2028}', '\u{2029}']) {
        return Err(EditRefusal::ForeignLineBreak { line: line_at(text, offset) });
    }
    match text.find(|character: char| !is_printable(character)) {
        Some(offset) => Err(EditRefusal::ControlCharacter { line: line_at(text, offset) }),
        None => Ok(()),
    }
}

fn is_printable(character: char) -> bool {
    matches!(
        character,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}'
            | '\u{10000}'..
    )
}

/// Tabs anywhere but in a quoted or block text and in a comment: PyYAML
/// separates by spaces alone.
pub(super) fn refuse_tabs(text: &str, document: &Document) -> Result<(), EditRefusal> {
    if !text.contains('\t') {
        return Ok(());
    }
    let mut texts = Vec::new();
    if let Some(root) = &document.root {
        collect_texts(root, &mut texts);
    }
    let mut texts = texts.into_iter().peekable();
    let (mut before, mut is_comment) = ('\n', false);
    for (offset, character) in text.char_indices() {
        while texts.next_if(|text: &Range<usize>| text.end <= offset).is_some() {}
        let is_text = texts.peek().is_some_and(|text| text.contains(&offset));
        match character {
            _ if is_text => is_comment = false,
            '\n' | '\r' => is_comment = false,
            '#' if matches!(before, '\n' | '\r' | ' ') => is_comment = true,
            '\t' if !is_comment => {
                return Err(EditRefusal::Tab { line: line_at(text, offset) });
            }
            _ => {}
        }
        before = character;
    }
    Ok(())
}

/// Tags beyond those of YAML 1.1, such as another tool's `!vault`: Quay's
/// reader knows nothing to make of them.
pub(super) fn refuse_foreign_tags(text: &str, node: &Node) -> Result<(), EditRefusal> {
    let is_known = match node.tag.as_deref() {
        None | Some("!") => true,
        Some(tag) => {
            tag.strip_prefix("tag:yaml.org,2002:").is_some_and(|name| TAGS.contains(&name))
        }
    };
    if !is_known {
        return Err(EditRefusal::ForeignTag { line: line_at(text, node.span.start) });
    }
    match &node.content {
        Content::Scalar(..) | Content::Alias(_) => Ok(()),
        Content::Sequence(_, items) => {
            items.iter().try_for_each(|item| refuse_foreign_tags(text, item))
        }
        Content::Mapping(_, entries) => entries.iter().try_for_each(|(key, value)| {
            refuse_foreign_tags(text, key)?;
            refuse_foreign_tags(text, value)
        }),
    }
}

/// What PyYAML's safe loader constructs.
const TAGS: [&str; 13] = [
    "binary",
    "bool",
    "float",
    "int",
    "map",
    "merge",
    "null",
    "omap",
    "pairs",
    "seq",
    "set",
    "str",
    "timestamp",
];

/// Where quoted and block texts stand, in order.
fn collect_texts(node: &Node, into: &mut Vec<Range<usize>>) {
    match &node.content {
        Content::Scalar(_, Style::Quoted | Style::Block) => into.push(node.span.clone()),
        Content::Scalar(_, Style::Plain) | Content::Alias(_) => {}
        Content::Sequence(_, items) => {
            items.iter().for_each(|item| collect_texts(item, into));
        }
        Content::Mapping(_, entries) => entries.iter().for_each(|(key, value)| {
            collect_texts(key, into);
            collect_texts(value, into);
        }),
    }
}
