//! A job: what was registered, and its versions.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};

use super::{Service, nullable};

/// A member of `/v1/jobs`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct JobStub {
    #[serde(rename = "ID")]
    pub(in crate::nomad) id: String,
    pub(in crate::nomad) create_index: u64,
    pub(in crate::nomad) modify_index: u64,
    #[serde(rename = "JobModifyIndex")]
    pub(in crate::nomad) spec_modify_index: u64,
}

/// A whole job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Job {
    #[serde(rename = "ID")]
    pub(in crate::nomad) id: String,
    pub(in crate::nomad) namespace: String,
    #[serde(rename = "Type")]
    pub(in crate::nomad) kind: JobType,
    pub(in crate::nomad) version: u64,
    pub(in crate::nomad) create_index: u64,
    pub(in crate::nomad) modify_index: u64,
    #[serde(rename = "JobModifyIndex")]
    pub(in crate::nomad) spec_modify_index: u64,
    pub(in crate::nomad) stop: bool,
    #[serde(default)]
    pub(in crate::nomad) dispatched: bool,
    #[serde(default)]
    pub(in crate::nomad) periodic: Option<IgnoredAny>,
    #[serde(default, rename = "ParameterizedJob")]
    pub(in crate::nomad) parameterized: Option<Parameterized>,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) meta: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::nomad) task_groups: Vec<Group>,
}

/// What a parameterized job takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Parameterized {
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) meta_required: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) meta_optional: Vec<String>,
}

/// What a job says of itself to others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct JobMeta {
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) meta: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum JobType {
    Service,
    Batch,
    System,
    Sysbatch,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Group {
    pub(in crate::nomad) name: String,
    pub(in crate::nomad) count: u32,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) tasks: Vec<Task>,
    #[serde(default)]
    pub(in crate::nomad) update: Option<Update>,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Task {
    pub(in crate::nomad) name: String,
    #[serde(default)]
    pub(in crate::nomad) driver: String,
    #[serde(default)]
    pub(in crate::nomad) config: Option<TaskConfig>,
    #[serde(default)]
    pub(in crate::nomad) lifecycle: Option<Lifecycle>,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) services: Vec<Service>,
}

/// What of a task's configuration tells whom it waits for, if its driver is ours.
#[derive(Debug, Deserialize)]
pub(in crate::nomad) struct TaskConfig {
    #[serde(default)]
    pub(in crate::nomad) wait: Option<serde_json::Value>,
    #[serde(default)]
    pub(in crate::nomad) job: Option<IgnoredAny>,
    #[serde(default)]
    pub(in crate::nomad) hook: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Lifecycle {
    pub(in crate::nomad) hook: LifecycleHook,
    #[serde(default)]
    pub(in crate::nomad) sidecar: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum LifecycleHook {
    Prestart,
    Poststart,
    Poststop,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Update {
    pub(in crate::nomad) max_parallel: i64,
    #[serde(default)]
    pub(in crate::nomad) health_check: String,
    /// In nanoseconds, as all of Nomad's durations.
    #[serde(default)]
    pub(in crate::nomad) min_healthy_time: Option<i64>,
    pub(in crate::nomad) healthy_deadline: i64,
    pub(in crate::nomad) progress_deadline: i64,
    pub(in crate::nomad) auto_revert: bool,
}

/// The answer of `/v1/job/:id/versions`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Versions {
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) versions: Vec<Version>,
}

/// A version of a job, in short.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Version {
    #[serde(rename = "Version")]
    pub(in crate::nomad) number: u64,
    pub(in crate::nomad) create_index: u64,
    pub(in crate::nomad) stop: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) meta: BTreeMap<String, String>,
}
