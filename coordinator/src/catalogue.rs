//! The release catalogue: what is known of each release of Quay, as data. The
//! code here reads it and answers questions; it knows no release by name.

use std::collections::BTreeMap;
use std::time::Duration;

use quaymaster_proto::{Component, Mode, MountCopy, PortMove};

use crate::plan::ReleaseInMode;

mod file;
mod image;
mod validate;

pub use image::{ImageName, InvalidImageName};
pub use validate::{CatalogueError, Flaw};

const RELEASES: &str = include_str!("releases.yaml");

/// Every release that this program knows, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Catalogue {
    releases: Vec<Release>,
}

impl Catalogue {
    /// The catalogue that is built into this program.
    pub fn built_in() -> Self {
        Self::parse(RELEASES).expect("a test reads the built-in catalogue")
    }

    /// Reads a catalogue and compares what its entries say of each other.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        let releases = file::read(text)?;
        let flaws = validate::flaws(&releases);
        if flaws.is_empty() { Ok(Self { releases }) } else { Err(CatalogueError::Flaws(flaws)) }
    }

    /// Every release, oldest first.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// The release of that number.
    pub fn release(&self, name: &str) -> Option<&Release> {
        self.releases.iter().find(|release| release.name == name)
    }

    /// The release whose image of a component has that name, mirrors taken
    /// back. A digest alone names no release.
    pub fn release_of(&self, component: Component, image: &ImageName) -> Option<&Release> {
        let tag = image.tag()?;
        self.releases.iter().find(|release| {
            release
                .images
                .get(&runs_image_of(component))
                .is_some_and(|known| known.repository == image.repository() && known.tag == tag)
        })
    }

    /// A release in one of its modes.
    pub fn generation(&self, of: &ReleaseInMode) -> Option<&ReleasedMode> {
        self.release(&of.release)?.mode(of.mode)
    }

    /// The way from one generation to another in one window, where there is
    /// one.
    pub fn entry(&self, from: &ReleaseInMode, to: &ReleaseInMode) -> Option<&Entry> {
        self.generation(to)?.entries.iter().find(|entry| entry.from == *from)
    }

    /// The revisions from which a window may start: those of the generation
    /// that it leaves.
    pub fn accepted(&self, from: &ReleaseInMode) -> &[String] {
        self.generation(from).map(|found| found.revisions.as_slice()).unwrap_or_default()
    }

    /// How many revisions lead to a release, and how many of them are applied at
    /// `found`; `None` where the way is not known.
    pub fn revisions(&self, release: &str, way: [&str; 2], found: &str) -> Option<(usize, usize)> {
        let chain = &self.release(release)?.chain;
        let place = |revision: &str| chain.iter().position(|known| known == revision);
        let [from, to] = way.map(place);
        let all = to?.checked_sub(from?)?;
        let applied = place(found)?.checked_sub(from?).filter(|applied| *applied <= all)?;
        Some((applied, all))
    }

    /// Which ports listen elsewhere in the next container.
    pub fn port_moves(&self, from: &ReleaseInMode, to: &ReleaseInMode) -> Vec<PortMove> {
        let (Some(from), Some(to)) = (self.release(&from.release), self.release(&to.release))
        else {
            return Vec::new();
        };
        [(from.ports.http, to.ports.http), (from.ports.https, to.ports.https)]
            .into_iter()
            .filter(|(from, to)| from != to)
            .map(|(from, to)| PortMove { from, to })
            .collect()
    }
}

impl Catalogue {
    /// Where a release's image of a component looks for what earlier ones find
    /// elsewhere.
    pub fn mount_copies(&self, component: Component, to: &str) -> Vec<MountCopy> {
        let Some(image) = self.release(to).and_then(|release| release.image(component)) else {
            return Vec::new();
        };
        let earlier = self.releases.iter().take_while(|release| release.name != to);
        let mut copies: Vec<MountCopy> = earlier
            .filter_map(|release| release.image(component))
            .flat_map(|earlier| &earlier.paths)
            .filter_map(|(what, from)| {
                let to = image.paths.get(what).filter(|to| *to != from)?;
                Some(MountCopy { from: from.clone(), to: to.clone() })
            })
            .collect();
        copies.sort();
        copies.dedup();
        copies
    }
}

