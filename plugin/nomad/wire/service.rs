//! Services: as a job declares them, as an allocation has registered them, and how their checks fare.

use serde::Deserialize;

use super::{Group, nullable};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Service {
    #[serde(default)]
    pub(in crate::nomad) name: String,
    #[serde(default)]
    pub(in crate::nomad) provider: String,
    #[serde(default)]
    pub(in crate::nomad) task_name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) checks: Vec<ServiceCheck>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct ServiceCheck {
    #[serde(default)]
    pub(in crate::nomad) task_name: String,
    #[serde(default)]
    pub(in crate::nomad) on_update: String,
    #[serde(default)]
    pub(in crate::nomad) name: String,
    /// In nanoseconds.
    #[serde(default)]
    pub(in crate::nomad) interval: i64,
}

/// A service that an allocation has registered in Nomad.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Registration {
    #[serde(rename = "JobID")]
    pub(in crate::nomad) job_id: String,
    #[serde(rename = "AllocID")]
    pub(in crate::nomad) alloc_id: String,
    pub(in crate::nomad) address: String,
    pub(in crate::nomad) port: u16,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) tags: Vec<String>,
}

/// An allocation with the version of its job that it was placed for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Placed {
    pub(in crate::nomad) task_group: String,
    pub(in crate::nomad) job: PlacedJob,
}

/// Of such a job, what its services are.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct PlacedJob {
    pub(in crate::nomad) version: u64,
    #[serde(deserialize_with = "nullable")]
    pub(in crate::nomad) task_groups: Vec<Group>,
}

/// A member of `/v1/client/allocation/:id/checks`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Check {
    #[serde(rename = "Check")]
    pub(in crate::nomad) name: String,
    #[serde(default)]
    pub(in crate::nomad) service: String,
    #[serde(default)]
    pub(in crate::nomad) task: String,
    pub(in crate::nomad) mode: CheckMode,
    pub(in crate::nomad) status: CheckStatus,
    /// Of an HTTP check that was answered.
    #[serde(default)]
    pub(in crate::nomad) status_code: u16,
    /// In seconds of the Unix epoch.
    #[serde(default)]
    pub(in crate::nomad) timestamp: i64,
    #[serde(default)]
    pub(in crate::nomad) output: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum CheckMode {
    Healthiness,
    Readiness,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum CheckStatus {
    Success,
    Failure,
    Pending,
}
