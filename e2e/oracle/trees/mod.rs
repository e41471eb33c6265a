//! The oracle for trees: reads Nomad's own records, and says what was submitted early, twice, or too much at once.
//!
//! ```text
//! the tree's own job, its versions ──▶ what a run had to do, in which order ┐
//!                                                                           ├──▶ findings
//! marked jobs: versions, evaluations, allocations ──▶ what was done when ───┘
//! ```
//!
//! Of what the plugin writes it takes one thing: the marks in the meta of the jobs, which say for which node of which
//! tree a job was submitted. A hook whose jobs do not stay (`retain`) leaves no record, and is judged by nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{JobRecord, Nanos, Need, array, is_met, number, text, time};
use crate::harness::Api;

/// Namespace and ID.
type Key = (String, String);

/// How many nodes may be worked on at a time where a tree does not say so.
const USUAL_PARALLEL: usize = 10;

/// What Nomad has recorded about a tree and all that it has submitted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    /// The tree's own job.
    pub(crate) tree: JobRecord,
    /// Namespace and ID of the tree, as its marks name it.
    pub(crate) name: String,
    /// What it has submitted, and what it waits for.
    pub(crate) jobs: super::Record,
    /// The evaluations of each of these.
    pub(crate) evaluations: BTreeMap<Key, Vec<Value>>,
    /// The jobs of each node and hook, by label.
    pub(crate) of: BTreeMap<String, Vec<Key>>,
}

impl Record {
    /// Asks Nomad.
    pub(crate) fn read(api: &Api, namespace: &str, id: &str) -> Result<Self, String> {
        let name = format!("{namespace}/{id}");
        let own = super::Record::read(api, &[(id.to_owned(), namespace.to_owned())])?;
        let tree = own.jobs.into_values().next().unwrap_or_default();
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
        let jobs = super::Record::read(api, &wanted)?;
        Ok(Self { tree, name, jobs, evaluations, of })
    }

    fn job(&self, key: &Key) -> Option<&JobRecord> {
        self.jobs.jobs.get(key)
    }

    /// What the tree wanted at a time.
    fn run_at(&self, at: Nanos) -> Option<Run> {
        self.tree.current(at).and_then(Run::of)
    }

    /// The job of a node: a node has one.
    fn key(&self, label: &str) -> Option<&Key> {
        self.of.get(label)?.first()
    }

    /// The versions of a job that this tree has submitted, oldest first.
    fn made(&self, key: &Key) -> Vec<&Value> {
        let Some(job) = self.job(key) else { return Vec::new() };
        let mut versions: Vec<&Value> = job.versions.iter().collect();
        versions.sort_by_key(|version| number(&version["Version"]));
        let mut made = Vec::new();
        let mut before: Option<&Value> = None;
        for version in versions {
            let is_marked = version["Meta"]["dtree_tree"] == *self.name && version["Stop"] != true;
            let is_news = before.is_none_or(|before| {
                before["Stop"] == true
                    || before["Meta"]["dtree_tree"] != version["Meta"]["dtree_tree"]
                    || before["Meta"]["dtree_spec"] != version["Meta"]["dtree_spec"]
            });
            if is_marked && is_news {
                made.push(version);
            }
            before = Some(version);
        }
        made
    }

