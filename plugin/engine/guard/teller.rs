//! Which of a guard's news become task events.
//!
//! Nomad keeps ten events of a task. What comes and goes all the time would push everything else out of sight, so there
//! are a few in some minutes; the log has all.

use std::time::Duration;

use crate::engine::{Action, Spoken, Time};

/// How many events there may be in [`WINDOW`].
const MOST: usize = 5;
const WINDOW: Duration = Duration::from_mins(10);

/// When something was told.
#[derive(Clone, Debug, Default)]
pub(super) struct Teller(Vec<Time>);

impl Teller {
    /// Tells `message` in the log and in an event, however many there were: what is done is done rarely enough.
    pub(super) fn insist(message: String) -> Vec<Action> {
        vec![Action::Log(message.clone().into()), Action::Announce(message)]
    }

    /// Tells `message` in the log, and in an event if there may be one.
    pub(super) fn tell(&mut self, now: Time, message: String) -> Vec<Action> {
        self.0.retain(|at| now.since(*at) < WINDOW);
        let log = Action::Log(message.clone().into());
        match (self.0.first(), MOST.checked_sub(self.0.len() + 1)) {
            (_, None) => vec![log],
            (Some(first), Some(0)) => {
                let left = Spoken((*first + WINDOW).since(now));
                self.0.push(now);
                let event = format!("{message} · more comes and goes: for {left} only the task's log tells");
                vec![log, Action::Announce(event)]
            }
            (_, Some(_)) => {
                self.0.push(now);
                vec![log, Action::Announce(message)]
            }
        }
    }
}
