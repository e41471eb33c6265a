//! One value in the journal of a task's directory, replaced as a whole.

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

use crate::record::Journal;

/// What stands in the journal of `task`, which is that of `name`; nothing where nothing was written.
///
/// # Errors
///
/// When it cannot be read, or is not understood.
pub(super) fn read<T: DeserializeOwned + Default>(
    alloc_dir: &Path,
    task: &str,
    name: &str,
) -> Result<T, String> {
    let (_, lines) = Journal::open(alloc_dir, task, name).map_err(|error| chain(&error))?;
    match lines.into_iter().next_back() {
        Some(line) => serde_json::from_value(line).map_err(|error| chain(&error)),
        None => Ok(T::default()),
    }
}

/// Puts `value` in the place of what stands there, and has it on the disk.
///
/// # Errors
///
/// When it is not there.
pub(super) fn write<T: Serialize>(alloc_dir: &Path, task: &str, name: &str, value: &T) -> Result<(), String> {
    let line = serde_json::to_value(value).map_err(|error| chain(&error))?;
    let (mut journal, _) = Journal::open(alloc_dir, task, name).map_err(|error| chain(&error))?;
    journal.replace(&[line]).map_err(|error| chain(&error))
}

/// An error with its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
