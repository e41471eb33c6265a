//! What Nomad has recorded about a tree: what was done when, and whether it was so at a time.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{JobRecord, Nanos, Need, Record as Jobs, array, is_met, number, text, time};
use super::wanted::{Hook, Node, Run};
use crate::harness::Api;

/// Namespace and ID.
pub(super) type Key = (String, String);

/// What Nomad has recorded about a tree and all that it has submitted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    /// The tree's own job.
    pub(crate) tree: JobRecord,
    /// Namespace and ID of the tree, as its marks name it.
    pub(crate) name: String,
    /// What it has submitted, and what it waits for.
    pub(crate) jobs: Jobs,
    /// The evaluations of each of these.
    pub(crate) evaluations: BTreeMap<Key, Vec<Value>>,
    /// The jobs of each node and hook, by label.
    pub(crate) of: BTreeMap<String, Vec<Key>>,
}

impl Record {
    /// Asks Nomad.
    pub(crate) fn read(api: &Api, namespace: &str, id: &str) -> Result<Self, String> {
        Self::read_with(api, namespace, id, JobRecord::default())
    }

    /// Asks Nomad. What was carried out from shells, of which it has no record, is noted in `shells` as if it had.
    pub(crate) fn read_with(api: &Api, namespace: &str, id: &str, shells: JobRecord) -> Result<Self, String> {
        let name = format!("{namespace}/{id}");
        let key = (namespace.to_owned(), id.to_owned());
        let mut own = Jobs::read(api, &[(id.to_owned(), namespace.to_owned())])?;
        let mut tree = own.jobs.remove(&key).unwrap_or_default();
        tree.versions.extend(shells.versions);
        tree.allocations.extend(shells.allocations);
        let all = api.get("/v1/jobs?meta=true&namespace=*").map_err(|error| error.to_string())?;
        let all = array(&all);
        let mut of: BTreeMap<String, Vec<Key>> = BTreeMap::new();
        for job in all.iter().filter(|job| job["Meta"]["dtree_tree"] == *name && job["ParentID"] == "") {
            of.entry(text(&job["Meta"]["dtree_node"])).or_default().push(key_of(job));
        }
        let mut wanted: Vec<Key> = of.values().flatten().cloned().collect();
        for run in tree.versions.iter().filter_map(Run::of) {
            wanted.extend(run.waits.values().filter_map(Need::job));
            for hook in run.jobs.iter().flat_map(|node| &node.hooks) {
                let Some(parent) = hook.block["dispatch"].as_str() else { continue };
                let parent_namespace = hook.block["namespace"].as_str().unwrap_or(namespace);
                let children = all
                    .iter()
                    .filter(|job| job["ParentID"] == *parent && job["Namespace"] == *parent_namespace);
                for key in children.map(key_of) {
                    let path = format!("/v1/job/{}?namespace={}", key.1, key.0);
                    let child = api.get(&path).map_err(|error| error.to_string())?;
                    let token = text(&child["DispatchIdempotencyToken"]);
                    let keys = of.entry(hook.label.clone()).or_default();
                    if token.starts_with(&format!("{}-{id}-", hook.label)) && !keys.contains(&key) {
                        keys.push(key.clone());
                        wanted.push(key);
                    }
                }
            }
        }
        wanted.sort();
        wanted.dedup();
        let mut evaluations = BTreeMap::new();
        for (namespace, id) in &wanted {
            let path = format!("/v1/job/{id}/evaluations?namespace={namespace}");
            let found = match api.get(&path) {
                Ok(found) => array(&found),
                Err(error) if error.is_not_found() => Vec::new(),
                Err(error) => return Err(error.to_string()),
            };
            evaluations.insert((namespace.clone(), id.clone()), found);
        }
        let wanted: Vec<(String, String)> =
            wanted.into_iter().map(|(namespace, id)| (id, namespace)).collect();
        let jobs = Jobs::read(api, &wanted)?;
        Ok(Self { tree, name, jobs, evaluations, of })
    }

    pub(super) fn job(&self, key: &Key) -> Option<&JobRecord> {
        self.jobs.jobs.get(key)
    }

    /// What the tree wanted at a time.
    pub(super) fn run_at(&self, at: Nanos) -> Option<Run> {
        self.tree.current(at).and_then(Run::of)
    }

    /// The job of a node: a node has one.
    pub(super) fn key(&self, label: &str) -> Option<&Key> {
        self.of.get(label)?.first()
    }

    /// The versions of a job that this tree has submitted, oldest first.
    pub(super) fn made(&self, key: &Key) -> Vec<&Value> {
        let is_mine =
            |version: &Value| version["Meta"]["dtree_tree"] == *self.name && version["Stop"] != true;
        let made = self.versions(key).into_iter().filter(|(before, version)| {
            is_mine(version) && !before.is_some_and(|before| is_same_spec(before, version))
        });
        made.map(|(_, version)| version).collect()
    }

    /// All versions of a job, oldest first, each with the one before it.
    pub(super) fn versions(&self, key: &Key) -> Vec<(Option<&Value>, &Value)> {
        let mut versions: Vec<&Value> = self.job(key).into_iter().flat_map(|job| &job.versions).collect();
        versions.sort_by_key(|version| number(&version["Version"]));
        let before = std::iter::once(None).chain(versions.iter().copied().map(Some));
        before.zip(versions.iter().copied()).collect()
    }

