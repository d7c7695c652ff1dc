//! Whether enough tags are mapped for the window to `complete`.

use proptest::prelude::*;
use quaymaster_proto::health::BackfillSample;

use super::*;
use crate::gates::backfill::{self, Samples};

fn counted(progress: f64, tags_remaining: i64) -> BackfillSample {
    BackfillSample::Counted { at: at(0), progress, tags_remaining, total_tags: 1000 }
}

#[test]
fn the_backfill_needs_several_good_samples_in_a_row() {
    let plan = second_window();
    let mut samples = Samples::default();
    for (sample, good) in [
        (counted(0.995, 5), 1),
        (counted(0.98, 20), 0),
        (counted(0.995, 5), 1),
        (counted(1.01, -10), 2),
    ] {
        samples.see(&plan, sample);
        let judged = backfill::judge(&plan, &samples);
        assert!(
            matches!(judged, Judgement::Wait(WaitingOn::Backfill { good_samples, .. })
                if good_samples == good),
            "{judged:?}"
        );
    }
    let problem = "HTTP 502".to_owned();
    samples.see(&plan, BackfillSample::NoCount { at: at(0), status: Some(502), problem });
    assert!(matches!(backfill::judge(&plan, &samples), Judgement::Wait(_)));
    samples.see(&plan, counted(0.999, 1));
    assert!(matches!(backfill::judge(&plan, &samples), Judgement::Pass(_)));
}

#[test]
fn good_samples_are_forgotten_when_no_node_can_count_any_more() {
    let plan = second_window();
    let mut samples = Samples::default();
    samples.see(&plan, counted(0.995, 5));
    for good in [1, 1, 0] {
        let problem = "HTTP 502".to_owned();
        samples.see(&plan, BackfillSample::NoCount { at: at(0), status: Some(502), problem });
        let judged = backfill::judge(&plan, &samples);
        assert!(
            matches!(judged, Judgement::Wait(WaitingOn::Backfill { good_samples, .. })
                if good_samples == good),
            "{judged:?}"
        );
    }
}

#[test]
fn a_node_that_falls_silent_among_the_others_holds_the_window_soon() {
    let (_, plan) = first_window();
    let mut course = Course::new(plan.nodes[1].name.clone());
    let begun = Duration::from_secs(600);
    course.lose("connection refused".to_owned(), begun);
    course.lose("connection refused".to_owned(), begun + ANSWER / 2);
    let judged =
        |waited| healthy::judge(&plan, others(&plan), std::slice::from_ref(&course), waited);
    assert!(matches!(judged(begun + ANSWER / 2), Judgement::Wait(WaitingOn::Answer { .. })));
    let failed = judged(begun + ANSWER);
    assert!(
        matches!(failed, Judgement::Fail(GateFailure::TooLong { limit: ANSWER, .. })),
        "{failed:?}"
    );
}

#[test]
fn a_fraction_alone_opens_nothing_when_the_rest_would_take_too_long() {
    let mut plan = second_window();
    plan.forecast.at_worst = Duration::from_secs(600);
    let mut samples = Samples::default();
    for _ in 0..5 {
        samples.see(&plan, counted(0.995, 150_000));
    }
    let Judgement::Wait(WaitingOn::Backfill { problem, good_samples, .. }) =
        backfill::judge(&plan, &samples)
    else {
        panic!("{:?}", backfill::judge(&plan, &samples));
    };
    assert_eq!(good_samples, 0);
    insta::assert_snapshot!(problem, @"150000 tags are left, which the migration would map in 2h 46m 40s; the plan foresees an outage of 10m at most");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes before, less than the asked-for run of good samples
    /// never opens the gate.
    #[test]
    fn no_order_of_samples_opens_the_backfill_gate_early(
        samples in prop::collection::vec((0.9_f64..1.01, -5_i64..50), 0..20)
    ) {
        let plan = second_window();
        let mut seen = Samples::default();
        let mut in_a_row = 0;
        for (progress, left) in samples {
            seen.see(&plan, counted(progress, left));
            in_a_row = if progress >= plan.timings.backfill.threshold { in_a_row + 1 } else { 0 };
            let is_open = matches!(backfill::judge(&plan, &seen), Judgement::Pass(_));
            prop_assert_eq!(is_open, in_a_row >= plan.timings.backfill.samples);
        }
    }
}
