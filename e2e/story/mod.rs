//! A story: a few jobs of its own on a cluster, what is expected of them, and the oracle's judgement at its end.
//!
//! Waiting is always for a level, with a limit. Whoever waits in vain shows what was seen last, every task event of the
//! story's jobs, and what the plugin has logged. A job is a [`Job`], a tree of jobs a [`Tree`], something to health-check
//! a [`Switch`], something that a task waits for a [`Flag`].

mod files;
mod jobs;
mod switch;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) use files::Files;
pub(crate) use jobs::{Flag, Job};
pub(crate) use switch::Switch;
pub(crate) use tree::{Hook, Node, Tree};

use crate::harness::{Cluster, Options, seconds, wait_for};
use crate::oracle;

/// What Nomad and the plugin do by themselves takes a second or two; on a busy machine several.
pub(crate) const SOON: Duration = seconds(30);

/// Nomad notes a task's start down a little after the driver has started it.
const CLOCKS: Duration = Duration::from_millis(500);

/// A cluster that the stories of a file share while any of them runs.
pub(crate) struct Shared {
    options: fn() -> Options,
    cluster: Mutex<Weak<Cluster>>,
}

impl Shared {
    /// Started by the first story that asks for it.
    pub(crate) const fn new(options: fn() -> Options) -> Self {
        Self { options, cluster: Mutex::new(Weak::new()) }
    }

    /// A new story on it.
    pub(crate) fn story(&self) -> Story {
        let mut shared = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(start((self.options)()));
            *shared = Arc::downgrade(&cluster);
            cluster
        });
        Story::on(cluster)
    }
}

/// A cluster, or the reason why this machine cannot have one.
fn start(options: Options) -> Cluster {
    Cluster::start(options).unwrap_or_else(|why| panic!("there is no cluster to tell this story on: {why}"))
}

/// What one test tells.
#[derive(Debug)]
pub(crate) struct Story {
    cluster: Arc<Cluster>,
    n: usize,
    /// The jobs that are its own: ID and namespace, newest last.
    jobs: Mutex<Vec<(String, String)>>,
    /// Those among them that are trees.
    trees: Mutex<BTreeSet<(String, String)>>,
    /// Before this time trees are not judged any more: they were, while the records still told all.
    judged_until: Mutex<i128>,
    /// The IDs of those that the oracle does not judge, with the reason.
    excused: Mutex<BTreeMap<String, &'static str>>,
}

impl Story {
    /// On a cluster of its own.
    pub(crate) fn alone(options: Options) -> Self {
        Self::on(Arc::new(start(options)))
    }

    fn on(cluster: Arc<Cluster>) -> Self {
        static STORIES: AtomicUsize = AtomicUsize::new(1);
        let n = STORIES.fetch_add(1, Ordering::SeqCst);
        Self {
            cluster,
            n,
            jobs: Mutex::default(),
            trees: Mutex::default(),
            judged_until: Mutex::default(),
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

    /// Registers a tree, and waits until Nomad has placed this version of it.
    pub(crate) fn run_tree(&self, tree: &Tree) {
        let parsed =
            self.cluster.parse(&tree.hcl(), "").unwrap_or_else(|why| panic!("{why} in\n{}", tree.hcl()));
        self.knows(tree.jobs());
        self.register_tree(&parsed);
    }

    /// The same for one that is parsed already.
    pub(crate) fn register_tree(&self, parsed: &Value) {
        let id = text(&parsed["ID"]);
        let namespace = parsed["Namespace"].as_str().unwrap_or("default").to_owned();
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).insert((id.clone(), namespace));
        self.register(parsed);
        self.within(SOON, &format!("{id} to be placed"), || {
            let version = self.job(&id)?["Version"].clone();
            let newest = self.allocations(&id)?.into_iter().next().ok_or("there is no allocation")?;
            let of = &newest["JobVersion"];
            if *of == version { Ok(()) } else { Err(format!("the newest is of version {of}, not {version}")) }
        });
    }

    /// From now on this tree of namespace `default` is the story's own, although it was registered in another way.
    pub(crate) fn knows_tree(&self, id: &str) {
        let tree = (id.to_owned(), "default".to_owned());
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).insert(tree.clone());
        self.knows([tree]);
    }

