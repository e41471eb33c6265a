//! Why something was not done with a record.

use crate::nomad;

/// Why the lead was not taken, or something was not written.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nomad does not allow it.
    #[error(transparent)]
    Denied(nomad::Error),
    /// Someone leads who is still there.
    #[error("{0}")]
    Led(String),
    /// Someone has led who is there no more, and the lock is not free yet.
    #[error("{0}")]
    NotFreeYet(String),
    /// Someone else has taken the lead.
    #[error("{0}")]
    Lost(String),
    /// The record is not understood.
    #[error("{0}")]
    Unread(String),
    /// Nomad did not do it.
    #[error(transparent)]
    Nomad(nomad::Error),
    /// It was written by somebody else, or taken away.
    #[error("the variable `{0}` was changed or taken away by someone else")]
    Meddled(String),
}

impl From<nomad::Error> for Refusal {
    fn from(error: nomad::Error) -> Self {
        if error.is_denied() { Self::Denied(error) } else { Self::Nomad(error) }
    }
}
