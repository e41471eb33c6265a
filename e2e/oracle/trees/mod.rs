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

mod record;
mod stops;
mod wanted;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use record::Record;
use record::{Errand, Key, has_exited_well, is_same_spec, submitted};
use wanted::{Hook, Node, Run, tasks_in};

use super::{Nanos, time};

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
            (Some(_), Some(hook)) if matches!(hook.moment, "pre_stop" | "post_stop") => {}
            (Some(node), Some(hook)) => judge_hook(record, since, node, hook, &mut findings),
            (None, _) => {}
        }
    }
    judge_parallel(record, since, &labels, &mut findings);
    judge_endings(record, since, &mut findings);
    stops::judge(record, since, &mut findings);
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
    for (before, version) in record.versions(key) {
        let is_mine = version["Meta"]["dtree_tree"] == *record.name && submitted(version) >= since;
        let n = registrations(&version["JobModifyIndex"]);
        if is_mine && n > 1 {
            findings.push(format!("{label}, version {}, was registered {n} times", version["Version"]));
        }
        let is_same = version["Stop"] != true && before.is_some_and(|before| is_same_spec(before, version));
        if is_mine && n > 0 && is_same {
            findings.push(format!(
                "{label}, version {}, was registered although the version before was of the same spec",
                version["Version"]
            ));
        }
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
        let Some(run) = Run::of(version).filter(|run| !run.is_stop) else { continue };
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
    tasks_in(version).any(|found| found["Name"] == *task && found["Driver"] == "dtree")
}

#[cfg(test)]
mod stop_tests;
#[cfg(test)]
mod tests;
