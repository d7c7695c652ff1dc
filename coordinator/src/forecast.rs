//! How long an outage should take: what earlier windows of this cluster took,
//! the catalogue's figures, the operator's timings and the counts of the
//! database, added up. A guess for people; no decision rests on it.

use std::time::Duration;

use quaymaster_proto::database::TagCounts;
use quaymaster_proto::{Component, Mode};

use crate::catalogue::{Entry, OfflineRate, Release, Spread};
use crate::cluster::{StopGrace, StorageBackup};
use crate::measured::{Rate, Taken};
use crate::plan::companion::STOPS_AFTER_QUAY;
use crate::plan::situation::Situation;
use crate::plan::{
    Advice, Basis, Forecast, ForecastBackfill, ForecastPart, PartOfOutage, ReleaseInMode, Window,
};
use crate::survey::{ClusterFacts, NodeSurvey};

/// What a component that heeds SIGTERM needs at best.
const QUICK_STOP: Duration = Duration::from_secs(1);

/// Bytes of a database that are dumped and read back in a second: at best, as a
/// rule, at worst. Up to four workers read it, one reads the dump back. Nothing
/// says it of a site before its own first report does.
const BACKUP: (u64, u64, u64) = (60_000_000, 25_000_000, 8_000_000);

/// Bytes of a storage that are copied and read back in a second, likewise.
const COPY: (u64, u64, u64) = (200_000_000, 80_000_000, 20_000_000);

/// Files of a storage that get a copy which shares their bytes, likewise.
const REFLINKS: (u64, u64, u64) = (10_000, 3_000, 500);

/// Up to here one outage is advised, at worst: what the documented procedure
/// calls a small registry's (3.15.1).
const ONE_OUTAGE: Duration = Duration::from_secs(3600);

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
        database_bytes: database_bytes(situation.facts),
        backfill: backfill(situation, situation.window, counts),
        advice: advice(situation),
        parts,
    }
}

/// Which of two ways is advised; `None` = this window begins no choice, or the
/// tags were not counted, on which it would rest.
pub fn advice(situation: &Situation<'_>) -> Option<Advice> {
    let Window { from, to, .. } = situation.window;
    if from.release == to.release {
        return None;
    }
    let counts = tag_counts(situation.facts)?;
    let release = situation.to()?;
    let (first, last) = (release.modes.first()?.mode, release.last_mode()?);
    let in_mode = |mode: Mode| ReleaseInMode { release: release.name.clone(), mode };
    let window = |from: &ReleaseInMode, mode| {
        let (from, to) = (from.clone(), in_mode(mode));
        Window { number: 1, of: 1, from, to }
    };
    let [one, two, three] =
        [window(from, last), window(from, first), window(&in_mode(first), last)];
    let dark = |window: &Window| {
        let situation = Situation { window, ..*situation };
        Some(parts(&situation, situation.entry()?, Some(counts)))
    };
    let likely = |parts: &[ForecastPart]| parts.iter().map(|part| part.likely).sum();
    let whole = dark(&one)?;
    let in_one_at_worst: Duration = whole.iter().map(|part| part.at_worst).sum();
    Some(Advice {
        first_mode: if in_one_at_worst <= ONE_OUTAGE { last } else { first },
        in_one: likely(&whole),
        in_one_at_worst,
        in_first: likely(&dark(&two)?),
        in_second: likely(&dark(&three)?),
        between: backfill(situation, &two, Some(counts))?.likely,
    })
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
    let mut parts = vec![stop(situation, PartOfOutage::Stop, Component::Quay)];
    for component in STOPS_AFTER_QUAY {
        if stops_in_the_dark(situation, component) {
            parts.push(stop(situation, PartOfOutage::CompanionStop, component));
        }
    }
    if situation.waived_backup.is_none() {
        parts.push(backup(situation));
        parts.extend(storage(situation));
    }
    parts.push(part(PartOfOutage::Schema, entry.schema, Basis::Catalogue));
    if entry.moves_tags {
        let left = counts.map(|counts| left(situation, counts)).unwrap_or_default();
        parts.push(moving(left, to.offline));
    }
    let (start, basis) = start(situation, to);
    parts.push(part(PartOfOutage::FirstStart, start.and(lasting), basis));
    if situation.facts.nodes.len() > 1 {
        parts.push(part(PartOfOutage::RestStart, start, basis));
    }
    parts
}

