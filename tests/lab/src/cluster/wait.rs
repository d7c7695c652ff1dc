//! Waiting for a condition, with a bound and a reason.
#![expect(clippy::disallowed_methods, reason = "an effect room: waiting is its job")]

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(25);

#[derive(Debug, thiserror::Error)]
#[error("waited {} s for {what}; last seen: {last}", bound.as_secs())]
pub struct TimedOut {
    what: String,
    bound: Duration,
    last: String,
}

/// Looks until `look` has a value. Its error says why there is none yet.
pub async fn until<T, F>(
    what: &str,
    bound: Duration,
    mut look: impl FnMut() -> F,
) -> Result<T, TimedOut>
where
    F: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + bound;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(last) if Instant::now() >= end => {
                return Err(TimedOut { what: what.to_owned(), bound, last });
            }
            Err(_) => sleep(EVERY).await,
        }
    }
}
