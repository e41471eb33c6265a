//! What outlives a process: a journal in the task's directory, and where in Nomad's Variables a tree keeps what it has
//! to know.

pub mod journal;
pub mod path;
