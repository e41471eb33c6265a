//! Nomad's JSON, only the fields that dtree reads or writes.
//!
//! A field without which nothing can be said is required, and a word that is not in one of the enums here is an
//! error: an answer that is half understood must never pass for good news. Nomad writes empty lists and maps as
//! `null`, which [`nullable`] reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};

use crate::cluster::LockId;

/// Reads `null` as the default.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A member of `/v1/jobs`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JobStub {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
    #[serde(rename = "JobModifyIndex")]
    pub(super) spec_modify_index: u64,
}

/// A whole job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Job {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) namespace: String,
    #[serde(rename = "Type")]
    pub(super) kind: JobType,
    pub(super) version: u64,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
    #[serde(rename = "JobModifyIndex")]
    pub(super) spec_modify_index: u64,
    pub(super) stop: bool,
    #[serde(default)]
    pub(super) dispatched: bool,
    #[serde(default)]
    pub(super) periodic: Option<IgnoredAny>,
    #[serde(default, rename = "ParameterizedJob")]
    pub(super) parameterized: Option<Parameterized>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) meta: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) task_groups: Vec<Group>,
}

/// What a parameterized job takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Parameterized {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) meta_required: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) meta_optional: Vec<String>,
}

/// What a job says of itself to others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JobMeta {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) meta: BTreeMap<String, String>,
}

/// A service that an allocation has registered in Nomad.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Registration {
    #[serde(rename = "JobID")]
    pub(super) job_id: String,
    #[serde(rename = "AllocID")]
    pub(super) alloc_id: String,
    pub(super) address: String,
    pub(super) port: u16,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) tags: Vec<String>,
}

/// An allocation with the version of its job that it was placed for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Placed {
    pub(super) task_group: String,
    pub(super) job: PlacedJob,
}

/// Of such a job, what its services are.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PlacedJob {
    pub(super) version: u64,
    #[serde(deserialize_with = "nullable")]
    pub(super) task_groups: Vec<Group>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum JobType {
    Service,
    Batch,
    System,
    Sysbatch,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) count: u32,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) tasks: Vec<Task>,
    #[serde(default)]
    pub(super) update: Option<Update>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) services: Vec<Service>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Task {
    pub(super) name: String,
    #[serde(default)]
    pub(super) driver: String,
    #[serde(default)]
    pub(super) config: Option<TaskConfig>,
    #[serde(default)]
    pub(super) lifecycle: Option<Lifecycle>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) services: Vec<Service>,
}

/// What of a task's configuration tells whom it waits for, if its driver is ours.
#[derive(Debug, Deserialize)]
pub(super) struct TaskConfig {
    #[serde(default)]
    pub(super) wait: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) job: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) hook: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Lifecycle {
    pub(super) hook: LifecycleHook,
    #[serde(default)]
    pub(super) sidecar: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum LifecycleHook {
    Prestart,
    Poststart,
    Poststop,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Update {
    pub(super) max_parallel: i64,
    #[serde(default)]
    pub(super) health_check: String,
    /// In nanoseconds, as all of Nomad's durations.
    #[serde(default)]
    pub(super) min_healthy_time: Option<i64>,
    pub(super) healthy_deadline: i64,
    pub(super) progress_deadline: i64,
    pub(super) auto_revert: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Service {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) provider: String,
    #[serde(default)]
    pub(super) task_name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) checks: Vec<ServiceCheck>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ServiceCheck {
    #[serde(default)]
    pub(super) task_name: String,
    #[serde(default)]
    pub(super) on_update: String,
    #[serde(default)]
    pub(super) name: String,
    /// In nanoseconds.
    #[serde(default)]
    pub(super) interval: i64,
}

/// A member of an allocation list, or the allocation of an event, which has no `JobVersion` but an
/// `AllocModifyIndex` and a `DeploymentID`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Allocation {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "JobID")]
    pub(super) job_id: String,
    pub(super) name: String,
    #[serde(rename = "NodeID")]
    pub(super) node_id: String,
    pub(super) task_group: String,
    #[serde(default)]
    pub(super) job_version: Option<u64>,
    pub(super) desired_status: DesiredStatus,
    pub(super) client_status: ClientStatus,
    #[serde(default)]
    pub(super) client_description: String,
    #[serde(default, rename = "DeploymentID")]
    pub(super) deployment_id: String,
    #[serde(default)]
    pub(super) deployment_status: Option<AllocHealth>,
    #[serde(default, rename = "NextAllocation")]
    pub(super) next: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) task_states: BTreeMap<String, TaskState>,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
    #[serde(default)]
    pub(super) alloc_modify_index: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum DesiredStatus {
    Run,
    Stop,
    Evict,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClientStatus {
    Pending,
    Running,
    Complete,
    Failed,
    Lost,
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AllocHealth {
    #[serde(default)]
    pub(super) healthy: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TaskState {
    pub(super) state: TaskPhase,
    pub(super) failed: bool,
    #[serde(default)]
    pub(super) restarts: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) started_at: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) events: Vec<TaskEvent>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TaskPhase {
    Pending,
    Running,
    Dead,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TaskEvent {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) display_message: String,
    #[serde(default)]
    pub(super) exit_code: i32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Deployment {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "JobID")]
    pub(super) job_id: String,
    pub(super) job_version: u64,
    pub(super) job_create_index: u64,
    pub(super) status: DeploymentStatus,
    #[serde(default)]
    pub(super) status_description: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) task_groups: BTreeMap<String, DeploymentGroup>,
    pub(super) modify_index: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DeploymentStatus {
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
pub(super) struct DeploymentGroup {
    pub(super) desired_total: u32,
    pub(super) desired_canaries: u32,
    pub(super) promoted: bool,
    pub(super) healthy_allocs: u32,
    #[serde(default)]
    pub(super) auto_revert: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Evaluation {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "JobID")]
    pub(super) job_id: String,
    pub(super) status: EvaluationStatus,
    #[serde(default, rename = "FailedTGAllocs", deserialize_with = "nullable")]
    pub(super) failed_groups: BTreeMap<String, Placement>,
    pub(super) create_index: u64,
    pub(super) modify_index: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EvaluationStatus {
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
pub(super) struct Placement {
    #[serde(default)]
    pub(super) nodes_evaluated: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) constraint_filtered: BTreeMap<String, u64>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) dimension_exhausted: BTreeMap<String, u64>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) quota_exhausted: Vec<String>,
}

/// A member of `/v1/client/allocation/:id/checks`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Check {
    #[serde(rename = "Check")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) service: String,
    #[serde(default)]
    pub(super) task: String,
    pub(super) mode: CheckMode,
    pub(super) status: CheckStatus,
    /// Of an HTTP check that was answered.
    #[serde(default)]
    pub(super) status_code: u16,
    /// In seconds of the Unix epoch.
    #[serde(default)]
    pub(super) timestamp: i64,
    #[serde(default)]
    pub(super) output: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckMode {
    Healthiness,
    Readiness,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckStatus {
    Success,
    Failure,
    Pending,
}

/// The token that asks, as `/v1/acl/token/self` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AclToken {
    #[serde(rename = "AccessorID")]
    pub(super) accessor_id: String,
    #[serde(default, rename = "Type")]
    pub(super) kind: String,
}

/// What an agent tells of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Agent {
    pub(super) config: AgentConfig,
}

