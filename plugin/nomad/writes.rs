//! What dtree changes in Nomad, and what it asks only to do so.
//!
//! # Invariants
//!
//! * A job is registered only where it is still what the writer thought it was. Nomad's check of that is not exact
//!   before 2.0.1: two who write at once may both succeed.
//! * An error may come of a write that was carried out: [`Error::is_unsettled`] tells.
//!
//! It writes once and never tries again: whoever wrote reads back first.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{
    Capability, Client, Error,
    client::{Read, decode, said},
    query::{encode, within},
    transport::Answer,
    wire,
};
use crate::cluster::{AllocId, JobKey, Namespace, RaftIndex, VersionRecord};

/// How much of what Nomad says against a job's text is kept, in bytes: some ten problems.
const MAX_PROBLEMS: usize = 4 << 10;
/// What Nomad puts before what it says against a job's text.
const UNPARSED: &str = "Failed to parse job: ";
/// What Nomad says of the log of a task that it has not started.
const NO_LOGS_YET: &str = "not started yet";
/// A job and a tag that nobody has: to remove it needs the right to submit jobs, and changes nothing.
const NOBODYS: (&str, &str) = ("dtree-may-i-submit", "dtree-may-i-submit");

/// Which of a task's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// As Nomad's API names it.
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The path of a job, or of what belongs to it.
fn path(key: &JobKey, rest: &str) -> String {
    within(&format!("/v1/job/{}{rest}", encode(key.job.as_str())), &key.namespace)
}

/// The path of a version's name.
fn tag_path(key: &JobKey, name: &str) -> String {
    path(key, &format!("/versions/{}/tag", encode(name)))
}

/// Whether Nomad says that there is no such tag, which it does with status 500.
fn is_absent_tag(error: &Error) -> bool {
    error.refusal().is_some_and(|said| said.starts_with("tag \"") && said.contains("\" not found on job \""))
}

impl Client {
    /// The job that `hcl` describes, as its API writes jobs, and without Nomad's defaults. `variables` is text as in a file
    /// of variables; Nomad ignores those that `hcl` does not declare.
    ///
    /// # Errors
    ///
    /// The inner one is what Nomad says against the text, all lines of it up to 4 KiB.
    pub async fn parse(
        &self,
        namespace: &Namespace,
        hcl: &str,
        variables: &str,
    ) -> Result<Result<Value, String>, Error> {
        let wanted = "read the text of a job";
        let target = within("/v1/jobs/parse", namespace);
        let body = wire::Parse { hcl, canonicalize: false, variables };
        let answer = self.send(Method::POST, &target, Some(&body), wanted).await?;
        if answer.head.status() == StatusCode::BAD_REQUEST {
            let problems = answer.body.beginning(MAX_PROBLEMS);
            let problems = String::from_utf8_lossy(&problems);
            let problems = problems.trim();
            return Ok(Err(problems.strip_prefix(UNPARSED).unwrap_or(problems).to_owned()));
        }
        let answer = self.allowed(answer, wanted, namespace, Capability::SubmitJob)?;
        Ok(Ok(decode::<Value>(answer, wanted)?.value))
    }

    /// What Nomad has against registering `job`; empty when nothing. It does not look into the configuration of
    /// drivers, nor whether there is a client for it.
    pub async fn validate(&self, namespace: &Namespace, job: &Value) -> Result<Vec<String>, Error> {
        let wanted = "validate a job";
        let target = within("/v1/validate/job", namespace);
        let answer = self.send(Method::POST, &target, Some(&wire::Validate { job }), wanted).await?;
        let answer = self.allowed(answer, wanted, namespace, Capability::Read)?;
        let Read { value: wire::Validation { validation_errors, error }, .. } = decode(answer, wanted)?;
        let error = Some(error).filter(|error| validation_errors.is_empty() && !error.is_empty());
        Ok(validation_errors.into_iter().chain(error).collect())
    }

    /// Registers `job`, whose ID and namespace are `key`'s, if its specification is still the one that was written at
    /// `unless_changed_since`. Zero: only if there is no such job yet. Returns the index at which it was written; that of
    /// an earlier write if the specification is the same.
    ///
    /// # Errors
    ///
    /// [`Error::is_conflict`] tells that the job is not what the writer thought it was.
    pub async fn register(
        &self,
        key: &JobKey,
        job: &Value,
        unless_changed_since: RaftIndex,
    ) -> Result<RaftIndex, Error> {
        let wanted = format!("register job `{}`", key.job);
        let target = within("/v1/jobs", &key.namespace);
        let body = wire::Register { job, enforce_index: true, job_modify_index: unless_changed_since.0 };
        let answer = self.send(Method::POST, &target, Some(&body), &wanted).await?;
        let answer = self.allowed(answer, &wanted, &key.namespace, Capability::SubmitJob)?;
        let registered: Read<wire::Registered> = decode(answer, &wanted)?;
        Ok(RaftIndex(registered.value.job_modify_index))
    }

    /// Stops the job, and with `purge` forgets it. A job that does not exist is stopped already.
    pub async fn deregister(&self, key: &JobKey, purge: bool) -> Result<(), Error> {
        let wanted = format!("stop job `{}`", key.job);
        let target = format!("{}&purge={purge}", path(key, ""));
        let answer = self.send::<()>(Method::DELETE, &target, None, &wanted).await?;
        self.allowed(answer, &wanted, &key.namespace, Capability::SubmitJob)?;
        Ok(())
    }

