//! What the floor makes of a Quay that lives, and what was seen of such. Pure
//! but for its locks; `worker::fence` looks and acts.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use quaymaster_proto::{ContainerId, Floor, ImageId, Mode};
use tokio::sync::Notify;

/// Sightings that are remembered: the latest.
const KEPT: usize = 32;

/// What the floor makes of one Quay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It may run.
    Allowed,
    /// It may not run any more.
    Below,
    /// It is below in one mode and not in another, and its mode is not known.
    Unsure,
    /// The floor does not know its image: newer, or another's.
    Unknown,
}

/// Judges a Quay of this image; `mode` is asked where it matters.
pub(crate) fn judge(floor: &Floor, image: &ImageId, mode: Option<Mode>) -> Verdict {
    let mut of_image = floor.below.iter().filter(|below| below.image == *image).peekable();
    if of_image.peek().is_none() {
        let is_own = floor.generation.image == *image;
        return if is_own { Verdict::Allowed } else { Verdict::Unknown };
    }
    if of_image.any(|below| below.mode.is_none()) {
        return Verdict::Below;
    }
    match mode {
        None => Verdict::Unsure,
        Some(mode) if floor.forbids(image, mode) => Verdict::Below,
        Some(_) => Verdict::Allowed,
    }
}

/// Whether a Quay of this image is judged by its mode.
pub(crate) fn needs_mode(floor: &Floor, image: &ImageId) -> bool {
    judge(floor, image, None) == Verdict::Unsure
}

/// One start of one container.
pub(crate) type Start = (ContainerId, Option<Timestamp>);

/// What was seen since the agent began.
#[derive(Default, Debug)]
pub(crate) struct Fence {
    seen: Mutex<Seen>,
    asked: Notify,
}

#[derive(Default, Debug)]
struct Seen {
    sightings: VecDeque<String>,
    /// Starts that were told, of containers that still live.
    told: BTreeSet<Start>,
    /// Why nobody knows what lives here.
    blind: Option<String>,
    /// The last look could not tell whether something is below the floor.
    is_unsure: bool,
}

impl Fence {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything seen, the oldest first.
    pub(crate) fn sightings(&self) -> Vec<String> {
        self.seen().sightings.iter().cloned().collect()
    }

    /// Remembers a sighting.
    pub(crate) fn saw(&self, sighting: String) {
        let mut seen = self.seen();
        if seen.sightings.len() >= KEPT {
            seen.sightings.pop_front();
        }
        seen.sightings.push_back(sighting);
    }

    /// Whether this start is told for the first time.
    pub(crate) fn is_news(&self, start: Start) -> bool {
        self.seen().told.insert(start)
    }

    /// Forgets the starts of what lives no longer.
    pub(crate) fn keep_told(&self, living: &BTreeSet<Start>) {
        self.seen().told.retain(|start| living.contains(start));
    }

    /// Why nobody knows what lives here; `None` = the last look saw it.
    pub(crate) fn set_blind(&self, why: Option<String>) {
        self.seen().blind = why;
    }

    /// The same.
    pub(crate) fn blind(&self) -> Option<String> {
        self.seen().blind.clone()
    }

    /// Whether the last look left something open, which another may settle.
    pub(crate) fn set_unsure(&self, is_unsure: bool) {
        self.seen().is_unsure = is_unsure;
    }

    /// The same.
    pub(crate) fn is_unsure(&self) -> bool {
        self.seen().is_unsure
    }

    /// There is something to look for: another floor.
    pub(crate) fn look_again(&self) {
        self.asked.notify_one();
    }

    /// Returns when somebody asked for a look.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use quaymaster_proto::{Below, Generation};

    use super::*;

    fn image(digit: char) -> ImageId {
        format!("sha256:{}", String::from(digit).repeat(64)).parse().unwrap()
    }

    #[test]
    fn what_is_old_is_below_and_what_nobody_knows_is_only_seen() {
        let floor = Floor {
            generation: Generation { image: image('3'), mode: Mode::Complete },
            below: vec![
                Below { image: image('2'), mode: None },
                Below { image: image('3'), mode: Some(Mode::Background) },
            ],
        };
        assert_eq!(judge(&floor, &image('2'), None), Verdict::Below);
        assert_eq!(judge(&floor, &image('3'), Some(Mode::Complete)), Verdict::Allowed);
        assert_eq!(judge(&floor, &image('3'), Some(Mode::Background)), Verdict::Below);
        assert_eq!(judge(&floor, &image('3'), None), Verdict::Unsure);
        assert_eq!(judge(&floor, &image('4'), Some(Mode::Background)), Verdict::Unknown);
        assert!(needs_mode(&floor, &image('3')) && !needs_mode(&floor, &image('2')));
    }

    #[test]
    fn sightings_are_bounded_and_a_start_is_told_once() {
        let fence = Fence::default();
        for number in 0..100 {
            fence.saw(number.to_string());
        }
        assert_eq!(fence.sightings().len(), KEPT);
        assert_eq!(fence.sightings().last().map(String::as_str), Some("99"));
        let id: ContainerId = "a".repeat(64).parse().unwrap();
        let start = (id.clone(), None);
        assert!(fence.is_news(start.clone()) && !fence.is_news(start.clone()));
        fence.keep_told(&BTreeSet::from([start.clone()]));
        assert!(!fence.is_news(start.clone()));
        fence.keep_told(&BTreeSet::new());
        assert!(fence.is_news(start));
    }
}
