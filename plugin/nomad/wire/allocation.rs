//! An allocation, and how its tasks fare.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::nullable;

/// A member of an allocation list, or the allocation of an event, which has no `JobVersion` but an
/// `AllocModifyIndex` and a `DeploymentID`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Allocation {
    #[serde(rename = "ID")]
    pub(in crate::nomad) id: String,
    #[serde(rename = "JobID")]
    pub(in crate::nomad) job_id: String,
    pub(in crate::nomad) name: String,
    #[serde(rename = "NodeID")]
    pub(in crate::nomad) node_id: String,
    pub(in crate::nomad) task_group: String,
    #[serde(default)]
    pub(in crate::nomad) job_version: Option<u64>,
    pub(in crate::nomad) desired_status: DesiredStatus,
    pub(in crate::nomad) client_status: ClientStatus,
    #[serde(default)]
    pub(in crate::nomad) client_description: String,
    #[serde(default, rename = "DeploymentID")]
    pub(in crate::nomad) deployment_id: String,
    #[serde(default)]
    pub(in crate::nomad) deployment_status: Option<AllocHealth>,
    #[serde(default, rename = "NextAllocation")]
    pub(in crate::nomad) next: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) task_states: BTreeMap<String, TaskState>,
    pub(in crate::nomad) create_index: u64,
    pub(in crate::nomad) modify_index: u64,
    #[serde(default)]
    pub(in crate::nomad) alloc_modify_index: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum DesiredStatus {
    Run,
    Stop,
    Evict,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum ClientStatus {
    Pending,
    Running,
    Complete,
    Failed,
    Lost,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct AllocHealth {
    #[serde(default)]
    pub(in crate::nomad) healthy: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) timestamp: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct TaskState {
    pub(in crate::nomad) state: TaskPhase,
    pub(in crate::nomad) failed: bool,
    #[serde(default)]
    pub(in crate::nomad) restarts: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) started_at: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) events: Vec<TaskEvent>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum TaskPhase {
    Pending,
    Running,
    Dead,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct TaskEvent {
    #[serde(rename = "Type")]
    pub(in crate::nomad) kind: String,
    #[serde(default)]
    pub(in crate::nomad) display_message: String,
    #[serde(default)]
    pub(in crate::nomad) exit_code: i32,
}
