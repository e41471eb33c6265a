//! The hash of all that a job is made of: equal means that there is nothing to change.
//!
//! # What counts
//!
//! * What the author says, in any order of keys.
//! * Not what Nomad's servers set ([`SERVERS`]).
//! * Not what says nothing: `null`, `false`, `0`, `""`, an empty list or map. A later Nomad has more fields, and shows
//!   them empty where the author does not use them: that is no other job.
//! * Except for fields where nothing and zero are not the same ([`MEANT`]): without a `count` there is one allocation, with `count = 0`
//!   none. There only `null` says nothing.
//! * Verbatim, all that stands in a map whose keys are the author's ([`FREE`]): in `Env`, an empty value is a value.

use serde_json::{Map, Value, json};

use crate::cluster::{SpecHash, digest};

/// What Nomad's servers write into a job, and no author.
pub(super) const SERVERS: &[&str] = &[
    "Status",
    "StatusDescription",
    "Stable",
    "Version",
    "VersionTag",
    "SubmitTime",
    "Stop",
    "CreateIndex",
    "ModifyIndex",
    "JobModifyIndex",
    "NomadTokenID",
    "Dispatched",
    "DispatchIdempotencyToken",
    "ParentID",
];

/// Maps whose keys the author chooses, in all of Nomad's schema.
const FREE: &[&str] = &[
    "Args",
    "CanaryMeta",
    "CanaryTaggedAddresses",
    "Config",
    "Env",
    "GetterHeaders",
    "GetterOptions",
    "Header",
    "Meta",
    "Options",
    "Policy",
    "TaggedAddresses",
];

/// Fields of which an empty value says something else than none: numbers and switches whose default is not zero, and
/// blocks that mean something by being there.
const MEANT: &[&str] = &[
    // Numbers and durations.
    "Attempts",
    "CPU",
    "Count",
    "Delay",
    "FailuresBeforeCritical",
    "Grace",
    "HealthyDeadline",
    "Interval",
    "KillTimeout",
    "Limit",
    "MaxDelay",
    "MaxFileSizeMB",
    "MaxFiles",
    "MaxParallel",
    "MemoryMB",
    "Min",
    "MinHealthyTime",
    "Priority",
    "ProgressDeadline",
    "SizeMB",
    "Splay",
    "Stagger",
    "Weight",
    // Switches: some are on where nobody says anything, some override those of the whole job.
    "AutoPromote",
    "AutoRevert",
    "Canary",
    "Enabled",
    "Env",
    "Migrate",
    "ProhibitOverlap",
    "RenderTemplates",
    "Replace",
    "Sticky",
    "Unlimited",
    // Texts with a default.
    "ChangeMode",
    "HealthCheck",
    "LeftDelim",
    "Mode",
    "Perms",
    "RightDelim",
    // Blocks.
    "CSIPlugin",
    "Connect",
    "Consul",
    "DispatchPayload",
    "Expose",
    "Gateway",
    "Identity",
    "Ingress",
    "Mesh",
    "ParameterizedJob",
    "Periodic",
    "Proxy",
    "SidecarService",
    "SidecarTask",
    "Terminating",
    "TLS",
    "TransparentProxy",
    "Vault",
];

/// The hash of a job.
pub(super) fn of_job(job: &Value) -> SpecHash {
    of(&essence_of_job(job))
}

/// The hash of a hook that runs `job` with `meta`.
pub(super) fn of_hook(job: &Value, meta: &Value) -> SpecHash {
    of(&json!({ "job": essence_of_job(job), "meta": meta }))
}

/// The hash of a hook that dispatches the job that `target` names.
pub(super) fn of_dispatch(target: &str, meta: &Value, payload: &str) -> SpecHash {
    of(&json!({ "dispatch": target, "meta": meta, "payload": payload }))
}

fn of(essence: &Value) -> SpecHash {
    // A map of serde_json is sorted, so equal values have equal texts.
    digest([essence.to_string().as_str()]).into()
}

fn essence_of_job(job: &Value) -> Value {
    let Value::Object(fields) = job else { return job.clone() };
    let own = fields.iter().filter(|(key, _)| !SERVERS.contains(&key.as_str()));
    Value::Object(essences(own))
}

fn essences<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>) -> Map<String, Value> {
    let kept = fields.filter_map(|(key, value)| {
        let is_free = FREE.contains(&key.as_str()) && value.is_object();
        let value = if is_free { value.clone() } else { essence(value) };
        let is_nothing =
            if MEANT.contains(&key.as_str()) && !is_free { value.is_null() } else { says_nothing(&value) };
        (!is_nothing).then(|| (key.clone(), value))
    });
    kept.collect()
}

fn essence(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(essences(fields.iter())),
        Value::Array(items) => Value::Array(items.iter().map(essence).collect()),
        other => other.clone(),
    }
}

/// Takes the nulls out of a job, of which Nomad's parser makes one for each field that the author does not use. Not out
/// of the author's own maps.
pub(super) fn drop_nulls(job: &mut Value) {
    match job {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            let of_schema =
                |(key, value): &(&String, &mut Value)| !(FREE.contains(&key.as_str()) && value.is_object());
            fields.iter_mut().filter(of_schema).for_each(|(_, value)| drop_nulls(value));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_so) => !is_so,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
