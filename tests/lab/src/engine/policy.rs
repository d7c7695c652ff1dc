//! Restart policies: when the engine starts a container of itself, and how
//! long it waits. The rules are Docker 20.10's.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The delay before the first restart in a row.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The delay doubles up to this.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// A container that ran this long is not in a restart loop: the next delay is
/// the first again.
const SOUND_RUN: Duration = Duration::from_secs(10);

/// A container's restart policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RestartPolicy {
    /// Nothing was said, which inspect shows as an empty name.
    Unset,
    No,
    Always,
    UnlessStopped,
    /// A limit of 0 is none.
    OnFailure {
        limit: u32,
    },
}

/// What a policy's decision rests on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) exit_code: i64,
    pub(crate) manually_stopped: bool,
    pub(crate) restart_count: u32,
}

impl RestartPolicy {
    pub(crate) fn parse(name: &str, limit: u32) -> Option<Self> {
        match name {
            "" => Some(Self::Unset),
            "no" => Some(Self::No),
            "always" => Some(Self::Always),
            "unless-stopped" => Some(Self::UnlessStopped),
            "on-failure" => Some(Self::OnFailure { limit }),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unset => "",
            Self::No => "no",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
            Self::OnFailure { .. } => "on-failure",
        }
    }

    pub(crate) fn limit(self) -> u32 {
        match self {
            Self::OnFailure { limit } => limit,
            Self::Unset | Self::No | Self::Always | Self::UnlessStopped => 0,
        }
    }

    /// Whether the engine starts the container again after it ended.
    pub(crate) fn restarts(self, ending: Ending) -> bool {
        !ending.manually_stopped && self.revives(ending)
    }

    /// Whether the engine starts the container when it starts itself. `always`
    /// does not ask whether a person had stopped it, nor whether it ever ran.
    pub(crate) fn revives(self, ending: Ending) -> bool {
        match self {
            Self::Unset | Self::No => false,
            Self::Always => true,
            Self::UnlessStopped => !ending.manually_stopped,
            Self::OnFailure { limit } => {
                ending.exit_code != 0 && (limit == 0 || ending.restart_count < limit)
            }
        }
    }
}

/// The growing delay between restarts in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Backoff(Option<Duration>);

impl Backoff {
    /// The delay after a run of the given length.
    #[must_use]
    pub(crate) fn after(self, run: Duration) -> Self {
        Self(Some(match self.0 {
            Some(delay) if run < SOUND_RUN => (delay * 2).min(LONGEST_DELAY),
            Some(_) | None => FIRST_DELAY,
        }))
    }

    pub(crate) fn delay(self) -> Duration {
        self.0.unwrap_or(FIRST_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(exit_code: i64, manually_stopped: bool, restart_count: u32) -> Ending {
        Ending { exit_code, manually_stopped, restart_count }
    }

    #[test]
    fn a_stop_by_hand_ends_every_policy_until_the_engine_starts_again() {
        for policy in [RestartPolicy::Always, RestartPolicy::UnlessStopped] {
            assert!(policy.restarts(ending(0, false, 7)));
            assert!(!policy.restarts(ending(0, true, 7)));
        }
        assert!(RestartPolicy::Always.revives(ending(137, true, 0)));
        assert!(!RestartPolicy::UnlessStopped.revives(ending(137, true, 0)));
        assert!(RestartPolicy::UnlessStopped.revives(ending(137, false, 0)));
        assert!(!RestartPolicy::No.revives(ending(137, false, 0)));
    }

    #[test]
    fn on_failure_counts() {
        let twice = RestartPolicy::OnFailure { limit: 2 };
        assert!(twice.restarts(ending(1, false, 1)));
        assert!(!twice.restarts(ending(1, false, 2)));
        assert!(!twice.restarts(ending(0, false, 0)));
        assert!(RestartPolicy::OnFailure { limit: 0 }.restarts(ending(1, false, 99)));
    }

    #[test]
    fn the_delay_doubles_and_a_sound_run_resets_it() {
        let short = Duration::from_secs(1);
        let third = Backoff::default().after(short).after(short).after(short);
        assert_eq!(third.delay(), Duration::from_millis(400));
        assert_eq!(third.after(SOUND_RUN).delay(), FIRST_DELAY);
    }
}
