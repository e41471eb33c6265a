//! The wall clock's instant, advanced by the monotonic clock.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::engine::Time;

/// The wall clock, read now.
pub fn wall_clock() -> Time {
    #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// An instant, for people and for programs: RFC 3339.
pub fn spelled(at: Time) -> String {
    let millis = at.unix_millis();
    let stamp = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    stamp.map_or_else(|| millis.to_string(), |stamp| stamp.to_string())
}

/// The time of one run: begins at the wall clock's instant and never jumps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    began: Time,
    instant: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: wall_clock(), instant: Instant::now() }
    }

    pub(super) fn now(&self) -> Time {
        self.began + self.instant.elapsed()
    }

    /// The runtime's instant for `at`; the beginning for anything before it.
    pub(super) fn instant(&self, at: Time) -> Instant {
        self.instant + at.since(self.began)
    }
}
