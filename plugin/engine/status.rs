//! A run at one instant, for whoever asks: plain data for `show/`.

use super::Time;
use crate::cluster::RunId;

/// How a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The instant it is about.
    pub now: Time,
    /// When the run began in this process.
    pub began: Time,
    /// The run of a tree, once its jobspecs are prepared; `None` for a gate or a guard.
    pub run: Option<RunId>,
    /// The task, as users name it: `job/group/task`.
    pub task: String,
    /// Its allocation.
    pub alloc: String,
    /// The steps, each after all that it depends on.
    pub nodes: Box<[NodeStatus]>,
    /// What the user should know beyond the steps.
    pub notes: Vec<String>,
    /// How it ended, if it did.
    pub ending: Option<String>,
}

/// How a step stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// What is awaited: `job default/postgres until healthy`.
    pub wanted: String,
    /// blocked, gated, satisfied or failed.
    pub state: &'static str,
    /// What is in the way, or in what way it is satisfied.
    pub detail: String,
    /// What is seen of it beyond that: deployment, allocations with their tasks and checks, what keeps Nomad from more.
    pub seen: Vec<String>,
    /// Since when it has been in this state.
    pub since: Time,
    /// When its time is over; `None` once that does not matter.
    pub gives_up: Option<Time>,
    /// What happens then: fail or continue.
    pub on_timeout: &'static str,
    /// The steps it depends on.
    pub depends_on: Vec<String>,
    /// What the user can do about it.
    pub hint: Option<String>,
}
