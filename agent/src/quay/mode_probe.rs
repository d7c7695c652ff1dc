//! Which mode a running Quay is in, seen from outside.
//!
//! The file says what the next start will do; only the running Quay says what
//! it does now. A push of a manifest list by nobody meets 415 in background
//! mode and 401 in complete mode, as the check of the format comes before the
//! check of the login (quay-facts 8.5). `/upgradeprogress/` is there only in
//! background mode, but costs two full-table counts there (quay-facts 10.1): it
//! is asked only after a 401, when it is expected to be absent.

use quaymaster_proto::Mode;

/// Ports on which Quay listens inside its container since 3.0 (quay-facts 2.2).
const SINCE_3_0: [u16; 2] = [8080, 8443];

/// Ports of 2.9, which has no mode (quay-facts 2.2).
const BEFORE_3_0: [u16; 2] = [80, 443];

/// Whether a Quay that listens on these ports of its container has a mode to
/// show. 2.9 has none, and its answers would be taken for a mode's; where no
/// port tells, it may be one.
pub(crate) fn has_mode(container_ports: impl IntoIterator<Item = u16>) -> bool {
    let mut since_3_0 = false;
    for port in container_ports {
        if BEFORE_3_0.contains(&port) {
            return false;
        }
        since_3_0 |= SINCE_3_0.contains(&port);
    }
    since_3_0
}

/// What the status of the push tells by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Push {
    /// The mode.
    Shows(Mode),
    /// Complete mode, unless the namespace is exempt from the check of the
    /// format: `/upgradeprogress/` tells.
    AskProgress,
    /// Nothing: Quay is starting, or something else answered.
    Nothing,
}

/// Reads the push's status; `None` = no answer.
pub(crate) fn read_push(status: Option<u16>) -> Push {
    match status {
        // Whatever `/upgradeprogress/` says: `FEATURE_BILLING` hides it
        // (quay-facts 1.1).
        Some(415) => Push::Shows(Mode::Background),
        Some(401) => Push::AskProgress,
        Some(_) | None => Push::Nothing,
    }
}

/// The mode behind the status of `/upgradeprogress/` after `AskProgress`;
/// `None` = it does not tell.
pub(crate) fn read_progress(status: Option<u16>) -> Option<Mode> {
    match status {
        Some(404) => Some(Mode::Complete),
        Some(200) => Some(Mode::Background),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_quay_on_the_new_ports_has_a_mode() {
        assert!(has_mode([8443]));
        assert!(has_mode([9091, 8080]));
        for none in [&[80, 443][..], &[8080, 443], &[9091], &[]] {
            assert!(!has_mode(none.iter().copied()), "{none:?}");
        }
    }

    #[test]
    fn a_refused_format_is_background_and_a_refused_login_asks_further() {
        assert_eq!(read_push(Some(415)), Push::Shows(Mode::Background));
        assert_eq!(read_push(Some(401)), Push::AskProgress);
        for nothing in [Some(502), Some(308), Some(404), None] {
            assert_eq!(read_push(nothing), Push::Nothing, "{nothing:?}");
        }
        assert_eq!(read_progress(Some(404)), Some(Mode::Complete));
        // The push's namespace is exempt from the check of the format.
        assert_eq!(read_progress(Some(200)), Some(Mode::Background));
        for nothing in [Some(502), Some(500), Some(308), None] {
            assert_eq!(read_progress(nothing), None, "{nothing:?}");
        }
    }
}
