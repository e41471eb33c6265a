//! What outlives a process: the record of a tree's run in Nomad's Variables, which has one leader; and a journal in the
//! task's directory, where Variables are refused.
//!
//! # Invariants
//!
//! Those of the record stand in `keeper/mod.rs` and `ledger.rs`. Of the journal:
//!
//! * What was appended is in the file before the appending returns, and flushed to the disk where it is on one: it
//!   stands there however the process ends. (Nomad has that directory in memory: see `beneath.rs`.)
//! * What was not appended whole is not there at all, or only as whole entries from its beginning.
//! * A file that is not understood is refused, never repaired and never written over.
//!
//! What the entries mean is not known here.

mod approvals;
mod beneath;
mod header;
mod held;
mod history;
mod journal;
mod keeper;
mod ledger;
mod path;
mod process;
mod shown;
#[cfg(test)]
mod tests;

pub use approvals::{Asked, approvers_paths, ask, asked, give};
pub use held::{all_of as held_all_of, by as held_by};
pub use journal::{Error, Journal};
pub use keeper::{Candidate, FREE_AFTER, Keeper, Refusal, Remembered, TTL};
pub use ledger::Note;
pub use path::of_job as path_of_job;
pub use process::Process;
pub use shown::{Hidden, Shown, past_runs, shown};
