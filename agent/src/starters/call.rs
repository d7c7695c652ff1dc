//! What a command asks of a container engine. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Deed, shell};

/// Variables and their values.
pub(super) type Environment = BTreeMap<String, String>;

const ENGINES: [&str; 3] = ["docker", "podman", "systemd-docker"];
const COMPOSERS: [&str; 2] = ["docker-compose", "podman-compose"];
/// What takes a command's text after `-c`.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "ksh", "zsh", "su", "runuser"];

/// Options before the verb that take the next word.
const ENGINE_OPTIONS: [&str; 27] = [
    "--cgroups",
    "-H",
    "--host",
    "-c",
    "--context",
    "-l",
    "--log-level",
    "--config",
    "--tlscacert",
    "--tlscert",
    "--tlskey",
    "--cgroup-manager",
    "--conmon",
    "--connection",
    "--events-backend",
    "--hooks-dir",
    "--identity",
    "--namespace",
    "--network-cmd-path",
    "--root",
    "--runroot",
    "--runtime",
    "--storage-driver",
    "--storage-opt",
    "--tmpdir",
    "--url",
    "--volumepath",
];
const COMPOSE_OPTIONS: [&str; 13] = [
    "-f",
    "--file",
    "-p",
    "--project-name",
    "--profile",
    "--env-file",
    "--project-directory",
    "--ansi",
    "--progress",
    "--parallel",
    "-H",
    "--host",
    "-c",
];

/// What a command does to containers. `text` is all of the file that it stands
/// in, for what cannot be told.
pub(super) fn deeds(words: &[String], environment: &Environment, text: &str) -> Vec<Deed> {
    if let Some(script) = script(words) {
        let commands = shell::commands(script, environment);
        return commands.iter().flat_map(|words| deeds_of_one(words, text)).collect();
    }
    deeds_of_one(words, text)
}

/// The same, and where a command says nothing of an engine, what the scripts
/// do that it names. `read` gives a script's text.
pub(super) fn deeds_with_scripts(
    words: &[String],
    environment: &Environment,
    text: &str,
    mut read: impl FnMut(&Path) -> Option<Result<String, Deed>>,
) -> Vec<Deed> {
    let own = deeds(words, environment, text);
    if !own.is_empty() {
        return own;
    }
    let paths = words.iter().filter(|word| word.starts_with('/')).take(MOST_SCRIPTS);
    let scripts = paths.filter_map(|path| read(Path::new(path)));
    scripts
        .flat_map(|script| {
            let script = match script {
                Ok(script) => script,
                Err(deed) => return vec![deed],
            };
            let commands = shell::commands(&script, environment);
            let of_one = |words: &Vec<String>| deeds(words, environment, &script);
            commands.iter().flat_map(of_one).collect::<Vec<Deed>>()
        })
        .collect()
}

/// A script, after the shell or another program that runs it.
const MOST_SCRIPTS: usize = 3;

/// The text that a shell is given on its command line.
fn script(words: &[String]) -> Option<&str> {
    let shell = words.iter().position(|word| SHELLS.contains(&program(word)))?;
    let is_before = |word: &String| ENGINES.contains(&program(word));
    if words[..shell].iter().any(is_before) {
        return None;
    }
    let options = &words[shell + 1..];
    options.iter().enumerate().find_map(|(place, word)| {
        let is_c = match word.strip_prefix("--") {
            Some(long) => long == "command",
            None => word.starts_with('-') && word.contains('c'),
        };
        if is_c {
            return options.get(place + 1).map(String::as_str);
        }
        word.strip_prefix("--command=")
    })
}

