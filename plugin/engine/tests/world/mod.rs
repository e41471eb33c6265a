//! A cluster for runs of trees: it takes acts as Nomad does, keeps what a run leaves behind, and notes each write.

mod acts;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::acts::Look;
use super::*;
use crate::{
    cluster::{
        AllocStatus, Allocation, JobId, JobType, JobVersion, Marks, RaftIndex, SpecHash, TaskPhase,
        VersionRecord, sample,
    },
    condition,
    plan::Blueprint,
};

/// How a job fares after it was registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Under way.
    Pending,
    /// A service is healthy, a hook has completed.
    Good,
    /// It has failed for good.
    Bad,
}

/// A registered job.
#[derive(Clone, Debug)]
pub(super) struct Registered {
    kind: JobType,
    create_index: u64,
    job_modify_index: u64,
    version: u64,
    /// The version that its allocation is of: a stop makes another.
    placed: u64,
    marks: Option<Marks>,
    is_stopped: bool,
    pub(super) fate: Fate,
    /// Whether something of it still runs although it is stopped.
    lingers: bool,
    versions: Vec<VersionRecord>,
}

/// A write that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// A job of the tree was registered: its node.
    Job(String),
    /// A hook was launched: its node, and the job it runs as.
    Hook(String, JobId),
    /// A job of the tree was stopped: its node.
    Stop(String),
}

/// What was written down of a job.
#[derive(Clone, Debug)]
struct Attested {
    /// When.
    index: u64,
    done: condition::Attested,
    hooks: BTreeMap<String, HookOutcome>,
}

/// The cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    index: u64,
    pub(super) jobs: BTreeMap<JobKey, Registered>,
    pub(super) written: Vec<Written>,
    attested: BTreeMap<JobKey, Attested>,
    /// What the shell reads for each reference, where it is not what it was at first.
    pub(super) outputs: BTreeMap<String, String>,
    /// Which trees wait for which jobs.
    pub(super) held: BTreeSet<(JobKey, String)>,
    /// The records of what runs once, by path.
    pub(super) records: BTreeMap<String, Kept>,
    /// Why nothing can be launched.
    pub(super) refused_launch: Option<&'static str>,
}

impl Registered {
    /// Whether it was stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Whose it is.
    pub(super) fn marks(&self) -> Option<&Marks> {
        self.marks.as_ref()
    }

    fn job(&self, key: &JobKey) -> JobSight {
        let mut sight = sample::job(key.job.as_str(), self.kind, 1);
        let job = &mut sight.job;
        job.key = key.clone();
        job.version = JobVersion(self.version);
        job.create_index = RaftIndex(self.create_index);
        job.job_modify_index = RaftIndex(self.job_modify_index);
        job.is_stopped = self.is_stopped;
        job.marks = self.marks.clone().map(Box::new);
        let (version, create_index) = (JobVersion(self.placed), RaftIndex(self.create_index + 1));
        let fate = self.fate;
        // What has ended stays as it is.
        let has_ended = self.kind == JobType::Batch && fate != Fate::Pending;
        if self.is_stopped && !self.lingers && !has_ended {
            return sight.with("a110c000", move |allocation: &mut Allocation| {
                allocation.job_version = Some(version);
                allocation.create_index = create_index;
                allocation.status = AllocStatus::Complete;
                allocation.is_wanted = false;
                allocation.tasks.insert("main".to_owned(), sample::task(TaskPhase::Dead));
            });
        }
        sight.with("a110c000", move |allocation: &mut Allocation| {
            allocation.job_version = Some(version);
            allocation.create_index = create_index;
            match fate {
                Fate::Pending => {
                    allocation.status = AllocStatus::Running;
                    allocation.is_healthy = None;
                    allocation.tasks.insert("main".to_owned(), sample::task(TaskPhase::Running));
                }
                Fate::Good if self.kind == JobType::Batch => {
                    let ended = sample::task(TaskPhase::Dead);
                    let ended = crate::cluster::TaskState { exit_code: Some(0), ..ended };
                    allocation.tasks.insert("main".to_owned(), ended);
                }
                Fate::Good => {}
                Fate::Bad => {
                    allocation.status = AllocStatus::Failed;
                    allocation.is_healthy = Some(false);
                    allocation.tasks.insert("main".to_owned(), sample::failed_task(3));
                }
            }
        })
    }

    fn sight(&self, key: &JobKey) -> Sight {
        let sight = self.job(key);
        match (self.kind, self.fate) {
            (JobType::Service, Fate::Bad) => {
                let version = sight.job.version;
                let created = sight.job.create_index;
                sight
                    .deployed(crate::cluster::DeploymentStatus::Failed, |deployment| {
                        deployment.job_version = version;
                        deployment.job_create_index = created;
                    })
                    .seen()
            }
            _ => sight.seen(),
        }
    }
}

