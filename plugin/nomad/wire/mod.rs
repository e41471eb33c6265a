//! Nomad's JSON, only the fields that dtree reads or writes.
//!
//! A field without which nothing can be said is required, and a word that is not in one of the enums here is an
//! error: an answer that is half understood must never pass for good news. Nomad writes empty lists and maps as
//! `null`, which [`nullable`] reads.

mod agent;
mod allocation;
mod deployment;
mod evaluation;
mod event;
mod job;
mod order;
mod service;
mod variable;

use serde::{Deserialize, Deserializer};

pub(super) use self::{
    agent::{AclToken, Agent},
    allocation::{Allocation, ClientStatus, DesiredStatus, TaskEvent, TaskPhase, TaskState},
    deployment::{Deployment, DeploymentGroup, DeploymentStatus},
    evaluation::{Evaluation, EvaluationStatus, Placement},
    event::{Event, EventOutline, Line, Outline, Payload},
    job::{Group, Job, JobMeta, JobStub, JobType, Lifecycle, LifecycleHook, Task, Version, Versions},
    order::{Dispatch, Dispatched, Parse, Register, Registered, Restart, Signal, Validate, Validation},
    service::{Check, CheckMode, CheckStatus, Placed, Registration, Service, ServiceCheck},
    variable::{Lock, PutVariable, Variable, VariableStub},
};

/// Reads `null` as the default.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}
