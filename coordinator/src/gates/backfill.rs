//! The backfill gate: enough tags are mapped, several samples in a row, and
//! what is left can be done offline in the window.

use std::time::Duration;

use quaymaster_proto::health::BackfillSample;

use crate::gates::Judgement;
use crate::plan::Plan;
use crate::run::{Evidence, WaitingOn};

/// Tags that the migration maps in a second while Quay is down. About 30 were
/// observed on two cores (quay-observed 4); half of that is safe to plan with.
pub const OFFLINE_TAGS_PER_SECOND: f64 = 15.0;

/// What a few leftover tags may always add to an outage.
const ALWAYS_FITS: Duration = Duration::from_secs(60);

/// The samples so far.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Samples {
    good_in_a_row: u32,
    /// Looks without a count since the last count.
    without_count: usize,
    last: Option<BackfillSample>,
}

impl Samples {
    /// Folds one more sample.
    pub fn see(&mut self, plan: &Plan, sample: BackfillSample) {
        self.without_count = match &sample {
            BackfillSample::Counted { .. } => 0,
            BackfillSample::NoCount { .. } => self.without_count.saturating_add(1),
        };
        self.good_in_a_row = match &sample {
            BackfillSample::Counted { at: _, progress, tags_remaining, total_tags: _ }
                if *progress >= plan.timings.backfill.threshold
                    && offline(*tags_remaining) <= longest(plan) =>
            {
                self.good_in_a_row.saturating_add(1)
            }
            BackfillSample::Counted { .. } => 0,
            // Nobody counts any more: what was counted grows stale.
            BackfillSample::NoCount { .. } if self.without_count >= plan.nodes.len() => 0,
            // No count says nothing about the tags: a node that restarts does
            // not undo what was counted before.
            BackfillSample::NoCount { .. } => self.good_in_a_row,
        };
        self.last = Some(sample);
    }
}

/// How long the migration would work on so many tags.
pub fn offline(tags_remaining: i64) -> Duration {
    let tags = u32::try_from(tags_remaining.max(0)).unwrap_or(u32::MAX);
    Duration::from_secs_f64(f64::from(tags) / OFFLINE_TAGS_PER_SECOND)
}

/// What the plan told its reader to expect at worst.
fn longest(plan: &Plan) -> Duration {
    plan.forecast.at_worst.max(ALWAYS_FITS)
}

/// Judges the samples so far.
pub fn judge(plan: &Plan, samples: &Samples) -> Judgement {
    let Samples { good_in_a_row, without_count: _, last } = samples;
    match last {
        Some(BackfillSample::Counted { at: _, progress, tags_remaining, total_tags }) => {
            if *good_in_a_row >= plan.timings.backfill.samples {
                return Judgement::Pass(Evidence::Backfill {
                    progress: *progress,
                    tags_remaining: *tags_remaining,
                    total_tags: *total_tags,
                });
            }
            Judgement::Wait(WaitingOn::Backfill {
                progress: Some(*progress),
                tags_remaining: *tags_remaining,
                total_tags: *total_tags,
                good_samples: *good_in_a_row,
                problem: too_many(plan, *progress, *tags_remaining),
            })
        }
        Some(BackfillSample::NoCount { at: _, status: _, problem }) => {
            no_count(*good_in_a_row, problem.clone())
        }
        None => no_count(0, "not looked at yet".to_owned()),
    }
}

fn no_count(good_samples: u32, problem: String) -> Judgement {
    let (tags_remaining, total_tags) = (0, 0);
    let progress = None;
    Judgement::Wait(WaitingOn::Backfill {
        progress,
        tags_remaining,
        total_tags,
        good_samples,
        problem,
    })
}

/// Said only where the fraction alone would mislead.
fn too_many(plan: &Plan, progress: f64, tags_remaining: i64) -> String {
    let needed = offline(tags_remaining);
    if progress < plan.timings.backfill.threshold || needed <= longest(plan) {
        return String::new();
    }
    format!(
        "{tags_remaining} tags are left, which the migration would map in {}; the plan foresees an outage of {} at most",
        humantime::format_duration(Duration::from_secs(needed.as_secs())),
        humantime::format_duration(Duration::from_secs(longest(plan).as_secs())),
    )
}
