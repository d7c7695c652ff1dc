//! What the entries of a catalogue must say of each other.

use quaymaster_proto::Component;

use super::{Entry, Release, ReleasedMode, Spread};
use crate::plan::ReleaseInMode;

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It is not the YAML that it should be.
    #[error("the release catalogue cannot be read")]
    Yaml {
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// Its entries contradict each other: all contradictions.
    #[error("the release catalogue contradicts itself: {}", list(.0))]
    Flaws(Vec<Flaw>),
}

fn list(flaws: &[Flaw]) -> String {
    flaws.iter().map(Flaw::to_string).collect::<Vec<_>>().join("; ")
}

/// One contradiction.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Flaw {
    /// A version of the file that this program does not know.
    #[error("version {found} is not known")]
    Version {
        /// What was given.
        found: u32,
    },
    /// Two entries of one name.
    #[error("{release} is there twice")]
    Twice {
        /// Which.
        release: String,
    },
    /// Two releases with one image.
    #[error("{release} has the same image as {other}: {image}")]
    SameImage {
        /// Which.
        release: String,
        /// The other.
        other: String,
        /// The image.
        image: String,
    },
    /// A release that cannot run.
    #[error("{release} has no {what}")]
    Lacks {
        /// Which.
        release: String,
        /// What is missing.
        what: &'static str,
    },
    /// A time or a rate that makes no sense.
    #[error("{release}: {what} is out of order")]
    OutOfOrder {
        /// Which.
        release: String,
        /// What.
        what: &'static str,
    },
    /// A mode that is not entered as it says.
    #[error("{mode}: {why}")]
    Mode {
        /// Which.
        mode: ReleaseInMode,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A way from nowhere.
    #[error("{mode} is entered from {from}, which is not listed before it")]
    UnknownOrigin {
        /// Which.
        mode: ReleaseInMode,
        /// From where.
        from: ReleaseInMode,
    },
}

pub(super) fn flaws(releases: &[Release]) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if releases.is_empty() {
        flaws.push(Flaw::Lacks { release: "the catalogue".to_owned(), what: "releases" });
    }
    let mut before: Vec<ReleaseInMode> = Vec::new();
    for (index, release) in releases.iter().enumerate() {
        twins(release, &releases[..index], &mut flaws);
        parts(release, &mut flaws);
        for mode in &release.modes {
            let name = ReleaseInMode { release: release.name.clone(), mode: mode.mode };
            self::mode(&name, mode, release, &mut flaws);
            origins(&name, mode, &before, &mut flaws);
            before.push(name);
        }
    }
    flaws
}

fn twins(release: &Release, before: &[Release], flaws: &mut Vec<Flaw>) {
    for other in before {
        if other.name == release.name {
            flaws.push(Flaw::Twice { release: release.name.clone() });
        }
        let (Some(image), Some(taken)) =
            (release.images.get(&Component::Quay), other.images.get(&Component::Quay))
        else {
            continue;
        };
        if image.to_string() == taken.to_string() {
            flaws.push(Flaw::SameImage {
                release: release.name.clone(),
                other: other.name.clone(),
                image: image.to_string(),
            });
        }
    }
}

fn parts(release: &Release, flaws: &mut Vec<Flaw>) {
    let name = || release.name.clone();
    if !release.images.contains_key(&Component::Quay) {
        flaws.push(Flaw::Lacks { release: name(), what: "image of Quay" });
    }
    for component in release.images.keys() {
        if !release.stop.contains_key(component) {
            flaws.push(Flaw::Lacks { release: name(), what: "stop grace of a component" });
        }
    }
    if release.modes.is_empty() {
        flaws.push(Flaw::Lacks { release: name(), what: "modes" });
    }
    if !is_ordered(&release.start) {
        flaws.push(Flaw::OutOfOrder { release: name(), what: "start" });
    }
    if release.stop.values().any(|stop| stop.grace.subsec_nanos() != 0) {
        flaws.push(Flaw::OutOfOrder { release: name(), what: "stop grace" });
    }
    let is_rate = |number: f64| number.is_finite() && number > 0.0;
    if release.offline.is_some_and(|rate| {
        !is_rate(rate.at_worst) || !is_rate(rate.at_best) || rate.at_worst > rate.at_best
    }) {
        flaws.push(Flaw::OutOfOrder { release: name(), what: "offline rate" });
    }
    if release
        .modes
        .iter()
        .filter_map(|mode| mode.backfill)
        .any(|backfill| !is_rate(backfill.tags_per_second))
    {
        flaws.push(Flaw::OutOfOrder { release: name(), what: "backfill rate" });
    }
}

fn mode(name: &ReleaseInMode, mode: &ReleasedMode, release: &Release, flaws: &mut Vec<Flaw>) {
    let mut flaw = |why| flaws.push(Flaw::Mode { mode: name.clone(), why });
    if release.modes.iter().filter(|other| other.mode == mode.mode).count() > 1 {
        flaw("is there twice");
    }
    if !mode.revisions.contains(&mode.target) {
        flaw("its target is none of its revisions");
    }
    let is_revision =
        |text: &String| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !mode.revisions.iter().all(is_revision) {
        flaw("a revision is not 12 hex digits");
    }
    if !mode.entries.iter().all(|Entry { schema, .. }| is_ordered(schema)) {
        flaw("a schema time is out of order");
    }
    if release.offline.is_none() && mode.entries.iter().any(|entry| entry.moves_tags) {
        flaw("it moves tags at a rate that is not given");
    }
}

fn origins(
    name: &ReleaseInMode,
    mode: &ReleasedMode,
    before: &[ReleaseInMode],
    flaws: &mut Vec<Flaw>,
) {
    for Entry { from, .. } in &mode.entries {
        if !before.contains(from) {
            flaws.push(Flaw::UnknownOrigin { mode: name.clone(), from: from.clone() });
        }
    }
}

fn is_ordered(spread: &Spread) -> bool {
    spread.at_best <= spread.likely && spread.likely <= spread.at_worst
}
