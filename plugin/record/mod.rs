//! What outlives a process: a journal in the task's directory, to go on after a crash without doing anything twice, and
//! the places in Nomad's Variables where a tree keeps what it has to know.
//!
//! # Invariants
//!
//! * What was appended is in the file before the appending returns, and flushed to the disk where it is on one: it
//!   stands there however the process ends. (Nomad has that directory in memory: see `beneath.rs`.)
//! * What was not appended whole is not there at all, or only as whole entries from its beginning.
//! * A file that is not understood is refused, never repaired and never written over.
//!
//! What the entries mean is not known here.

mod beneath;
mod held;
mod journal;
mod path;
#[cfg(test)]
mod tests;

pub use held::{all_of as held_all_of, by as held_by};
pub use journal::{Error, Journal};
pub use path::of_job as path_of_job;