    /// Whether what stands behind a label of `depends_on` was so at a time: a job with its post hooks, a wait, a hook.
    pub(super) fn was_satisfied(&self, run: &Run, label: &str, at: Nanos) -> Result<(), String> {
        if let Some(need) = run.waits.get(label) {
            return self.is_so(need, at);
        }
        if let Some(node) = run.jobs.iter().find(|node| node.label == label) {
            self.was_ready(node, at)?;
            return node.hooks_of("post").try_for_each(|hook| self.has_run(node, hook, at));
        }
        for node in &run.jobs {
            if let Some(hook) = node.hooks.iter().find(|hook| hook.label == label) {
                return self.has_run(node, hook, at);
            }
        }
        Err("it is not in the tree".to_owned())
    }

    fn is_so(&self, need: &Need, at: Nanos) -> Result<(), String> {
        is_met(&self.jobs, need, &Value::Null, at)
    }

    pub(super) fn was_ready(&self, node: &Node, at: Nanos) -> Result<(), String> {
        let key = self.key(&node.label).ok_or("no job of this tree is marked as this node")?;
        self.is_so(&node.need(key), at)
    }

    /// Whether a hook had run for the newest rollout of its job at that time.
    pub(super) fn has_run(&self, node: &Node, hook: &Hook, at: Nanos) -> Result<(), String> {
        if hook.block["retain"] != "all" {
            return Ok(());
        }
        let Some(key) = self.key(&node.label) else { return Ok(()) };
        let rollout = self.made(key).into_iter().rev().map(submitted).find(|submitted| *submitted <= at);
        // A pre hook runs before the version that it is for.
        let since = if hook.moment == "post" { rollout.unwrap_or_default() } else { 0 };
        let runs: Vec<Errand> = self.errands(&hook.label).filter(|run| run.began >= since).collect();
        let may_fail = hook.block["on_failure"] == "continue";
        let is_over = |run: &&Errand| run.ended.is_some_and(|ended| ended <= at) && (run.is_good || may_fail);
        if runs.iter().any(|run| is_over(&run)) {
            Ok(())
        } else {
            Err(format!("its {} hook {} had not run: {runs:?}", hook.moment, hook.label))
        }
    }

    /// What the jobs of a hook have done.
    pub(super) fn errands(&self, label: &str) -> impl Iterator<Item = Errand> {
        let keys = self.of.get(label).into_iter().flatten();
        keys.filter_map(|key| {
            let job = self.job(key)?;
            let first = job.versions.iter().min_by_key(|version| number(&version["Version"]))?;
            let tasks = || job.allocations.iter().flat_map(tasks_of);
            let is_over = |allocation: &Value| {
                ["complete", "failed", "lost"].iter().any(|status| allocation["ClientStatus"] == **status)
            };
            let ended = tasks().filter_map(|state| time(&state["FinishedAt"])).max();
            Some(Errand {
                id: key.1.clone(),
                began: submitted(first),
                ended: ended.filter(|_| job.allocations.iter().all(is_over)),
                is_good: !job.allocations.is_empty()
                    && job.allocations.iter().any(|allocation| {
                        allocation["ClientStatus"] == "complete"
                            && tasks_of(allocation).all(|state| state["Failed"] == false)
                            && tasks_of(allocation).all(has_exited_well)
                    }),
                is_left: job.allocations.iter().any(|allocation| !is_over(allocation)),
            })
        })
    }

    /// When a node's job was first ready, from a time on.
    pub(super) fn ready_since(&self, node: &Node, from: Nanos) -> Option<Nanos> {
        let job = self.job(self.key(&node.label)?)?;
        let mut times = vec![from];
        for allocation in &job.allocations {
            times.extend(time(&allocation["DeploymentStatus"]["Timestamp"]));
            for state in tasks_of(allocation) {
                times.extend(time(&state["StartedAt"]));
                times.extend(time(&state["FinishedAt"]));
            }
        }
        times.sort_unstable();
        times.into_iter().find(|at| *at >= from && self.was_ready(node, *at).is_ok())
    }
}

/// One job of a hook.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    #[expect(dead_code, reason = "findings show it")]
    pub(super) id: String,
    pub(super) began: Nanos,
    pub(super) ended: Option<Nanos>,
    pub(super) is_good: bool,
    pub(super) is_left: bool,
}

/// Whether a version wants the same as the one before it, which was not stopped.
pub(super) fn is_same_spec(before: &Value, version: &Value) -> bool {
    before["Stop"] != true
        && before["Meta"]["dtree_tree"] == version["Meta"]["dtree_tree"]
        && before["Meta"]["dtree_spec"] == version["Meta"]["dtree_spec"]
}

/// Whether the newest end of a task was exit code 0.
pub(super) fn has_exited_well(state: &Value) -> bool {
    let events = array(&state["Events"]);
    let ended = events.iter().rev().find(|event| event["Type"] == "Terminated");
    ended.is_some_and(|event| number(&event["ExitCode"]) == 0)
}

pub(super) fn tasks_of(allocation: &Value) -> impl Iterator<Item = &Value> {
    allocation["TaskStates"].as_object().into_iter().flat_map(|states| states.values())
}

pub(super) fn submitted(version: &Value) -> Nanos {
    number(&version["SubmitTime"])
}

fn key_of(job: &Value) -> Key {
    (text(&job["Namespace"]), text(&job["ID"]))
}
