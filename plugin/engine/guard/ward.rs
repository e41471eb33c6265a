//! One wait that a guard watches.
//!
//! ```text
//!            holds                     seen to be lost for `grace`, answered
//!   Fresh ──────────▶ Held ─────────────────────────────────────────────────▶ Answered
//!                      ▲                                                         │
//!                      └──────────────────────── holds again ────────────────────┘
//! ```
//!
//! What cannot be seen is neither: the clock of a loss stops then, and begins anew.

use std::time::Duration;

use super::memory::Mark;
use crate::{
    condition::Truth,
    engine::{Time, time::Spoken},
    manifest::{Guard as Terms, Wait},
};

/// How it looks now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It cannot be seen: why.
    Unseen(String),
    /// It is so: in what way.
    Holds(String),
    /// It is seen not to be so: why.
    Lacks(String),
}

/// Something that changed, for the log and perhaps for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It holds, for the first time or again after less than the grace.
    Holds,
    /// It holds again after a loss that was told.
    Regained(Time),
    /// It is lost, and grace is given; or it is not there yet.
    Lacks,
    /// It cannot be seen any more.
    Unseen,
}

/// A wait with what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Ward {
    pub(super) look: Look,
    /// Since when it looks like this, details aside.
    pub(super) since: Time,
    /// Whether its job was there at any time since the run began.
    pub(super) was_seen: bool,
    /// Since when it is seen to be lost, without a break; only of what was held.
    pub(super) lost_since: Option<Time>,
    /// Since when the loss lasts that was told.
    pub(super) told: Option<Time>,
    /// Since when it is so again after a loss, without a break, while that is not long enough to count.
    back_since: Option<Time>,
}

impl Ward {
    pub(super) fn new(now: Time) -> Self {
        let look = Look::Unseen("not looked at yet".to_owned());
        Self { look, since: now, was_seen: false, lost_since: None, told: None, back_since: None }
    }

    /// Brings it up to date; `mark` changes only to [`Mark::Held`] here.
    pub(super) fn see(&mut self, now: Time, look: Look, mark: &mut Mark) -> Option<Turn> {
        let has_turned = std::mem::discriminant(&look) != std::mem::discriminant(&self.look);
        let is_news = look != self.look;
        if has_turned {
            self.since = now;
        }
        self.look = look;
        match &self.look {
            Look::Unseen(_) => {
                self.lost_since = None;
                is_news.then_some(Turn::Unseen)
            }
            Look::Holds(_) => {
                self.lost_since = None;
                let was = std::mem::replace(mark, Mark::Held);
                match (self.told.take(), was) {
                    (Some(since), _) => Some(Turn::Regained(since)),
                    // It was told by the process before.
                    (None, Mark::Answered) => Some(Turn::Regained(now)),
                    (None, Mark::Fresh | Mark::Held) => has_turned.then_some(Turn::Holds),
                }
            }
            Look::Lacks(_) => {
                if *mark == Mark::Held {
                    self.lost_since.get_or_insert(now);
                }
                is_news.then_some(Turn::Lacks)
            }
        }
    }

    /// How it looks when it is so: what was lost is back only when it has been so for `stable_for`.
    pub(super) fn steady(&mut self, now: Time, stable_for: Duration, mark: Mark, how: String) -> Look {
        if mark != Mark::Answered || stable_for.is_zero() {
            self.back_since = None;
            return Look::Holds(how);
        }
        let since = *self.back_since.get_or_insert(now);
        if since + stable_for <= now {
            self.back_since = None;
            Look::Holds(how)
        } else {
            Look::Lacks(format!("{how}, not for {} without a break yet", Spoken(stable_for)))
        }
    }

    /// It is not so, or cannot be seen: what was so until now was not for long enough.
    pub(super) fn interrupt(&mut self) {
        self.back_since = None;
    }

    /// When it has been back for long enough.
    pub(super) fn steady_at(&self, stable_for: Duration) -> Option<Time> {
        Some(self.back_since? + stable_for)
    }

    /// How it stands for an expression that names it.
    pub(super) fn truth(&self) -> Truth {
        match self.look {
            Look::Unseen(_) => Truth::Unknown,
            Look::Holds(_) => Truth::Holds,
            Look::Lacks(_) => Truth::Fails,
        }
    }

    /// When the loss has lasted for its grace, if it is one that nothing was done about.
    pub(super) fn due(&self, terms: &Terms, mark: Mark) -> Option<Time> {
        let since = self.lost_since.filter(|_| mark == Mark::Held)?;
        Some(since + terms.grace)
    }

    /// How it stands, in a word.
    pub(super) fn word(&self, mark: Mark) -> &'static str {
        match (&self.look, mark) {
            (Look::Unseen(_), _) => "unseen",
            (Look::Holds(_), _) => "held",
            (Look::Lacks(_), Mark::Fresh) => "awaited",
            (Look::Lacks(_), Mark::Held | Mark::Answered) => "lost",
        }
    }

    /// What is seen, or why nothing is.
    pub(super) fn detail(&self) -> &str {
        match &self.look {
            Look::Unseen(text) | Look::Holds(text) | Look::Lacks(text) => text,
        }
    }
}

/// What a guard's wait says is to be done. The reader of the manifest sees to it that each has it.
pub(super) fn terms(wait: &Wait) -> Option<&Terms> {
    wait.guard.as_ref()
}
