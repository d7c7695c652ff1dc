//! The words of agent.yaml that have a syntax of their own.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::backup::DumpProgram;

/// A word that does not have the syntax that its key needs.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{word}` is not {rule}")]
pub struct InvalidWord {
    word: String,
    rule: &'static str,
}

fn invalid(word: &str, rule: &'static str) -> InvalidWord {
    InvalidWord { word: word.to_owned(), rule }
}

/// What every name has that an agent gives to a staged or retired container.
const OWN_PART: &str = ".quaymaster-";

/// A container's exact name on its engine.
pub(super) fn container_name(word: &str) -> Result<String, InvalidWord> {
    let is_rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_name = word.len() >= 2
        && word.len() <= 200
        && word.starts_with(|first: char| first.is_ascii_alphanumeric())
        && word.bytes().all(is_rest);
    if !is_name {
        return Err(invalid(
            word,
            "a container's name: 2 to 200 letters, digits, `_`, `.` and `-`",
        ));
    }
    if word.contains(OWN_PART) {
        return Err(invalid(
            word,
            "a well-known name: `.quaymaster-` is kept for staged and retired ones",
        ));
    }
    Ok(word.to_owned())
}

/// How often a pull is tried.
pub(super) fn attempts(number: u64) -> Result<NonZeroU32, InvalidWord> {
    let attempts = u32::try_from(number).ok().filter(|number| *number <= 20);
    attempts
        .and_then(NonZeroU32::new)
        .ok_or_else(|| invalid(&number.to_string(), "a number of tries from 1 to 20"))
}

/// How long a pull may stand still.
pub(super) fn stalled_after(word: &str) -> Result<Duration, InvalidWord> {
    let least = Duration::from_secs(1);
    let most = Duration::from_secs(24 * 60 * 60);
    humantime::parse_duration(word)
        .ok()
        .filter(|duration| (least..=most).contains(duration))
        .ok_or_else(|| invalid(word, "a time from 1s to 24h, such as `10m`"))
}

/// A repository with its registry, without tag or digest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Repository(String);

impl Repository {
    /// `registry[:port]/path`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The registry's host, with its port where one is written.
    pub fn registry(&self) -> &str {
        self.0.split('/').next().unwrap_or("")
    }
}

impl FromStr for Repository {
    type Err = InvalidWord;

    fn from_str(word: &str) -> Result<Self, InvalidWord> {
        const RULE: &str =
            "a repository with its registry and without tag, such as `quay.io/coreos/quay`";
        let (registry, path) = word.split_once('/').ok_or_else(|| invalid(word, RULE))?;
        let (host, port) = registry.split_once(':').unwrap_or((registry, "443"));
        let is_host = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        // Without a dot or a port an engine takes the word for a part of
        // Docker Hub's path.
        let is_registry = registry.contains(['.', ':']) || registry == "localhost";
        let is_part = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
                && part.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte)
                })
        };
        let is_good = is_host
            && is_registry
            && port.parse::<u16>().is_ok_and(|port| port != 0)
            && path.split('/').all(is_part);
        if is_good { Ok(Self(word.to_owned())) } else { Err(invalid(word, RULE)) }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// The engine's socket on this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EngineSocket(PathBuf);

impl EngineSocket {
    /// Absolute.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for EngineSocket {
    type Err = InvalidWord;

    fn from_str(word: &str) -> Result<Self, InvalidWord> {
        match word.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') && path.len() > 1 => Ok(Self(PathBuf::from(path))),
            Some(_) | None => {
                Err(invalid(word, "an engine's socket, such as `unix:///run/docker.sock`"))
            }
        }
    }
}

/// Where Quay's health is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Probe {
    /// At the published port, on its host address.
    Auto,
    /// At an address of the operator's.
    At(ProbeAddress),
}

/// `http://host:port` or `https://host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeAddress(String);

impl ProbeAddress {
    /// Without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ProbeAddress> for String {
    fn from(address: ProbeAddress) -> Self {
        address.0
    }
}

impl FromStr for Probe {
    type Err = InvalidWord;

    fn from_str(word: &str) -> Result<Self, InvalidWord> {
        if word == "auto" {
            return Ok(Self::Auto);
        }
        let address = word
            .strip_prefix("http://")
            .or_else(|| word.strip_prefix("https://"))
            .and_then(|rest| rest.rsplit_once(':'))
            .filter(|(host, port)| {
                is_host(host) && port.parse::<u16>().is_ok_and(|port| port != 0)
            });
        match address {
            Some(_) => Ok(Self::At(ProbeAddress(word.to_owned()))),
            None => Err(invalid(word, "`auto` or `http(s)://host:port`")),
        }
    }
}

/// A name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    }
}

/// An address of this host and a port. To listen everywhere is never a
/// default: `0.0.0.0` or `[::]` must be written out.
pub(super) fn listen(word: &str) -> Result<SocketAddr, InvalidWord> {
    const RULE: &str = "an address and a port, such as `10.0.0.11:9643` (to listen everywhere, \
                        write out `0.0.0.0:9643`)";
    match word.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) | Err(_) => Err(invalid(word, RULE)),
    }
}

/// Where backups are put; `quay_config` is a file that containers see.
pub(super) fn backup_directory(
    word: &str,
    quay_config: Option<&Path>,
) -> Result<PathBuf, InvalidWord> {
    let path = Path::new(word);
    let is_plain =
        !word.contains('\0') && path.components().all(|part| !matches!(part, Component::ParentDir));
    if !path.is_absolute() || path.parent().is_none() || !is_plain {
        return Err(invalid(word, "an absolute path of a directory for backups"));
    }
    if quay_config.and_then(Path::parent).is_some_and(|mounted| path.starts_with(mounted)) {
        return Err(invalid(
            word,
            "a directory that no container sees: config.yaml's own is mounted into Quay's",
        ));
    }
    Ok(path.to_owned())
}

/// Which pg_dump makes backups.
pub(super) fn pg_dump(word: &str) -> Result<DumpProgram, InvalidWord> {
    const RULE: &str =
        "`auto`, the absolute path of a pg_dump, or `image:` and the name of an image";
    let Some(image) = word.strip_prefix("image:") else { return dump_program(word, RULE) };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let is_name = image.starts_with(|first: char| first.is_ascii_alphanumeric());
    if is_name && image.bytes().all(is_plain) {
        return Ok(DumpProgram::Image(image.to_owned()));
    }
    Err(invalid(word, RULE))
}

/// Which mysqldump or mariadb-dump does.
pub(super) fn mysqldump(word: &str) -> Result<DumpProgram, InvalidWord> {
    dump_program(word, "`auto` or the absolute path of a mysqldump or mariadb-dump")
}

/// What backs the storage up.
pub(super) fn storage_hook(word: &str) -> Result<PathBuf, InvalidWord> {
    let is_plain = word.starts_with('/') && !word.contains('\0');
    if is_plain { Ok(word.into()) } else { Err(invalid(word, "the absolute path of a program")) }
}

fn dump_program(word: &str, rule: &'static str) -> Result<DumpProgram, InvalidWord> {
    match word {
        "auto" => Ok(DumpProgram::Auto),
        path if path.starts_with('/') && !path.contains('\0') => Ok(DumpProgram::At(path.into())),
        _ => Err(invalid(word, rule)),
    }
}
