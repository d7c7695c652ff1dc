//! What earlier windows of this cluster took: a forecast goes by that, where
//! there is any, and by the catalogue where there is none. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use quaymaster_proto::RunId;
use quaymaster_proto::storage::KeptStorage;

use crate::plan::Plan;
use crate::report::Report;

/// What earlier windows took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Measured {
    stops: BTreeMap<String, Taken>,
    starts: BTreeMap<String, Taken>,
    backup: Option<Rate>,
    storage_copy: Option<Rate>,
    storage_reflinks: Option<Rate>,
    storage_hook: Option<Taken>,
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
    /// Bytes, or files that share theirs; at least 1.
    pub per_second: u64,
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
        let Some(took) = limit.backup else { return };
        let storage = report.backup.as_ref().and_then(|backup| backup.storage.as_ref());
        let apart = storage.map(|kept| Duration::from_millis(kept.millis())).unwrap_or_default();
        let bytes = plan.forecast.database_bytes;
        if let Some(rate) = bytes.and_then(|bytes| rate(run, bytes, took.saturating_sub(apart))) {
            self.backup = Some(rate);
        }
        if let Some(kept) = storage {
            self.add_storage(run, kept, apart);
        }
    }

    fn add_storage(&mut self, run: RunId, kept: &KeptStorage, took: Duration) {
        match kept {
            KeptStorage::Copied { files, bytes, reflinked, .. } => {
                let (known, amount) = if reflinked == files {
                    (&mut self.storage_reflinks, *files)
                } else {
                    (&mut self.storage_copy, *bytes)
                };
                *known = rate(run, amount, took).or(*known);
            }
            KeptStorage::Hooked { .. } => {
                self.storage_hook = Some(taken(self.storage_hook.as_ref(), run, took));
            }
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

    /// A backup of the database, reading it back included.
    pub fn backup(&self) -> Option<Rate> {
        self.backup
    }

    /// A copy of the storage, byte for byte.
    pub fn storage_copy(&self) -> Option<Rate> {
        self.storage_copy
    }

    /// A copy of the storage that shares its bytes, by files.
    pub fn storage_reflinks(&self) -> Option<Rate> {
        self.storage_reflinks
    }

    /// The operator's program for the storage.
    pub fn storage_hook(&self) -> Option<Taken> {
        self.storage_hook
    }
}

fn take(known: &mut BTreeMap<String, Taken>, release: &str, run: RunId, took: Duration) {
    let taken = taken(known.get(release), run, took);
    known.insert(release.to_owned(), taken);
}

fn taken(before: Option<&Taken>, run: RunId, took: Duration) -> Taken {
    let quickest = before.map_or(took, |before| before.quickest.min(took));
    let slowest = before.map_or(took, |before| before.slowest.max(took));
    Taken { run, last: took, quickest, slowest }
}

fn rate(run: RunId, amount: u64, took: Duration) -> Option<Rate> {
    let seconds = Some(took.as_secs_f64()).filter(|seconds| *seconds > 0.0)?;
    Some(Rate { run, per_second: ((amount as f64 / seconds) as u64).max(1) })
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
        assert_eq!(measured.backup().unwrap().per_second, bytes / 139);
    }

    #[test]
    fn what_the_storage_took_is_no_part_of_what_the_database_takes() {
        let cluster = fixture::cluster(3);
        let window = fixture::window(1, 2, ("2.9.5", Mode::Absent), ("3.0.5", Mode::Background));
        let facts = fixture::on_2_9_5(&cluster);
        let plan = fixture::plan(&cluster, &facts, &window).check().unwrap();
        let mut report = report(plan.plan(), &state(&events(&plan, None)));
        let mut measured = Measured::default();
        let mut with = |kept: KeptStorage| {
            report.backup.as_mut().unwrap().storage = Some(kept);
            measured.add(plan.plan(), &report);
            measured.clone()
        };
        let copied = |reflinked| KeptStorage::Copied {
            from: Vec::new(),
            files: 500,
            bytes: 40_000_000,
            reflinked,
            misnamed: 0,
            millis: 100_000,
        };
        let copy = with(copied(0));
        let bytes = plan.plan().forecast.database_bytes.unwrap();
        assert_eq!(copy.backup().unwrap().per_second, bytes / 39);
        assert_eq!(copy.storage_copy().unwrap().per_second, 400_000);
        assert_eq!(with(copied(500)).storage_reflinks().unwrap().per_second, 5);
        let hooked = with(KeptStorage::Hooked { said: String::new(), millis: 2_000 });
        assert_eq!(hooked.storage_hook().unwrap().last, Duration::from_secs(2));
    }
}
