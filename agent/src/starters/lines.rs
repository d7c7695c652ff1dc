//! Tables of cron and start-up scripts: a command a line. Pure.

use std::ops::RangeInclusive;
use std::path::Path;

use super::call::{self, Environment};
use super::{Deed, Origin, Starter, shell};

/// What the lines of a file do to containers. The times and the user before a
/// command are words like others.
pub(super) fn starters(
    path: &Path,
    text: &str,
    mut script: impl FnMut(&Path) -> Option<Result<String, Deed>>,
) -> Vec<Starter> {
    let is_script = text.starts_with("#!") || path.ends_with("rc.local");
    let mut environment = Environment::new();
    let mut found = Vec::new();
    for (numbers, line) in joined(text, is_script) {
        if !is_script && let Some((name, value)) = variable(&line) {
            environment.insert(name.to_owned(), value.to_owned());
            continue;
        }
        // cron runs each line in a shell of its own.
        let commands = if is_script {
            shell::carried(&line, &mut environment)
        } else {
            shell::commands(&line, &environment)
        };
        let known = if is_script { text } else { &line };
        let origin = Origin::Lines { path: path.to_owned(), numbers };
        for words in &commands {
            let deeds = call::deeds_with_scripts(words, &environment, known, &mut script);
            found.extend(deeds.into_iter().map(|deed| Starter { origin: origin.clone(), deed }));
        }
    }
    found
}

/// The lines that say something, 1-based; in a script those that end in `\`
/// with what they go on in. cron knows no such lines.
fn joined(text: &str, is_script: bool) -> Vec<(RangeInclusive<usize>, String)> {
    let mut all = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, first)) = lines.next() {
        let mut whole = line.trim_start().to_owned();
        if whole.trim_end().is_empty() || whole.starts_with('#') {
            continue;
        }
        let mut last = first;
        while is_script && goes_on(&whole) {
            let Some((next, number)) = lines.next() else { break };
            whole = format!("{whole}\n{next}");
            last = number;
        }
        all.push((first..=last, whole));
    }
    all
}

/// A backslash behind a backslash is only a character.
fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// `NAME=value` of cron's; a command's line begins with its times.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then(|| (name, value.trim_matches(['"', '\''])))
}
