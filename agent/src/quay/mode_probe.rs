//! Which mode a running Quay is in, seen from outside.
//!
//! The file says what the next start will do; only the running Quay says what
//! it does now. Two questions that change nothing tell it: `/upgradeprogress/`
//! is there only in background mode, and a push of a manifest list by nobody
//! meets 415 in background mode and 401 in complete mode, as the check of the
//! format comes before the check of the login (quay-facts 8.5, 10.1).

use quaymaster_proto::Mode;

/// The mode behind the statuses of `/upgradeprogress/` and of the push;
/// `None` = they do not tell.
///
/// 2.9 has no mode to show: it has no `/upgradeprogress/`, and its answer to
/// the push was never seen (quay-facts 10.1). So a mode is told of a Quay whose
/// image is known to be a 3.0 only; from 401 alone nothing follows for a 2.9.
pub fn effective_mode(progress: Option<u16>, push: Option<u16>) -> Option<Mode> {
    match (progress, push) {
        // The route exists in no other mode, whatever its database does now.
        (Some(200), _) => Some(Mode::Background),
        (Some(500), Some(415)) => Some(Mode::Background),
        (Some(404), Some(401)) => Some(Mode::Complete),
        // 404 with 415 is "impossible in theory" (quay-facts 10.1): say
        // nothing rather than something wrong.
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_answers_together_tell_the_mode() {
        let cases = [
            ((Some(200), Some(415)), Some(Mode::Background)),
            // Every namespace may be exempt from the format check.
            ((Some(200), Some(401)), Some(Mode::Background)),
            // Its database is down.
            ((Some(500), Some(415)), Some(Mode::Background)),
            ((Some(404), Some(401)), Some(Mode::Complete)),
            ((Some(404), Some(415)), None),
            ((Some(404), None), None),
            // Starting.
            ((Some(502), Some(502)), None),
            ((None, None), None),
            ((Some(308), Some(401)), None),
        ];
        for ((progress, push), mode) in cases {
            assert_eq!(effective_mode(progress, push), mode, "{progress:?} {push:?}");
        }
    }
}
