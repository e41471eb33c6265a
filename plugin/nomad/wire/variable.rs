//! Variables and their locks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::nullable;
use crate::cluster::LockId;

/// A variable, as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct Variable {
    /// Absent where a lock was acquired without any.
    #[serde(default, deserialize_with = "nullable")]
    pub(in crate::nomad) items: BTreeMap<String, String>,
    pub(in crate::nomad) modify_index: u64,
    #[serde(default)]
    pub(in crate::nomad) lock: Option<Lock>,
}

/// A variable in a list, and in the answer to a write.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct VariableStub {
    pub(in crate::nomad) path: String,
    pub(in crate::nomad) modify_index: u64,
    #[serde(default)]
    pub(in crate::nomad) lock: Option<Lock>,
}

/// The body that writes a variable, or has to do with its lock.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::nomad) struct PutVariable<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::nomad) items: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::nomad) lock: Option<Lock>,
}

/// A variable's lock.
#[derive(Debug, Deserialize, Serialize)]
pub(in crate::nomad) struct Lock {
    #[serde(rename = "ID", default)]
    pub(in crate::nomad) id: String,
    #[serde(rename = "TTL", default, skip_serializing_if = "Option::is_none")]
    pub(in crate::nomad) ttl: Option<String>,
    #[serde(rename = "LockDelay", default, skip_serializing_if = "Option::is_none")]
    pub(in crate::nomad) delay: Option<String>,
}

impl Lock {
    /// What tells it from others.
    pub(in crate::nomad) fn only(id: &LockId) -> Self {
        Self { id: id.to_string(), ttl: None, delay: None }
    }
}