impl World {
    /// What is seen of a job now.
    pub(super) fn sight(&self, key: &JobKey) -> Sight {
        self.jobs.get(key).map_or(Sight::Absent { similar: None }, |job| job.sight(key))
    }

    fn put(&mut self, key: &JobKey, kind: JobType, marks: Option<Marks>) {
        self.index += 1;
        let before = self.jobs.remove(key);
        let version = before.as_ref().map_or(0, |job| job.version + 1);
        let create_index = before.as_ref().map_or(self.index, |job| job.create_index);
        let mut versions = before.map(|job| job.versions).unwrap_or_default();
        versions.insert(
            0,
            VersionRecord {
                version: JobVersion(version),
                create_index: RaftIndex(create_index),
                is_stopped: false,
                marks: marks.as_ref().map(|marks| (marks.tree.clone(), marks.spec.clone())),
            },
        );
        let job = Registered {
            kind,
            create_index,
            job_modify_index: self.index,
            version,
            placed: version,
            marks,
            is_stopped: false,
            fate: Fate::Pending,
            lingers: false,
            versions,
        };
        self.jobs.insert(key.clone(), job);
    }

    /// Someone has a batch job run.
    pub(super) fn register_batch(&mut self, key: &JobKey) {
        self.put(key, JobType::Batch, None);
    }

    /// Someone registers a job by hand.
    pub(super) fn register_by_hand(&mut self, id: &str) {
        self.put(&JobKey::new("default", id), JobType::Service, None);
    }

    /// Nomad registers what was there before as a new version.
    pub(super) fn roll_back(&mut self, key: &JobKey, marks: Option<Marks>) {
        self.put(key, JobType::Service, marks);
    }

    /// Someone scales a job: a new version of the same spec.
    pub(super) fn scale(&mut self, key: &JobKey) {
        let Some(job) = self.jobs.get(key) else { return };
        let (kind, marks, fate) = (job.kind, job.marks.clone(), job.fate);
        self.put(key, kind, marks);
        self.fare(key, fate);
    }

    /// Someone purges a job.
    pub(super) fn purge(&mut self, key: &JobKey) {
        self.index += 1;
        self.jobs.remove(key);
    }

    /// Someone stops a job.
    pub(super) fn stop(&mut self, key: &JobKey) {
        self.index += 1;
        let index = self.index;
        if let Some(job) = self.jobs.get_mut(key).filter(|job| !job.is_stopped) {
            job.is_stopped = true;
            job.version += 1;
            job.job_modify_index = index;
            let mut version = job.versions[0].clone();
            version.version = JobVersion(job.version);
            version.is_stopped = true;
            job.versions.insert(0, version);
        }
    }

    /// A service that takes its time to end.
    pub(super) fn linger(&mut self, key: &JobKey, lingers: bool) {
        self.index += 1;
        if let Some(job) = self.jobs.get_mut(key) {
            job.lingers = lingers;
        }
    }

    /// Whether something of a job runs.
    pub(super) fn runs(&self, key: &JobKey) -> bool {
        self.jobs.get(key).is_some_and(|job| !job.is_stopped || job.lingers)
    }

    /// A job comes to this.
    pub(super) fn fare(&mut self, key: &JobKey, fate: Fate) {
        self.index += 1;
        if let Some(job) = self.jobs.get_mut(key).filter(|job| !job.is_stopped) {
            job.fate = fate;
        }
    }
}

/// A manifest with a tree, as a user writes it.
pub(super) fn tree_plan(config: &Value) -> Plan {
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(config).unwrap());
    Plan::compile(manifest, problems).unwrap()
}

/// What is prepared for each node: job nodes are services of their name, hooks batch jobs of theirs.
pub(super) fn blueprints(plan: &Plan, changed: &BTreeSet<String>) -> BTreeMap<String, Blueprint> {
    let tree = plan.manifest().tree.as_ref().unwrap();
    let spec = |name: &String| if changed.contains(name) { "changed" } else { "as-it-was" };
    let jobs = tree.jobs.keys().map(|name| (name.clone(), blueprint(name, JobType::Service, spec(name))));
    let hooks = tree.hooks.keys().map(|name| (name.clone(), blueprint(name, JobType::Batch, spec(name))));
    jobs.chain(hooks).collect()
}

fn blueprint(id: &str, kind: JobType, spec: &str) -> Blueprint {
    Blueprint {
        key: JobKey::new("default", id),
        kind,
        is_periodic: false,
        is_parameterized: false,
        spec: SpecHash::from(spec),
        progress_deadline: Some(Duration::from_mins(10)),
    }
}

/// A value that nobody but the shell may see.
pub(super) const SECRET: &str = "hunter2-marker";
