//! Which mode a running Quay is in, seen from outside.
//!
//! The file says what the next start will do; only the running Quay says what
//! it does now. Two questions that change nothing tell it: `/upgradeprogress/`
//! is there only in background mode, and a push of a manifest list by nobody
//! meets 415 in background mode and 401 in complete mode, as the check of the
//! format comes before the check of the login (quay-facts 8.5, 10.1).

use quaymaster_proto::Mode;

/// Ports on which Quay listens inside its container since 3.0 (quay-facts 2.2).
const SINCE_3_0: [u16; 2] = [8080, 8443];

/// Whether a Quay that listens on these ports of its container has a mode at
/// all: 2.9 listens on 80 and 443 and has none.
pub fn has_mode(container_ports: impl IntoIterator<Item = u16>) -> bool {
    container_ports.into_iter().any(|port| SINCE_3_0.contains(&port))
}

/// The mode behind the statuses of `/upgradeprogress/` and of the push;
/// `None` = they do not tell.
///
/// 2.9 has no mode to show: it has no `/upgradeprogress/`, and its answer to
/// the push was never seen (quay-facts 10.1). Ask only where `has_mode`.
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
    fn a_quay_on_the_old_ports_has_no_mode() {
        assert!(!has_mode([80, 443]));
        assert!(has_mode([8443]));
        assert!(!has_mode([]));
    }

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
