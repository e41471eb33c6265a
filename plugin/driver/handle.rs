//! What the driver keeps of a task inside Nomad's handle, to go on with it in a new process.
//!
//! Nomad gives it back after a crash of the plugin, a restart of the agent or of the machine. A restarted agent gives the
//! task's configuration back *empty*, so all of it is in here.
//!
//! # Invariants
//!
//! * State that is not exactly understood is refused: no key may be missing, none may be unknown. A gate that took half
//!   of its state for the whole would wait for less than its author wrote, and open early.
//! * A refusal is safe: Nomad then starts the task anew.
//! * Deadlines are instants, not durations: a recovery does not begin them anew.
//!
//! The format is fixed by `fixtures/handle-v1.msgpack`. A change of it needs a new version number, and the old one
//! stays readable for as long as an agent of that time may be updated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{engine::Time, manifest::Manifest};

/// The one version there is.
const VERSION: u32 = 1;

/// The state of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handle {
    version: u32,
    /// What the user wrote.
    pub(super) manifest: Manifest,
    /// When each step's time is over.
    pub(super) deadlines: BTreeMap<String, Time>,
}

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Not even a version number.
    #[error("this task's stored state cannot be read")]
    Unreadable(#[source] rmp_serde::decode::Error),
    /// A version that this dtree does not know.
    #[error("this task's stored state has version {0}, and this dtree only knows version {VERSION}")]
    Version(u32),
    /// It can be read, but a gate that went by it could open early.
    #[error("this task's stored state contradicts itself: {0}")]
    Contradiction(&'static str),
}

impl Error {
    /// The error with its sources, in one line.
    pub(super) fn chain(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

/// The part that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Handle {
    pub(super) fn new(manifest: Manifest, deadlines: BTreeMap<String, Time>) -> Self {
        Self { version: VERSION, manifest, deadlines }
    }

    /// The bytes for Nomad to keep.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        rmp_serde::to_vec_named(self)
    }

    /// Reads what Nomad kept.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let Versioned { version } = rmp_serde::from_slice(bytes).map_err(Error::Unreadable)?;
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let handle: Self = rmp_serde::from_slice(bytes).map_err(Error::Unreadable)?;
        // Catches what serde forgives: absent keys of optional values, more behind the end.
        if handle.to_bytes().ok().as_deref() != Some(bytes) {
            return Err(Error::Contradiction("this version would have written it in another way"));
        }
        if handle.manifest.waits.is_empty() {
            return Err(Error::Contradiction("it waits for nothing"));
        }
        if !handle.manifest.waits.keys().eq(handle.deadlines.keys()) {
            return Err(Error::Contradiction("its waits and its deadlines are not the same"));
        }
        Ok(handle)
    }
}