    /// From now on these jobs are the story's own, although something else registers them.
    pub(crate) fn knows(&self, jobs: impl IntoIterator<Item = (String, String)>) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs);
    }

    /// The task of a tree.
    pub(crate) fn tree(&self, id: &str) -> Task<'_> {
        self.task(id, "tree")
    }

    /// All that Nomad lists as submitted by the tree: jobs and hooks that were not purged.
    pub(crate) fn marked_by(&self, tree: &str) -> Vec<Value> {
        let name = format!("{}/{tree}", self.namespace(tree));
        let all = self.get("/v1/jobs?meta=true&namespace=*");
        let all = all.as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|job| job["Meta"]["dtree_tree"] == *name).collect()
    }

    /// Those among them that are of the node or hook with this label; from now on they are the story's own.
    pub(crate) fn hook_jobs(&self, tree: &str, label: &str) -> Vec<Value> {
        let mut found = self.marked_by(tree);
        found.retain(|job| job["Meta"]["dtree_node"] == *label);
        self.knows(found.iter().map(|job| (text(&job["ID"]), text(&job["Namespace"]))));
        found
    }

    /// Waits until so many jobs of a hook are there; gives their IDs.
    #[track_caller]
    pub(crate) fn hook_job_ids(&self, tree: &str, label: &str, n: usize) -> Vec<String> {
        self.within(SOON, &format!("{n} jobs of hook {label}"), || {
            let found: Vec<String> = self.hook_jobs(tree, label).iter().map(|job| text(&job["ID"])).collect();
            if found.len() == n { Ok(found) } else { Err(format!("{found:?}")) }
        })
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

    /// What the trees have done up to now is judged now, because what follows changes Nomad's records of it.
    #[track_caller]
    pub(crate) fn is_judged_up_to_now(&self) {
        let findings = self.judgement();
        assert!(findings.is_empty(), "the oracle says:\n  {}\n{}", findings.join("\n  "), self.report());
        *self.judged_until.lock().unwrap_or_else(PoisonError::into_inner) =
            jiff::Timestamp::now().as_nanosecond();
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

    /// All that the story's trees have submitted, as far as Nomad can be asked.
    fn of_trees(&self) -> Vec<(String, String)> {
        let trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if trees.is_empty() {
            return Vec::new();
        }
        let names: Vec<String> = trees.iter().map(|(id, namespace)| format!("{namespace}/{id}")).collect();
        let all = self.cluster.api().get("/v1/jobs?meta=true&namespace=*").unwrap_or_default();
        let all = all.as_array().cloned().unwrap_or_default();
        let ours = all.iter().filter(|job| names.contains(&text(&job["Meta"]["dtree_tree"])));
        ours.map(|job| (text(&job["ID"]), text(&job["Namespace"]))).collect()
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

    /// What Nomad knows of the story's jobs, and the plugin's words.
    pub(crate) fn report(&self) -> String {
        let mut text = String::new();
        let mut ids: Vec<String> = self.jobs().into_iter().map(|(id, _)| id).collect();
        for (id, namespace) in self.of_trees() {
            if !ids.contains(&id) {
                self.knows([(id.clone(), namespace)]);
                ids.push(id);
            }
        }
        for id in ids {
            for allocation in self.allocations(&id).unwrap_or_default() {
                let _infallible = writeln!(
                    text,
                    "{id} {} v{} {} {} {}",
                    allocation["ID"],
                    allocation["JobVersion"],
                    allocation["DesiredStatus"],
                    allocation["ClientStatus"],
                    allocation["DeploymentStatus"]
                );
                for (task, state) in allocation["TaskStates"].as_object().into_iter().flatten() {
                    let _infallible =
                        writeln!(text, "  {task}: {} failed={}", state["State"], state["Failed"]);
                    for event in state["Events"].as_array().into_iter().flatten() {
                        let _infallible = writeln!(text, "    {} {}", event["Type"], event["DisplayMessage"]);
                    }
                }
            }
        }
        text + &self.cluster.log_tail(40)
    }

    /// What the oracle has to say about the story's jobs.
    fn judgement(&self) -> Vec<String> {
        let excused = self.excused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let judged: Vec<_> = self.jobs().into_iter().filter(|(id, _)| !excused.contains_key(id)).collect();
        let mut findings = match oracle::Record::read(self.cluster.api(), &judged) {
            Ok(record) => oracle::judge(&record),
            Err(why) => vec![format!("the record cannot be read: {why}")],
        };
        let since = *self.judged_until.lock().unwrap_or_else(PoisonError::into_inner);
        let trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (id, namespace) in trees.iter().filter(|(id, _)| !excused.contains_key(id)) {
            // What a tree has stopped takes a moment to end.
            let judged = wait_for(seconds(10), || {
                let found = match oracle::trees::Record::read(self.cluster.api(), namespace, id) {
                    Ok(record) => oracle::trees::judge(&record, since),
                    Err(why) => vec![format!("the record of {id} cannot be read: {why}")],
                };
                if found.is_empty() { Ok(()) } else { Err(found.join("\n  ")) }
            });
            findings.extend(judged.err());
        }
        findings
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        let findings = if failed { Vec::new() } else { self.judgement() };
        let report = if findings.is_empty() { String::new() } else { self.report() };
        let mut jobs = self.jobs();
        jobs.extend(self.of_trees());
        for (id, namespace) in jobs {
            // The agent may be down, or the job never have been taken.
            let path = format!("/v1/job/{id}?namespace={namespace}&purge=true");
            let _not_there = self.cluster.api().delete(&path);
        }
        assert!(findings.is_empty(), "the oracle says:\n  {}\n{report}", findings.join("\n  "));
    }
}

/// A task of the newest allocation of a job.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    story: &'a Story,
    job: String,
    name: &'a str,
}

impl Task<'_> {
    /// The ID of the allocation.
    pub(crate) fn allocation(&self) -> String {
        self.story.within(SOON, &format!("an allocation of {}", self.job), || {
            let newest = self.story.allocations(&self.job)?.into_iter().next().ok_or("there is none")?;
            newest["ID"].as_str().map(str::to_owned).ok_or_else(|| "it has no ID".to_owned())
        })
    }

    /// What Nomad says about it at this moment.
    pub(crate) fn state(&self) -> Result<Value, String> {
        let newest = self.story.allocations(&self.job)?.into_iter().next().ok_or("no allocation")?;
        match &newest["TaskStates"][self.name] {
            Value::Null => Err(format!("no such task yet; the allocation: {}", newest["ClientStatus"])),
            state => Ok(state.clone()),
        }
    }

    /// Waits until a word about its state is true.
    #[track_caller]
    fn becomes(&self, limit: Duration, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let what = format!("{} of {} to be {what}", self.name, self.job);
        self.story.within(limit, &what, || {
            let state = self.state()?;
            if is_so(&state) {
                Ok(state)
            } else {
                Err(format!("{} failed={}", state["State"], state["Failed"]))
            }
        })
    }

    /// Waits until it runs.
    #[track_caller]
    pub(crate) fn runs(&self, limit: Duration) {
        self.becomes(limit, "running", |state| state["State"] == "running");
    }

    /// Waits until it has ended, well.
    #[track_caller]
    pub(crate) fn succeeds(&self, limit: Duration) {
        self.becomes(limit, "dead, not failed", |state| state["State"] == "dead" && state["Failed"] == false);
    }

    /// Waits until it has ended, badly and for good.
    #[track_caller]
    pub(crate) fn fails(&self, limit: Duration) {
        self.becomes(limit, "dead, failed", |state| state["State"] == "dead" && state["Failed"] == true);
    }

    /// Waits for a task event with these words; gives the whole message.
    #[track_caller]
    pub(crate) fn says(&self, limit: Duration, words: &str) -> String {
        let what = format!("{} of {} to say {words:?}", self.name, self.job);
        self.story.within(limit, &what, || {
            let events = self.events()?;
            let said = events.iter().find(|(_, message)| message.contains(words));
            said.map(|(_, message)| message.clone()).ok_or_else(|| format!("{events:?}"))
        })
    }

    /// Types and messages of its task events, oldest first.
    pub(crate) fn events(&self) -> Result<Vec<(String, String)>, String> {
        let state = self.state()?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = state["Events"].as_array().into_iter().flatten();
        Ok(events.map(|event| (text(&event["Type"]), text(&event["DisplayMessage"]))).collect())
    }

    /// Whether it waits: it runs, and has neither ended nor been started again.
    #[track_caller]
    pub(crate) fn still_waits(&self) {
        let state = self.state().unwrap_or_else(|seen| panic!("{} of {}: {seen}", self.name, self.job));
        assert_eq!(state["State"], "running", "{} of {}\n{}", self.name, self.job, self.story.report());
    }

    /// That it has not run up to now.
    #[track_caller]
    pub(crate) fn has_never_started(&self) {
        // Not even placed is never started, too.
        let state = self.state().unwrap_or_default();
        assert!(state["StartedAt"].is_null(), "{} of {}\n{}", self.name, self.job, self.story.report());
    }

    /// That it has run for so long, but not for much longer.
    #[track_caller]
    pub(crate) fn has_lasted(&self, at_least: Duration, much: Duration) {
        let lasted = self.lasted();
        let range = at_least..at_least + much;
        assert!(range.contains(&(lasted + CLOCKS)), "it ran for {lasted:?}\n{}", self.story.report());
    }

    /// How long it has run, once it has ended.
    pub(crate) fn lasted(&self) -> Duration {
        let state = self.state().expect("it has ended");
        let time = |key: &str| -> jiff::Timestamp {
            state[key]
                .as_str()
                .and_then(|time| time.parse().ok())
                .unwrap_or_else(|| panic!("{key} in {state}"))
        };
        time("FinishedAt").duration_since(time("StartedAt")).try_into().expect("it started before it ended")
    }

    /// Since when it runs.
    pub(crate) fn age(&self) -> Duration {
        let state = self.state().expect("it has started");
        let started: jiff::Timestamp =
            state["StartedAt"].as_str().and_then(|time| time.parse().ok()).expect("it has started");
        jiff::Timestamp::now().duration_since(started).try_into().unwrap_or_default()
    }

    /// `nomad alloc exec`: the exit code, and what was printed.
    pub(crate) fn exec(&self, command: &[&str]) -> (i32, String) {
        let allocation = self.allocation();
        let mut args = vec!["alloc", "exec", "-task", self.name, &allocation];
        args.extend(command);
        outcome(&self.story.cli(&args))
    }

    /// `nomad alloc logs`.
    pub(crate) fn logs(&self) -> String {
        outcome(&self.story.cli(&["alloc", "logs", "-task", self.name, &self.allocation()])).1
    }

    /// `nomad alloc signal`.
    pub(crate) fn signal(&self, signal: &str) -> (i32, String) {
        outcome(&self.story.cli(&["alloc", "signal", "-s", signal, "-task", self.name, &self.allocation()]))
    }

    /// `nomad alloc restart -all-tasks`.
    pub(crate) fn restart_all_tasks(&self) {
        let path = format!("/v1/client/allocation/{}/restart", self.allocation());
        self.story.post(&path, &json!({ "AllTasks": true }));
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

fn outcome(output: &Output) -> (i32, String) {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}
