//! What the fake holds, and how a write changes it and tells the streams.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{State, Write};

impl State {
    pub(super) fn write(&mut self, write: impl FnOnce(&mut Write<'_>)) -> (u64, Vec<Value>) {
        self.index += 1;
        let index = self.index;
        let mut transaction = Write { index, state: self, events: Vec::new() };
        write(&mut transaction);
        (index, transaction.events)
    }

    pub(super) fn tell(&self, index: u64, events: &[Value]) {
        for stream in &self.streams {
            let fits = |event: &&Value| {
                let topic = event["Topic"].as_str().unwrap();
                let keys = event["FilterKeys"].as_array().into_iter().flatten().chain([&event["Key"]]);
                stream.namespace == event["Namespace"]
                    && (stream.topics.contains(&(topic.to_owned(), "*".to_owned()))
                        || keys
                            .filter_map(Value::as_str)
                            .any(|key| stream.topics.contains(&(topic.to_owned(), key.to_owned()))))
            };
            let events: Vec<&Value> = events.iter().filter(fits).collect();
            if !events.is_empty() {
                let line = format!("{}\n", json!({ "Index": index, "Events": events }));
                drop(stream.lines.send(Bytes::from(line)));
            }
        }
    }

    pub(super) fn is_allowed(&self, token: &str, namespace: &str) -> bool {
        !self.acls || self.allowed.contains(&(token.to_owned(), namespace.to_owned()))
    }

    /// Whether `token` may also write.
    pub(super) fn may_write(&self, token: &str, namespace: &str) -> bool {
        let key = (token.to_owned(), namespace.to_owned());
        self.is_allowed(token, namespace) && !(self.acls && self.only_reads.contains(&key))
    }
}

impl Write<'_> {
    /// Registers or changes a job: its version is one more than before.
    pub(crate) fn register(&mut self, mut job: Value) {
        let key = (text(&job, "Namespace"), text(&job, "ID"));
        let before = self.state.jobs.get(&key);
        job["Version"] = before.map_or_else(|| json!(0), |job| json!(job["Version"].as_u64().unwrap() + 1));
        job["CreateIndex"] = before.map_or_else(|| json!(self.index), |job| job["CreateIndex"].clone());
        job["JobModifyIndex"] = json!(self.index);
        job["ModifyIndex"] = json!(self.index);
        self.event("Job", &key.0, &key.1, &[], &json!({ "Job": job }));
        if let Some(before) = self.state.jobs.insert(key.clone(), job) {
            self.state.history.entry(key).or_default().push(before);
        }
    }

    /// Purges a job with all that belongs to it except its evaluations.
    pub(crate) fn purge(&mut self, namespace: &str, id: &str) {
        let key = (namespace.to_owned(), id.to_owned());
        let job = self.state.jobs.remove(&key).unwrap();
        self.state.history.remove(&key);
        self.state.allocations.retain(|_, allocation| allocation["JobID"] != id);
        self.state.deployments.retain(|_, deployment| deployment["JobID"] != id);
        self.event("Job", namespace, id, &[], &json!({ "Job": job, "Deleted": true }));
    }

    /// Writes an allocation as a server does.
    pub(crate) fn allocation(&mut self, mut allocation: Value) {
        allocation["AllocModifyIndex"] = json!(self.index);
        self.put_allocation(allocation);
    }

    /// Changes an allocation as its client does: its job version stays.
    pub(crate) fn client_update(&mut self, id: &str, change: impl FnOnce(&mut Value)) {
        let mut allocation = self.state.allocations[id].clone();
        change(&mut allocation);
        self.put_allocation(allocation);
    }

    fn put_allocation(&mut self, mut allocation: Value) {
        let id = text(&allocation, "ID");
        self.stamp("allocations", &id, &mut allocation);
        // As Nomad does: no version in events.
        let mut shown = allocation.clone();
        shown.as_object_mut().unwrap().remove("JobVersion");
        let (namespace, job) = (text(&allocation, "Namespace"), text(&allocation, "JobID"));
        self.event("Allocation", &namespace, &id, &[&job, ""], &json!({ "Allocation": shown }));
        self.state.allocations.insert(id, allocation);
    }

    /// Writes a deployment.
    pub(crate) fn deployment(&mut self, mut deployment: Value) {
        let id = text(&deployment, "ID");
        self.stamp("deployments", &id, &mut deployment);
        let (namespace, job) = (text(&deployment, "Namespace"), text(&deployment, "JobID"));
        deployment["JobCreateIndex"] =
            self.state.jobs[&(namespace.clone(), job.clone())]["CreateIndex"].clone();
        self.event("Deployment", &namespace, &id, &[&job], &json!({ "Deployment": deployment }));
        self.state.deployments.insert(id, deployment);
    }

    /// Writes an evaluation.
    pub(crate) fn evaluation(&mut self, mut evaluation: Value) {
        let id = text(&evaluation, "ID");
        self.stamp("evaluations", &id, &mut evaluation);
        let (namespace, job) = (text(&evaluation, "Namespace"), text(&evaluation, "JobID"));
        self.event("Evaluation", &namespace, &id, &[&job, ""], &json!({ "Evaluation": evaluation }));
        self.state.evaluations.insert(id, evaluation);
    }

    fn stamp(&mut self, table: &str, id: &str, thing: &mut Value) {
        let before = match table {
            "allocations" => self.state.allocations.get(id),
            "deployments" => self.state.deployments.get(id),
            _ => self.state.evaluations.get(id),
        };
        thing["CreateIndex"] =
            before.map_or_else(|| json!(self.index), |before| before["CreateIndex"].clone());
        thing["ModifyIndex"] = json!(self.index);
    }

    fn event(&mut self, topic: &str, namespace: &str, key: &str, filter_keys: &[&str], payload: &Value) {
        self.events.push(json!({
            "Topic": topic, "Type": "Fake", "Key": key, "Namespace": namespace, "Index": self.index,
            "FilterKeys": if filter_keys.is_empty() { Value::Null } else { json!(filter_keys) }, "Payload": payload,
        }));
    }
}

/// A field that is a string.
pub(super) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}
