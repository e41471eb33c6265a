//! A story: a few jobs of its own on a cluster, what is expected of them, and the oracle's judgement at its end.
//!
//! Waiting is always for a level, with a limit. Whoever waits in vain shows what was seen last, every task event of the
//! story's jobs, and what the plugin has logged. A job is a [`Job`], a tree of jobs a [`Tree`], something to health-check
//! a [`Switch`], a server that answers badly a [`Relay`], something that a task waits for a [`Flag`], something that counts what runs a [`Tally`].

mod cut;
mod disaster;
mod files;
mod flags;
mod jobs;
mod judged;
mod midway;
mod record;
mod relay;
mod server;
mod shared;
mod shells;
mod submitted;
mod switch;
mod task;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) use cut::Cut;
pub(crate) use files::Files;
pub(crate) use flags::{Flag, Tally};
pub(crate) use jobs::{Job, http_check};
pub(crate) use midway::{Midway, Places};
pub(crate) use record::Record;
pub(crate) use relay::{Manner, Relay};
pub(crate) use server::Server;
pub(crate) use shared::Shared;
pub(crate) use shells::Shell;
pub(crate) use switch::Switch;
pub(crate) use task::Task;
pub(crate) use tree::{Hook, Node, Tree, template_of};

use crate::harness::{Cluster, Options, seconds, wait_for};
use crate::oracle;

/// What Nomad and the plugin do by themselves takes a second or two; on a busy machine many. A run's third event may come half
/// a minute after its second.
pub(crate) const SOON: Duration = seconds(60);

/// What one test tells.
#[derive(Debug)]
pub(crate) struct Story {
    cluster: Arc<Cluster>,
    n: usize,
    /// The jobs that are its own: ID and namespace, newest last.
    jobs: Mutex<Vec<(String, String)>>,
    /// Those among them that are trees.
    trees: Mutex<BTreeSet<(String, String)>>,
    /// What was carried out from shells.
    shells: shells::Shells,
    /// Before this time trees are not judged any more: they were, while the records still told all.
    judged_until: Mutex<i128>,
    /// Since when what is no job may be so, by the job that waits and the wait's label.
    outside: Mutex<BTreeMap<(String, String), oracle::Nanos>>,
    /// The IDs of those that the oracle does not judge, with the reason.
    excused: Mutex<BTreeMap<String, &'static str>>,
}

impl Story {
    /// On a cluster of its own.
    pub(crate) fn alone(options: Options) -> Self {
        Self::on(Arc::new(shared::start(options)))
    }

    fn on(cluster: Arc<Cluster>) -> Self {
        static STORIES: AtomicUsize = AtomicUsize::new(1);
        let n = STORIES.fetch_add(1, Ordering::SeqCst);
        Self {
            cluster,
            n,
            jobs: Mutex::default(),
            trees: Mutex::default(),
            shells: shells::Shells::default(),
            judged_until: Mutex::default(),
            outside: Mutex::default(),
            excused: Mutex::default(),
        }
    }

    /// Where it takes place.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A job ID that no other story uses.
    pub(crate) fn id(&self, name: &str) -> String {
        format!("{name}-{}", self.n)
    }

    /// A flag that no other story raises.
    pub(crate) fn flag(&self, name: &str) -> Flag {
        Flag(self.cluster.dir().join(self.id(name)))
    }

    /// A tally that no other story keeps.
    pub(crate) fn tally(&self, name: &str) -> Tally {
        Tally(self.flag(name))
    }

    /// What a wait of a job waits for, and what is no job, is about to be made so: a gate that has opened before this
    /// was early.
    pub(crate) fn makes_it_so(&self, job: &str, label: &str) {
        let now = jiff::Timestamp::now().as_nanosecond();
        let key = (job.to_owned(), label.to_owned());
        self.outside.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
    }

    /// Registers a job.
    pub(crate) fn run(&self, job: &Job) {
        let parsed =
            self.cluster.parse(&job.hcl(), "").unwrap_or_else(|why| panic!("{why} in\n{}", job.hcl()));
        self.register(&parsed);
    }

    /// Registers a parsed job.
    pub(crate) fn register(&self, job: &Value) {
        let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push((text("ID"), text("Namespace")));
        self.cluster.register(job).unwrap_or_else(|why| panic!("Nomad does not take {}: {why}", text("ID")));
    }

    /// What Nomad has recorded of a job: what is the same was not touched.
    #[track_caller]
    pub(crate) fn stamp(&self, id: &str) -> Stamp {
        let job = self.job(id).unwrap_or_else(|why| panic!("{id}: {why}\n{}", self.report()));
        let allocations = self.allocations(id).unwrap_or_else(|why| panic!("{id}: {why}"));
        Stamp {
            create_index: job["CreateIndex"].clone(),
            version: job["Version"].clone(),
            job_modify_index: job["JobModifyIndex"].clone(),
            allocations: allocations.iter().map(|allocation| text(&allocation["ID"])).collect(),
        }
    }