fn part(what: PartOfOutage, spread: Spread, basis: Basis) -> ForecastPart {
    let Spread { at_best, likely, at_worst } = spread;
    ForecastPart { what, likely, at_best, at_worst, basis }
}

/// What was seen here once or twice may take twice as long the next time.
fn measured(taken: Taken) -> (Spread, Basis) {
    let Taken { run, last, quickest, slowest } = taken;
    (Spread { at_best: quickest, likely: last, at_worst: slowest * 2 }, Basis::Measured { run })
}

/// Whether any node has one to stop.
fn stops_in_the_dark(situation: &Situation<'_>, component: Component) -> bool {
    let mut companions = situation.facts.nodes.values().flat_map(NodeSurvey::companions);
    companions
        .any(|companion| companion.component == component && situation.fate(&companion).stops())
}

fn stop(situation: &Situation<'_>, what: PartOfOutage, component: Component) -> ForecastPart {
    let grace = stop_grace(situation, component);
    let seen = situation.measured.stop(&situation.window.from.release);
    if let Some(taken) = seen.filter(|_| component == Component::Quay) {
        let (spread, basis) = measured(taken);
        // No stop takes longer than that.
        let at_worst = grace.max(taken.slowest);
        return part(what, Spread { at_worst, ..spread }, basis);
    }
    let stops = situation.from().and_then(|release: &Release| release.stopping(component));
    let is_burned = stops.is_some_and(|stop| stop.burns_grace);
    let at_best = if is_burned { grace } else { grace.min(QUICK_STOP) };
    let spread = Spread { at_best, likely: grace, at_worst: grace };
    part(what, spread, Basis::Grace { is_burned })
}

