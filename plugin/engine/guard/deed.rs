//! What a guard does.

/// Something that is done to the guard's own allocation: [`crate::engine::Report::Done`] when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Find out whether the others may be done, without doing anything.
    Prove,
    /// Send a signal.
    Signal {
        /// To these tasks.
        tasks: Vec<String>,
        /// As Nomad names it.
        signal: String,
    },
    /// Restart the running tasks.
    Restart {
        /// And those that have ended, so that a gate holds the others back.
        all: bool,
    },
}
