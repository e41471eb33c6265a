//! What a tree that was stopped has done: each job gone before what it depends on, hooks in their places, nothing twice.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{Nanos, array, number, text, time};
use super::record::{Key, Record, submitted, tasks_of};
use super::wanted::{Hook, Node, Run};

/// What is wrong with what the tree has stopped since a time.
pub(super) fn judge(record: &Record, since: Nanos, findings: &mut Vec<String>) {
    let runs: Vec<Run> = record.tree.versions.iter().filter_map(Run::of).collect();
    let labels: BTreeSet<&String> =
        runs.iter().flat_map(|run| run.jobs.iter().map(|node| &node.label)).collect();
    for label in labels {
        for key in record.of.get(label).into_iter().flatten() {
            let stops = stops(record, key);
            for at in stops.iter().copied().filter(|at| *at >= since) {
                // Anybody may stop a job; a tree does when that is its verb.
                let run = record.run_at(at).filter(|run| run.is_stop);
                if let Some((run, node)) = run.as_ref().and_then(|run| Some((run, run.node(label)?))) {
                    judge_stop(record, run, node, at, findings);
                }
            }
            // Those of a purged job stay, in the list of its successor.
            let created = record.versions(key).first().map(|(_, version)| number(&version["CreateIndex"]));
            let all = record.evaluations.get(key).into_iter().flatten();
            let n = all
                .filter(|evaluation| evaluation["TriggeredBy"] == "job-deregister")
                .filter(|evaluation| created.is_some_and(|at| number(&evaluation["CreateIndex"]) > at))
                .count();
            if n > stops.len() {
                findings.push(format!("{label} was stopped {n} times, and changed by {}", stops.len()));
            }
            for hook in runs.iter().filter_map(|run| run.node(label)).flat_map(|node| &node.hooks) {
                if hook.is_of_stop() {
                    judge_hook(record, hook, stops.len(), findings);
                }
            }
        }
    }
    judge_endings(record, since, findings);
}

/// When this tree's versions of a job were stopped.
fn stops(record: &Record, key: &Key) -> Vec<Nanos> {
    let stopped = record.versions(key).into_iter().filter(|(before, version)| {
        version["Stop"] == true && before.is_some_and(|before| before["Stop"] != true)
    });
    stopped.map(|(_, version)| submitted(version)).collect()
}

fn judge_stop(record: &Record, run: &Run, node: &Node, at: Nanos, findings: &mut Vec<String>) {
    let label = &node.label;
    let mut early = |why: String| findings.push(format!("{label} was stopped at {at}, {why}"));
    if !run.is_selected(label) {
        early("and was not to be stopped".to_owned());
    }
    for hook in node.hooks_of("pre_stop") {
        if !has_ended(record, hook, at) {
            early(format!("before its hook {} had run", hook.label));
        }
    }
    for other in run.jobs.iter().filter(|other| run.stands_on(&other.label, label)) {
        let Some(key) = record.key(&other.label) else { continue };
        if let Some(alloc) = record.job(key).into_iter().flat_map(|job| &job.allocations).find(|a| ran(a, at))
        {
            early(format!("while {} ran: {}", other.label, text(&alloc["ID"])));
        }
        let was_stopped = stops(record, key).into_iter().rfind(|stop| *stop <= at).filter(|stop| {
            // By this run, and not by an earlier one.
            record.run_at(*stop).is_some_and(|then| then.is_stop && then.began == run.began)
        });
        for hook in other.hooks_of("post_stop").filter(|_| was_stopped.is_some()) {
            if !has_ended(record, hook, at) {
                early(format!("before hook {} of {} had run", hook.label, other.label));
            }
        }
    }
}

/// Whether any task of an allocation ran at a time.
fn ran(allocation: &Value, at: Nanos) -> bool {
    tasks_of(allocation).any(|state| {
        let is_over = time(&state["FinishedAt"]).is_some_and(|ended| ended <= at);
        time(&state["StartedAt"]).is_some_and(|began| began <= at) && !is_over
    })
}

fn has_ended(record: &Record, hook: &Hook, at: Nanos) -> bool {
    let may_fail = hook.block["on_failure"] == "continue";
    hook.block["retain"] != "all"
        || record
            .errands(&hook.label)
            .any(|errand| errand.ended.is_some_and(|ended| ended <= at) && (errand.is_good || may_fail))
}

/// No more often than its job was stopped, and never twice at a time.
fn judge_hook(record: &Record, hook: &Hook, n_stops: usize, findings: &mut Vec<String>) {
    let good = record.errands(&hook.label).filter(|errand| errand.is_good).count();
    if good > n_stops.max(1) {
        findings.push(format!("hook {} has run {good} times for {n_stops} stops", hook.label));
    }
}

/// After a stop that ended well, what still runs is what was kept, and it was said.
fn judge_endings(record: &Record, since: Nanos, findings: &mut Vec<String>) {
    for allocation in &record.tree.allocations {
        let version = record.tree.version(&allocation["JobVersion"]);
        let Some(run) = version.and_then(Run::of).filter(|run| run.is_stop) else { continue };
        for state in tasks_of(allocation) {
            let is_good = state["State"] == "dead" && state["Failed"] == false;
            let Some(ended) = time(&state["FinishedAt"]).filter(|at| is_good && *at >= since) else {
                continue;
            };
            let said: Vec<String> =
                array(&state["Events"]).iter().map(|event| text(&event["DisplayMessage"])).collect();
            if !said.iter().any(|message| message.starts_with("done after")) {
                continue;
            }
            for node in &run.jobs {
                let Some(job) = record.key(&node.label).and_then(|key| record.job(key)) else { continue };
                let runs = job.allocations.iter().any(|allocation| ran(allocation, ended));
                let was_kept = said
                    .iter()
                    .filter_map(|message| message.split_once("kept "))
                    .any(|(_, kept)| kept.contains(&node.label));
                if runs && !was_kept {
                    findings.push(format!("the stop ended well, but {} ran on", node.label));
                }
            }
        }
    }
}

impl Run {
    fn node(&self, label: &str) -> Option<&Node> {
        self.jobs.iter().find(|node| node.label == label)
    }

    /// Whether the `stop` block speaks of it.
    fn is_selected(&self, label: &str) -> bool {
        let excluded = array(&self.stop["exclude"]);
        match self.stop["target"].as_str() {
            None => !excluded.iter().any(|other| *other == *label),
            Some(target) => {
                target == label || self.stop["with_dependencies"] == true && self.stands_on(target, label)
            }
        }
    }

    /// Whether `label` needs `needed`, directly or through others.
    fn stands_on(&self, label: &str, needed: &str) -> bool {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = self.needs_of(label);
        while let Some(name) = open.pop() {
            if name == needed {
                return true;
            }
            if seen.insert(name.clone()) {
                open.extend(self.needs_of(&name));
            }
        }
        false
    }

    fn needs_of(&self, label: &str) -> Vec<String> {
        let of_wait = self.waits.get(label).map(|need| array(&need.block["depends_on"]));
        let mut needs: Vec<String> = of_wait.iter().flatten().map(text).collect();
        if let Some(node) = self.node(label) {
            needs.extend(node.depends_on.iter().cloned());
            let pres = node.hooks_of("pre").flat_map(|hook| &hook.depends_on);
            needs
                .extend(pres.filter(|needed| !node.hooks.iter().any(|hook| hook.label == **needed)).cloned());
        }
        needs.retain(|needed| needed != label);
        needs
    }
}

impl Hook {
    fn is_of_stop(&self) -> bool {
        matches!(self.moment, "pre_stop" | "post_stop")
    }
}
