//! How long a pull is waited for. Pure.

use std::num::NonZeroU32;
use std::time::Duration;

/// When a pull is tried again, and when it is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// How often it is tried.
    pub attempts: NonZeroU32,
    /// After how long without any progress a try is given up.
    pub stalled_after: Duration,
}

/// A registry that restarts or a link that flaps is back within a minute or
/// two; the pauses before four further tries make up 75 s. An engine that
/// unpacks a large layer, or checks one, may say nothing for minutes.
impl Default for Patience {
    fn default() -> Self {
        const ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
        Self { attempts: ATTEMPTS, stalled_after: Duration::from_secs(10 * 60) }
    }
}

impl Patience {
    /// The longest pause between two tries.
    const LONGEST: Duration = Duration::from_secs(60);

    /// How long to wait after this many tries; `None` = no more of them.
    pub(crate) fn pause_after(&self, tried: u32) -> Option<Duration> {
        let pause = Duration::from_secs(5).saturating_mul(1 << tried.saturating_sub(1).min(8));
        (tried < self.attempts.get()).then(|| pause.min(Self::LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_tries_end() {
        let pauses = |attempts: u32| -> Vec<u64> {
            let attempts = NonZeroU32::new(attempts).unwrap();
            let patience = Patience { attempts, ..Patience::default() };
            (1..).map_while(|tried| patience.pause_after(tried)).map(|p| p.as_secs()).collect()
        };
        assert_eq!(pauses(5), [5, 10, 20, 40]);
        assert_eq!(pauses(1), [0; 0]);
        assert_eq!(pauses(20).len(), 19);
        assert_eq!(pauses(20).into_iter().max(), Some(60));
    }
}
