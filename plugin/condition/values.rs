//! Values that somebody writes: Nomad's variables, the keys of Consul's store. They are never told.

use super::Verdict;
use crate::{cluster::Value, manifest::Stored};

pub(super) fn judge(stored: &Stored, is_optional: bool, value: Value) -> Verdict {
    let (what, item) = match stored {
        Stored::Variable { path, key, .. } => (format!("variable {path}"), key.as_deref()),
        Stored::ConsulKey { key, .. } => (format!("key {key}"), None),
    };
    let asks_for_more = match stored {
        Stored::Variable { equals, .. } | Stored::ConsulKey { equals, .. } => equals.is_some(),
    };
    let whole = item.map_or_else(|| what.clone(), |item| format!("{what}, item {item}"));
    let missing = match (value, item) {
        (Value::Absent, _) => format!("there is no {what}"),
        (Value::NoItem, Some(item)) => format!("{what} has no item {item}"),
        (Value::NoItem, None) => return Verdict::not_yet("was answered in another way than it was asked"),
        (Value::Differs, _) => return Verdict::not_yet(format!("{whole}: is something else")),
        (Value::Holds, _) if asks_for_more => return Verdict::Met(format!("{whole}: is as awaited")),
        (Value::Holds, _) => return Verdict::Met(format!("{whole}: is there")),
    };
    if is_optional {
        Verdict::Met(format!("{missing}, and it is optional"))
    } else {
        Verdict::not_yet(missing)
    }
}
