//! A job's current version, as far as a condition asks for it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Allocation, Gate, JobKey, JobVersion, Marks, RaftIndex, TaskPhase, TaskState};

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
    /// Its gates that wait for other jobs.
    pub gates: Vec<Gate>,
    /// Its groups by name.
    pub groups: BTreeMap<String, Group>,
}

impl Job {
    /// Whether every main task of the allocation runs.
    pub fn main_tasks_run(&self, allocation: &Allocation) -> bool {
        self.main_tasks(allocation)
            .is_some_and(|mut tasks| tasks.all(|task| task.is_some_and(|it| it.phase == TaskPhase::Running)))
    }

    /// In which second one of the allocation's main tasks was last started again.
    pub fn restarted_in(&self, allocation: &Allocation) -> Option<i64> {
        allocation.restarted_in(self.groups.get(&allocation.group)?.main_tasks())
    }

    /// The states of the allocation's main tasks, in the order of their names; `None` for each that was not reported
    /// on. `None` at all where the job has no such group.
    pub fn main_tasks<'a>(
        &'a self,
        allocation: &'a Allocation,
    ) -> Option<impl Iterator<Item = Option<&'a TaskState>>> {
        let group = self.groups.get(&allocation.group)?;
        Some(group.main_tasks().map(|name| allocation.tasks.get(name)))
    }
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
    /// How many of these are of Nomad's own provider, and can be asked of the allocation's client.
    pub own_checks: u32,
    /// Whether some of them are not, and so are not to be seen.
    pub has_other_checks: bool,
    /// How often its checks of Nomad's own provider are run, by their names.
    pub check_intervals: BTreeMap<String, Duration>,
}

impl Group {
    /// The names of its main tasks, in order.
    pub fn main_tasks(&self) -> impl Iterator<Item = &String> {
        self.tasks.iter().filter(|(_, task)| task.is_main()).map(|(name, _)| name)
    }

    /// How long an allocation must be well before it is healthy: Nomad's default where there is no deployment.
    pub fn min_healthy_time(&self) -> Duration {
        self.update.map_or(UpdatePolicy::MIN_HEALTHY_TIME, |update| update.min_healthy_time)
    }
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
    /// How long an allocation must be well before it is healthy.
    pub min_healthy_time: Duration,
    /// How long an allocation may take to become healthy before it counts as unhealthy for good.
    pub healthy_deadline: Duration,
    /// How long a deployment may go without progress before it fails; zero means it fails at the first unhealthy
    /// allocation.
    pub progress_deadline: Duration,
    /// Whether Nomad goes back to the last stable version when the deployment fails.
    pub auto_revert: bool,
}

impl UpdatePolicy {
    /// How long an allocation must be well where the job does not say.
    pub const MIN_HEALTHY_TIME: Duration = Duration::from_secs(10);
}
