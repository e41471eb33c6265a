//! What a view shows of one job at this moment.

use std::collections::BTreeMap;

use super::{
    AllocId, AllocStatus, Allocation, Deployment, DeploymentId, EvalId, Evaluation, Job, JobId, JobType,
    LiveChecks,
};

/// What is known of a job: nothing, that there is none, or this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing can be said at the moment. What was known before no longer counts.
    Unseen(Unseen),
    /// Nomad was asked, was allowed to answer, and has no such job.
    Absent {
        /// A job of the same namespace whose ID is nearly the same.
        similar: Option<JobId>,
    },
    /// The job, with all that belongs to it.
    Present(Box<JobSight>),
}

/// Why nothing can be said about a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// What kind of obstacle it is.
    pub because: Blindness,
    /// The obstacle in one sentence, for the user.
    pub why: String,
    /// What the user can do about it, if anything.
    pub hint: Option<String>,
}

/// The kinds of obstacles between dtree and Nomad's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blindness {
    /// The first look is still under way.
    Looking,
    /// Nomad does not answer, or answers nonsense.
    Unreachable,
    /// Nomad answers that the task may not look.
    Denied,
}

/// A job and everything that tells how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSight {
    /// The job in its current version.
    pub job: Job,
    /// Its deployments, of all versions that Nomad still keeps.
    pub deployments: BTreeMap<DeploymentId, Deployment>,
    /// Its allocations, of all versions that Nomad still keeps.
    pub allocations: BTreeMap<AllocId, Allocation>,
    /// Its evaluations that Nomad still keeps.
    pub evaluations: BTreeMap<EvalId, Evaluation>,
    /// What the checks of its allocations say now, where somebody waits for them: [`JobSight::asks_checks_of`].
    pub live: BTreeMap<AllocId, LiveChecks>,
}

impl JobSight {
    /// A job of which nothing else is known yet.
    pub fn new(job: Job) -> Self {
        Self {
            job,
            deployments: BTreeMap::new(),
            allocations: BTreeMap::new(),
            evaluations: BTreeMap::new(),
            live: BTreeMap::new(),
        }
    }

    /// The deployment of the job's current version, if Nomad made one.
    pub fn current_deployment(&self) -> Option<&Deployment> {
        self.deployments
            .values()
            .filter(|deployment| {
                deployment.job_version == self.job.version
                    && deployment.job_create_index == self.job.create_index
            })
            .max_by_key(|deployment| deployment.modify_index)
    }

    /// Whether the allocation is this job's and not that of a purged one with the same ID.
    ///
    /// Ended allocations of a purged job stay for a while, and its versions begin at 0 again when it is registered
    /// anew: an allocation older than the job is never its own.
    pub fn is_own(&self, allocation: &Allocation) -> bool {
        allocation.create_index > self.job.create_index
    }

    /// Whether the allocation runs the job's current version.
    pub fn is_of_current_version(&self, allocation: &Allocation) -> bool {
        allocation.job_version == Some(self.job.version) && self.is_own(allocation)
    }

    /// Whether the checks of the allocation can tell of its health: it runs the job's current version, is wanted, its
    /// main tasks run, and its group has checks of Nomad's own provider.
    pub fn asks_checks_of(&self, allocation: &Allocation) -> bool {
        !self.job.is_stopped
            && matches!(self.job.kind, JobType::Service | JobType::System)
            && allocation.is_wanted
            && allocation.status == AllocStatus::Running
            && self.is_of_current_version(allocation)
            && self.job.groups.get(&allocation.group).is_some_and(|group| group.own_checks > 0)
            && self.job.main_tasks_run(allocation)
    }
}
