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
//! | version | holds | fixed by |
//! |---|---|---|
//! | 1 | waits and their deadlines | `fixtures/handle-v1.msgpack` |
//! | 2 | a tree of jobs too | `fixtures/handle-v2.msgpack` |
//! | 3 | hooks that belong to no job, outputs, context, webhooks, and what is stopped, too | `fixtures/handle-v3.msgpack` |
//! | 4 | waits for what is no job, and what may be said of any wait since | `fixtures/handle-v4.msgpack` |
//!
//! What version 4 knows and version 3 does not is written only where it is used. A handle of version 3 has none of it, and
//! is read as one of version 4 in which nobody has asked for it.
//!
//! A change of the format needs a new version number, and the old ones stay readable for as long as an agent of their
//! time may be updated.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    engine::Time,
    manifest::{Manifest, Stop, Verb, Wait},
};

/// The version that is written.
const VERSION: u32 = 4;
/// The version that is read in the same way.
const THIRD: u32 = 3;

/// The state of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Handle {
    version: u32,
    /// What the user wrote.
    pub(super) manifest: Manifest,
    /// When each wait's time is over. May be empty for a tree, which keeps its instants in its journal.
    pub(super) deadlines: BTreeMap<String, Time>,
}

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Not even a version number.
    #[error("this task's stored state cannot be read")]
    Unreadable(#[source] rmp_serde::decode::Error),
    /// A manifest of an older version that is not understood.
    #[error("the manifest in this task's stored state cannot be read")]
    Manifest(#[source] serde_json::Error),
    /// A version that this dtree does not know.
    #[error("this task's stored state has version {0}, and this dtree knows the versions 1 to {VERSION}")]
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

/// A state of version 1: that of a gate before there were trees.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstHandle {
    version: u32,
    manifest: FirstManifest,
    deadlines: BTreeMap<String, Time>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstManifest {
    waits: BTreeMap<String, Box<Wait>>,
}

/// A state of version 2: that of a gate, or of a tree whose hooks all belonged to jobs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecondHandle {
    #[serde(rename = "version")]
    _version: u32,
    manifest: Value,
    deadlines: BTreeMap<String, Time>,
}

/// Reads what a writer of `T` wrote, and nothing else.
fn exactly<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let state: T = rmp_serde::from_slice(bytes).map_err(Error::Unreadable)?;
    // Catches what serde forgives: absent keys of optional values, more behind the end.
    if rmp_serde::to_vec_named(&state).ok().as_deref() != Some(bytes) {
        return Err(Error::Contradiction("its version would have been written in another way"));
    }
    Ok(state)
}

impl From<FirstHandle> for Handle {
    fn from(FirstHandle { version: _, manifest: FirstManifest { waits }, deadlines }: FirstHandle) -> Self {
        Self::new(Manifest { waits, tree: None }, deadlines)
    }
}

impl TryFrom<SecondHandle> for Handle {
    type Error = Error;

    fn try_from(SecondHandle { _version: _, mut manifest, deadlines }: SecondHandle) -> Result<Self, Error> {
        let nothing = || Value::Object(Map::new());
        if let Some(tree) = manifest.get_mut("tree").and_then(Value::as_object_mut) {
            tree.insert("context".to_owned(), nothing());
            tree.insert("webhooks".to_owned(), nothing());
        }
        let jobs = manifest.pointer_mut("/tree/jobs").and_then(Value::as_object_mut);
        for job in jobs.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            job.insert("outputs".to_owned(), nothing());
            job.get_mut("vars").into_iter().for_each(escape);
        }
        let hooks = manifest.pointer_mut("/tree/hooks").and_then(Value::as_object_mut);
        for hook in hooks.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            hook.insert("once".to_owned(), Value::Null);
            hook.insert("outputs".to_owned(), nothing());
            hook.get_mut("meta").into_iter().for_each(escape);
            let launch = hook.get_mut("launch").and_then(Value::as_object_mut);
            for launch in launch.into_iter().flat_map(Map::values_mut) {
                launch.get_mut("vars").into_iter().for_each(escape);
                launch.get_mut("payload").into_iter().for_each(escape);
            }
        }
        if let Some(tree) = manifest.pointer_mut("/tree").and_then(Value::as_object_mut) {
            tree.insert("verb".to_owned(), serde_json::to_value(Verb::Run).map_err(Error::Manifest)?);
            tree.insert("stop".to_owned(), serde_json::to_value(Stop::default()).map_err(Error::Manifest)?);
        }
        let read: Manifest = serde_json::from_value(manifest.clone()).map_err(Error::Manifest)?;
        // As in `exactly`.
        if serde_json::to_value(&read).ok() != Some(manifest) {
            return Err(Error::Contradiction("its version would have been written in another way"));
        }
        Ok(Self::new(read, deadlines))
    }
}

/// In older versions `$(` was a text like any other.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("$(", "$$("),
        Value::Object(fields) => fields.values_mut().for_each(escape),
        _ => {}
    }
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
        let handle = match version {
            1 => exactly::<FirstHandle>(bytes)?.into(),
            2 => rmp_serde::from_slice::<SecondHandle>(bytes).map_err(Error::Unreadable)?.try_into()?,
            THIRD => Self { version: VERSION, ..exactly::<Self>(bytes)? },
            VERSION => exactly::<Self>(bytes)?,
            other => return Err(Error::Version(other)),
        };
        handle.check()?;
        Ok(handle)
    }

    /// Refuses a state by which a gate could open early, or a tree end before it did anything.
    fn check(&self) -> Result<(), Error> {
        let Self { version: _, manifest: Manifest { waits, tree }, deadlines } = self;
        match tree {
            None if waits.is_empty() => return Err(Error::Contradiction("it waits for nothing")),
            Some(tree) if tree.jobs.is_empty() && tree.hooks.is_empty() => {
                return Err(Error::Contradiction("it has a tree without a job and without a hook"));
            }
            Some(_) if deadlines.is_empty() => return Ok(()),
            None | Some(_) => {}
        }
        if !waits.keys().eq(deadlines.keys()) {
            return Err(Error::Contradiction("its waits and its deadlines are not the same"));
        }
        Ok(())
    }
}
