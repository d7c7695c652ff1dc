//! What `/upgradeprogress/` says of the backfill.
//!
//! Its numbers are two counts without a transaction between them: the fraction
//! may exceed 1, what remains may be negative, and both are passed on as they
//! are (quay-facts 1.1, quay-observed 1).

use jiff::Timestamp;
use quaymaster_proto::health::BackfillSample;
use serde::Deserialize;

/// The answer as Quay sends it. Further keys are none of our business.
#[derive(Deserialize)]
struct Counts {
    progress: f64,
    tags_remaining: i64,
    total_tags: i64,
}

/// What an answer with this status and body means.
pub fn sample(at: Timestamp, status: u16, body: &str) -> BackfillSample {
    let no_count = |problem: &str| BackfillSample::NoCount {
        at,
        status: Some(status),
        problem: problem.to_owned(),
    };
    match (status, serde_json::from_str(body)) {
        (200, Ok(Counts { progress, tags_remaining, total_tags })) if progress.is_finite() => {
            BackfillSample::Counted { at, progress, tags_remaining, total_tags }
        }
        (200, _) => no_count("the answer is not the backfill's JSON"),
        (404, _) => no_count("this Quay does not count: it is not in background mode"),
        (301 | 302 | 307 | 308, _) => no_count("a redirect instead of an answer"),
        (502, _) => no_count("Quay is starting"),
        (500.., _) => no_count("Quay cannot count now; its database may be down"),
        (_, _) => no_count("an answer that Quay is not known to give"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(body: &str) -> Option<(f64, i64, i64)> {
        match sample(Timestamp::UNIX_EPOCH, 200, body) {
            BackfillSample::Counted { at: _, progress, tags_remaining, total_tags } => {
                Some((progress, tags_remaining, total_tags))
            }
            BackfillSample::NoCount { .. } => None,
        }
    }

    /// Bodies as recorded (quay-observed 1).
    #[test]
    fn recorded_answers_are_passed_on_unclamped() {
        let cases = [
            ("{\"progress\":1.0,\"tags_remaining\":0,\"total_tags\":0}\n", 1.0, 0, 0),
            (
                "{\"progress\":0.503167898627244,\"tags_remaining\":941,\"total_tags\":1894}\n",
                0.503_167_898,
                941,
                1894,
            ),
            (
                "{\"progress\":1.0052798310454065,\"tags_remaining\":-10,\"total_tags\":1894}\n",
                1.005_279_831,
                -10,
                1894,
            ),
            ("{\"progress\":0,\"tags_remaining\":4,\"total_tags\":4}", 0.0, 4, 4),
        ];
        for (body, fraction, remaining, total) in cases {
            let (progress, tags_remaining, total_tags) = counted(body).unwrap();
            assert!((progress - fraction).abs() < 1e-8, "{body}");
            assert_eq!((tags_remaining, total_tags), (remaining, total), "{body}");
        }
    }

    #[test]
    fn anything_else_is_no_count_and_says_why() {
        let why = |status, body| match sample(Timestamp::UNIX_EPOCH, status, body) {
            BackfillSample::NoCount { problem, .. } => problem,
            BackfillSample::Counted { .. } => panic!("counted"),
        };
        assert_eq!(
            why(404, "{\"error\": \"Not Found\"}"),
            "this Quay does not count: it is not in background mode"
        );
        assert_eq!(why(500, "<html>"), "Quay cannot count now; its database may be down");
        assert_eq!(why(502, "<html>"), "Quay is starting");
        assert_eq!(why(200, "{}"), "the answer is not the backfill's JSON");
        assert_eq!(why(308, ""), "a redirect instead of an answer");
    }
}
