//! The commands of a shell's text, as far as they have to be known: words and
//! where one command ends, simple variables, comments. Pure.

use super::call::{Environment, expanded};

/// The words of each command.
pub(super) fn commands(text: &str, environment: &Environment) -> Vec<Vec<String>> {
    let mut environment = environment.clone();
    let mut all = Vec::new();
    for command in split(text) {
        // `NAME=value` before or instead of a command.
        let own = command.iter().take_while(|word| assignment(word).is_some()).count();
        let words = command[own..].iter().flat_map(|word| expanded(word, &environment));
        let words: Vec<String> = words.collect();
        let assigned = command[..own].iter().filter_map(|word| assignment(word));
        environment.extend(assigned.map(|(name, value)| (name.to_owned(), value.to_owned())));
        if !words.is_empty() {
            all.push(words);
        }
    }
    all
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

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        self.commands.push(std::mem::take(&mut self.words));
    }
}

fn split(text: &str) -> Vec<Vec<String>> {
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
                    let escaped = if next == '\\' { characters.next() } else { Some(next) };
                    escaped.into_iter().for_each(|next| split.push(next));
                }
            }
            '#' if split.word.is_none() => {
                let _ = characters.by_ref().find(|next| *next == '\n'); // or the text's end
                split.end_command();
            }
            ';' | '&' | '|' | '(' | ')' | '`' | '\n' => split.end_command(),
            blank if blank.is_whitespace() => split.end_word(),
            other => split.push(other),
        }
    }
    split.end_command();
    split.commands
}
