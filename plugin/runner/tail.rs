//! The end of what a task has written, once all of it is there.
//!
//! Nomad shows that a task has ended before its log process, which writes down ten times a second what it was told, has
//! written down the last of it. On a busy machine that comes later still.

use std::time::Duration;

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::acts::read_trouble;
use crate::{
    cluster::{AllocId, Namespace},
    engine::Trouble,
    nomad::{Client, LogStream},
};

/// How much of an output is read, in bytes of each stream.
const TAIL: u64 = 4 << 10;
/// How many lines of it are told.
const TAIL_LINES: usize = 20;
/// Between two readings: more than passes between two writings of Nomad's log process.
const PAUSE: Duration = Duration::from_millis(150);
/// For how long what a failed task said last may still come.
const LATE: Duration = Duration::from_secs(1);

/// The output of a task.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) client: &'a Client,
    pub(super) namespace: &'a Namespace,
    pub(super) alloc: &'a AllocId,
    pub(super) task: &'a str,
}

impl Output<'_> {
    /// The end of it, once all of it is there, of a task that has ended. Each reading takes a place, where these are few.
    pub(super) async fn end(&self, has_failed: bool, places: Option<&Semaphore>) -> Result<String, Trouble> {
        let began = Instant::now();
        let mut before = None;
        loop {
            let since = began.elapsed();
            let text = {
                let _place = match places {
                    Some(places) => places.acquire().await.ok(),
                    None => None,
                };
                self.now().await?
            };
            if is_whole(has_failed, before.as_deref(), &text, since) {
                return Ok(text);
            }
            before = Some(text);
            sleep(PAUSE).await;
        }
    }

    /// What is there at this moment.
    async fn now(&self) -> Result<String, Trouble> {
        let mut text = String::new();
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let tail = self.client.log_tail(self.alloc, self.namespace, self.task, stream, TAIL).await;
            text.push_str(&tail.map_err(|error| read_trouble(&error))?);
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
        }
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        Ok(last.join("\n"))
    }
}

/// Whether what was read so long after the first reading is all; `before` was read before it.
fn is_whole(has_failed: bool, before: Option<&str>, text: &str, since: Duration) -> bool {
    if !has_failed {
        // What went well is told in the log only, and nobody shall wait for whoever says nothing.
        return !text.is_empty() || before.is_some();
    }
    since >= LATE || (!text.is_empty() && before == Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How an output is read that grows so, by milliseconds since the end: what is told, and when.
    fn told(has_failed: bool, output: &[(u64, &str)]) -> (String, u64) {
        let mut before: Option<String> = None;
        let pause = u64::try_from(PAUSE.as_millis()).unwrap();
        for now in (0..).step_by(usize::try_from(pause).unwrap()) {
            let there = output.iter().filter(|(at, _)| *at <= now).map(|(_, line)| *line);
            let text = there.collect::<Vec<_>>().join(" / ");
            if is_whole(has_failed, before.as_deref(), &text, Duration::from_millis(now)) {
                return (text, now);
            }
            before = Some(text);
        }
        unreachable!("it ends")
    }

    #[test]
    fn the_last_words_of_a_failure_are_waited_for() {
        let words = |text: &str, at| (text.to_owned(), at);
        assert_eq!(told(true, &[(0, "a")]), words("a", 150));
        assert_eq!(told(true, &[(90, "a")]), words("a", 300));
        assert_eq!(told(true, &[(0, "a"), (90, "b")]), words("a / b", 300));
        assert_eq!(told(true, &[(800, "a")]), words("a", 1050));
        assert_eq!(told(true, &[]), words("", 1050), "without a word it is told soon, too");
    }

    #[test]
    fn what_went_well_is_asked_once_more_when_it_has_said_nothing() {
        let words = |text: &str, at| (text.to_owned(), at);
        assert_eq!(told(false, &[(0, "a"), (90, "b")]), words("a", 0));
        assert_eq!(told(false, &[(90, "a")]), words("a", 150));
        assert_eq!(told(false, &[]), words("", 150));
    }
}
