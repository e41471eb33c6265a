//! Blocking queries: asks for what comes after the last answer, again and again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep_until};

use super::table::Outcome;

/// The wait between two questions, so that a busy cluster or a hasty server costs little.
const PAUSE: Duration = Duration::from_millis(50);
/// The same where the server names no position and so does not wait for what comes after.
const POLL: Duration = Duration::from_secs(1);
/// Bounds of the wait after a failure.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// The wait after a denial. Policies take effect at once.
pub(super) const DENIED: Duration = Duration::from_secs(10);

/// Follows what `ask` answers. `ask` is given the position of the last answer, and none first and after a failure.
pub(super) struct Follower<A> {
    ask: A,
    after: Option<u64>,
    not_before: Instant,
    attempts: ExponentialBackoff,
}

fn attempts() -> ExponentialBackoff {
    let bounds = ExponentialBuilder::new().with_min_delay(BACKOFF.0).with_max_delay(BACKOFF.1);
    bounds.with_jitter().without_max_times().build()
}

impl<A> Follower<A> {
    pub(super) fn new(ask: A) -> Self {
        Self { ask, after: None, not_before: Instant::now(), attempts: attempts() }
    }

    /// Has the next question answered at once, whether or not anything has changed.
    pub(super) fn forget(&mut self) {
        self.after = None;
    }

    /// The next answer, which may be the same as the last one, or why there is none.
    pub(super) async fn next<T, E, F>(&mut self) -> Result<T, Outcome>
    where
        A: Fn(Option<u64>) -> F,
        F: Future<Output = Result<(T, u64), E>>,
        E: Into<Outcome>,
    {
        sleep_until(self.not_before).await;
        match (self.ask)(self.after).await {
            Ok((answer, index)) => {
                // A position that went back is another server's, or a restored one's: begin anew.
                let is_ahead = index > 0 && self.after.is_none_or(|after| index >= after);
                self.after = is_ahead.then_some(index);
                self.not_before = Instant::now() + if is_ahead { PAUSE } else { POLL };
                self.attempts = attempts();
                Ok(answer)
            }
            Err(error) => {
                let outcome: Outcome = error.into();
                self.after = None;
                let wait =
                    if outcome.is_denied() { DENIED } else { self.attempts.next().unwrap_or(BACKOFF.1) };
                self.not_before = Instant::now() + wait;
                Err(outcome)
            }
        }
    }
}