    /// The versions of a job, newest first; none if there is no such job.
    pub(crate) fn versions(&self, id: &str) -> Vec<Value> {
        let path = format!("/v1/job/{id}/versions?namespace={}", self.namespace(id));
        match self.cluster.api().get(&path) {
            Ok(found) => found["Versions"].as_array().cloned().unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// That no job has these IDs, and none ever had.
    #[track_caller]
    pub(crate) fn were_never_registered(&self, ids: &[&str]) {
        for id in ids {
            let versions = self.versions(id);
            assert!(versions.is_empty(), "{id} was registered: {versions:?}\n{}", self.report());
        }
    }

    /// Makes a namespace that no other story uses.
    pub(crate) fn make_namespace(&self, name: &str) -> String {
        let namespace = self.id(name);
        self.post(&format!("/v1/namespace/{namespace}"), &json!({ "Name": namespace }));
        namespace
    }

    /// Stops a job.
    pub(crate) fn stop(&self, id: &str) {
        self.delete(id, false).unwrap_or_else(|why| panic!("cannot stop {id}: {why}"));
    }

    /// Stops a job, and has it forgotten.
    pub(crate) fn purge(&self, id: &str) {
        self.delete(id, true).unwrap_or_else(|why| panic!("cannot purge {id}: {why}"));
    }

    fn delete(&self, id: &str, purge: bool) -> Result<(), String> {
        let namespace = self.namespace(id);
        let path = format!("/v1/job/{id}?namespace={namespace}&purge={purge}");
        self.cluster.api().delete(&path).map(drop).map_err(|error| error.to_string())
    }

    fn namespace(&self, id: &str) -> String {
        let jobs = self.jobs();
        let newest = jobs.into_iter().rev().find(|(job, _)| job == id);
        newest.map_or_else(|| "default".to_owned(), |(_, namespace)| namespace)
    }

    fn jobs(&self) -> Vec<(String, String)> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// GET, as the operator.
    pub(crate) fn get(&self, path: &str) -> Value {
        self.cluster.api().get(path).unwrap_or_else(|why| panic!("{why}"))
    }

    /// POST, as the operator.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Value {
        self.cluster.api().post(path, body).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Nomad's own command line.
    pub(crate) fn cli(&self, args: &[&str]) -> Output {
        self.cluster.cli(args).expect("the Nomad that runs the agent runs as a command too")
    }

    /// The oracle leaves this job alone.
    pub(crate) fn excuse(&self, id: &str, reason: &'static str) {
        self.excused.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), reason);
    }

    /// The allocations of a job, newest first.
    pub(crate) fn allocations(&self, id: &str) -> Result<Vec<Value>, String> {
        let path = format!("/v1/job/{id}/allocations?namespace={}&all=true", self.namespace(id));
        let found = self.cluster.api().get(&path).map_err(|error| error.to_string())?;
        let mut found = found.as_array().cloned().unwrap_or_default();
        found.sort_by_key(|allocation| std::cmp::Reverse(allocation["CreateIndex"].as_u64()));
        Ok(found)
    }

    /// A task of a job's newest allocation.
    pub(crate) fn task<'a>(&'a self, job: &str, name: &'a str) -> Task<'a> {
        Task { story: self, job: job.to_owned(), name }
    }

    /// The gate of a job.
    pub(crate) fn gate(&self, job: &str) -> Task<'_> {
        self.task(job, "gate")
    }

    /// The main task of a job.
    pub(crate) fn main(&self, job: &str) -> Task<'_> {
        self.task(job, "main")
    }

    /// Waits until all allocations that a job wants are healthy, by its newest deployment.
    pub(crate) fn is_healthy(&self, id: &str) {
        self.within(SOON, &format!("{id} to be healthy"), || {
            let job = self.job(id)?;
            let path = format!("/v1/job/{id}/deployment?namespace={}", self.namespace(id));
            let deployment = self.cluster.api().get(&path).map_err(|error| error.to_string())?;
            let is_mine = deployment["JobVersion"] == job["Version"];
            match deployment["Status"].as_str() {
                Some("successful") if is_mine => Ok(()),
                status => Err(format!("its deployment is {status:?}")),
            }
        });
    }

    /// Waits until so many allocations of a job, of any version, are healthy.
    pub(crate) fn n_healthy(&self, id: &str, n: usize) {
        self.within(SOON, &format!("{n} allocations of {id} to be healthy"), || {
            let all = self.allocations(id)?;
            let found =
                all.iter().filter(|allocation| allocation["DeploymentStatus"]["Healthy"] == true).count();
            if found == n { Ok(()) } else { Err(format!("{found}")) }
        });
    }

    /// Waits until a batch job is over.
    pub(crate) fn is_dead(&self, id: &str) {
        self.within(SOON, &format!("{id} to be dead"), || match self.job(id)?["Status"].as_str() {
            Some("dead") => Ok(()),
            status => Err(format!("{status:?}")),
        });
    }

    /// Waits until a job has ended and nothing of it runs.
    pub(crate) fn has_stopped(&self, id: &str) {
        self.within(SOON, &format!("{id} to be stopped"), || {
            let all = self.allocations(id)?;
            let statuses: Vec<&Value> = all.iter().map(|allocation| &allocation["ClientStatus"]).collect();
            let is_over = statuses.iter().all(|status| **status == "complete" || **status == "failed");
            if is_over && self.job(id)?["Stop"] == true { Ok(()) } else { Err(format!("{statuses:?}")) }
        });
    }

    /// The job as Nomad has it.
    pub(crate) fn job(&self, id: &str) -> Result<Value, String> {
        let path = format!("/v1/job/{id}?namespace={}", self.namespace(id));
        self.cluster.api().get(&path).map_err(|error| error.to_string())
    }

    /// Waits for a level; panics with everything that is known when it does not come.
    #[track_caller]
    pub(crate) fn within<T>(
        &self,
        limit: Duration,
        what: &str,
        probe: impl FnMut() -> Result<T, String>,
    ) -> T {
        wait_for(limit, probe).unwrap_or_else(|seen| {
            panic!("waited {limit:?} for {what}\nlast seen: {seen}\n{}", self.report())
        })
    }
}

/// What tells whether somebody has touched a job.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stamp {
    create_index: Value,
    /// The number of its current version.
    pub(crate) version: Value,
    job_modify_index: Value,
    /// Newest first.
    pub(crate) allocations: Vec<String>,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
