//! The fake's Variables: check-and-set, and locks that end on the clock of the test.

use std::time::Duration;

use hyper::{Method, Response};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    State,
    serve::{Asked, Body, plain},
};

/// How much a variable may hold, names and values together.
const LIMIT: usize = 64 << 10;

/// A variable.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// `null` where a lock was acquired without any.
    pub(super) items: Value,
    index: u64,
    lock: Option<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    id: String,
    ttl: Duration,
    delay: Duration,
    since: Instant,
}

impl Held {
    /// As measured: twice the time to live, whatever it is called.
    fn ends(&self) -> Instant {
        self.since + 2 * self.ttl
    }

    fn is_held(&self) -> bool {
        Instant::now() < self.ends()
    }

    /// Whether nobody else may have it yet.
    fn is_in_the_way(&self) -> bool {
        Instant::now() < self.ends() + self.delay
    }
}

impl Kept {
    fn holder(&self) -> Option<&Held> {
        self.lock.as_ref().filter(|held| held.is_held())
    }

    fn shown(&self, namespace: &str, path: &str, is_whole: bool) -> Value {
        let mut shown = json!({ "Namespace": namespace, "Path": path, "ModifyIndex": self.index });
        if is_whole && !self.items.is_null() {
            shown["Items"] = self.items.clone();
        }
        if let Some(held) = self.holder() {
            shown["Lock"] = json!({
                "ID": held.id, "TTL": format!("{}s", held.ttl.as_secs()),
                "LockDelay": format!("{}s", held.delay.as_secs()),
            });
        }
        shown
    }
}

fn duration(value: &Value) -> Duration {
    let text = value.as_str().unwrap_or("15s");
    Duration::from_secs(text.trim_end_matches('s').parse().unwrap())
}

/// What Nomad answers to who may not know what is there.
fn nothing(namespace: &str, path: &str) -> Value {
    json!({ "Namespace": namespace, "Path": path, "ModifyIndex": 0 })
}

impl State {
    pub(super) fn variable(&self, namespace: &str, path: &str) -> Response<Body> {
        match self.variables.get(&(namespace.to_owned(), path.to_owned())) {
            Some(kept) => {
                let mut shown = kept.shown(namespace, path, true);
                if self.acls
                    && let Some(shown) = shown.as_object_mut()
                {
                    // Only management tokens are shown locks, and nobody has one here.
                    shown.remove("Lock");
                }
                plain(200, self.index, shown.to_string())
            }
            None => plain(404, self.index, "variable not found"),
        }
    }

    pub(super) fn list_variables(&self, asked: &Asked) -> Response<Body> {
        let prefix = asked.parameter("prefix").unwrap_or_default();
        let stubs: Vec<Value> = self
            .variables
            .iter()
            .filter(|((namespace, path), _)| *namespace == asked.namespace && path.starts_with(prefix))
            .map(|((namespace, path), kept)| kept.shown(namespace, path, false))
            .collect();
        plain(200, self.index, Value::from(stubs).to_string())
    }

