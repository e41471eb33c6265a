//! Which changes become task events.
//!
//! Nomad keeps ten events of a task, of which its own take up to five. A gate that told every change would push
//! `Started` and the reason of its last end out of sight. So a run tells its first state, then at growing distances
//! what has changed since, five in all, and its end.

use std::time::Duration;

use super::Time;

/// How long after the previous event the next one may come. As many as may come before the end.
const DISTANCES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(3),
    Duration::from_mins(15),
];
/// How long the first event waits for the first look at Nomad.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// What was told, and when the next may be.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    began: Time,
    told: usize,
    last: Option<(Time, String)>,
}

impl Announcer {
    pub(super) fn new(now: Time) -> Self {
        Self { began: now, told: 0, last: None }
    }

    /// The instant at which `topic` may be told, or `None` if it never will be: it is what was told last, or all
    /// events are spent.
    pub(super) fn due(&self, topic: &str, is_looking: bool) -> Option<Time> {
        let distance = *DISTANCES.get(self.told)?;
        match &self.last {
            None if is_looking => Some(self.began + FIRST_LOOK),
            None => Some(self.began),
            Some((_, told)) if told == topic => None,
            Some((at, _)) => Some(*at + distance),
        }
    }

    /// Whether nothing was told yet.
    pub(super) fn is_first(&self) -> bool {
        self.told == 0
    }

    /// Notes that `topic` was told.
    pub(super) fn tell(&mut self, now: Time, topic: String) {
        self.told += 1;
        self.last = Some((now, topic));
    }
}
