//! Nomad's unit of scheduling work. A condition needs only those that are not done.

use std::collections::BTreeMap;

use super::{EvalId, RaftIndex};

/// An evaluation of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Its ID.
    pub id: EvalId,
    /// Where it stands.
    pub status: EvaluationStatus,
    /// For each group that could not be placed: Nomad's reasons as one line, such as
    /// `1 client exhausted: memory`.
    pub failed_placements: BTreeMap<String, String>,
    /// When it was made.
    pub create_index: RaftIndex,
    /// The last write to it.
    pub modify_index: RaftIndex,
}

/// Nomad's words for where an evaluation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationStatus {
    /// Waits to be worked on, perhaps until a later instant.
    Pending,
    /// Waits for room or for a fitting client.
    Blocked,
    /// Done.
    Complete,
    /// Given up by the scheduler.
    Failed,
    /// Overtaken by a newer one.
    Cancelled,
}

impl EvaluationStatus {
    /// Whether nothing more will come of it.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Blocked => false,
            Self::Complete | Self::Failed | Self::Cancelled => true,
        }
    }
}
