//! One placed instance of a group, and the states of its tasks.

use std::collections::BTreeMap;

use super::{AllocId, ClientId, DeploymentId, JobVersion, RaftIndex};

/// An allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Its ID.
    pub id: AllocId,
    /// `job.group[index]`: a replacement has the name of the one it replaces.
    pub name: String,
    /// Its group.
    pub group: String,
    /// The client it is on.
    pub client: ClientId,
    /// The version of the job it runs. `None` while only the event stream has shown it, which leaves the version
    /// out: such an allocation counts for nothing yet.
    pub job_version: Option<JobVersion>,
    /// Whether the scheduler wants it to run (`DesiredStatus` is `run`).
    pub is_wanted: bool,
    /// What its client says.
    pub status: AllocStatus,
    /// What its client says in words, perhaps nothing.
    pub description: String,
    /// The deployment it is part of. `None` also where only a list has shown it: lists leave it out.
    pub deployment: Option<DeploymentId>,
    /// Nomad's verdict on its health. Given once and never taken back.
    pub is_healthy: Option<bool>,
    /// When that verdict was given, in microseconds of the Unix epoch by the client's clock; `None` where that is not known.
    pub judged: Option<i64>,
    /// The allocation that replaced it.
    pub next: Option<AllocId>,
    /// Its tasks' states by name. Empty until the client has reported.
    pub tasks: BTreeMap<String, TaskState>,
    /// When it was made.
    pub create_index: RaftIndex,
    /// The last write to it by client or server.
    pub modify_index: RaftIndex,
    /// The last write to it by a server, or a later position where only a list has shown it. An event in which this
    /// is no greater means: still the same job version.
    pub alloc_modify_index: RaftIndex,
}

impl Allocation {
    /// In which second one of these tasks was last started again: [`TaskState::restarted_in`].
    pub fn restarted_in<'a>(&self, tasks: impl IntoIterator<Item = &'a String>) -> Option<i64> {
        let states = tasks.into_iter().filter_map(|task| self.tasks.get(task));
        states.filter_map(TaskState::restarted_in).max()
    }
}

/// Nomad's words for an allocation's `ClientStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllocStatus {
    /// Not started, or between its prestart and its main tasks.
    Pending,
    /// Some task runs: perhaps only a prestart task.
    Running,
    /// All tasks ended well.
    Complete,
    /// Some task failed for good.
    Failed,
    /// Its client is gone.
    Lost,
    /// Its client is out of reach, but may come back.
    Unknown,
}

impl AllocStatus {
    /// Whether none of its tasks will run again.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Complete | Self::Failed | Self::Lost => true,
            Self::Pending | Self::Running | Self::Unknown => false,
        }
    }
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskState {
    /// Nomad's word for it.
    pub phase: TaskPhase,
    /// Whether it failed; only final once it is dead.
    pub has_failed: bool,
    /// The exit code of its last end, if it has ended and left one.
    pub exit_code: Option<i32>,
    /// How often Nomad has started it again.
    pub restarts: u64,
    /// When its client started it last, in microseconds of the Unix epoch by the client's clock; `None` before it has.
    pub started: Option<i64>,
    /// The last of Nomad's events for it, in Nomad's words; empty if there is none.
    pub last_event: String,
}

impl TaskState {
    /// In which second of the Unix epoch it was last started *again*; `None` if it was never.
    pub fn restarted_in(&self) -> Option<i64> {
        self.started.filter(|_| self.restarts > 0).map(|started| started.div_euclid(1_000_000))
    }
}

/// Nomad's words for a task's `State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskPhase {
    /// Not started, or between two starts.
    Pending,
    /// Runs.
    Running,
    /// Ended for good.
    Dead,
}

/// The last result of one of Nomad's own checks on an allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The check's name.
    pub name: String,
    /// The service it belongs to.
    pub service: String,
    /// The task its service names; empty for a service of the whole group.
    pub task: String,
    /// The last result.
    pub status: CheckStatus,
    /// What the check answered, first line.
    pub output: String,
    /// When its client began to ask, in seconds of the Unix epoch.
    pub at: i64,
}

impl Check {
    /// The result as it counts for tasks that were last started again in the second `restarted`: what passed up to then, or in
    /// that second, has still to pass.
    pub fn status_since(&self, restarted: Option<i64>) -> CheckStatus {
        let is_old = restarted.is_some_and(|second| self.at <= second);
        if is_old && self.status == CheckStatus::Success { CheckStatus::Pending } else { self.status }
    }
}

/// Nomad's words for a check's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStatus {
    /// It passed.
    Success,
    /// It did not pass.
    Failure,
    /// Not run yet.
    Pending,
}
