//! What the fake does when it is asked to change something, and what it refuses with Nomad's words.

use hyper::{Method, Response};
use serde_json::{Value, json};

use super::{
    State, Written,
    serve::{Asked, Body, plain, unescape},
};

/// What a write comes to: the answer, or the status and the words of a refusal.
type Outcome = Result<Value, (u16, String)>;

/// The fields that Nomad keeps itself: they make no difference between two specifications.
const KEPT_BY_NOMAD: [&str; 7] =
    ["Version", "CreateIndex", "ModifyIndex", "JobModifyIndex", "Status", "Stop", "SubmitTime"];

fn refused(text: impl Into<String>) -> Outcome {
    Err((500, text.into()))
}

/// Several problems, as Nomad lists them.
fn listed(problems: &[String]) -> String {
    let count = match problems.len() {
        1 => "1 error occurred:".to_owned(),
        n => format!("{n} errors occurred:"),
    };
    problems.iter().fold(count, |text, problem| text + "\n\t* " + problem) + "\n\n"
}

/// The job in `text`, which is JSON instead of HCL.
fn parsed(text: &str) -> Outcome {
    if text.is_empty() {
        return Err((400, "Job spec is empty".to_owned()));
    }
    let problem = |line: usize, column: usize, why: &str| {
        let next = column + 1;
        Err((400, format!("Failed to parse job: input.hcl:{line},{column}-{next}: {why}")))
    };
    let mut job: Value = match serde_json::from_str(text) {
        Ok(job) => job,
        Err(error) => return problem(error.line(), error.column(), &error.to_string()),
    };
    if job["ID"].is_null() {
        return problem(1, 1, "Missing job block; A job block is required.");
    }
    for (field, default) in
        [("Namespace", json!("default")), ("Name", job["ID"].clone()), ("Type", json!("service"))]
    {
        if job[field].is_null() {
            job[field] = default;
        }
    }
    Ok(job)
}

impl State {
    /// Does what a request asks for.
    pub(super) fn carry_out(&mut self, asked: &Asked) -> Response<Body> {
        let Asked { method, path, namespace, token, .. } = asked;
        let may_write = self.may_write(token, namespace);
        let denied = || Err((403, "Permission denied".to_owned()));
        let body = asked.json();
        let parts: Vec<String> =
            path.strip_prefix("/v1/").unwrap_or_default().split('/').map(unescape).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let outcome = match parts.as_slice() {
            // Reading needs no more than that.
            ["validate", "job"] => {
                let problems = self.problems(&body["Job"], namespace);
                let error = if problems.is_empty() { String::new() } else { listed(&problems) };
                let problems = if problems.is_empty() { Value::Null } else { json!(problems) };
                let answer =
                    json!({ "DriverConfigValidated": true, "ValidationErrors": problems, "Error": error });
                return plain(200, self.index, answer.to_string());
            }
            ["jobs", "parse"] if may_write => {
                return match parsed(body["JobHCL"].as_str().unwrap_or_default()) {
                    Ok(job) => plain(200, 0, job.to_string()),
                    Err((status, text)) => plain(status, 0, text),
                };
            }
            // As Nomad does: it looks at the job before it looks at the right.
            ["jobs"] if *method == Method::POST => match self.problems(&body["Job"], namespace) {
                problems if !problems.is_empty() => refused(listed(&problems)),
                _ if !may_write => denied(),
                _ => self.put(namespace, &body),
            },
            _ if !may_write => denied(),
            ["job", id] if *method == Method::DELETE => {
                Ok(self.stop(namespace, id, asked.parameter("purge") == Some("true")))
            }
            ["job", id, "dispatch"] => self.dispatch(namespace, id, &body),
            ["job", id, "versions", name, "tag"] if *method == Method::DELETE => untag(id, name),
            ["var", path @ ..] => self.write_variable(asked, &path.join("/")),
            _ => Err((404, "Invalid path".to_owned())),
        };
        let status = outcome.as_ref().map_or_else(|(status, _)| *status, |_| 200);
        if status != 403 {
            let (method, path, namespace) = (method.clone(), path.clone(), namespace.clone());
            self.writes.push(Written { method, path, namespace, body, status });
        }
        match outcome {
            Ok(answer) => plain(200, self.index, answer.to_string()),
            Err((status, text)) => plain(status, 0, text),
        }
    }

    /// What Nomad would have against a job.
    fn problems(&self, job: &Value, namespace: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.no_namespaces.contains(namespace) {
            let id = job["ID"].as_str().unwrap_or_default();
            problems.push(format!("job \"{id}\" is in nonexistent namespace \"{namespace}\""));
        }
        if job["ID"].as_str().unwrap_or_default().is_empty() {
            problems.push("Missing job ID".to_owned());
        }
        if job["TaskGroups"].as_array().is_none_or(Vec::is_empty) {
            problems.push("Missing job task groups".to_owned());
        }
        problems
    }

