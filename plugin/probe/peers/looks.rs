//! When to look at a socket: closely as long as nothing listens there, so that it is seen soon after it begins to, and less
//! closely the longer that lasts and the more look.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::crowd::{Crowd, Number};
use crate::timer::sleep_until;

/// What the looks of all questions share.
#[derive(Debug, Default)]
pub(in crate::probe) struct Turns(Mutex<Crowd>);

impl Turns {
    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        // Each change is a single insertion, removal or assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When one question is asked.
pub(super) struct Looks<'a> {
    every: Duration,
    turns: &'a Turns,
    number: Number,
    began: Instant,
    due: Instant,
}

impl<'a> Looks<'a> {
    /// At once, and then as often as `every` and all others let it.
    pub(super) fn new(every: Duration, turns: &'a Turns) -> Self {
        let now = Instant::now();
        Self { every, turns, number: turns.crowd().join(now), began: now, due: now }
    }

    /// Until it is time to look.
    pub(super) async fn next(&mut self) {
        sleep_until(self.due).await;
        let now = Instant::now();
        let turn = self.turns.crowd().take_turn(self.number, now);
        sleep_until(turn).await;
        self.began = Instant::now();
    }

    /// What came of the look: whether the host refused the connection, and whether that was told before.
    pub(super) fn looked(&mut self, is_refused: bool, is_news: bool) {
        let mut crowd = self.turns.crowd();
        if is_news {
            crowd.was_told_news(self.number, self.began);
        }
        self.due = crowd.due(self.number, self.began, self.every, is_refused).max(Instant::now());
    }
}

impl Drop for Looks<'_> {
    fn drop(&mut self) {
        self.turns.crowd().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    /// How often a question is asked within `time`, as long as the answer is the same.
    async fn looks(turns: &Turns, is_refused: bool, time: Duration) -> usize {
        let began = Instant::now();
        let mut looks = Looks::new(EVERY, turns);
        let mut n = 0;
        loop {
            looks.next().await;
            if began.elapsed() >= time {
                return n;
            }
            n += 1;
            looks.looked(is_refused, n == 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_share_their_turns_and_who_looks_no_more_counts_no_more() {
        let turns = Turns::default();
        let time = Duration::from_secs(10);
        let all = (0..100).map(|_| looks(&turns, true, time));
        let n: usize = futures_util::future::join_all(all).await.into_iter().sum();
        assert!((4000..=5001).contains(&n), "{n} in 10 s");
        let alone = looks(&turns, true, time).await;
        assert!((1500..=3500).contains(&alone), "{alone} in 10 s, after the others");
        assert_eq!(looks(&turns, false, time).await, 100);
    }
}
