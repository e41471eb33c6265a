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
    /// Someone leads, or has led, of whom it cannot be said whether they are still there. Whoever still is when
    /// [`super::FREE_AFTER`] is over since this was first said leads.
    #[error("{said}")]
    Unclear {
        /// The lock, which another leader does not have.
        lock: String,
        /// Who it is, with until when to wait.
        said: String,
        /// What is to be said when they are still there.
        led: String,
    },
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
