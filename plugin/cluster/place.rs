//! Where a task stands in Nomad.

use super::{AllocId, JobKey};

/// A task of ours, as Nomad names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The job it belongs to.
    pub job: JobKey,
    /// Its group.
    pub group: String,
    /// Its allocation.
    pub alloc: AllocId,
    /// Its own name.
    pub task: String,
}
