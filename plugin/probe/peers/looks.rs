//! When to look at a socket: closely as long as nothing listens there, so that it is seen soon after it begins to.
//!
//! # Invariants
//!
//! * A refused connection is answered by the host itself and costs nobody much: only then is it asked again sooner than the
//!   user wants it asked. What answers, or does not answer at all, is asked as often as the user says.
//! * The longer it is refused the less often it is asked, and never less often than the user says: what is seen late is late
//!   by a thousandth of the time that was waited.
//! * All sockets of a process together are bounded; who is due takes the next turn, in the order of coming.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// The least time between two looks at one socket.
const CLOSEST: Duration = Duration::from_millis(1);
/// How much closer than the user's interval the looks may be.
const CLOSER: u32 = 100;
/// Which part of the time waited lies between two looks.
const PART: u32 = 1000;
/// The time between two looks of all questions together.
const GAP: Duration = Duration::from_millis(2);

/// What the looks of all questions share: the instant at which the next one may be.
#[derive(Debug, Default)]
pub(in crate::probe) struct Turns(Mutex<Option<Instant>>);

impl Turns {
    /// Takes the next turn, and says when it is.
    fn take(&self, now: Instant) -> Instant {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + GAP);
        turn
    }
}

/// When one question is asked.
pub(super) struct Looks<'a> {
    every: Duration,
    turns: &'a Turns,
    began: Instant,
    due: Instant,
    /// Since when connections are refused.
    refused: Option<Instant>,
}

impl<'a> Looks<'a> {
    /// At once, and then every so often.
    pub(super) fn new(every: Duration, turns: &'a Turns) -> Self {
        let now = Instant::now();
        Self { every, turns, began: now, due: now, refused: None }
    }

    /// Until it is time to look.
    pub(super) async fn next(&mut self) {
        sleep_until(self.due).await;
        sleep_until(self.turns.take(Instant::now())).await;
        self.began = Instant::now();
    }

    /// What came of the look: whether the host refused the connection.
    pub(super) fn looked(&mut self, is_refused: bool) {
        let pause = if is_refused {
            let waited = self.began - *self.refused.get_or_insert(self.began);
            (waited / PART).max(self.every / CLOSER).max(CLOSEST).min(self.every)
        } else {
            self.refused = None;
            self.every
        };
        self.due = (self.began + pause).max(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    /// When a question is asked within `time`, as long as the answer is the same.
    async fn looks(every: Duration, turns: &Turns, is_refused: bool, time: Duration) -> Vec<Duration> {
        let began = Instant::now();
        let mut looks = Looks::new(every, turns);
        let mut seen = Vec::new();
        loop {
            looks.next().await;
            if began.elapsed() >= time {
                return seen;
            }
            seen.push(began.elapsed());
            looks.looked(is_refused);
        }
    }

    fn widest(seen: &[Duration]) -> Duration {
        seen.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_refuses_is_looked_at_closely_at_first_and_less_closely_later() {
        let seen = looks(EVERY, &Turns::default(), true, Duration::from_mins(5)).await;
        let until = |limit: u64| seen.partition_point(|at| *at < Duration::from_secs(limit));
        assert!(widest(&seen[..until(2)]) <= Duration::from_millis(4), "{:?}", widest(&seen[..until(2)]));
        assert!(widest(&seen[..until(20)]) <= Duration::from_millis(22), "{:?}", widest(&seen[..until(20)]));
        assert!(until(1) <= 500, "{} in the first second", until(1));
        assert_eq!(widest(&seen), EVERY, "never less often than the user says");
        assert!(seen.len() - until(240) <= 601, "{} in the last minute", seen.len() - until(240));
    }

    #[tokio::test(start_paused = true)]
    async fn what_answers_is_asked_as_often_as_the_user_says() {
        let seen = looks(EVERY, &Turns::default(), false, Duration::from_secs(10)).await;
        assert_eq!(seen.len(), 100);
        let minute = Duration::from_mins(1);
        let seen = looks(minute, &Turns::default(), true, minute).await;
        assert!(seen.len() <= 101, "one that is to be asked seldom: {}", seen.len());
    }

    #[tokio::test(start_paused = true)]
    async fn many_share_their_turns_and_each_has_its_own() {
        let turns = Turns::default();
        let all = (0..100).map(|_| looks(EVERY, &turns, true, Duration::from_secs(10)));
        let all = futures_util::future::join_all(all).await;
        let n: usize = all.iter().map(Vec::len).sum();
        assert!(n <= 5001, "{n} in 10 s");
        for seen in all {
            assert!(widest(&seen) <= Duration::from_millis(210), "{:?}", widest(&seen));
        }
    }
}