/// From a container's start until it is healthy, nothing to migrate.
fn start(situation: &Situation<'_>, to: &Release) -> (Spread, Basis) {
    match situation.measured.start(&to.name) {
        Some(taken) => measured(taken),
        None => (to.start, Basis::Catalogue),
    }
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

fn moving(tags: u64, rate: Option<OfflineRate>) -> ForecastPart {
    let Some(OfflineRate { at_best, at_worst }) = rate else {
        return part(PartOfOutage::Tags, Spread::default(), Basis::Unknown);
    };
    let at = |rate: f64| Duration::from_secs((tags as f64 / rate).ceil() as u64);
    let spread = Spread {
        at_best: at(at_best),
        likely: at(f64::midpoint(at_best, at_worst)),
        at_worst: at(at_worst),
    };
    let whole = |rate: f64| rate.round().max(1.0) as u64;
    let (slowest, fastest) = (whole(at_worst), whole(at_best));
    part(PartOfOutage::Tags, spread, Basis::Rate { amount: tags, slowest, fastest, measured: None })
}

/// The database, dumped and read back.
fn backup(situation: &Situation<'_>) -> ForecastPart {
    let what = PartOfOutage::Backup;
    match database_bytes(situation.facts) {
        None => part(what, Spread::default(), Basis::Unknown),
        Some(size) => at_a_rate(what, size, BACKUP, situation.measured.backup()),
    }
}

/// The storage, where something is kept of it.
fn storage(situation: &Situation<'_>) -> Option<ForecastPart> {
    let known = situation.measured;
    Some(match situation.cluster.storage? {
        StorageBackup::Hook => {
            let (spread, basis) =
                known.storage_hook().map_or_else(|| (Spread::default(), Basis::Unknown), measured);
            part(PartOfOutage::StorageHook, spread, basis)
        }
        StorageBackup::Copy => {
            let sizes: Option<Vec<_>> = situation.local_storage().map(|(_, size)| size).collect();
            let sizes = sizes.unwrap_or_default();
            if sizes.is_empty() {
                part(PartOfOutage::StorageCopy, Spread::default(), Basis::Unknown)
            } else if sizes.iter().all(|size| size.reflinks) {
                let (what, seen) = (PartOfOutage::StorageReflinks, known.storage_reflinks());
                at_a_rate(what, sizes.iter().map(|size| size.files).sum(), REFLINKS, seen)
            } else {
                let (what, seen) = (PartOfOutage::StorageCopy, known.storage_copy());
                at_a_rate(what, sizes.iter().map(|size| size.bytes).sum(), COPY, seen)
            }
        }
    })
}

/// So much at the rate that was measured, or else that is guessed.
fn at_a_rate(
    what: PartOfOutage,
    amount: u64,
    guess: (u64, u64, u64),
    seen: Option<Rate>,
) -> ForecastPart {
    let (fastest, usual, slowest) = match seen {
        Some(Rate { run: _, per_second }) => (per_second, per_second, (per_second / 2).max(1)),
        None => guess,
    };
    let at = |rate: u64| Duration::from_secs((amount.saturating_add(rate / 2) / rate).max(1));
    let spread = Spread { at_best: at(fastest), likely: at(usual), at_worst: at(slowest) };
    let measured = seen.map(|rate| rate.run);
    part(what, spread, Basis::Rate { amount, slowest, fastest, measured })
}

/// Of the database on its server's disk.
fn database_bytes(facts: &ClusterFacts) -> Option<u64> {
    let sizes = facts.nodes.values().filter_map(NodeSurvey::database);
    sizes.filter_map(|look| look.size_bytes).max()
}

/// What the nodes do together after a window.
fn backfill(
    situation: &Situation<'_>,
    window: &Window,
    counts: Option<TagCounts>,
) -> Option<ForecastBackfill> {
    let backfill = situation.catalogue.generation(&window.to)?.backfill?;
    let unmapped = u64::try_from(counts?.unmapped).unwrap_or_default();
    let rate = backfill.tags_per_second * situation.facts.nodes.len() as f64;
    Some(ForecastBackfill {
        likely: Duration::from_secs((unmapped as f64 / rate).ceil() as u64),
        tags_per_second: backfill.tags_per_second,
        first_run_within: backfill.first_run_within,
    })
}

/// What a node counted, where one did.
fn tag_counts(facts: &ClusterFacts) -> Option<TagCounts> {
    facts.nodes.values().filter_map(NodeSurvey::database).find_map(|look| look.counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use crate::cluster::Cluster;
    use crate::measured::Measured;
    use crate::plan::situation::Answers;
    use crate::report::fixture::{events, state};
    use crate::report::report;
    use crate::survey::{DatabaseAnswer, fixture};

    fn first() -> Window {
        fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background))
    }

    fn second() -> Window {
        fixture::window(2, 2, ("3.0.5", Mode::Background), ("3.0.5", Mode::Complete))
    }

    /// What is forecast of a window of three nodes.
    fn of(facts: &ClusterFacts, window: &Window, measured: &Measured) -> Forecast {
        let (cluster, catalogue) = (&fixture::cluster(3), &Catalogue::built_in());
        let (answers, waived_backup) = (&Answers::default(), None);
        forecast(&Situation { cluster, catalogue, facts, window, answers, waived_backup, measured })
    }

    #[test]
    fn a_window_is_forecast_by_what_an_earlier_one_took() {
        let cluster = fixture::cluster(3);
        let plan = fixture::plan(&cluster, &fixture::on_2_9_5(&cluster), &first());
        let plan = plan.check().unwrap();
        let report = report(plan.plan(), &state(&events(&plan, None)));
        let mut measured = Measured::default();
        measured.add(plan.plan(), &report);

        let facts = fixture::on_background(&cluster);
        let by = |measured: &Measured, what| {
            let parts = of(&facts, &second(), measured).parts;
            parts.into_iter().find(|part| part.what == what).unwrap()
        };
        let unmeasured = by(&Measured::default(), PartOfOutage::Backup);
        assert!(matches!(unmeasured.basis, Basis::Rate { measured: None, .. }), "{unmeasured:?}");
        let backup = by(&measured, PartOfOutage::Backup);
        assert_eq!((backup.likely.as_secs(), backup.at_worst.as_secs()), (139, 278));
        let start = by(&measured, PartOfOutage::RestStart);
        assert_eq!(start.basis, Basis::Measured { run: report.run });
        assert_eq!((start.likely.as_secs(), start.at_worst.as_secs()), (20, 40));
        // That release's Quays were never stopped.
        let stop = by(&measured, PartOfOutage::Stop);
        assert_eq!(stop.basis, Basis::Grace { is_burned: true });
    }

    #[test]
    fn a_copy_of_the_storage_costs_its_bytes_or_where_it_shares_them_its_files() {
        let (mut cluster, window) = (fixture::cluster(3), first());
        let facts = fixture::on_2_9_5(&cluster);
        let mut answers = fixture::answers(&facts, &window);
        let forecast_of = |cluster: &Cluster, answers: &Answers| {
            let (catalogue, measured) = (&Catalogue::built_in(), &Measured::default());
            let (facts, window, waived_backup) = (&facts, &window, None);
            let situation =
                Situation { cluster, catalogue, facts, window, answers, waived_backup, measured };
            forecast(&situation)
        };
        let without = forecast_of(&cluster, &answers).outage;
        let seconds = |cluster: &Cluster, answers: &Answers| {
            (forecast_of(cluster, answers).outage - without).as_secs()
        };
        fixture::store(&mut answers, 40_000_000_000, 90_000, false);
        assert_eq!(seconds(&cluster, &answers), 0, "nobody chose it");
        cluster.storage = Some(StorageBackup::Copy);
        assert_eq!(seconds(&cluster, &answers), 500);
        fixture::store(&mut answers, 40_000_000_000, 90_000, true);
        assert_eq!(seconds(&cluster, &answers), 30);
        cluster.storage = Some(StorageBackup::Hook);
        let hooked = forecast_of(&cluster, &answers);
        let hook = hooked.parts.iter().find(|part| part.what == PartOfOutage::StorageHook);
        assert_eq!(hook.unwrap().basis, Basis::Unknown);
    }

    #[test]
    fn one_outage_is_advised_for_few_tags_and_two_for_many() {
        let cluster = fixture::cluster(3);
        let mut facts = fixture::on_2_9_5(&cluster);
        let many = of(&facts, &first(), &Measured::default()).advice.unwrap();
        assert_eq!(many.first_mode, Mode::Background);
        for survey in facts.nodes.values_mut() {
            let DatabaseAnswer::Looked(look) = &mut survey.database else { continue };
            look.counts = Some(TagCounts { visible: 3_000, unmapped: 3_000 });
            look.size_bytes = Some(200_000_000);
        }
        let few = of(&facts, &first(), &Measured::default()).advice.unwrap();
        assert_eq!(few.first_mode, Mode::Complete, "{few:?}");
        assert!(few.in_one_at_worst <= ONE_OUTAGE);
        for survey in facts.nodes.values_mut() {
            let DatabaseAnswer::Looked(look) = &mut survey.database else { continue };
            look.counts = None;
        }
        assert_eq!(of(&facts, &first(), &Measured::default()).advice, None);
        assert_eq!(of(&facts, &second(), &Measured::default()).advice, None);
    }
}