/// What is known of one release.
#[derive(Clone, PartialEq, Debug)]
pub struct Release {
    /// Such as `3.0.5`.
    pub name: String,
    /// Where each component's image is, mirrors not applied.
    pub images: BTreeMap<Component, ReleasedImage>,
    /// Inside the Quay container.
    pub ports: Ports,
    /// How each component stops.
    pub stop: BTreeMap<Component, Stopping>,
    /// From a container's start until it is healthy, nothing to migrate.
    pub start: Spread,
    /// Tags a second that a start moves before it serves, best and worst.
    pub offline: Option<OfflineRate>,
    /// The revisions on the way to this release, oldest first, as far as they
    /// are known. For people: no decision rests on it.
    pub chain: Vec<String>,
    /// In the order in which a cluster goes through them; at least one.
    pub modes: Vec<ReleasedMode>,
}

impl Release {
    /// Where a component's image is; a mirror runs Quay's (quay-facts 2.1).
    pub fn image(&self, component: Component) -> Option<&ReleasedImage> {
        self.images.get(&runs_image_of(component))
    }

    /// How a component stops.
    pub fn stopping(&self, component: Component) -> Option<&Stopping> {
        self.stop.get(&runs_image_of(component))
    }

    /// What is known of the release in that mode.
    pub fn mode(&self, mode: Mode) -> Option<&ReleasedMode> {
        self.modes.iter().find(|known| known.mode == mode)
    }

    /// The mode at which the release is complete.
    pub fn last_mode(&self) -> Option<Mode> {
        self.modes.last().map(|known| known.mode)
    }
}

fn runs_image_of(component: Component) -> Component {
    match component {
        Component::Mirror => Component::Quay,
        Component::Quay | Component::Clair | Component::Builder => component,
    }
}

/// Where an image is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleasedImage {
    /// Without tag, mirrors not applied.
    pub repository: String,
    /// Such as `v3.0.5`.
    pub tag: String,
    /// Inside its containers: where it looks for what other releases may look
    /// for elsewhere, by what it is.
    pub paths: BTreeMap<String, String>,
}

impl std::fmt::Display for ReleasedImage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(&format!("{}:{}", self.repository, self.tag))
    }
}

/// Inside the Quay container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// Plain.
    pub http: u16,
    /// TLS.
    pub https: u16,
}

/// How a component stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopping {
    /// From the request to stop until the engine kills; whole seconds.
    pub grace: Duration,
    /// Whether a stop always takes the whole grace (quay-observed 6).
    pub burns_grace: bool,
}

/// How long something takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spread {
    /// At best.
    pub at_best: Duration,
    /// As a rule.
    pub likely: Duration,
    /// At worst, of what is known.
    pub at_worst: Duration,
}

impl Spread {
    /// The same and a fixed time more.
    #[must_use]
    pub fn and(self, more: Duration) -> Self {
        let Self { at_best, likely, at_worst } = self;
        Self { at_best: at_best + more, likely: likely + more, at_worst: at_worst + more }
    }
}

/// Tags a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OfflineRate {
    /// More than 0.
    pub at_best: f64,
    /// More than 0, at most `at_best`.
    pub at_worst: f64,
}

/// What is known of a release in one mode.
#[derive(Clone, PartialEq, Debug)]
pub struct ReleasedMode {
    /// Which.
    pub mode: Mode,
    /// The revision at which a start in this mode arrives.
    pub target: String,
    /// Every revision at which a serving cluster may be found; has `target`.
    pub revisions: Vec<String>,
    /// Revisions at which a start in this mode that failed may be made again:
    /// what follows there moves data alone, and can be repeated.
    pub resumable: Vec<String>,
    /// What the nodes do meanwhile in this mode.
    pub backfill: Option<Backfill>,
    /// From where it may be entered.
    pub entries: Vec<Entry>,
}

/// Work that is done while the cluster serves.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Backfill {
    /// Tags a second of one node; more than 0.
    pub tags_per_second: f64,
    /// How long a node may idle before its first run.
    pub first_run_within: Duration,
}

/// A way into a generation in one window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// From where.
    pub from: ReleaseInMode,
    /// How long the first node's schema changes take.
    pub schema: Spread,
    /// Whether that start also moves the tags that are left, before it serves.
    pub moves_tags: bool,
}

#[cfg(test)]
mod tests;