    /// Starts a run of the parameterized job `key`, and returns the job that Nomad makes for it. As long as there is
    /// a job made with the same `token`, that one is returned instead, whatever became of it. Two calls at once may
    /// make two.
    pub async fn dispatch(
        &self,
        key: &JobKey,
        meta: &BTreeMap<String, String>,
        payload: &[u8],
        token: &str,
    ) -> Result<JobKey, Error> {
        let wanted = format!("dispatch job `{}`", key.job);
        let payload = BASE64_STANDARD.encode(payload);
        let body = wire::Dispatch { meta, payload, idempotency_token: token };
        let answer = self.send(Method::POST, &path(key, "/dispatch"), Some(&body), &wanted).await?;
        let answer = self.allowed(answer, &wanted, &key.namespace, Capability::DispatchJob)?;
        let child: Read<wire::Dispatched> = decode(answer, &wanted)?;
        Ok(JobKey { namespace: key.namespace.clone(), job: child.value.job.into() })
    }

    /// The versions of a job that Nomad still has, the newest first; empty when there is no such job.
    pub async fn versions(&self, key: &JobKey) -> Result<Vec<VersionRecord>, Error> {
        let wanted = format!("read the versions of job `{}`", key.job);
        let answer = self.ask(&path(key, "/versions"), &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND && said(&answer.body) == "job versions not found" {
            return Ok(Vec::new());
        }
        let answer = self.allowed(answer, &wanted, &key.namespace, Capability::Read)?;
        let read: Read<wire::Versions> = decode(answer, &wanted)?;
        let mut versions: Vec<VersionRecord> = read.value.versions.into_iter().map(Into::into).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.version));
        Ok(versions)
    }

    /// The end of what a task has written: at most `bytes` bytes, what is no UTF-8 replaced. Empty when it has not
    /// begun.
    ///
    /// # Errors
    ///
    /// Also when the allocation has no such task, or its files are gone.
    pub async fn log_tail(
        &self,
        alloc: &AllocId,
        namespace: &Namespace,
        task: &str,
        stream: LogStream,
        bytes: u64,
    ) -> Result<String, Error> {
        let from = format!("origin=end&offset={bytes}");
        let written = self.log(alloc, namespace, task, stream, &from).await?;
        // The task may have written on while it was read.
        let too_many = written.len().saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok(String::from_utf8_lossy(written.get(too_many..).unwrap_or_default()).into_owned())
    }

    /// What a task has written after its first `after` bytes. Nothing before its client keeps a log of it.
    pub async fn log_after(
        &self,
        alloc: &AllocId,
        namespace: &Namespace,
        task: &str,
        stream: LogStream,
        after: u64,
    ) -> Result<Vec<u8>, Error> {
        self.log(alloc, namespace, task, stream, &format!("origin=start&offset={after}")).await
    }

    async fn log(
        &self,
        alloc: &AllocId,
        namespace: &Namespace,
        task: &str,
        stream: LogStream,
        from: &str,
    ) -> Result<Vec<u8>, Error> {
        let wanted = format!("read the {} of task `{task}` of allocation {}", stream.name(), alloc.short());
        let path = within(&format!("/v1/client/fs/logs/{}", encode(alloc.as_str())), namespace);
        let target = format!("{path}&task={}&type={}&plain=true&{from}", encode(task), stream.name());
        let answer = self.ask(&target, &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND && said(&answer.body).contains(NO_LOGS_YET) {
            return Ok(Vec::new());
        }
        let Answer { body, .. } = self.allowed(answer, &wanted, namespace, Capability::ReadLogs)?;
        Ok(body.beginning(body.len()))
    }

    /// Whether there is such a namespace.
    ///
    /// # Errors
    ///
    /// A token without any right there is denied, whether there is one or not.
    pub async fn namespace_exists(&self, namespace: &Namespace) -> Result<bool, Error> {
        let wanted = format!("look up namespace `{namespace}`");
        let target = format!("/v1/namespace/{}", encode(namespace.as_str()));
        let answer = self.ask(&target, &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND && said(&answer.body) == "Namespace not found" {
            return Ok(false);
        }
        self.allowed(answer, &wanted, namespace, Capability::Read)?;
        Ok(true)
    }

    /// Whether Nomad lets this token dispatch jobs where `nobodys` would be, which must not be there: nothing is run.
    ///
    /// # Errors
    ///
    /// [`Error::is_denied`] tells a denial; that there is no such job is an error, too, and no denial.
    pub async fn prove_dispatch(&self, nobodys: &JobKey) -> Result<(), Error> {
        let wanted = "dispatch jobs";
        let body = serde_json::json!({});
        let answer = self.send(Method::PUT, &path(nobodys, "/dispatch"), Some(&body), wanted).await?;
        self.allowed(answer, wanted, &nobodys.namespace, Capability::DispatchJob)?;
        Ok(())
    }

    /// Whether Nomad lets this token submit jobs in `namespace`. Changes nothing: it asks to remove what is not
    /// there. Whether there is such a namespace is not proven.
    ///
    /// # Errors
    ///
    /// [`Error::is_denied`] tells a denial from not having reached Nomad.
    pub async fn prove_submit(&self, namespace: &Namespace) -> Result<(), Error> {
        let (job, tag) = NOBODYS;
        let key = JobKey { namespace: namespace.clone(), job: job.into() };
        match self.remove_tag(&key, tag, "submit jobs").await {
            Err(error) if !is_absent_tag(&error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn remove_tag(&self, key: &JobKey, name: &str, wanted: &str) -> Result<(), Error> {
        let answer = self.send::<()>(Method::DELETE, &tag_path(key, name), None, wanted).await?;
        self.allowed(answer, wanted, &key.namespace, Capability::SubmitJob)?;
        Ok(())
    }
}
