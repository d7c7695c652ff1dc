//! Who else starts a container than its engine: systemd units, quadlets, cron.
//!
//! Pure rooms read texts: `unit`, `quadlet` and `lines` know whose text it is,
//! `shell` and `call` what a command asks of an engine. `files` is the effect:
//! it finds the texts on the host.

mod call;
pub(crate) mod files;
mod lines;
mod quadlet;
mod shell;
#[cfg(test)]
mod tests;
mod unit;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use quaymaster_proto::node::OtherStarter;

/// Something of the host that starts a container, or may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Starter {
    origin: Origin,
    deed: Deed,
}

/// Where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// A service of systemd's.
    Unit {
        /// `quay.service`.
        name: String,
        /// Its file; drop-ins may add to it.
        path: PathBuf,
        /// Whether it starts by itself.
        standing: Standing,
    },
    /// A file that systemd makes a service of.
    Quadlet {
        /// The file.
        path: PathBuf,
    },
    /// A command of cron's or of a start-up script.
    Lines {
        /// The file.
        path: PathBuf,
        /// 1-based; more than one where a command goes on.
        numbers: RangeInclusive<usize>,
    },
    /// A table or a script that was not read to its end.
    File {
        /// It.
        path: PathBuf,
    },
    /// A directory with more in it than is looked through.
    Directory {
        /// It.
        path: PathBuf,
    },
}

/// How a unit stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// Another unit wants it.
    pub(crate) is_enabled: bool,
    /// systemd has it running.
    pub(crate) is_active: bool,
}

/// What it does to containers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    /// Starts one.
    Starts {
        /// `docker start`.
        how: String,
        /// By name or id.
        container: String,
    },
    /// Starts every container.
    StartsAll {
        /// `podman start --all`.
        how: String,
    },
    /// Cannot be told of any container.
    Unknown,
    /// Cannot be told; it counts where its text names the container.
    Unclear {
        /// Why, after the place.
        why: String,
        /// All of it.
        text: String,
    },
}

/// Whom they would start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its id.
    pub(crate) id: &'a str,
}

/// Those that start this container, each with what ends it.
pub(crate) fn starters_of(found: &[Starter], who: Who<'_>) -> Vec<OtherStarter> {
    let concern = found.iter().filter(|starter| starter.deed.concerns(who));
    let mut all: Vec<OtherStarter> = concern.map(|starter| starter.told(who.name)).collect();
    all.dedup();
    all
}

impl Deed {
    fn concerns(&self, who: Who<'_>) -> bool {
        match self {
            Self::Starts { how: _, container } => {
                container == who.name || is_id(container) && who.id.starts_with(container.as_str())
            }
            Self::StartsAll { how: _ } | Self::Unknown => true,
            Self::Unclear { why: _, text } => names(text, who.name),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Starts { how, .. } | Self::StartsAll { how } => format!("`{how}`"),
            Self::Unclear { why, .. } => format!("cannot be understood: {why}"),
            Self::Unknown => "holds more files than can be looked through".to_owned(),
        }
    }
}

/// At least as much of an id as engines show.
fn is_id(word: &str) -> bool {
    word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a text has this name in it, and not only as a part of another.
fn names(text: &str, name: &str) -> bool {
    let is_of_a_name = |character: char| character.is_alphanumeric() || "_.-".contains(character);
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let mut after = text[start + name.len()..].chars();
        let next = after.next();
        // The dot of `quay.service` and of the end of a sentence.
        let ends = match next {
            Some('.') => {
                let rest = after.as_str();
                rest.starts_with("service") || !rest.starts_with(is_of_a_name)
            }
            next => !next.is_some_and(is_of_a_name),
        };
        !before.is_some_and(is_of_a_name) && ends
    })
}

impl Starter {
    fn told(&self, container: &str) -> OtherStarter {
        let Self { origin, deed } = self;
        let words = deed.words();
        let what = match origin {
            Origin::Unit { name, path, standing } => match deed {
                Deed::Starts { .. } | Deed::StartsAll { .. } => {
                    format!("systemd unit `{name}` ({}; {words})", standing.words())
                }
                Deed::Unclear { .. } | Deed::Unknown => format!(
                    "systemd unit `{name}` ({}; `{}` {words})",
                    standing.words(),
                    path.display()
                ),
            },
            Origin::Quadlet { path } => format!("quadlet `{}` ({words})", path.display()),
            Origin::Lines { path, numbers } => {
                let (first, last) = (numbers.start(), numbers.end());
                let lines = match first == last {
                    true => format!("line {first}"),
                    false => format!("lines {first} to {last}"),
                };
                format!("{lines} of `{}` ({words})", path.display())
            }
            Origin::File { path } => format!("`{}` ({words})", path.display()),
            Origin::Directory { path } => {
                format!("`{}`, which {words}", path.display())
            }
        };
        OtherStarter { what, remedy: origin.remedy(deed, container) }
    }
}

impl Standing {
    fn words(self) -> &'static str {
        let Self { is_enabled, is_active } = self;
        match (is_enabled, is_active) {
            (true, true) => "enabled and running",
            (true, false) => "enabled",
            (false, true) => "running",
            (false, false) => "not enabled, but whoever starts it starts the container",
        }
    }
}

impl Origin {
    fn remedy(&self, deed: &Deed, container: &str) -> String {
        let end = match self {
            Self::Unit { name, path, standing: _ } => unit_remedy(name, path),
            Self::Quadlet { path } => {
                let unit = quadlet::unit_name(path);
                let path = path.display();
                format!("mv {path} /root/ && systemctl daemon-reload && systemctl stop {unit}")
            }
            Self::Lines { path, numbers } => {
                let (first, last) = (numbers.start(), numbers.end());
                let lines = match first == last {
                    true => first.to_string(),
                    false => format!("{first},{last}"),
                };
                format!("sed -i '{lines}s/^/#/' {}", path.display())
            }
            Self::File { path } => format!(
                "take the container out of {}, and what is left into a file that can be read whole",
                path.display()
            ),
            Self::Directory { path } => format!("ls {}, and make room there", path.display()),
        };
        let anew = "create the container anew with docker run --detach --restart always";
        match (self, deed) {
            // What ends a unit may end its container.
            (Self::Unit { .. }, Deed::Starts { how, .. }) if how.ends_with("start") => {
                format!("{end} && docker start {container}")
            }
            (Self::Unit { .. } | Self::Quadlet { .. }, Deed::Starts { .. }) => {
                format!("{end}; then {anew}, without --rm")
            }
            _ => end,
        }
    }
}

/// A unit that is only disabled can still be started, so its file goes too.
fn unit_remedy(name: &str, path: &Path) -> String {
    let disable = format!("systemctl disable --now {name}");
    // A template's other instances are none of our business.
    if path.file_name().is_some_and(|file| file != name) {
        return disable;
    }
    if path.starts_with("/run/systemd/transient") {
        return format!("systemctl stop {name}");
    }
    // Made anew at each start, of a file elsewhere.
    if path.starts_with("/run/systemd") && !path.starts_with("/run/systemd/system") {
        return format!("systemctl mask --now {name}");
    }
    let is_packaged = path.components().any(|part| part.as_os_str() == "lib");
    if is_packaged {
        format!("{disable} && systemctl mask {name}")
    } else {
        format!("{disable} && mv {} /root/ && systemctl daemon-reload", path.display())
    }
}