/// What an agent was configured with, and what it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AgentConfig {
    pub(super) version: AgentVersion,
}

/// An agent's version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AgentVersion {
    pub(super) version: String,
}

/// The answer of `/v1/job/:id/versions`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Versions {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) versions: Vec<Version>,
}

/// A version of a job, in short.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    #[serde(rename = "Version")]
    pub(super) number: u64,
    pub(super) create_index: u64,
    pub(super) stop: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) meta: BTreeMap<String, String>,
}

/// The answer of `/v1/validate/job`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Validation {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) validation_errors: Vec<String>,
    #[serde(default)]
    pub(super) error: String,
}

/// The answer to a dispatch.
#[derive(Debug, Deserialize)]
pub(super) struct Dispatched {
    #[serde(rename = "DispatchedJobID")]
    pub(super) job: String,
}

/// The body that asks to read a job's text.
#[derive(Debug, Serialize)]
pub(super) struct Parse<'a> {
    #[serde(rename = "JobHCL")]
    pub(super) hcl: &'a str,
    #[serde(rename = "Canonicalize")]
    pub(super) canonicalize: bool,
    #[serde(rename = "Variables")]
    pub(super) variables: &'a str,
}

/// The body that asks to judge a job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Validate<'a> {
    pub(super) job: &'a serde_json::Value,
}

/// The body that signals a task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Signal<'a> {
    pub(super) task: &'a str,
    pub(super) signal: &'a str,
}

/// The body that restarts an allocation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Restart {
    pub(super) all_tasks: bool,
}

/// The body that registers a job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Register<'a> {
    pub(super) job: &'a serde_json::Value,
    pub(super) enforce_index: bool,
    pub(super) job_modify_index: u64,
}

/// The answer to that.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Registered {
    pub(super) job_modify_index: u64,
}

/// The body that starts a run of a parameterized job.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Dispatch<'a> {
    pub(super) meta: &'a BTreeMap<String, String>,
    /// In base 64.
    pub(super) payload: String,
    pub(super) idempotency_token: &'a str,
}

/// A variable, as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Variable {
    /// Absent where a lock was acquired without any.
    #[serde(default, deserialize_with = "nullable")]
    pub(super) items: BTreeMap<String, String>,
    pub(super) modify_index: u64,
    #[serde(default)]
    pub(super) lock: Option<Lock>,
}

/// A variable in a list, and in the answer to a write.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VariableStub {
    pub(super) path: String,
    pub(super) modify_index: u64,
    #[serde(default)]
    pub(super) lock: Option<Lock>,
}

/// The body that writes a variable, or has to do with its lock.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutVariable<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) items: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lock: Option<Lock>,
}

/// A variable's lock.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Lock {
    #[serde(rename = "ID", default)]
    pub(super) id: String,
    #[serde(rename = "TTL", default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<String>,
    #[serde(rename = "LockDelay", default, skip_serializing_if = "Option::is_none")]
    pub(super) delay: Option<String>,
}

impl Lock {
    /// What tells it from others.
    pub(super) fn only(id: &LockId) -> Self {
        Self { id: id.to_string(), ttl: None, delay: None }
    }
}

/// A line of the event stream, without what its events carry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Outline {
    #[serde(deserialize_with = "nullable")]
    pub(super) events: Vec<EventOutline>,
}

/// An event of which only the subject is read, so that a stream of all jobs costs little.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EventOutline {
    pub(super) topic: String,
    pub(super) key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) filter_keys: Vec<String>,
}

/// A line of the event stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Line {
    pub(super) index: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) events: Vec<Event>,
}

/// An event. Its payload names what it holds by its one key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event {
    pub(super) topic: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) payload: Payload,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Payload {
    #[serde(default)]
    pub(super) job: Option<Box<Job>>,
    /// Only beside `job`: it is gone, and `job` is how it was before.
    #[serde(default)]
    pub(super) deleted: bool,
    #[serde(default)]
    pub(super) deployment: Option<Box<Deployment>>,
    #[serde(default)]
    pub(super) allocation: Option<Box<Allocation>>,
    #[serde(default)]
    pub(super) evaluation: Option<Box<Evaluation>>,
}
