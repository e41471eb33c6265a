//! What a job's gates wait for, as far as its spec tells.
//!
//! Only what holds a gate shut for certain counts: a wait that something else than the job's readiness may satisfy, or
//! that is given up for good at its time limit, is left out. Whoever looks for circles then finds fewer, and none that
//! is none.

use serde_json::{Map, Value};

use super::wire;
use crate::cluster::{Awaited, Gate, JobKey};

/// The name of our driver.
const DRIVER: &str = "dtree";

/// The gates of a group of a job in `namespace`.
pub(super) fn gates(namespace: &str, group: &wire::Group) -> Vec<Gate> {
    let gates = group.tasks.iter().filter(|task| task.driver == DRIVER && is_before(task));
    let gates = gates.filter_map(|task| {
        let config = task.config.as_ref()?;
        if config.job.is_some() || config.hook.is_some() {
            return None;
        }
        let blocks = labelled(config.wait.as_ref()?);
        // What an expression is about may be one of several ways.
        let expressions: Vec<&str> =
            blocks.iter().filter_map(|(_, block)| block.get("when")?.as_str()).collect();
        let is_in_expression = |label: &str| expressions.iter().any(|text| text.contains(label));
        let needs = blocks.iter().filter(|(label, _)| !is_in_expression(label));
        let needs: Vec<Awaited> =
            needs.filter_map(|(label, block)| awaited(namespace, label, block)).collect();
        (!needs.is_empty()).then(|| Gate { group: group.name.clone(), task: task.name.clone(), needs })
    });
    gates.collect()
}

fn is_before(task: &wire::Task) -> bool {
    task.lifecycle.is_some_and(|at| at.hook == wire::LifecycleHook::Prestart && !at.sidecar)
}

/// The blocks by label. Nomad keeps them as lists of maps, or as maps, as they were written.
fn labelled(blocks: &Value) -> Vec<(&String, &Map<String, Value>)> {
    let maps: Vec<&Map<String, Value>> = match blocks {
        Value::Array(list) => list.iter().filter_map(Value::as_object).collect(),
        Value::Object(map) => vec![map],
        _ => Vec::new(),
    };
    maps.into_iter()
        .flatten()
        .filter_map(|(label, block)| {
            let block = match block {
                Value::Array(list) => list.first()?.as_object()?,
                other => other.as_object()?,
            };
            Some((label, block))
        })
        .collect()
}

/// The job that a wait is about, if nothing but its readiness satisfies it.
fn awaited(namespace: &str, label: &str, block: &Map<String, Value>) -> Option<Awaited> {
    let text = |name: &str| block.get(name).and_then(Value::as_str);
    for (name, value) in block {
        let is_understood = match name.as_str() {
            "job" | "namespace" | "group" | "timeout" | "on_blocked" | "depends_on" | "meta"
            | "stable_for" | "source" | "optional" => true,
            "until" => matches!(value.as_str(), Some("healthy" | "running" | "complete")),
            "on_timeout" => value.as_str() == Some("fail"),
            "any_version" => value == &Value::Bool(false),
            // Another subject, another count, or what a later dtree knows.
            _ => value.is_null(),
        };
        if !(is_understood || value.is_null()) {
            return None;
        }
    }
    // What is optional is given up at its time limit.
    if block.get("optional") == Some(&Value::Bool(true)) && text("on_timeout") != Some("fail") {
        return None;
    }
    let job = JobKey::new(text("namespace").unwrap_or(namespace), text("job").unwrap_or(label));
    Some(Awaited { job, group: text("group").map(str::to_owned) })
}
