//! A step for programs: the same keys and words wherever one is printed, at the command line or by a task that is asked.

use serde_json::{Value, json};

use super::spelled;
use crate::engine::{NodeStatus, Status};

/// Since when a step is as it is, until when it may be, and what happens then. Whoever has only just looked knows none of it.
#[derive(Default)]
pub struct Times {
    /// In RFC 3339, or null.
    pub since: Value,
    /// In RFC 3339, or null.
    pub until: Value,
    /// A word of `on_timeout`, or null.
    pub then: Value,
}

/// The steps of a run, told by whoever carries it out.
pub fn steps(status: &Status) -> Vec<Value> {
    let times = |node: &NodeStatus| Times {
        since: spelled(node.since).into(),
        until: node.gives_up.map(spelled).into(),
        then: node.gives_up.map(|_| node.on_timeout).into(),
    };
    status.nodes.iter().map(|node| step(node, times(node))).collect()
}

/// A step with its times.
pub fn step(node: &NodeStatus, times: Times) -> Value {
    let Times { since, until, then } = times;
    json!({
        "name": node.name,
        "state": node.state,
        "awaited": node.wanted,
        "detail": node.detail,
        "seen": node.seen,
        "since": since,
        "until": until,
        "then": then,
        "needs": node.depends_on,
        "help": node.hint,
    })
}

/// A step of which only its lines were heard: `state` and `detail` by the last of them, `since` when it first said so.
pub fn heard(name: &str, state: &str, detail: &str, since: &str, needs: &[&str]) -> Value {
    json!({
        "name": name,
        "state": state,
        "awaited": null,
        "detail": detail,
        "seen": [],
        "since": since,
        "until": null,
        "then": null,
        "needs": needs,
        "help": null,
    })
}
