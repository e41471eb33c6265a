//! Carries out a plan: `step(now, event) → actions`.
//!
//! ```text
//!   Started, Seen, Acted, Stopped, Tick, … ──▶ step ──▶ Announce, Remember, Act, … Finish (once)
//!                                               │
//!                            next_timeout ◀─────┘  when to come back if nothing happens
//! ```
//!
//! A **gate** waits, and writes nothing. A **guard** watches, acts upon its own allocation, and hands out what it must
//! not forget as [`Keepsake`]. A **tree** submits jobs and runs hooks; what it must not forget it hands out as [`Entry`],
//! and whoever takes the lead next begins with the entries of the one before.
//!
//! # Invariants
//!
//! * A gate opens only while every step is satisfied, all at the same instant, on what is seen at that instant: what
//!   cannot be seen any more is not satisfied. A tree ends well only then, too.
//! * A tree remembers that it will act before it acts, and what came of it before it acts upon that.
//! * A guard acts only upon what it has seen to be lost, and never more often than it may.
//! * [`Action::Finish`] is returned exactly once, and nothing after it.
//! * The same events at the same times give the same actions.

mod announce;
mod circle;
mod event;
mod gate;
mod guard;
mod node;
mod scene;
mod status;
mod time;
mod tree;

use std::collections::BTreeMap;

pub use self::{
    event::{Act, Action, Event, Holder, Kept, Lead, Line, Notice, Outcome, Report, Submission, Trouble},
    guard::{Deed, Keepsake, Mark},
    node::NodeState,
    status::{NodeStatus, Status},
    time::Time,
    tree::{Approved, Cause, Doomed, Due, Ended, Entry, HookOutcome, Memory, Stopped, Submitted, Try},
};
use self::{gate::Gate, guard::Guard, tree::Tree};
use crate::{
    cluster::{Place, TreeName},
    plan::Plan,
};
pub(crate) use time::Spoken;

/// The instant at which each step's time is over, for a run that begins at `began`.
///
/// Made once, when the task starts, and kept in the task's handle: a recovered run has the same instants.
pub fn deadlines(plan: &Plan, began: Time) -> BTreeMap<String, Time> {
    plan.manifest().waits.iter().map(|(name, wait)| (name.clone(), began + wait.timeout)).collect()
}

/// One run.
#[derive(Clone, Debug)]
pub struct Engine(Run);

#[derive(Clone, Debug)]
enum Run {
    Gate(Box<Gate>),
    Guard(Box<Guard>),
    Tree(Box<Tree>),
}

impl Engine {
    /// A gate that begins, or goes on, at `now`. Steps that `deadlines` does not name are over at once.
    pub fn gate(plan: Plan, place: Place, deadlines: &BTreeMap<String, Time>, now: Time) -> Self {
        Self(Run::Gate(Box::new(Gate::new(plan, place, deadlines, now))))
    }

    /// The same gate, for which users have approved this before.
    #[must_use]
    pub fn with_approvals(mut self, approved: BTreeMap<String, Approved>) -> Self {
        if let Run::Gate(gate) = &mut self.0 {
            gate.recall(approved);
        }
        self
    }

    /// A guard that begins, or goes on, at `now` with what it remembers. The error says why that cannot be had: then it
    /// only reports.
    pub fn guard(plan: Plan, place: Place, memory: Result<Keepsake, String>, now: Time) -> Self {
        Self(Run::Guard(Box::new(Guard::new(plan, place, memory, now))))
    }

    /// The run of tree `name` that begins at `now`, or goes on: what it remembers comes with the lead.
    pub fn tree(plan: Plan, place: Place, name: TreeName, now: Time) -> Self {
        Self(Run::Tree(Box::new(Tree::new(plan, place, name, now))))
    }

    /// Takes an event in, at `now`, and says what is to be done about it.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Action> {
        match &mut self.0 {
            Run::Gate(gate) => gate.step(now, event),
            Run::Guard(guard) => guard.step(now, event),
            Run::Tree(tree) => tree.step(now, event),
        }
    }

    /// When [`Event::Tick`] is due if nothing else happens before.
    pub fn next_timeout(&self) -> Option<Time> {
        match &self.0 {
            Run::Gate(gate) => gate.next_timeout(),
            Run::Guard(guard) => guard.next_timeout(),
            Run::Tree(tree) => tree.next_timeout(),
        }
    }

    /// The waits that a user can approve now: those for an approval whose turn it is.
    pub fn approvals(&self) -> Vec<String> {
        match &self.0 {
            Run::Gate(gate) => gate.approvals(),
            // What must stay so is approved by nobody.
            Run::Guard(_) => Vec::new(),
            Run::Tree(tree) => tree.approvals(),
        }
    }

    /// Whether it is a gate, which a user may open by hand.
    pub fn is_gate(&self) -> bool {
        matches!(self.0, Run::Gate(_))
    }

    /// Whether the first look at anything that a gate waits for is still under way.
    pub fn is_looking(&self) -> bool {
        match &self.0 {
            Run::Gate(gate) => gate.is_looking(),
            Run::Guard(_) | Run::Tree(_) => false,
        }
    }

    /// What the run said at its end, if it is over.
    pub fn said_at_end(&self) -> Option<&str> {
        match &self.0 {
            Run::Gate(gate) => gate.said_at_end(),
            Run::Guard(guard) => guard.said_at_end(),
            Run::Tree(tree) => tree.said_at_end(),
        }
    }

    /// Whether the run is over.
    pub fn has_ended(&self) -> bool {
        self.said_at_end().is_some()
    }

    /// How the run stands at `now`. It takes a look at each node.
    pub fn status(&self, now: Time) -> Status {
        match &self.0 {
            Run::Gate(gate) => gate.status(now),
            Run::Guard(guard) => guard.status(now),
            Run::Tree(tree) => tree.status(now),
        }
    }
}

/// A task, as users name it: `job/group/task`.
fn spoken_task(place: &Place) -> String {
    format!("{}/{}/{}", place.job.job, place.group, place.task)
}

#[cfg(test)]
mod tests;
