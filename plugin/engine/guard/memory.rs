//! What a guard must not forget, small enough to be written anew each time.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::engine::Time;

/// How a wait stands between the guard and its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It has not held yet since the task was started: nothing can be lost.
    #[default]
    Fresh,
    /// It held when it was last seen for long enough.
    Held,
    /// It was lost, and that was answered. Nothing more is done before it holds again.
    Answered,
}

/// What a guard must not forget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keepsake {
    /// The waits by name. One that is not among them is fresh.
    pub(super) waits: BTreeMap<String, Mark>,
    /// When the task acted, the oldest first.
    pub(super) acts: Vec<Time>,
}

impl Keepsake {
    /// What counts of it for a task that Nomad has started anew: what holds its group back is its gate, so nothing is
    /// held. That it has acted counts, because what it did may be why it was started anew.
    #[must_use]
    pub fn started_anew(mut self) -> Self {
        self.waits.retain(|_, mark| *mark == Mark::Answered);
        self
    }

    /// Until when there may be no other act if there may be `most` in `period`; `None`: there may be one now.
    pub(super) fn damped(&self, now: Time, most: u32, period: Duration) -> Option<Time> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        // Where the wall clock was put back, an act to come is as good as one just done.
        let recent: Vec<Time> = self.acts.iter().copied().filter(|at| now.since(*at) < period).collect();
        let over = recent.len().checked_sub(most)?;
        recent.get(over).map(|at| *at + period)
    }

    /// Notes an act, and forgets those that no period reaches back to.
    pub(super) fn act(&mut self, now: Time, longest: Duration) {
        self.acts.retain(|at| now.since(*at) < longest);
        self.acts.push(now);
        self.acts.sort_unstable();
    }
}
