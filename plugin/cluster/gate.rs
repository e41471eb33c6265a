//! What a job says of its own gates: whom they wait for.

use super::JobKey;

/// A gate of a job, as its spec has it: a task of dtree that holds its group back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Its group.
    pub group: String,
    /// Its name.
    pub task: String,
    /// What it waits for for certain: nothing but these being ready opens it, or somebody's hand.
    pub needs: Vec<Awaited>,
}

/// Somebody else's readiness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// The job.
    pub job: JobKey,
    /// Only this group of it; `None` is all groups.
    pub group: Option<String>,
}
