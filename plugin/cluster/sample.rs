//! Sights for tests, told in few words.
//!
//! The jobs have one group `web` (or `work` for what ends) with a gate task `gate` before a main task `main`.

use std::{collections::BTreeMap, time::Duration};

use super::*;

/// A job of `kind` with `count` wanted allocations: version 3, registered at index 100.
pub(crate) fn job(id: &str, kind: JobType, count: u32) -> JobSight {
    let main = TaskSpec { lifecycle: None, has_nomad_checks: false };
    let prestart = Lifecycle { hook: LifecycleHook::Prestart, is_sidecar: false };
    let gate = TaskSpec { lifecycle: Some(prestart), has_nomad_checks: false };
    let runs_on = matches!(kind, JobType::Service | JobType::System);
    let group = Group {
        count,
        tasks: [("gate".to_owned(), gate), ("main".to_owned(), main)].into(),
        update: runs_on.then_some(UpdatePolicy {
            min_healthy_time: Duration::from_secs(10),
            healthy_deadline: Duration::from_mins(5),
            progress_deadline: Duration::from_mins(10),
            auto_revert: false,
        }),
        has_checks: runs_on,
        own_checks: 0,
        has_other_checks: runs_on,
        check_intervals: [].into(),
    };
    JobSight::new(Job {
        key: JobKey::new("default", id),
        kind,
        version: JobVersion(3),
        create_index: RaftIndex(100),
        modify_index: RaftIndex(110),
        job_modify_index: RaftIndex(110),
        is_stopped: false,
        is_periodic: false,
        is_parameterized: false,
        dispatch_meta: Vec::new(),
        meta: BTreeMap::new(),
        marks: None,
        gates: Vec::new(),
        groups: [((if runs_on { "web" } else { "work" }).to_owned(), group)].into(),
    })
}

/// A service of `count` allocations.
pub(crate) fn service(count: u32) -> JobSight {
    job("postgres", JobType::Service, count)
}

/// A batch job of `count` allocations.
pub(crate) fn batch(count: u32) -> JobSight {
    job("migrate", JobType::Batch, count)
}

/// A state in `phase`.
pub(crate) fn task(phase: TaskPhase) -> TaskState {
    TaskState {
        phase,
        has_failed: false,
        exit_code: None,
        restarts: 0,
        started: None,
        last_event: String::new(),
    }
}

/// A task that failed with `code`.
pub(crate) fn failed_task(code: i32) -> TaskState {
    TaskState {
        phase: TaskPhase::Dead,
        has_failed: true,
        exit_code: Some(code),
        restarts: 0,
        started: None,
        last_event: format!("Exit Code: {code}"),
    }
}

impl JobSight {
    /// Changes the job.
    pub(crate) fn but(mut self, change: impl FnOnce(&mut Job)) -> Self {
        change(&mut self.job);
        self
    }

    /// Changes the job's only group.
    pub(crate) fn but_group(self, change: impl FnOnce(&mut Group)) -> Self {
        self.but(|job| change(job.groups.values_mut().next().unwrap()))
    }

    /// Adds the deployment of the current version.
    pub(crate) fn deployed(mut self, status: DeploymentStatus, change: impl FnOnce(&mut Deployment)) -> Self {
        let wanted = self.job.groups.values().map(|group| group.count).next().unwrap();
        let group = DeploymentGroup { desired_total: wanted, ..DeploymentGroup::default() };
        let mut deployment = Deployment {
            id: format!("7c41f0ab-{}", self.deployments.len()).as_str().into(),
            job_version: self.job.version,
            job_create_index: self.job.create_index,
            status,
            description: "Deployment in some state".to_owned(),
            groups: self.job.groups.keys().map(|name| (name.clone(), group)).collect(),
            modify_index: RaftIndex(120),
        };
        change(&mut deployment);
        self.deployments.insert(deployment.id.clone(), deployment);
        self
    }

    /// Adds an allocation that is as good as can be: healthy and running, or complete.
    pub(crate) fn with(mut self, id: &str, change: impl FnOnce(&mut Allocation)) -> Self {
        let group = self.job.groups.keys().next().unwrap().clone();
        let n = self.allocations.len();
        let runs_on = matches!(self.job.kind, JobType::Service | JobType::System);
        let main = task(if runs_on { TaskPhase::Running } else { TaskPhase::Dead });
        let mut allocation = Allocation {
            id: format!("{id}-0000-0000").as_str().into(),
            name: format!("{}.{group}[{n}]", self.job.key.job),
            group,
            client: "client-1".into(),
            job_version: Some(self.job.version),
            is_wanted: true,
            status: if runs_on { AllocStatus::Running } else { AllocStatus::Complete },
            description: String::new(),
            deployment: None,
            is_healthy: runs_on.then_some(true),
            judged: None,
            next: None,
            tasks: BTreeMap::from([("gate".to_owned(), task(TaskPhase::Dead)), ("main".to_owned(), main)]),
            create_index: RaftIndex(200 + u64::try_from(n).unwrap()),
            modify_index: RaftIndex(300),
            alloc_modify_index: RaftIndex(250),
        };
        change(&mut allocation);
        self.allocations.insert(allocation.id.clone(), allocation);
        self
    }

    /// Its health follows from one check of Nomad's own, for ten seconds.
    pub(crate) fn checked(self) -> Self {
        self.but_group(|group| (group.own_checks, group.has_other_checks) = (1, false))
    }

    /// What the checks of an allocation say.
    pub(crate) fn saying(mut self, id: &str, checks: LiveChecks) -> Self {
        self.live.insert(format!("{id}-0000-0000").as_str().into(), checks);
        self
    }

    /// Adds an evaluation.
    pub(crate) fn evaluated(mut self, status: EvaluationStatus, failures: &[(&str, &str)]) -> Self {
        let n = u64::try_from(self.evaluations.len()).unwrap();
        let evaluation = Evaluation {
            id: format!("e0a1b2c{n}-0000").as_str().into(),
            status,
            failed_placements: failures
                .iter()
                .map(|(group, why)| ((*group).to_owned(), (*why).to_owned()))
                .collect(),
            create_index: RaftIndex(150 + n),
            modify_index: RaftIndex(150 + n),
        };
        self.evaluations.insert(evaluation.id.clone(), evaluation);
        self
    }

    /// As a sight.
    pub(crate) fn seen(self) -> Sight {
        Sight::Present(Box::new(self))
    }
}

/// A sight of nothing.
pub(crate) fn unseen(because: Blindness, why: &str) -> Sight {
    Sight::Unseen(Unseen { because, why: why.to_owned(), hint: Some("a hint".to_owned()) })
}
