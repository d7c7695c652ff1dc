//! How long an outage should take: the catalogue's figures, the operator's
//! timings and the counts of the database, added up. A guess for people; no
//! decision rests on it.

use std::time::Duration;

use quaymaster_proto::Component;
use quaymaster_proto::database::TagCounts;

use crate::catalogue::{Entry, OfflineRate, Release, Spread};
use crate::cluster::StopGrace;
use crate::plan::companion::STOPS_AFTER_QUAY;
use crate::plan::situation::Situation;
use crate::plan::{Forecast, ForecastPart, PartOfOutage, ReleaseInMode};
use crate::survey::{ClusterFacts, NodeSurvey};

/// What a component that heeds SIGTERM needs at best.
const QUICK_STOP: Duration = Duration::from_secs(1);

/// Bytes of a database that are dumped and read back in a second: at best, as a
/// rule, at worst. Up to four workers read it, one reads the dump back. Nothing
/// says it of a site before its own first report does.
const BACKUP: (u64, u64, u64) = (60_000_000, 25_000_000, 8_000_000);

/// The forecast of one window.
pub fn forecast(situation: &Situation<'_>) -> Forecast {
    let counts = tag_counts(situation.facts);
    let parts = situation.entry().map(|entry| parts(situation, entry, counts)).unwrap_or_default();
    let sum = |duration: fn(&ForecastPart) -> Duration| parts.iter().map(duration).sum();
    Forecast {
        outage: sum(|part| part.likely),
        at_best: sum(|part| part.at_best),
        at_worst: sum(|part| part.at_worst),
        tags: counts.map(|counts| counts.visible),
        backfill: backfill(situation, counts),
        synchronous: synchronous(situation, counts),
        parts,
    }
}

/// The grace that a running component gets, in whole seconds.
pub fn stop_grace(situation: &Situation<'_>, component: Component) -> Duration {
    match situation.cluster.timings.stop_grace(component) {
        StopGrace::Fixed(grace) => grace,
        StopGrace::Catalogue => situation
            .from()
            .and_then(|release| release.stopping(component))
            .map(|stop| stop.grace)
            .unwrap_or_default(),
    }
}

fn parts(situation: &Situation<'_>, entry: &Entry, counts: Option<TagCounts>) -> Vec<ForecastPart> {
    let Some(to) = situation.to() else { return Vec::new() };
    let lasting = situation.cluster.timings.healthy_for;
    let mut parts = vec![part(PartOfOutage::Stop, stop(situation, Component::Quay))];
    for component in STOPS_AFTER_QUAY {
        if stops_in_the_dark(situation, component) {
            parts.push(part(PartOfOutage::CompanionStop, stop(situation, component)));
        }
    }
    if situation.waived_backup.is_none() {
        parts.push(part(PartOfOutage::Backup, backup(situation.facts)));
    }
    parts.push(part(PartOfOutage::Schema, entry.schema));
    if entry.moves_tags {
        let left = counts.map(|counts| left(situation, counts)).unwrap_or_default();
        parts.push(part(PartOfOutage::Tags, moving(left, to.offline)));
    }
    parts.push(part(PartOfOutage::FirstStart, to.start.and(lasting)));
    if situation.facts.nodes.len() > 1 {
        parts.push(part(PartOfOutage::RestStart, to.start));
    }
    parts
}

fn part(what: PartOfOutage, spread: Spread) -> ForecastPart {
    let Spread { at_best, likely, at_worst } = spread;
    ForecastPart { what, likely, at_best, at_worst }
}

/// Whether any node has one to stop.
fn stops_in_the_dark(situation: &Situation<'_>, component: Component) -> bool {
    let mut companions = situation.facts.nodes.values().flat_map(NodeSurvey::companions);
    companions
        .any(|companion| companion.component == component && situation.fate(&companion).stops())
}

fn stop(situation: &Situation<'_>, component: Component) -> Spread {
    let grace = stop_grace(situation, component);
    let stops = situation.from().and_then(|release: &Release| release.stopping(component));
    let at_best =
        if stops.is_some_and(|stop| stop.burns_grace) { grace } else { grace.min(QUICK_STOP) };
    Spread { at_best, likely: grace, at_worst: grace }
}

/// The tags that are left when the first node starts. A backfill gate lets
/// only so many through.
fn left(situation: &Situation<'_>, counts: TagCounts) -> u64 {
    let unmapped = u64::try_from(counts.unmapped).unwrap_or_default();
    let has_backfill = situation
        .catalogue
        .generation(&situation.window.from)
        .is_some_and(|found| found.backfill.is_some());
    if !has_backfill {
        return unmapped;
    }
    let let_through = 1.0 - situation.cluster.timings.backfill.threshold;
    let most = (counts.visible.max(0) as f64 * let_through).ceil();
    unmapped.min(most as u64)
}

fn moving(tags: u64, rate: Option<OfflineRate>) -> Spread {
    let Some(OfflineRate { at_best, at_worst }) = rate else { return Spread::default() };
    let at = |rate: f64| Duration::from_secs((tags as f64 / rate).ceil() as u64);
    Spread {
        at_best: at(at_best),
        likely: at(f64::midpoint(at_best, at_worst)),
        at_worst: at(at_worst),
    }
}

/// The backup of a database of this size, in bytes on its server's disk.
fn backup(facts: &ClusterFacts) -> Spread {
    let sizes = facts.nodes.values().filter_map(NodeSurvey::database);
    let Some(size) = sizes.filter_map(|look| look.size_bytes).max() else {
        return Spread::default();
    };
    let at = |rate: u64| Duration::from_secs(size.div_ceil(rate).max(1));
    Spread { at_best: at(BACKUP.0), likely: at(BACKUP.1), at_worst: at(BACKUP.2) }
}

/// What the nodes do together after this window.
fn backfill(situation: &Situation<'_>, counts: Option<TagCounts>) -> Option<Duration> {
    let backfill = situation.catalogue.generation(&situation.window.to)?.backfill?;
    let unmapped = u64::try_from(counts?.unmapped).unwrap_or_default();
    let rate = backfill.tags_per_second * situation.facts.nodes.len() as f64;
    Some(Duration::from_secs((unmapped as f64 / rate).ceil() as u64))
}

/// Only said where this window leaves a backfill to be done later.
fn synchronous(situation: &Situation<'_>, counts: Option<TagCounts>) -> Option<Duration> {
    situation.catalogue.generation(&situation.window.to)?.backfill?;
    let release = situation.to()?;
    let whole = ReleaseInMode { release: release.name.clone(), mode: release.last_mode()? };
    let entry = situation.catalogue.entry(&situation.window.from, &whole)?;
    let parts = parts(situation, entry, Some(counts?));
    Some(parts.iter().map(|part| part.likely).sum())
}

/// What a node counted, where one did.
fn tag_counts(facts: &ClusterFacts) -> Option<TagCounts> {
    facts.nodes.values().filter_map(NodeSurvey::database).find_map(|look| look.counts)
}
