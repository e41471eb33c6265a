//! Short sleeps that end when they should: the runtime's own last a millisecond longer, and often two, which is a third of
//! what a gate takes to open.

use std::{io, os::fd::OwnedFd, time::Duration};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{self, Instant},
};

/// Who sleeps longer can do without the last millisecond.
const SHORT: Duration = Duration::from_secs(1);

/// Sleeps until `deadline`: no shorter, and some 0.1 ms longer; 1 to 2 ms longer where that is more than a second away, or
/// the system has no timer left.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn sleep_until(deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return;
    }
    if left <= SHORT {
        tokio::select! {
            biased;
            () = time::sleep_until(deadline) => return,
            Ok(()) = last(left) => {}
        }
        // The clock of a test stands still meanwhile.
        if Instant::now() >= deadline {
            return;
        }
    }
    time::sleep_until(deadline).await;
}

/// Lasts as long as `time`, by a timer of the system.
async fn last(time: Duration) -> io::Result<()> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
    timer.set(Expiration::OneShot(TimeSpec::from_duration(time)), TimerSetTimeFlags::empty())?;
    #[expect(deprecated, reason = "unsound for what does not own its descriptor; an `OwnedFd` does")]
    let timer = AsyncFd::with_interest(OwnedFd::from(timer), Interest::READABLE)?;
    timer.readable().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_short_sleep_is_not_shorter_and_mostly_less_late_than_the_runtimes_own() {
        let late = |deadline| Instant::now().checked_duration_since(deadline).expect("it is not shorter");
        let mut n_better = 0;
        for n in 0..100 {
            let length = Duration::from_micros(700 + 37 * n);
            let deadline = Instant::now() + length;
            sleep_until(deadline).await;
            let ours = late(deadline);
            let deadline = Instant::now() + length;
            time::sleep_until(deadline).await;
            n_better += usize::from(ours < late(deadline));
        }
        // Whatever else runs on the machine disturbs both.
        assert!(n_better >= 60, "{n_better} of 100");
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_clock_that_stands_still_it_is_as_long_as_any_other() {
        for ms in [0, 1, 300, 5000] {
            let deadline = Instant::now() + Duration::from_millis(ms);
            sleep_until(deadline).await;
            assert_eq!(Instant::now(), deadline, "{ms} ms");
        }
    }
}
