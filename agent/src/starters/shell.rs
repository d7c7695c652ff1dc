//! The commands of a shell's text, as far as they have to be known: words and
//! where one command ends, simple variables, comments. Pure.

use std::borrow::Cow;
use std::str::Chars;

use super::call::{Environment, expanded};

/// Before an assignment.
const DECLARERS: [&str; 4] = ["export", "readonly", "local", "declare"];

/// A substitution inside of more than this is not looked into.
const DEEPEST: usize = 8;

/// What is left in a word of a command's output.
pub(super) const SUBSTITUTED: &str = "$";

/// The words of each command.
pub(super) fn commands(text: &str, environment: &Environment) -> Vec<Vec<String>> {
    carried(text, &mut environment.clone())
}

/// The same; what the text assigns is there for the next one.
pub(super) fn carried(text: &str, environment: &mut Environment) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for command in split(text, 0) {
        let is_declared = command.first().is_some_and(|word| DECLARERS.contains(&word.as_str()));
        let command = &command[usize::from(is_declared)..];
        // `NAME=value` before or instead of a command.
        let own = command.iter().take_while(|word| assignment(word).is_some()).count();
        let words = command[own..].iter().flat_map(|word| expanded(&unbraced(word), environment));
        let words: Vec<String> = words.collect();
        let assigned = command[..own].iter().filter_map(|word| assignment(word));
        environment.extend(assigned.map(|(name, value)| (name.to_owned(), value.to_owned())));
        // Times of cron's may stand before it.
        let from_for = words.iter().position(|word| word == "for").map(|place| &words[place..]);
        if let Some([_, name, second, values @ ..]) = from_for
            && second == "in"
        {
            environment.insert(name.clone(), values.join(" "));
        }
        if !words.is_empty() {
            all.push(words);
        }
    }
    all
}

/// `$NAME` of `${NAME}`, which a shell takes apart too.
fn unbraced(word: &str) -> Cow<'_, str> {
    let name = word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let name = name.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    name.map_or(Cow::Borrowed(word), |name| Cow::Owned(format!("${name}")))
}

fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((name, value))
}

/// What has been read of a text.
#[derive(Default)]
struct Split {
    commands: Vec<Vec<String>>,
    words: Vec<String>,
    word: Option<String>,
}

impl Split {
    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }

    /// Takes what a substitution runs as commands of their own.
    fn substituted(&mut self, inner: &str, depth: usize) {
        self.word.get_or_insert_default().push_str(SUBSTITUTED);
        if depth < DEEPEST {
            self.commands.extend(split(inner, depth + 1));
        }
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        self.commands.push(std::mem::take(&mut self.words));
    }
}

fn split(text: &str, depth: usize) -> Vec<Vec<String>> {
    let mut split = Split::default();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                None | Some('\n') => {}
                Some(next) => split.push(next),
            },
            '\'' => {
                split.word.get_or_insert_default();
                characters.by_ref().take_while(|next| *next != '\'').for_each(|c| split.push(c));
            }
            '"' => {
                split.word.get_or_insert_default();
                while let Some(next) = characters.next().filter(|next| *next != '"') {
                    match next {
                        '\\' => characters
                            .next()
                            .filter(|next| *next != '\n')
                            .into_iter()
                            .for_each(|next| split.push(next)),
                        next => match substitution(next, &mut characters) {
                            Some(inner) => split.substituted(&inner, depth),
                            None => split.push(next),
                        },
                    }
                }
            }
            '#' if split.word.is_none() => {
                let _ = characters.by_ref().find(|next| *next == '\n'); // or the text's end
                split.end_command();
            }
            ';' | '&' | '|' | '(' | ')' | '\n' => split.end_command(),
            blank if blank.is_whitespace() => split.end_word(),
            other => match substitution(other, &mut characters) {
                Some(inner) => split.substituted(&inner, depth),
                None => split.push(other),
            },
        }
    }
    split.end_command();
    split.commands
}

/// The text inside of `$(…)` or of backticks, if one begins here.
fn substitution(first: char, rest: &mut Chars<'_>) -> Option<String> {
    match first {
        '`' => {
            let mut inner = String::new();
            while let Some(next) = rest.next().filter(|next| *next != '`') {
                inner.extend(if next == '\\' { rest.next() } else { Some(next) });
            }
            Some(inner)
        }
        '$' if rest.as_str().starts_with('(') => {
            rest.next();
            Some(bracketed(rest))
        }
        _ => None,
    }
}

/// Up to the bracket that closes, or all where none does.
fn bracketed(rest: &mut Chars<'_>) -> String {
    let mut inner = String::new();
    let mut open = 1;
    let mut quote = None;
    while let Some(next) = rest.next() {
        match (next, quote) {
            ('\\', None | Some('"')) => {
                inner.push(next);
                inner.extend(rest.next());
                continue;
            }
            (mark, Some(by)) if mark == by => quote = None,
            ('"' | '\'', None) => quote = Some(next),
            ('(', None) => open += 1,
            (')', None) => open -= 1,
            _ => {}
        }
        if open == 0 {
            break;
        }
        inner.push(next);
    }
    inner
}
