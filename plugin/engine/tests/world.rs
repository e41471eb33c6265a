//! A cluster for runs of trees: it takes acts as Nomad does, keeps what a run leaves behind, and notes each write.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    cluster::{
        AllocStatus, Allocation, JobId, JobType, JobVersion, Marks, RaftIndex, SpecHash, TaskPhase,
        VersionRecord, sample,
    },
    condition::{self, Claim},
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
    marks: Option<Marks>,
    is_stopped: bool,
    pub(super) fate: Fate,
    versions: Vec<VersionRecord>,
}

/// A write that changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// A job of the tree was registered: its node.
    Job(String),
    /// A hook was launched: its node, and the job it runs as.
    Hook(String, JobId),
}

/// What an act has found when it looked.
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// There is nothing to be written.
    Answer(Result<Report, Trouble>),
    /// It is to be written over this: an index, or zero for nothing.
    Write { over: u64 },
}

/// The cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    index: u64,
    pub(super) jobs: BTreeMap<JobKey, Registered>,
    pub(super) written: Vec<Written>,
    /// When it was written, and what.
    attested: BTreeMap<JobKey, (u64, condition::Attested)>,
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
        let (version, create_index) = (job.version, RaftIndex(self.create_index + 1));
        let fate = self.fate;
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
            marks,
            is_stopped: false,
            fate: Fate::Pending,
            versions,
        };
        self.jobs.insert(key.clone(), job);
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

    /// A job comes to this.
    pub(super) fn fare(&mut self, key: &JobKey, fate: Fate) {
        self.index += 1;
        if let Some(job) = self.jobs.get_mut(key).filter(|job| !job.is_stopped) {
            job.fate = fate;
        }
    }

    /// Does what a shell would do with Nomad, all in one moment.
    pub(super) fn perform(&mut self, name: &str, act: &Act) -> Result<Report, Trouble> {
        let look = self.look(act);
        self.write(name, act, look)
    }

    /// The first moment of an act: what is there.
    pub(super) fn look(&self, act: &Act) -> Look {
        let over = |over| Look::Write { over };
        match act {
            Act::Recall { key } => {
                let versions = self.jobs.get(key).map_or_else(Vec::new, |job| job.versions.clone());
                let done = self.attested.get(key).map(|(_, done)| done.clone());
                Look::Answer(Ok(Report::Recalled { versions, done }))
            }
            Act::Submit { key, marks, may_adopt } => {
                let found = self.jobs.get(key).map(|job| job.job(key).job);
                match condition::claim(found.as_ref(), marks, *may_adopt) {
                    Claim::Unchanged => Look::Answer(Ok(self.submitted(key))),
                    Claim::Create | Claim::Update(_) => over(self.last_change(key)),
                    Claim::Foreign(why) => Look::Answer(Err(Trouble { why, is_transient: false })),
                }
            }
            Act::Launch { key, dispatch: None, .. } => match self.jobs.get(key) {
                Some(job) if job.is_stopped => Look::Answer(Ok(Report::Spent)),
                Some(_) => Look::Answer(Ok(Report::Launched(key.clone()))),
                None => over(0),
            },
            Act::Attest { key, done } => match self.attested.get(key) {
                Some((_, found)) if found == done => Look::Answer(Ok(Report::Done)),
                found => over(found.map_or(0, |(index, _)| *index)),
            },
            // Nomad itself looks, by the token, when it dispatches; and stopping needs no look.
            Act::Launch { .. } | Act::Retire { .. } => over(0),
            Act::Tail { .. } => {
                Look::Answer(Ok(Report::Tail("connecting\npsql: no route to host\n".to_owned())))
            }
        }
    }

    /// The second moment: the write, if nothing that Nomad looks at has changed since the first.
    pub(super) fn write(&mut self, name: &str, act: &Act, look: Look) -> Result<Report, Trouble> {
        let over = match look {
            Look::Answer(answer) => return answer,
            Look::Write { over } => over,
        };
        let conflict = || Err(Trouble { why: "it was changed meanwhile".to_owned(), is_transient: true });
        match act {
            Act::Submit { key, .. } | Act::Launch { key, dispatch: None, .. }
                if self.last_change(key) != over =>
            {
                conflict()
            }
            Act::Attest { key, .. } if self.attested.get(key).map_or(0, |(index, _)| *index) != over => {
                conflict()
            }
            Act::Submit { key, marks, .. } => {
                self.put(key, JobType::Service, Some(marks.clone()));
                self.written.push(Written::Job(name.to_owned()));
                Ok(self.submitted(key))
            }
            Act::Launch { key, marks, dispatch, about: _ } => {
                let key = match dispatch {
                    Some(parent) => JobKey::new("default", format!("{}/dispatch-{}", parent.job, key.job)),
                    None => key.clone(),
                };
                match self.jobs.get(&key) {
                    Some(job) if job.is_stopped => return Ok(Report::Spent),
                    Some(_) => {}
                    None => {
                        self.put(&key, JobType::Batch, Some(marks.clone()));
                        self.written.push(Written::Hook(name.to_owned(), key.job.clone()));
                    }
                }
                Ok(Report::Launched(key))
            }
            Act::Retire { key, purge } => {
                self.stop(key);
                if *purge {
                    self.purge(key);
                }
                Ok(Report::Done)
            }
            Act::Attest { key, done } => {
                self.index += 1;
                self.attested.insert(key.clone(), (self.index, done.clone()));
                Ok(Report::Done)
            }
            Act::Recall { .. } | Act::Tail { .. } => Ok(Report::Done),
        }
    }

    /// When a job was last changed; zero for none, as Nomad takes it.
    fn last_change(&self, key: &JobKey) -> u64 {
        self.jobs.get(key).map_or(0, |job| job.job_modify_index)
    }

    fn submitted(&self, key: &JobKey) -> Report {
        let job = &self.jobs[key];
        let (create_index, version) = (RaftIndex(job.create_index), JobVersion(job.version));
        Report::Submitted(Submission { create_index, version })
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
    let blueprint = |name: &String, id: &str, kind: JobType| Blueprint {
        key: JobKey::new("default", id),
        kind,
        is_periodic: false,
        is_parameterized: false,
        spec: SpecHash::from(if changed.contains(name) { "changed" } else { "as-it-was" }),
        progress_deadline: Some(Duration::from_mins(10)),
    };
    let jobs = tree.jobs.keys().map(|name| (name.clone(), blueprint(name, name, JobType::Service)));
    let hooks = tree.hooks.keys().map(|name| (name.clone(), blueprint(name, name, JobType::Batch)));
    jobs.chain(hooks).collect()
}
