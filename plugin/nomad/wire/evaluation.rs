//! What the scheduler made of a job.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::nullable;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Evaluation {
    #[serde(rename = "ID")]
    pub(in crate::nomad) id: String,
    #[serde(rename = "JobID")]
    pub(in crate::nomad) job_id: String,
    pub(in crate::nomad) status: EvaluationStatus,
    #[serde(default, rename = "FailedTGAllocs", deserialize_with = "nullable")]
    pub(in crate::nomad) failed_groups: BTreeMap<String, Placement>,
    pub(in crate::nomad) create_index: u64,
    pub(in crate::nomad) modify_index: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::nomad) enum EvaluationStatus {
    Pending,
    Blocked,
    Complete,
    Failed,
    #[serde(rename = "canceled", alias = "cancelled")]
    Cancelled,
}

/// Why a group could not be placed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Placement {
    #[serde(default)]
    pub(in crate::nomad) nodes_evaluated: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) constraint_filtered: BTreeMap<String, u64>,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) dimension_exhausted: BTreeMap<String, u64>,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) quota_exhausted: Vec<String>,
}
