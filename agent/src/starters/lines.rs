//! Tables of cron and start-up scripts: a command a line. Pure.

use std::path::Path;

use super::call::{self, Environment};
use super::{Origin, Starter, shell};

/// What the lines of a file do to containers. The times and the user before a
/// command are words like others.
pub(super) fn starters(
    path: &Path,
    text: &str,
    mut script: impl FnMut(&Path) -> Option<String>,
) -> Vec<Starter> {
    let mut environment = Environment::new();
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = variable(line) {
            environment.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let origin = Origin::Line { path: path.to_owned(), number: index + 1 };
        let commands = shell::commands(line, &environment);
        for words in &commands {
            let deeds = call::deeds_with_scripts(words, &environment, line, &mut script);
            found.extend(deeds.into_iter().map(|deed| Starter { origin: origin.clone(), deed }));
        }
    }
    found
}

/// `NAME=value`, alone on its line.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let value = value.trim_matches(['"', '\'']);
    (is_name && !value.contains([' ', ';', '&'])).then_some((name, value))
}