    fn change(&mut self, write: impl FnOnce(&mut super::Write<'_>)) -> u64 {
        let (index, events) = self.write(write);
        self.tell(index, &events);
        index
    }

    fn put(&mut self, namespace: &str, body: &Value) -> Outcome {
        let mut job = body["Job"].clone();
        let key = (namespace.to_owned(), super::store::text(&job, "ID"));
        let before = self.jobs.get(&key);
        if body["EnforceIndex"] == true {
            let wanted = body["JobModifyIndex"].as_u64().unwrap_or_default();
            let found = before.map(|job| job["JobModifyIndex"].as_u64().unwrap());
            let why = match (wanted, found) {
                (0, Some(_)) => Some("job already exists".to_owned()),
                (0, None) => None,
                (_, None) => Some("job does not exist".to_owned()),
                (_, Some(found)) if found != wanted => {
                    Some(format!("job exists with conflicting job modify index: {found}"))
                }
                (_, Some(_)) => None,
            };
            if let Some(why) = why {
                return refused(format!("Enforcing job modify index {wanted}: {why}"));
            }
        }
        job["Namespace"] = json!(namespace);
        job["Status"] = json!("pending");
        job["Stop"] = json!(false);
        let specification = |job: &Value| {
            let mut fields = job.as_object().unwrap().clone();
            fields.retain(|name, value| !value.is_null() && !KEPT_BY_NOMAD.contains(&name.as_str()));
            fields
        };
        let is_same = before
            .is_some_and(|before| before["Stop"] == false && specification(before) == specification(&job));
        let index = if is_same { self.index } else { self.change(|write| write.register(job)) };
        Ok(json!({ "EvalID": "", "JobModifyIndex": index, "Warnings": "" }))
    }

    fn stop(&mut self, namespace: &str, id: &str, is_purge: bool) -> Value {
        if let Some(job) = self.jobs.get(&(namespace.to_owned(), id.to_owned())) {
            let mut job = job.clone();
            job["Stop"] = json!(true);
            self.change(|write| {
                if is_purge {
                    write.purge(namespace, id);
                } else {
                    write.register(job);
                }
            });
        }
        json!({ "EvalID": "", "JobModifyIndex": self.index })
    }

    fn dispatch(&mut self, namespace: &str, id: &str, body: &Value) -> Outcome {
        let Some(parent) = self.jobs.get(&(namespace.to_owned(), id.to_owned())) else {
            return refused("parameterized job not found");
        };
        if parent["ParameterizedJob"].is_null() {
            return refused(format!("Specified job \"{id}\" is not a parameterized job"));
        }
        if parent["Stop"] == true {
            return refused(format!("Specified job \"{id}\" is stopped"));
        }
        let names = |field: &str| -> Vec<String> {
            let names = parent["ParameterizedJob"][field].as_array().cloned().unwrap_or_default();
            names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        let (required, optional) = (names("MetaRequired"), names("MetaOptional"));
        let given = body["Meta"].as_object().cloned().unwrap_or_default();
        let unknown: Vec<_> =
            given.keys().filter(|name| !required.contains(name) && !optional.contains(name)).collect();
        if !unknown.is_empty() {
            return refused(format!("Dispatch request included unpermitted metadata keys: {unknown:?}"));
        }
        let missing: Vec<_> = required.iter().filter(|name| !given.contains_key(*name)).collect();
        if !missing.is_empty() {
            return refused(format!("Dispatch did not provide required meta keys: {missing:?}"));
        }
        let token = &body["IdempotencyToken"];
        let is_it = |job: &&Value| {
            job["Namespace"] == namespace
                && job["ParentID"] == id
                && job["DispatchIdempotencyToken"] == *token
        };
        if token.as_str().is_some_and(|token| !token.is_empty())
            && let Some(child) = self.jobs.values().find(is_it)
        {
            return Ok(json!({ "DispatchedJobID": child["ID"], "JobCreateIndex": child["CreateIndex"] }));
        }
        let mut child = parent.clone();
        let child_id = format!("{id}/dispatch-{}-fa4e", self.index + 1);
        for (field, value) in [
            ("ID", json!(child_id)),
            ("ParentID", json!(id)),
            ("Dispatched", json!(true)),
            ("DispatchIdempotencyToken", token.clone()),
            ("Payload", body["Payload"].clone()),
        ] {
            child[field] = value;
        }
        if child["Meta"].is_null() {
            child["Meta"] = json!({});
        }
        child["Meta"].as_object_mut().unwrap().extend(given);
        let index = self.change(|write| write.register(child));
        Ok(json!({ "DispatchedJobID": child_id, "EvalID": "", "JobCreateIndex": index }))
    }
}

/// Nobody has given any version a name.
fn untag(id: &str, name: &str) -> Outcome {
    refused(format!("tag \"{name}\" not found on job \"{id}\""))
}
