//! How a version of a job is brought into service.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::nullable;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Deployment {
    #[serde(rename = "ID")]
    pub(in crate::nomad) id: String,
    #[serde(rename = "JobID")]
    pub(in crate::nomad) job_id: String,
    pub(in crate::nomad) job_version: u64,
    pub(in crate::nomad) job_create_index: u64,
    pub(in crate::nomad) status: DeploymentStatus,
    #[serde(default)]
    pub(in crate::nomad) status_description: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) task_groups: BTreeMap<String, DeploymentGroup>,
    pub(in crate::nomad) modify_index: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum DeploymentStatus {
    Running,
    Paused,
    Failed,
    Successful,
    Cancelled,
    Initializing,
    Pending,
    Blocked,
    Unblocking,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct DeploymentGroup {
    pub(in crate::nomad) desired_total: u32,
    pub(in crate::nomad) desired_canaries: u32,
    pub(in crate::nomad) promoted: bool,
    pub(in crate::nomad) healthy_allocs: u32,
    #[serde(default)]
    pub(in crate::nomad) auto_revert: bool,
}
