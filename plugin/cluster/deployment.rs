//! Nomad's record of bringing one version of a job into service.

use std::collections::BTreeMap;

use super::{DeploymentId, JobVersion, RaftIndex};

/// A deployment of one version of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Its ID.
    pub id: DeploymentId,
    /// The version it brings in.
    pub job_version: JobVersion,
    /// The create index of the job it belongs to.
    pub job_create_index: RaftIndex,
    /// Where it stands.
    pub status: DeploymentStatus,
    /// Nomad's own sentence about the status.
    pub description: String,
    /// Per group, by name.
    pub groups: BTreeMap<String, DeploymentGroup>,
    /// The last write to it.
    pub modify_index: RaftIndex,
}

/// A group's part in a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeploymentGroup {
    /// How many allocations are wanted in the end.
    pub desired_total: u32,
    /// How many canaries are wanted before promotion.
    pub desired_canaries: u32,
    /// Whether the canaries were promoted.
    pub is_promoted: bool,
    /// How many Nomad found healthy.
    pub healthy: u32,
    /// Whether failing means going back to the last stable version.
    pub auto_revert: bool,
}

/// Nomad's words for where a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentStatus {
    /// In progress, or waiting for promotion.
    Running,
    /// Halted by a user.
    Paused,
    /// Ended well.
    Successful,
    /// Ended badly.
    Failed,
    /// Overtaken by a newer version, or its job was stopped.
    Cancelled,
    /// Any other of Nomad's intermediate states: initializing, pending, blocked, unblocking.
    Pending,
}
