//! An operator's settings of time, with their floors and defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use quaymaster_proto::Component;
use serde_yaml::Value;

use super::fields::{Fields, duration, kind, text, whole};
use super::mistake::{Mistake, Trouble};
use super::{BackfillTimings, StopGrace, Timings};

/// An agent is asked for at most this grace.
const LONGEST_GRACE: Duration = Duration::from_secs(3600);

/// Two full-table counts a poll (quay-facts 1.1): nobody needs more than this.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// Below this a run could call a healthy network unreachable.
const SHORTEST_CONNECT: Duration = Duration::from_millis(100);

impl Default for Timings {
    fn default() -> Self {
        Self {
            stop_grace: BTreeMap::from([
                (Component::Quay, StopGrace::Catalogue),
                (Component::Clair, StopGrace::Fixed(Duration::from_secs(10))),
                (Component::Builder, StopGrace::Fixed(Duration::from_secs(30))),
            ]),
            first_node_limit: Duration::from_secs(6 * 3600),
            healthy_for: Duration::from_secs(5),
            backfill: BackfillTimings::default(),
            connect: Duration::from_secs(5),
        }
    }
}

impl Default for BackfillTimings {
    fn default() -> Self {
        Self { threshold: 0.99, samples: 3, poll: Duration::from_secs(60) }
    }
}

/// What is not said keeps its default.
pub(super) fn read(file: &mut Fields, mistakes: &mut Vec<Mistake>) -> Timings {
    let mut timings = Timings::default();
    let Some(mut section) = file.section_if_any("timings", mistakes) else { return timings };
    if let Some(graces) = section.section_if_any("stop_grace", mistakes) {
        stop_grace(graces, &mut timings.stop_grace, mistakes);
    }
    if let Some(limit) = section.duration_if_any("first_node_limit", mistakes) {
        let floor = Floor { least: Duration::from_secs(1), range: "1s or more" };
        timings.first_node_limit = floor.keep(section.at("first_node_limit"), limit, mistakes);
    }
    if let Some(healthy_for) = section.duration_if_any("healthy_for", mistakes) {
        timings.healthy_for = healthy_for;
    }
    if let Some(backfill) = section.section_if_any("backfill", mistakes) {
        timings.backfill = read_backfill(backfill, mistakes);
    }
    if let Some(connect) = section.duration_if_any("connect", mistakes) {
        let floor = Floor { least: SHORTEST_CONNECT, range: "100ms or more" };
        timings.connect = floor.keep(section.at("connect"), connect, mistakes);
    }
    section.finish(mistakes);
    timings
}

/// The least that a duration may be.
struct Floor {
    least: Duration,
    range: &'static str,
}

impl Floor {
    fn keep(&self, path: String, found: Duration, mistakes: &mut Vec<Mistake>) -> Duration {
        if found < self.least {
            let found = humantime::format_duration(found).to_string();
            mistakes.push(Mistake::new(path, Trouble::OutOfRange { found, range: self.range }));
        }
        found
    }
}

fn stop_grace(
    mut section: Fields,
    graces: &mut BTreeMap<Component, StopGrace>,
    mistakes: &mut Vec<Mistake>,
) {
    for (component, key) in [
        (Component::Quay, "quay"),
        (Component::Clair, "clair"),
        (Component::Builder, "builder"),
        (Component::Mirror, "mirror"),
    ] {
        let Some(word) = section.text_if_any(key, mistakes) else { continue };
        if word == "catalogue" {
            graces.insert(component, StopGrace::Catalogue);
            continue;
        }
        let path = section.at(key);
        let Some(grace) = duration(path.clone(), &word, mistakes) else { continue };
        if grace > LONGEST_GRACE || grace.subsec_nanos() != 0 {
            let range = "0s to 3600s in whole seconds, or `catalogue`";
            mistakes.push(Mistake::new(path, Trouble::OutOfRange { found: word, range }));
            continue;
        }
        graces.insert(component, StopGrace::Fixed(grace));
    }
    section.finish(mistakes);
}

fn read_backfill(mut section: Fields, mistakes: &mut Vec<Mistake>) -> BackfillTimings {
    let mut backfill = BackfillTimings::default();
    let path = section.at("threshold");
    match section.value("threshold") {
        None => {}
        Some(Value::Number(number)) => match number.as_f64() {
            Some(fraction) if (0.0..=1.0).contains(&fraction) => backfill.threshold = fraction,
            Some(_) | None => {
                let trouble = Trouble::OutOfRange { found: number.to_string(), range: "0 to 1" };
                mistakes.push(Mistake::new(path, trouble));
            }
        },
        Some(other) => mistakes.push(kind(path, "a number from 0 to 1", &other)),
    }
    if let Some(value) = section.value("samples")
        && let Some(samples) = whole(section.at("samples"), &value, mistakes)
    {
        match u32::try_from(samples) {
            Ok(samples @ 1..=1000) => backfill.samples = samples,
            Ok(_) | Err(_) => {
                let trouble =
                    Trouble::OutOfRange { found: samples.to_string(), range: "1 to 1000" };
                mistakes.push(Mistake::new(section.at("samples"), trouble));
            }
        }
    }
    if let Some(value) = section.value("poll")
        && let Some(word) = text(section.at("poll"), value, mistakes)
        && let Some(poll) = duration(section.at("poll"), &word, mistakes)
    {
        let floor = Floor { least: SHORTEST_POLL, range: "100ms or more" };
        backfill.poll = floor.keep(section.at("poll"), poll, mistakes);
    }
    section.finish(mistakes);
    backfill
}
