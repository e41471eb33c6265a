//! The event stream, line by line.

use serde::Deserialize;

use super::{Allocation, Deployment, Evaluation, Job, nullable};

/// A line of the event stream, without what its events carry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Outline {
    #[serde(deserialize_with = "nullable")]
    pub(in crate::nomad) events: Vec<EventOutline>,
}

/// An event of which only the subject is read, so that a stream of all jobs costs little.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct EventOutline {
    pub(in crate::nomad) topic: String,
    pub(in crate::nomad) key: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) filter_keys: Vec<String>,
}

/// A line of the event stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Line {
    pub(in crate::nomad) index: u64,
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) events: Vec<Event>,
}

/// An event. Its payload names what it holds by its one key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Event {
    pub(in crate::nomad) topic: String,
    #[serde(default)]
    pub(in crate::nomad) namespace: String,
    pub(in crate::nomad) payload: Payload,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Payload {
    #[serde(default)]
    pub(in crate::nomad) job: Option<Box<Job>>,
    /// Only beside `job`: it is gone, and `job` is how it was before.
    #[serde(default)]
    pub(in crate::nomad) deleted: bool,
    #[serde(default)]
    pub(in crate::nomad) deployment: Option<Box<Deployment>>,
    #[serde(default)]
    pub(in crate::nomad) allocation: Option<Box<Allocation>>,
    #[serde(default)]
    pub(in crate::nomad) evaluation: Option<Box<Evaluation>>,
}
