//! How long the view waits for what. Tests shorten nothing: they run on paused time.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// The periods and limits of a view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long the first line of a stream may take. Nomad sends it at once.
    pub(crate) first_beat: Duration,
    /// Silence after which a stream counts as lost: one and a half of Nomad's heartbeats.
    pub(crate) silence: Duration,
    /// How often everything is read again without cause.
    pub(crate) reread: Duration,
    /// How old what is known may be to be shown to a newcomer before it is read again. Long enough for a burst of
    /// newcomers to cost one reading; short, because a connection that is half dead tells nothing new.
    pub(crate) fresh: Duration,
    /// How long a view may be without a stream before its members are told.
    pub(crate) grace: Duration,
    /// How long a stream must have lasted for its loss to be answered without delay.
    pub(crate) steady: Duration,
    /// How long it must have lasted for the next one not to wait longer than the one before: Nomad ends a stream that it
    /// cannot write as fast as a burst of writes comes, and that is when a view must not be blind for long.
    pub(crate) brief: Duration,
    /// Bounds of the wait between two attempts to connect.
    pub(crate) backoff: (Duration, Duration),
    /// The wait between two attempts after a denial. Policies take effect at once.
    pub(crate) denied: Duration,
    /// How long newly wanted jobs are gathered before they are looked up together; grows up to the second while
    /// they keep coming.
    pub(crate) gather: (Duration, Duration),
    /// How long allocations of unknown version are gathered before they are looked up.
    pub(crate) versions: Duration,
    /// Bounds of the pause between two such look-ups.
    pub(crate) versions_pause: (Duration, Duration),
    /// How long a proof of a task's rights lasts before it is repeated.
    pub(crate) proof: Duration,
    /// How old a proof may get when its repetition finds Nomad out of reach.
    pub(crate) proof_limit: Duration,
    /// How many proofs may be under way.
    pub(crate) proofs: usize,
    /// How often the checks of one allocation are asked: while they decide, and once nothing hangs on them.
    pub(crate) checks: (Duration, Duration),
    /// The time between two such requests of all views together.
    pub(crate) check_gap: Duration,
    /// How many of them a view has under way.
    pub(crate) checks_at_a_time: usize,
    /// How long the answer may take. A connection that is half dead would otherwise hold an old answer for true.
    pub(crate) check_limit: Duration,
    /// How long the end may take.
    pub(crate) close: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        Self {
            first_beat: s(5),
            silence: s(45),
            reread: s(60),
            fresh: s(5),
            grace: s(2),
            steady: s(10),
            brief: s(1),
            backoff: (ms(200), s(10)),
            denied: s(10),
            gather: (ms(20), s(1)),
            versions: ms(5),
            versions_pause: (ms(100), s(5)),
            proof: s(300),
            proof_limit: s(600),
            proofs: 16,
            checks: (ms(100), s(1)),
            check_gap: ms(20),
            checks_at_a_time: 16,
            check_limit: s(2),
            close: s(5),
        }
    }
}

impl Pace {
    /// Whether what was true at `true_at` may be shown to who comes at `now`.
    pub(super) fn is_fresh(&self, true_at: Option<Instant>, now: Instant) -> bool {
        true_at.is_some_and(|true_at| now <= true_at + self.fresh)
    }

    /// The waits between attempts, without an end.
    pub(super) fn attempts(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.backoff.0)
            .with_max_delay(self.backoff.1)
            .with_jitter()
            .without_max_times()
            .build()
    }
}

/// How many turns may come at once after a pause.
const BURST: u32 = 10;

/// A bound that several share: the instant until which the turns they took would last, had each lasted its time.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    /// Takes the next turn, if it has come by `now`. Otherwise when it comes. Over time there is one each `gap`; a few that
    /// nobody took may be taken at once.
    pub(super) fn take(&self, now: Instant, gap: Duration) -> Result<(), Instant> {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *next {
            Some(at) if at > now + gap * (BURST - 1) => Err(at - gap * (BURST - 1)),
            before => {
                *next = Some(before.map_or(now, |before| before.max(now)) + gap);
                Ok(())
            }
        }
    }
}

/// `period`, or up to a tenth more: so that many views do not ask at once.
pub(super) fn jittered(period: Duration) -> Duration {
    // The standard library's only source of chance.
    let chance = RandomState::new().build_hasher().finish() % 1000;
    period + period * u32::try_from(chance).unwrap_or_default() / 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_never_end_and_stay_within_their_bounds() {
        let pace = Pace::default();
        let waits: Vec<Duration> = pace.attempts().take(50).collect();
        assert_eq!(waits.len(), 50);
        assert!(waits.iter().all(|wait| *wait >= pace.backoff.0 && *wait <= pace.backoff.1 * 2), "{waits:?}");
    }

    #[test]
    fn jitter_only_lengthens_and_not_by_much() {
        for _ in 0..1000 {
            let period = jittered(Duration::from_mins(1));
            assert!((60.0..=66.0).contains(&period.as_secs_f64()), "{period:?}");
        }
    }
}
