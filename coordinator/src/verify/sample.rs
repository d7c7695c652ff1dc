//! What a registry held at one moment: lists of tags, and what some of them meant. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Fault;

/// The version of the file.
const VERSION: u32 = 1;

/// Of each repository that cluster.yaml names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Of this form.
    pub version: u32,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// By name.
    pub repositories: BTreeMap<String, Sampled>,
}

/// Of one repository.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampled {
    /// All of them.
    pub tags: BTreeSet<String>,
    /// Some of them, with what they mean.
    pub images: BTreeMap<String, SampledImage>,
}

/// What a tag means.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampledImage {
    /// Of its manifest.
    pub digest: String,
    /// Of its manifest.
    pub media_type: String,
}

/// How many tags a run keeps: what goes into its journal must not grow with the registry.
const KEPT: usize = 4000;

/// How many images of a repository are looked at: the first and the last tags of its list.
const IMAGES: usize = 6;

impl Sample {
    /// An empty one.
    pub fn new(taken_at: Timestamp) -> Self {
        Self { version: VERSION, taken_at, repositories: BTreeMap::new() }
    }

    /// Whether this program can read it.
    pub fn is_known(&self) -> bool {
        self.version == VERSION
    }

    /// The same in a bounded size: of long lists the first and the last tags.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let most = KEPT / self.repositories.len().max(1);
        for found in self.repositories.values_mut() {
            if found.tags.len() > most {
                let half = most / 2;
                let last = found.tags.len() - half;
                let tags = std::mem::take(&mut found.tags).into_iter().enumerate();
                let kept = tags.filter(|(place, _)| *place < half || *place >= last);
                found.tags = kept.map(|(_, tag)| tag).collect();
            }
        }
        self
    }

    /// How many tags and images it holds.
    pub fn counts(&self) -> (usize, usize) {
        let each = self.repositories.values();
        each.fold((0, 0), |(tags, images), found| {
            (tags + found.tags.len(), images + found.images.len())
        })
    }
}

/// Which tags of a list are looked at.
pub fn chosen(tags: &[String]) -> Vec<&String> {
    if tags.len() <= IMAGES {
        return tags.iter().collect();
    }
    let half = IMAGES / 2;
    tags.iter().take(half).chain(tags.iter().skip(tags.len() - half)).collect()
}

/// What a list lacks. More tags than before are what users do.
pub fn compare(repository: &str, before: &BTreeSet<String>, now: &[String]) -> Option<Fault> {
    let missing: Vec<String> = before.iter().filter(|tag| !now.contains(tag)).cloned().collect();
    (!missing.is_empty()).then(|| Fault::TagsMissing { repository: repository.to_owned(), missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_counts() {
        let before: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
        let now = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        assert_eq!(compare("r", &before, &now(&["b", "a", "new"])), None);
        let fault = compare("o/r", &before, &now(&["b"])).unwrap();
        assert_eq!(fault.to_string(), "the tags of o/r lack 1 tag that were there: a");
    }

    #[test]
    fn what_a_run_keeps_is_bounded() {
        let tags = |count: usize| (0..count).map(|tag| format!("{tag:05}")).collect();
        let of = |count| Sampled { tags: tags(count), images: BTreeMap::new() };
        let mut sample = Sample::new(Timestamp::UNIX_EPOCH);
        sample.repositories.insert("o/large".to_owned(), of(9000));
        sample.repositories.insert("o/small".to_owned(), of(3));
        let kept = sample.clone().bounded();
        assert_eq!(kept.repositories["o/small"], of(3));
        let large = &kept.repositories["o/large"].tags;
        assert_eq!(large.len(), KEPT / 2);
        assert!(large.contains("00000") && large.contains("08999") && !large.contains("04500"));
        assert_eq!(kept.clone().bounded(), kept);
    }

    #[test]
    fn the_first_and_the_last_tags_are_looked_at() {
        let tags: Vec<String> = (1..=9).map(|number| number.to_string()).collect();
        assert_eq!(chosen(&tags), ["1", "2", "3", "7", "8", "9"]);
        assert_eq!(chosen(&tags[..2]), ["1", "2"]);
    }
}
