//! What earlier windows of this cluster took: a forecast goes by that, where
//! there is any, and by the catalogue where there is none. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use quaymaster_proto::RunId;

use crate::plan::Plan;
use crate::report::Report;

/// What earlier windows took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Measured {
    stops: BTreeMap<String, Taken>,
    starts: BTreeMap<String, Taken>,
    backup: Option<Rate>,
}

/// How long something took, each time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// The last window in which it was seen.
    pub run: RunId,
    /// In that one.
    pub last: Duration,
    /// In any.
    pub quickest: Duration,
    /// In any.
    pub slowest: Duration,
}

/// How fast something was, in the last window in which it was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// That window.
    pub run: RunId,
    /// At least 1.
    pub bytes_per_second: u64,
}

impl Measured {
    /// Takes in a finished window; older ones come first.
    pub fn add(&mut self, plan: &Plan, report: &Report) {
        let (run, window) = (report.run, &plan.window);
        let Some(limit) = &report.limit else { return };
        take(&mut self.stops, &window.from.release, run, limit.slowest_stop.1);
        // The first node's start has a migration in it.
        if let Some((_, start)) = &limit.slowest_rest {
            take(&mut self.starts, &window.to.release, run, *start);
        }
        let backup = limit.backup.map(|took| took.as_secs_f64()).filter(|took| *took > 0.0);
        if let (Some(bytes), Some(took)) = (plan.forecast.database_bytes, backup) {
            let bytes_per_second = ((bytes as f64 / took) as u64).max(1);
            self.backup = Some(Rate { run, bytes_per_second });
        }
    }

    /// The slowest stop of a release's Quays.
    pub fn stop(&self, release: &str) -> Option<Taken> {
        self.stops.get(release).copied()
    }

    /// The slowest start of a release's Quays that had nothing to migrate.
    pub fn start(&self, release: &str) -> Option<Taken> {
        self.starts.get(release).copied()
    }

    /// A backup, reading it back included.
    pub fn backup(&self) -> Option<Rate> {
        self.backup
    }
}

fn take(known: &mut BTreeMap<String, Taken>, release: &str, run: RunId, took: Duration) {
    let before = known.get(release);
    let quickest = before.map_or(took, |before| before.quickest.min(took));
    let slowest = before.map_or(took, |before| before.slowest.max(took));
    known.insert(release.to_owned(), Taken { run, last: took, quickest, slowest });
}

#[cfg(test)]
mod tests {
    use super::*;
    use quaymaster_proto::Mode;

    use crate::report::fixture::{events, state};
    use crate::report::report;
    use crate::survey::fixture;

    #[test]
    fn a_finished_window_says_how_long_its_parts_take_here() {
        let cluster = fixture::cluster(3);
        let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
        let facts = fixture::on_2_9_5(&cluster);
        let plan = fixture::plan(&cluster, &facts, &window).check().unwrap();
        let report = report(plan.plan(), &state(&events(&plan, None)));
        let mut measured = Measured::default();
        assert_eq!(measured.stop("2.9.5"), None);
        measured.add(plan.plan(), &report);

        let stop = measured.stop("2.9.5").unwrap();
        assert_eq!((stop.run, stop.last.as_secs()), (report.run, 10));
        assert_eq!(measured.stop("3.0.5"), None, "nothing of that release was stopped");
        assert_eq!(measured.start("3.0.5").unwrap().last.as_secs(), 20);
        let bytes = plan.plan().forecast.database_bytes.unwrap();
        assert_eq!(measured.backup().unwrap().bytes_per_second, bytes / 139);
    }
}