fn deeds_of_one(words: &[String], text: &str) -> Vec<Deed> {
    let is_engine =
        |word: &String| ENGINES.contains(&program(word)) || COMPOSERS.contains(&program(word));
    let Some(place) = words.iter().position(is_engine) else { return Vec::new() };
    let (engine, rest) = (program(&words[place]), &words[place + 1..]);
    if COMPOSERS.contains(&engine) {
        return composed(engine, rest, text);
    }
    let (verb, rest) = match verb(rest, &ENGINE_OPTIONS) {
        Some(("container", rest)) => match verb(rest, &[]) {
            Some(found) => found,
            None => return Vec::new(),
        },
        Some(found) => found,
        None => return Vec::new(),
    };
    let how = format!("{engine} {verb}");
    match verb {
        "start" | "restart" => {
            let is_fed = words[..place].iter().any(|word| program(word) == "xargs");
            started(&how, rest, text, is_fed)
        }
        "run" => run(&how, rest, text),
        "compose" => composed(&how, rest, text),
        _ => Vec::new(),
    }
}

/// The first word that is no option, and what follows it.
fn verb<'a>(words: &'a [String], with_value: &[&str]) -> Option<(&'a str, &'a [String])> {
    let mut place = 0;
    while let Some(word) = words.get(place) {
        if !word.starts_with('-') {
            return Some((word, &words[place + 1..]));
        }
        place += if with_value.contains(&word.as_str()) { 2 } else { 1 };
    }
    None
}

/// `is_fed`: another command says which containers.
fn started(how: &str, words: &[String], text: &str, is_fed: bool) -> Vec<Deed> {
    // `podman start -a` attaches.
    let is_all = |word: &String| word == "--all" || word == "-a" && how == "podman restart";
    if words.iter().any(is_all) {
        // Podman's own way to follow restart policies after a reboot.
        let is_policy = |word: &String| word.contains("restart-policy=");
        let how = format!("{how} --all");
        return if words.iter().any(is_policy) {
            Vec::new()
        } else {
            vec![Deed::StartsAll { how }]
        };
    }
    if is_fed {
        return vec![Deed::StartsAll { how: format!("xargs {how}") }];
    }
    // Without any word it is `service docker start`.
    if words.iter().any(|word| word == shell::SUBSTITUTED) {
        return vec![Deed::StartsAll { how: format!("{how} $(…)") }];
    }
    // An option's value among them is no container's name.
    let containers = words.iter().filter(|word| !word.starts_with('-'));
    containers.map(|container| starts(how, container, text)).collect()
}

fn run(how: &str, words: &[String], text: &str) -> Vec<Deed> {
    let name = words.iter().enumerate().find_map(|(place, word)| match word.as_str() {
        "--name" => words.get(place + 1).map(String::as_str),
        word => word.strip_prefix("--name="),
    });
    // Without a name the engine makes one up.
    name.map(|name| starts(&format!("{how} --name"), name, text)).into_iter().collect()
}

/// Services are named like their containers, more or less. Without any, all of
/// a file's are meant, which is not read: a container that compose made has its
/// labels.
fn composed(how: &str, words: &[String], text: &str) -> Vec<Deed> {
    let Some((verb, rest)) = verb(words, &COMPOSE_OPTIONS) else { return Vec::new() };
    if !matches!(verb, "up" | "start" | "restart" | "run") {
        return Vec::new();
    }
    let how = format!("{how} {verb}");
    let services: Vec<&String> = rest.iter().filter(|word| !word.starts_with('-')).collect();
    if services.is_empty() {
        let why = format!("`{how}` names no service");
        return vec![Deed::Unclear { why, text: text.to_owned() }];
    }
    services.into_iter().map(|service| starts(&how, service, text)).collect()
}

fn starts(how: &str, container: &str, text: &str) -> Deed {
    if container.contains('$') {
        let why = format!("`{how}` names its container by `{container}`");
        return Deed::Unclear { why, text: text.to_owned() };
    }
    Deed::Starts { how: how.to_owned(), container: container.to_owned() }
}

/// A word without its directories.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// A word with the variables that are known put in; `$NAME` alone becomes as
/// many words as its value has.
pub(super) fn expanded(word: &str, environment: &Environment) -> Vec<String> {
    if let Some(value) = word.strip_prefix('$').and_then(|name| environment.get(name)) {
        return value.split_ascii_whitespace().map(ToOwned::to_owned).collect();
    }
    let mut word = word.to_owned();
    for (name, value) in environment {
        word = word.replace(&format!("${{{name}}}"), value);
    }
    vec![word]
}
