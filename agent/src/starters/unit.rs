//! systemd's unit files, as far as they say which commands a service runs.
//! Pure. After systemd.syntax(7), systemd.service(5) and systemd.unit(5).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Deed;
use super::call::{self, Environment, expanded};

/// What a unit runs that may start a container.
const EXEC_KEYS: [&str; 5] =
    ["ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost", "ExecReload"];

/// One file of a unit: its own first, then its drop-ins in their order.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// `Key=value` in a `[Section]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Setting {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
}

/// The text of all parts.
pub(super) fn whole(parts: &[Part]) -> String {
    parts.iter().map(|part| format!("{}\n", part.text)).collect()
}

/// What a unit may lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A file with variables.
    Variables,
    /// A program that is a shell's text; no other program is read.
    Script,
}

/// What a service does to containers. `read` finds what it leads to.
pub(super) fn deeds(
    name: &str,
    parts: &[Part],
    mut read: impl FnMut(&Path, Kind) -> Option<Result<String, Deed>>,
) -> Vec<Deed> {
    let mut text = whole(parts);
    let unclear = |why: String, text: String| vec![Deed::Unclear { why, text }];
    let settings = match all_settings(parts) {
        Ok(settings) => settings,
        Err(why) => return unclear(why, text),
    };
    let service = settings.iter().filter(|setting| setting.section == "Service");
    let mut environment = Environment::new();
    let mut from_files = Environment::new();
    let mut commands: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Setting { section: _, key, value } in service {
        match key.as_str() {
            // Empty = none of what came before.
            "Environment" if value.is_empty() => environment.clear(),
            "Environment" => {
                let words = words(value).unwrap_or_default();
                let pairs = words.iter().filter_map(|word| word.split_once('='));
                environment.extend(pairs.map(|(n, v)| (n.to_owned(), specified(v, name))));
            }
            "EnvironmentFile" => {
                let path = specified(value.trim_start_matches('-'), name);
                let file = read(Path::new(&path), Kind::Variables);
                let file = file.and_then(Result::ok).unwrap_or_default();
                from_files.extend(variables(&file));
                text.push_str(&file);
            }
            key if EXEC_KEYS.contains(&key) => {
                let lines = commands.entry(key).or_default();
                if value.is_empty() { lines.clear() } else { lines.push(value) }
            }
            _ => {}
        }
    }
    environment.extend(from_files);
    let mut deeds = Vec::new();
    for value in commands.into_values().flatten() {
        match self::commands(value, name, &environment) {
            Ok(commands) => {
                for words in &commands {
                    let script = |path: &Path| read(path, Kind::Script);
                    deeds.extend(call::deeds_with_scripts(words, &environment, &text, script));
                }
            }
            Err(why) => return unclear(why, text),
        }
    }
    deeds
}

/// The settings of all parts, or what is wrong and where.
pub(super) fn all_settings(parts: &[Part]) -> Result<Vec<Setting>, String> {
    let mut all = Vec::new();
    for (index, Part { path, text }) in parts.iter().enumerate() {
        all.extend(settings(text).map_err(|why| match index {
            0 => why,
            _ => format!("`{}`, {why}", path.display()),
        })?);
    }
    Ok(all)
}

/// The settings of one text, or what is wrong in which line.
pub(super) fn settings(text: &str) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    let mut section: Option<String> = None;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let mut line = line.trim().to_owned();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        while line.ends_with('\\') {
            line.pop();
            // Comments may stand between the lines of one value.
            let mut rest = lines.by_ref().map(|(_, next)| next.trim());
            let Some(next) = rest.find(|next| !next.starts_with(['#', ';'])) else { break };
            line = format!("{} {next}", line.trim_end());
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.strip_suffix(']');
            let name = name.ok_or_else(|| format!("line {}: a section without `]`", index + 1))?;
            section = Some(name.to_owned());
            continue;
        }
        let (key, value) =
            line.split_once('=').ok_or_else(|| format!("line {}: no `=`", index + 1))?;
        let section = section
            .clone()
            .ok_or_else(|| format!("line {}: a setting outside of any section", index + 1))?;
        let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
        settings.push(Setting { section, key, value });
    }
    Ok(settings)
}

/// The words of each command of an Exec setting, as the service's program gets
/// them.
fn commands(
    value: &str,
    unit: &str,
    environment: &Environment,
) -> Result<Vec<Vec<String>>, String> {
    // The line itself may hold a secret.
    let all = words(value).ok_or_else(|| "a command with a quote without end".to_owned())?;
    let mut commands = Vec::new();
    for command in all.split(|word| word == ";") {
        let Some(first) = command.first() else { continue };
        let program = first.trim_start_matches(['-', '@', ':', '+', '!', '|']);
        let prefixes = &first[..first.len() - program.len()];
        // With `@` the second word is only what the program is told it is called.
        let rest = &command[if prefixes.contains('@') { 2 } else { 1 }.min(command.len())..];
        let words = std::iter::once(program).chain(rest.iter().map(String::as_str));
        let words = words.map(|word| specified(word, unit));
        commands.push(words.flat_map(|word| expanded(&word, environment)).collect());
    }
    Ok(commands)
}

/// Words apart, quotes and escapes off; `None` = a quote has no end.
fn words(value: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', _) => {
                let escaped = match characters.next() {
                    None => '\\',
                    Some('s') => ' ',
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(other) => other,
                };
                word.get_or_insert_default().push(escaped);
            }
            (mark, Some(open)) if mark == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (blank, None) if blank.is_whitespace() => words.extend(word.take()),
            (other, _) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// `%n`, `%N`, `%p`, `%i` and the like put in. What needs the running system
/// stays as it is.
pub(super) fn specified(word: &str, unit: &str) -> String {
    let bare = unit.rsplit_once('.').map_or(unit, |(bare, _)| bare);
    let (prefix, instance) = bare.split_once('@').unwrap_or((bare, ""));
    let mut text = String::new();
    let mut characters = word.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => text.push_str(unit),
            Some('N') => text.push_str(bare),
            Some('p' | 'P') => text.push_str(prefix),
            Some('j' | 'J') => text.push_str(prefix.rsplit('-').next().unwrap_or(prefix)),
            Some('i' | 'I') if !instance.is_empty() => text.push_str(instance),
            Some('%') => text.push('%'),
            other => {
                text.push('%');
                text.extend(other);
            }
        }
    }
    text
}

/// `NAME=value` lines of a file with variables.
fn variables(text: &str) -> Environment {
    let lines = text.lines().map(str::trim);
    let pairs = lines.filter(|line| !line.starts_with(['#', ';']));
    let pairs = pairs.filter_map(|line| line.split_once('='));
    let bare = |value: &str| value.trim().trim_matches(['"', '\'']).to_owned();
    pairs.map(|(name, value)| (name.trim().to_owned(), bare(value))).collect()
}
