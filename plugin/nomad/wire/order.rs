//! What Nomad is told to do with jobs and allocations, and what it answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::nullable;

/// The body that asks to read a job's text.
#[derive(Debug, Serialize)]
pub(in crate::nomad) struct Parse<'a> {
    #[serde(rename = "JobHCL")]
    pub(in crate::nomad) hcl: &'a str,
    #[serde(rename = "Canonicalize")]
    pub(in crate::nomad) canonicalize: bool,
    #[serde(rename = "Variables")]
    pub(in crate::nomad) variables: &'a str,
}

/// The body that asks to judge a job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Validate<'a> {
    pub(in crate::nomad) job: &'a serde_json::Value,
}

/// The answer of `/v1/validate/job`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Validation {
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) validation_errors: Vec<String>,
    #[serde(default)]
    pub(in crate::nomad) error: String,
}

/// The body that signals a task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Signal<'a> {
    pub(in crate::nomad) task: &'a str,
    pub(in crate::nomad) signal: &'a str,
}

/// The body that restarts an allocation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Restart {
    pub(in crate::nomad) all_tasks: bool,
}

/// The body that registers a job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Register<'a> {
    pub(in crate::nomad) job: &'a serde_json::Value,
    pub(in crate::nomad) enforce_index: bool,
    pub(in crate::nomad) job_modify_index: u64,
}

/// The answer to that.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Registered {
    pub(in crate::nomad) job_modify_index: u64,
}

/// The body that starts a run of a parameterized job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Dispatch<'a> {
    pub(in crate::nomad) meta: &'a BTreeMap<String, String>,
    /// In base 64.
    pub(in crate::nomad) payload: String,
    pub(in crate::nomad) idempotency_token: &'a str,
}

/// The answer to a dispatch.
#[derive(Debug, Deserialize)]
pub(in crate::nomad) struct Dispatched {
    #[serde(rename = "DispatchedJobID")]
    pub(in crate::nomad) job: String,
}