    /// Whether what stands behind a label of `depends_on` was so at a time: a job with its post hooks, a wait, a hook.
    fn was_satisfied(&self, run: &Run, label: &str, at: Nanos) -> Result<(), String> {
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

    fn was_ready(&self, node: &Node, at: Nanos) -> Result<(), String> {
        let key = self.key(&node.label).ok_or("no job of this tree is marked as this node")?;
        self.is_so(&node.need(key), at)
    }

    /// Whether a hook had run for the newest rollout of its job at that time.
    fn has_run(&self, node: &Node, hook: &Hook, at: Nanos) -> Result<(), String> {
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
    fn errands(&self, label: &str) -> impl Iterator<Item = Errand> {
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
    fn ready_since(&self, node: &Node, from: Nanos) -> Option<Nanos> {
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
struct Errand {
    #[expect(dead_code, reason = "findings show it")]
    id: String,
    began: Nanos,
    ended: Option<Nanos>,
    is_good: bool,
    is_left: bool,
}

/// What one version of a tree's job wants.
#[derive(Debug, Clone)]
struct Run {
    max_parallel: usize,
    jobs: Vec<Node>,
    waits: BTreeMap<String, Need>,
}

#[derive(Debug, Clone)]
struct Node {
    label: String,
    depends_on: Vec<String>,
    ready: Value,
    hooks: Vec<Hook>,
}

#[derive(Debug, Clone)]
struct Hook {
    label: String,
    moment: &'static str,
    depends_on: Vec<String>,
    block: Value,
}

impl Run {
    fn of(version: &Value) -> Option<Self> {
        let tasks = array(&version["TaskGroups"]).into_iter().flat_map(|group| array(&group["Tasks"]));
        let task =
            tasks.into_iter().find(|task| task["Driver"] == "dtree" && !task["Config"]["job"].is_null())?;
        let config = &task["Config"];
        let namespace = version["Namespace"].as_str().unwrap_or("default");
        let waits = labelled(&config["wait"])
            .into_iter()
            .map(|(label, block)| (label.clone(), Need { namespace: namespace.to_owned(), label, block }));
        let jobs = labelled(&config["job"]).into_iter().map(|(label, block)| Node {
            label,
            depends_on: names(&block["depends_on"]),
            ready: block["ready"].get(0).cloned().unwrap_or_else(|| block["ready"].clone()),
            hooks: ["pre", "post"]
                .into_iter()
                .flat_map(|moment| labelled(&block[moment]).into_iter().map(move |hook| (moment, hook)))
                .map(|(moment, (label, block))| Hook {
                    label,
                    moment,
                    depends_on: names(&block["depends_on"]),
                    block,
                })
                .collect(),
        });
        let max_parallel = match &config["max_parallel"] {
            Value::String(text) => text.parse().unwrap_or(USUAL_PARALLEL),
            other => other.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(USUAL_PARALLEL),
        };
        Some(Self { max_parallel, jobs: jobs.collect(), waits: waits.collect() })
    }
}

impl Node {
    fn hooks_of(&self, moment: &'static str) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(move |hook| hook.moment == moment)
    }

    /// When its job counts as ready.
    fn need(&self, (namespace, id): &Key) -> Need {
        let mut block =
            if self.ready.is_object() { self.ready.clone() } else { Value::Object(Map::default()) };
        block["job"] = id.clone().into();
        Need { namespace: namespace.clone(), label: self.label.clone(), block }
    }
}

/// What is wrong with what a tree has done since a time: nothing, if it kept all its promises.
pub(crate) fn judge(record: &Record, since: Nanos) -> Vec<String> {
    let mut findings = Vec::new();
    let mut labels: BTreeMap<String, (Option<Node>, Option<Hook>)> = BTreeMap::new();
    for run in record.tree.versions.iter().filter_map(Run::of) {
        for node in run.jobs {
            for hook in &node.hooks {
                labels.insert(hook.label.clone(), (Some(node.clone()), Some(hook.clone())));
            }
            labels.insert(node.label.clone(), (Some(node), None));
        }
    }
    for (label, (node, hook)) in &labels {
        match (node, hook) {
            (Some(_), None) => judge_node(record, since, label, &mut findings),
            (Some(node), Some(hook)) => judge_hook(record, since, node, hook, &mut findings),
            (None, _) => {}
        }
    }
    judge_parallel(record, since, &labels, &mut findings);
    judge_endings(record, since, &mut findings);
    findings
}

/// Its versions came after all that the node depends on, and each came once.
fn judge_node(record: &Record, since: Nanos, label: &str, findings: &mut Vec<String>) {
    let keys = record.of.get(label).map(Vec::as_slice).unwrap_or_default();
    if let [first, second, ..] = keys {
        findings.push(format!("{label} was submitted as two jobs: {first:?} and {second:?}"));
    }
    for key in keys {
        for version in record.made(key) {
            let at = submitted(version);
            if at < since {
                continue;
            }
            let Some(run) = record.run_at(at) else {
                findings.push(format!("{label} was submitted at {at}, before its tree"));
                continue;
            };
            let Some(node) = run.jobs.iter().find(|node| node.label == label) else { continue };
            let early = |what: &str, why: &str| {
                format!("{label}, version {}, was submitted early: {what}: {why}", version["Version"])
            };
            for needed in &node.depends_on {
                if let Err(why) = record.was_satisfied(&run, needed, at) {
                    findings.push(early(needed, &why));
                }
            }
            for hook in node.hooks_of("pre") {
                if let Err(why) = record.has_run(node, hook, at) {
                    findings.push(early(&hook.label, &why));
                }
            }
        }
        judge_twice(record, since, label, key, findings);
    }
}

/// Nomad makes an evaluation for each registration, also for one that changes nothing.
fn judge_twice(record: &Record, since: Nanos, label: &str, key: &Key, findings: &mut Vec<String>) {
    let registrations = |index: &Value| {
        let all = record.evaluations.get(key).into_iter().flatten();
        all.filter(|evaluation| {
            evaluation["TriggeredBy"] == "job-register" && evaluation["JobModifyIndex"] == *index
        })
        .count()
    };
    let Some(job) = record.job(key) else { return };
    let mut versions: Vec<&Value> = job.versions.iter().collect();
    versions.sort_by_key(|version| number(&version["Version"]));
    let mut before: Option<&Value> = None;
    for version in versions {
        let is_mine = version["Meta"]["dtree_tree"] == *record.name && submitted(version) >= since;
        let n = registrations(&version["JobModifyIndex"]);
        if is_mine && n > 1 {
            findings.push(format!("{label}, version {}, was registered {n} times", version["Version"]));
        }
        let is_same = before.is_some_and(|before| {
            before["Stop"] != true
                && version["Stop"] != true
                && before["Meta"]["dtree_tree"] == version["Meta"]["dtree_tree"]
                && before["Meta"]["dtree_spec"] == version["Meta"]["dtree_spec"]
        });
        if is_mine && n > 0 && is_same {
            findings.push(format!(
                "{label}, version {}, was registered although the version before was of the same spec",
                version["Version"]
            ));
        }
        before = Some(version);
    }
}

/// A hook runs when its job allows it, once for each of its rollouts, and does not stay behind.
fn judge_hook(record: &Record, since: Nanos, node: &Node, hook: &Hook, findings: &mut Vec<String>) {
    let label = &hook.label;
    let errands: Vec<Errand> = record.errands(label).collect();
    let rollouts: Vec<Nanos> = record
        .key(&node.label)
        .map(|key| record.made(key).into_iter().map(submitted).collect())
        .unwrap_or_default();
    let mut completed: BTreeMap<usize, usize> = BTreeMap::new();
    for errand in &errands {
        if errand.is_left {
            findings.push(format!("a job of hook {label} was left behind: {errand:?}"));
        }
        if errand.is_good {
            let rollout = rollouts.iter().filter(|rollout| **rollout <= errand.began).count();
            *completed.entry(rollout).or_default() += 1;
        }
        if errand.began < since {
            continue;
        }
        let Some(run) = record.run_at(errand.began) else { continue };
        let Some(node) = run.jobs.iter().find(|other| other.label == node.label) else { continue };
        let mut early = |what: &str, why: &str| {
            findings.push(format!("hook {label} began early: {what}: {why}; {errand:?}"));
        };
        if hook.moment == "post" {
            if let Err(why) = record.was_ready(node, errand.began) {
                early(&node.label, &why);
            }
        } else {
            for needed in &node.depends_on {
                if let Err(why) = record.was_satisfied(&run, needed, errand.began) {
                    early(needed, &why);
                }
            }
        }
        for needed in &hook.depends_on {
            if let Err(why) = record.was_satisfied(&run, needed, errand.began) {
                early(needed, &why);
            }
        }
        let at_once = errands
            .iter()
            .find(|other| other.began < errand.began && other.ended.is_none_or(|ended| ended > errand.began));
        if let Some(other) = at_once {
            findings.push(format!("hook {label} ran twice at the same time: {other:?} and {errand:?}"));
        }
    }
    for (_, n) in completed.into_iter().filter(|(_, n)| *n > 1) {
        findings.push(format!("hook {label} has run {n} times for one rollout: {errands:?}"));
    }
}

/// Never more at a time than the tree allows: a job from its registration until it is ready, a hook until it ends.
fn judge_parallel(
    record: &Record,
    since: Nanos,
    labels: &BTreeMap<String, (Option<Node>, Option<Hook>)>,
    findings: &mut Vec<String>,
) {
    let mut spans: Vec<(Nanos, Nanos, &str)> = Vec::new();
    for (label, (node, hook)) in labels {
        let Some(node) = node else { continue };
        if hook.is_some() {
            let ended = record.errands(label).map(|errand| (errand.began, errand.ended));
            spans.extend(ended.map(|(began, ended)| (began, ended.unwrap_or(Nanos::MAX), label.as_str())));
        } else if let Some(key) = record.key(label) {
            let ready = record.made(key).into_iter().map(submitted);
            let ready = ready.filter_map(|at| Some((at, record.ready_since(node, at)?, label.as_str())));
            spans.extend(ready);
        }
    }
    for (at, _, label) in spans.iter().filter(|(at, ..)| *at >= since) {
        let Some(run) = record.run_at(*at) else { continue };
        let under_way = spans.iter().filter(|(began, ended, _)| began <= at && at < ended);
        let under_way: Vec<&str> = under_way.map(|(_, _, label)| *label).collect();
        if under_way.len() > run.max_parallel {
            findings.push(format!(
                "when {label} began, {} were under way, and {} may be: {under_way:?}",
                under_way.len(),
                run.max_parallel
            ));
        }
    }
}

/// A tree that ended well has everything ready.
fn judge_endings(record: &Record, since: Nanos, findings: &mut Vec<String>) {
    for allocation in &record.tree.allocations {
        let Some(version) = record.tree.version(&allocation["JobVersion"]) else { continue };
        let Some(run) = Run::of(version) else { continue };
        for (task, state) in allocation["TaskStates"].as_object().into_iter().flatten() {
            let Some(ended) = time(&state["FinishedAt"]).filter(|at| *at >= since) else { continue };
            let has_ended_well =
                state["State"] == "dead" && state["Failed"] == false && has_exited_well(state);
            if !has_ended_well || !is_tree(version, task) {
                continue;
            }
            for node in &run.jobs {
                if let Err(why) = record.was_satisfied(&run, &node.label, ended) {
                    findings.push(format!("the tree ended well, but {}: {why}", node.label));
                }
            }
        }
    }
}

fn is_tree(version: &Value, task: &str) -> bool {
    let tasks = array(&version["TaskGroups"]).into_iter().flat_map(|group| array(&group["Tasks"]));
    tasks.into_iter().any(|found| found["Name"] == *task && found["Driver"] == "dtree")
}

/// Whether the newest end of a task was exit code 0.
fn has_exited_well(state: &Value) -> bool {
    let events = array(&state["Events"]);
    let ended = events.iter().rev().find(|event| event["Type"] == "Terminated");
    ended.is_some_and(|event| number(&event["ExitCode"]) == 0)
}

fn tasks_of(allocation: &Value) -> impl Iterator<Item = &Value> {
    allocation["TaskStates"].as_object().into_iter().flat_map(|states| states.values())
}

fn submitted(version: &Value) -> Nanos {
    number(&version["SubmitTime"])
}

fn key_of(job: &Value) -> Key {
    (text(&job["Namespace"]), text(&job["ID"]))
}

/// Labelled blocks, which Nomad keeps as lists of maps.
fn labelled(blocks: &Value) -> Vec<(String, Value)> {
    let all = match blocks {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        other => vec![other.clone()],
    };
    let labelled = all.iter().filter_map(Value::as_object).flatten();
    labelled.map(|(label, block)| (label.clone(), block.get(0).unwrap_or(block).clone())).collect()
}

fn names(list: &Value) -> Vec<String> {
    array(list).iter().map(text).collect()
}

#[cfg(test)]
mod tests;