    /// A write to a variable, or to its lock: the answer, or the status and the words of a refusal.
    pub(super) fn write_variable(&mut self, asked: &Asked, path: &str) -> Result<Value, (u16, String)> {
        let Asked { method, namespace, .. } = asked;
        let body = asked.json();
        let key = (namespace.clone(), path.to_owned());
        let found = self.variables.get(&key).cloned();
        let operation = ["lock-acquire", "lock-renew", "lock-release"];
        let operation = operation.into_iter().find(|operation| asked.parameter(operation).is_some());
        let size = |items: &Value| -> usize {
            let items = items.as_object().into_iter().flatten();
            items.map(|(name, value)| name.len() + value.as_str().unwrap().len()).sum()
        };
        if size(&body["Items"]) > LIMIT {
            return Err((400, "RPC Error:: 400,variables are limited to 64KiB in total size".to_owned()));
        }
        if let Some(operation) = operation {
            assert!(asked.parameter("cas").is_none(), "CAS can't be used with lock operations");
            return self.lock(operation, key, found, &body);
        }
        let conflict = |found: Option<&Kept>| {
            let shown = found.map_or_else(|| nothing(namespace, path), |it| it.shown(namespace, path, true));
            Err((409, shown.to_string()))
        };
        if let Some(cas) = asked.parameter("cas") {
            let cas: u64 = cas.parse().unwrap();
            if cas != found.as_ref().map_or(0, |found| found.index) {
                return conflict(found.as_ref());
            }
        }
        if found.as_ref().is_some_and(|found| found.holder().is_some()) {
            return Err((409, nothing(namespace, path).to_string()));
        }
        if *method == Method::DELETE {
            self.variables.remove(&key);
            return Ok(Value::Null);
        }
        if !body["Lock"].is_null() {
            return Err((400, "variable should not contain lock definition".to_owned()));
        }
        if body["Items"].as_object().is_none_or(serde_json::Map::is_empty) {
            return Err((400, "variable missing required Items object".to_owned()));
        }
        self.index += 1;
        let lock = found.and_then(|found| found.lock).filter(Held::is_in_the_way);
        let kept = Kept { items: body["Items"].clone(), index: self.index, lock };
        let shown = kept.shown(namespace, path, true);
        self.variables.insert(key, kept);
        if self.is_two {
            let event = json!({ "Topic": "Variable", "Type": "VariableUpdated", "Key": path, "Namespace": namespace,
                "FilterKeys": null, "Payload": { "Deleted": false } });
            self.tell(self.index, &[event]);
        }
        Ok(shown)
    }

    fn lock(
        &mut self,
        operation: &str,
        key: (String, String),
        found: Option<Kept>,
        body: &Value,
    ) -> Result<Value, (u16, String)> {
        let id = body["Lock"]["ID"].as_str().expect("whoever locks chooses the ID").to_owned();
        if operation == "lock-acquire" {
            let lock = found.and_then(|found| found.lock);
            if lock.is_some_and(|held| held.is_in_the_way() && (held.id != id || !held.is_held())) {
                return Err((409, nothing(&key.0, &key.1).to_string()));
            }
            self.index += 1;
            let (ttl, delay) = (duration(&body["Lock"]["TTL"]), duration(&body["Lock"]["LockDelay"]));
            let held = Held { id, ttl, delay, since: Instant::now() };
            let kept = Kept { items: body["Items"].clone(), index: self.index, lock: Some(held) };
            let shown = kept.shown(&key.0, &key.1, true);
            self.variables.insert(key, kept);
            return Ok(shown);
        }
        let is_release = operation == "lock-release";
        let Some(mut kept) = found else {
            return Err((if is_release { 500 } else { 404 }, "variable doesn't exist".to_owned()));
        };
        let Some(held) = kept.lock.as_mut().filter(|held| held.is_held()) else {
            return Err((if is_release { 500 } else { 409 }, "variable doesn't hold a lock".to_owned()));
        };
        if held.id != id {
            return Err((409, "attempting to modify locked variable".to_owned()));
        }
        held.since = Instant::now();
        if is_release {
            self.index += 1;
            kept.index = self.index;
            kept.lock = None;
        }
        let shown = kept.shown(&key.0, &key.1, false);
        self.variables.insert(key, kept);
        Ok(shown)
    }

    /// Someone with a management token takes a variable away, locked or not.
    pub(crate) fn forget_variable(&mut self, namespace: &str, path: &str) {
        self.variables.remove(&(namespace.to_owned(), path.to_owned())).expect("it is there");
    }

    /// What the variables of a namespace say, by path.
    pub(crate) fn variables(&self, namespace: &str) -> Vec<(String, Value)> {
        let mine = self.variables.iter().filter(|((other, _), _)| other == namespace);
        mine.map(|((_, path), kept)| (path.clone(), kept.items.clone())).collect()
    }
}
