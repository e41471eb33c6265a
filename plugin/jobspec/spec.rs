//! What a node of a tree submits, and what is written into it before.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use crate::{
    cluster::{Job, JobId, JobType, Marks},
    plan::Blueprint,
};

/// The progress deadline of a group that does not say one.
const DEFAULT_PROGRESS_DEADLINE: Duration = Duration::from_mins(10);

/// Every job and hook of a tree by its name.
pub type Prepared = BTreeMap<String, Spec>;

/// What one node submits or dispatches. Not in the journal: it may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What planning asks for.
    pub blueprint: Blueprint,
    /// The job in the form of Nomad's API, with its namespace, before it is marked; `None` for a hook that dispatches.
    pub job: Option<Value>,
    /// Of a hook: what it adds to the meta of the job that runs.
    pub meta: BTreeMap<String, String>,
    /// Of a hook that dispatches: what is dispatched with the job.
    pub payload: String,
    /// The text of its jobspec, if it takes values from other nodes.
    pub(super) text: Option<String>,
}

impl Spec {
    /// The job of a `job` node as it is registered: with `marks` in its meta. `None` for a hook that dispatches.
    pub fn marked(&self, marks: &Marks) -> Option<Value> {
        let mut job = self.job.clone()?;
        add_meta(&mut job, marks_of(marks));
        Some(job)
    }

    /// The job of a hook as it is registered: under the ID `id` and with its own name, with `meta` over its own, and with
    /// `marks`. `None` for a hook that dispatches.
    pub fn marked_as(&self, id: &JobId, meta: &BTreeMap<String, String>, marks: &Marks) -> Option<Value> {
        let mut job = self.job.clone()?;
        let own = job.as_object_mut()?;
        if own.get("Name").and_then(Value::as_str).is_none_or(str::is_empty) {
            let name = own.get("ID").cloned().unwrap_or_default();
            own.insert("Name".to_owned(), name);
        }
        own.insert("ID".to_owned(), json!(id));
        let given = meta.iter().map(|(key, value)| (key.clone(), value.clone()));
        add_meta(&mut job, given.chain(marks_of(marks)));
        Some(job)
    }
}

/// `job` with the counts that `current` has, in groups that an autoscaler scales: their `scaling` block is there and
/// not switched off. Registering a job must not undo what the autoscaler did.
#[must_use]
pub fn with_counts_of(mut job: Value, current: &Job) -> Value {
    let groups = job.get_mut("TaskGroups").and_then(Value::as_array_mut);
    for group in groups.into_iter().flatten().filter_map(Value::as_object_mut) {
        let is_scaled = group.get("Scaling").is_some_and(is_enabled);
        let registered = group.get("Name").and_then(Value::as_str).and_then(|name| current.groups.get(name));
        if let Some(registered) = registered.filter(|_| is_scaled) {
            group.insert("Count".to_owned(), json!(registered.count));
        }
    }
    job
}

/// Whether a block is there and not switched off.
fn is_enabled(block: &Value) -> bool {
    !block.is_null() && block.get("Enabled").and_then(Value::as_bool).unwrap_or(true)
}

fn marks_of(marks: &Marks) -> [(String, String); 3] {
    [
        (Marks::TREE.to_owned(), marks.tree.to_string()),
        (Marks::NODE.to_owned(), marks.node.clone()),
        (Marks::SPEC.to_owned(), marks.spec.to_string()),
    ]
}

fn add_meta(job: &mut Value, more: impl IntoIterator<Item = (String, String)>) {
    let Some(job) = job.as_object_mut() else { return };
    let meta = job.entry("Meta").or_insert(Value::Null);
    if !meta.is_object() {
        *meta = Value::Object(Map::new());
    }
    if let Some(meta) = meta.as_object_mut() {
        meta.extend(more.into_iter().map(|(key, value)| (key, Value::String(value))));
    }
}

/// A job's type. `None` for one that Nomad does not have either.
pub(super) fn kind(job: &Value) -> Option<JobType> {
    match job.get("Type").and_then(Value::as_str).unwrap_or_default() {
        "" | "service" => Some(JobType::Service),
        "batch" => Some(JobType::Batch),
        "system" => Some(JobType::System),
        "sysbatch" => Some(JobType::Sysbatch),
        _ => None,
    }
}

/// Whether it has the block `key`.
pub(super) fn has(job: &Value, key: &str) -> bool {
    job.get(key).is_some_and(|block| !block.is_null())
}

/// The longest progress deadline of the groups of a job of type `kind`; `None` where Nomad makes no deployment.
pub(super) fn progress_deadline(job: &Value, kind: JobType) -> Option<Duration> {
    if !matches!(kind, JobType::Service | JobType::System) {
        return None;
    }
    let of_job = job.get("Update").filter(|update| !update.is_null());
    let groups = job.get("TaskGroups").and_then(Value::as_array)?;
    let deadlines = groups.iter().filter_map(|group| {
        let updates = [group.get("Update"), of_job];
        // A group's own values count over those of the job.
        let said = |key| {
            updates.iter().flatten().filter_map(|update| update.get(key)).find(|value| !value.is_null())
        };
        if said("MaxParallel").and_then(Value::as_i64) == Some(0) {
            return None;
        }
        Some(said("ProgressDeadline").and_then(duration).unwrap_or(DEFAULT_PROGRESS_DEADLINE))
    });
    deadlines.max()
}

/// A duration as Nomad's API takes it: nanoseconds, or text.
fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => humantime::parse_duration(text).ok(),
        other => other.as_u64().map(Duration::from_nanos),
    }
}
