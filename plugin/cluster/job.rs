//! A job's current version, as far as a condition asks for it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{JobKey, JobVersion, Marks, RaftIndex};

/// A registered job in its current version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its namespace and ID.
    pub key: JobKey,
    /// Which scheduler runs it.
    pub kind: JobType,
    /// The current version.
    pub version: JobVersion,
    /// When this job was first registered since it was last purged. Tells a purged and registered job from its
    /// predecessor of the same version number.
    pub create_index: RaftIndex,
    /// The last write to the job, also of its status.
    pub modify_index: RaftIndex,
    /// The last write that changed its specification.
    pub job_modify_index: RaftIndex,
    /// Whether a user stopped it. It is then still registered.
    pub is_stopped: bool,
    /// Whether it only launches children by the clock.
    pub is_periodic: bool,
    /// Whether it only launches children when it is dispatched.
    pub is_parameterized: bool,
    /// The keys of the meta that may be given when it is dispatched.
    pub dispatch_meta: Vec<String>,
    /// Its meta, without those marks.
    pub meta: BTreeMap<String, String>,
    /// The marks of the tree that submitted it; `None` if none did.
    pub marks: Option<Box<Marks>>,
    /// Its groups by name.
    pub groups: BTreeMap<String, Group>,
}

/// Nomad's job types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobType {
    /// Long-running, placed anywhere.
    Service,
    /// Runs to its end, placed anywhere.
    Batch,
    /// Long-running, once on every fitting client.
    System,
    /// Runs to its end, once on every fitting client.
    Sysbatch,
}

/// A group of tasks that are placed together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many allocations of it are wanted. Nomad ignores it for system and sysbatch jobs.
    pub count: u32,
    /// Its tasks by name.
    pub tasks: BTreeMap<String, TaskSpec>,
    /// How a new version replaces the old one; `None` where Nomad makes no deployment.
    pub update: Option<UpdatePolicy>,
    /// Whether any service of it has a check with which Nomad judges health.
    pub has_checks: bool,
}

/// One task of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpec {
    /// `None` for a main task.
    pub lifecycle: Option<Lifecycle>,
    /// Whether a service of the group or of the task, with a check of Nomad's own provider, names this task.
    pub has_nomad_checks: bool,
}

impl TaskSpec {
    /// Whether it is one of the tasks the group exists for, and not one around them.
    pub fn is_main(&self) -> bool {
        self.lifecycle.is_none()
    }
}

/// Where in an allocation's life a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifecycle {
    /// The moment it starts.
    pub hook: LifecycleHook,
    /// Whether it keeps running beside the main tasks, which then do not wait for its end.
    pub is_sidecar: bool,
}

/// The moments Nomad knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleHook {
    /// Before the main tasks.
    Prestart,
    /// After the main tasks have started.
    Poststart,
    /// After the main tasks have ended.
    Poststop,
}

/// What of a group's `update` block matters to someone who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpdatePolicy {
    /// How long an allocation may take to become healthy before it counts as unhealthy for good.
    pub healthy_deadline: Duration,
    /// How long a deployment may go without progress before it fails; zero means it fails at the first unhealthy
    /// allocation.
    pub progress_deadline: Duration,
    /// Whether Nomad goes back to the last stable version when the deployment fails.
    pub auto_revert: bool,
}
