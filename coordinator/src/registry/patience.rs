//! How often something is asked again that failed in passing. After a restart of its database Quay
//! is healthy at once, while its registry workers still give some 500s (quay-observed, quay-facts'
//! corrections).
#![expect(clippy::disallowed_methods, reason = "an effect room: it waits")]

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::Trouble;

/// How often and how fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patience {
    /// Questions in all; 1 or more.
    pub tries: u32,
    /// After the first failure; doubled after each further one.
    pub pause: Duration,
}

impl Default for Patience {
    /// Seven seconds and a half in all: as long as a pool's stale connections were seen to last.
    fn default() -> Self {
        Self { tries: 5, pause: Duration::from_millis(500) }
    }
}

/// What had to be asked again.
#[derive(Debug, Default)]
pub(super) struct Retries(Mutex<Vec<String>>);

impl Retries {
    fn note(&self, trouble: &Trouble) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(trouble.to_string());
    }

    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Asks until there is an answer, or a trouble that does not pass, or no more patience.
pub(super) async fn patiently<T>(
    patience: Patience,
    retries: &Retries,
    ask: impl AsyncFn() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let Patience { tries, mut pause } = patience;
    for _ in 1..tries {
        match ask().await {
            Err(trouble) if trouble.may_pass() => {
                retries.note(&trouble);
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            done => return done,
        }
    }
    ask().await
}
