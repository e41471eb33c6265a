//! What dtree asks Nomad, one method a question.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{HeaderMap, Method, StatusCode};
use serde::{
    Serialize,
    de::{DeserializeOwned, Error as _},
};
use tracing::debug;

use super::{
    Capability, Endpoint, Error, EventStream, Token, Topics,
    chunks::Chunks,
    convert,
    query::{encode, filtered, within},
    transport::{Answer, Question, TIMEOUT},
    wire,
};
use crate::cluster::{
    AllocId, Allocation, Check, Deployment, Evaluation, Job, JobId, JobKey, Namespace, RaftIndex,
};
use crate::http::Spares;

/// A greater index than any of Nomad's: a stream that is opened there begins with the newest events.
/// Nomad refuses what does not fit into 63 bits.
const FUTURE: u64 = i64::MAX as u64;
/// How long Nomad holds a request for what comes next, and up to a sixteenth more. Short enough for a connection that
/// is half dead not to be trusted for long.
const WAIT: Duration = Duration::from_secs(25);
/// How much of an error's text is kept, in characters.
const MAX_SAID: usize = 300;
/// What Nomad says of every token when it has no ACLs.
const NO_ACLS: &str = "acls-disabled";

/// Asks Nomad's HTTP API, with one connection for each request, unless it is told to keep them.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    token: Option<Token>,
    spares: Option<Arc<Spares>>,
    asker: Option<Asker>,
    region: Option<String>,
}

/// In whose name a client asks. Only messages and hints use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A task of dtree.
    Task {
        /// Its job.
        job: JobKey,
        /// Its name.
        task: String,
    },
    /// Whoever sits at the command line.
    User,
}

/// What Nomad makes of who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It asks nobody for rights.
    Unasked,
    /// It may do everything.
    Management,
    /// It may do what its policies say.
    Limited,
}

/// An answer, and the position in Nomad's log that it is as new as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// The answer.
    pub value: T,
    /// Every write to this kind of thing up to this position is in it.
    pub index: RaftIndex,
}

/// A job as it stands in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStub {
    /// Its ID.
    pub id: JobId,
    /// When it was first registered since it was last purged.
    pub create_index: RaftIndex,
    /// The last write to it, also of its status.
    pub modify_index: RaftIndex,
    /// The last write that changed its specification, and with it its version.
    pub job_modify_index: RaftIndex,
}

impl Client {
    /// A client of the API at `endpoint`. Asks nothing yet.
    ///
    /// Without a token a Unix socket is shown a placeholder, which the Task API takes where Nomad has no ACLs.
    pub fn new(endpoint: Endpoint, token: Option<Token>) -> Self {
        Self { endpoint, token, spares: None, asker: None, region: None }
    }

    /// The same client, asking in someone's name.
    #[must_use]
    pub fn in_the_name_of(mut self, asker: Asker) -> Self {
        self.asker = Some(asker);
        self
    }

    /// The same client, with connections that are kept for the next request as long as anybody has the `spares`, which
    /// are those of one endpoint.
    #[must_use]
    pub fn with_spares(mut self, spares: Arc<Spares>) -> Self {
        self.spares = Some(spares);
        self
    }

    /// The same client, asking the servers of `region`, whichever region the agent is of.
    #[must_use]
    pub fn in_region(mut self, region: Option<String>) -> Self {
        self.region = region;
        self
    }

    /// Whether it shows a token.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Where it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The job in its current version, or `None` when there is none.
    pub async fn job(&self, key: &JobKey) -> Result<Option<Job>, Error> {
        Ok(self.look_up(key).await?.value)
    }

    /// Like [`Client::job`], with the position of the answer.
    pub async fn look_up(&self, key: &JobKey) -> Result<Read<Option<Job>>, Error> {
        let wanted = format!("read job `{}`", key.job);
        let target = within(&format!("/v1/job/{}", encode(key.job.as_str())), &key.namespace);
        let answer = self.ask(&target, &wanted).await?;
        if answer.head.status() == StatusCode::NOT_FOUND && said(&answer.body) == "job not found" {
            return Ok(Read { value: None, index: index(answer.head.headers()) });
        }
        let answer = self.succeed(answer, &wanted, &key.namespace)?;
        let read: Read<wire::Job> = decode(answer, &wanted)?;
        Ok(Read { value: Some(read.value.into()), index: read.index })
    }

    /// Whether Nomad lets this token read `key`'s job, and list the jobs of its namespace.
    ///
    /// # Errors
    ///
    /// [`Error::is_denied`] tells a denial from not having reached Nomad.
    pub async fn prove(&self, key: &JobKey) -> Result<(), Error> {
        let wanted = format!("read job `{}`", key.job);
        let target = within(&format!("/v1/job/{}", encode(key.job.as_str())), &key.namespace);
        let answer = self.ask(&target, &wanted).await?;
        if answer.head.status() != StatusCode::NOT_FOUND {
            self.succeed(answer, &wanted, &key.namespace)?;
        }
        self.stubs(&key.namespace, std::iter::once(&key.job)).await?;
        Ok(())
    }

    /// All jobs of `namespace`, in short.
    pub async fn jobs(&self, namespace: &Namespace) -> Result<Read<Vec<JobStub>>, Error> {
        let target = within("/v1/jobs", namespace);
        self.list::<wire::JobStub, _>(&target, "list jobs", namespace, Into::into).await
    }

    /// Those of `jobs` that are registered in `namespace`, in short, and perhaps others.
    pub async fn stubs<'a>(
        &self,
        namespace: &Namespace,
        jobs: impl ExactSizeIterator<Item = &'a JobId>,
    ) -> Result<Read<Vec<JobStub>>, Error> {
        let target = filtered("/v1/jobs", namespace, "ID", jobs);
        self.list::<wire::JobStub, _>(&target, "list jobs", namespace, Into::into).await
    }

    /// The allocations of `jobs`, and perhaps of others. Their deployment and the index of the server's last write
    /// are left out by Nomad: `deployment` is `None`, `alloc_modify_index` an upper bound.
    pub async fn allocations<'a>(
        &self,
        namespace: &Namespace,
        jobs: impl ExactSizeIterator<Item = &'a JobId>,
    ) -> Result<Read<Vec<(JobId, Allocation)>>, Error> {
        let target = filtered("/v1/allocations", namespace, "JobID", jobs);
        let name = |allocation: wire::Allocation| (allocation.job_id.clone().into(), allocation.into());
        self.list(&target, "list allocations", namespace, name).await
    }

    /// The deployments of `jobs`, and perhaps of others.
    pub async fn deployments<'a>(
        &self,
        namespace: &Namespace,
        jobs: impl ExactSizeIterator<Item = &'a JobId>,
    ) -> Result<Read<Vec<(JobId, Deployment)>>, Error> {
        let target = filtered("/v1/deployments", namespace, "JobID", jobs);
        let name = |deployment: wire::Deployment| (deployment.job_id.clone().into(), deployment.into());
        self.list(&target, "list deployments", namespace, name).await
    }

    /// The evaluations of `jobs`, and perhaps of others.
    pub async fn evaluations<'a>(
        &self,
        namespace: &Namespace,
        jobs: impl ExactSizeIterator<Item = &'a JobId>,
    ) -> Result<Read<Vec<(JobId, Evaluation)>>, Error> {
        let target = filtered("/v1/evaluations", namespace, "JobID", jobs);
        let name = |evaluation: wire::Evaluation| (evaluation.job_id.clone().into(), evaluation.into());
        self.list(&target, "list evaluations", namespace, name).await
    }

    /// The last results of Nomad's own checks on an allocation, those that count for health. Empty when there are
    /// none or the allocation has stopped.
    pub async fn checks(&self, alloc: &AllocId, namespace: &Namespace) -> Result<Vec<Check>, Error> {
        let wanted = format!("read the checks of allocation {}", alloc.short());
        let target = within(&format!("/v1/client/allocation/{}/checks", encode(alloc.as_str())), namespace);
        let answer = self.ask(&target, &wanted).await?;
        let answer = self.succeed(answer, &wanted, namespace)?;
        let read: Read<Option<std::collections::BTreeMap<String, wire::Check>>> = decode(answer, &wanted)?;
        Ok(read.value.unwrap_or_default().into_values().filter_map(convert::check).collect())
    }

    /// Whether Nomad asks for rights at all. In doubt it does.
    ///
    /// # Errors
    ///
    /// Only when Nomad did not answer: a denial is an answer.
    pub async fn acls_enabled(&self) -> Result<bool, Error> {
        Ok(self.standing().await? != Standing::Unasked)
    }

    /// Whether Nomad shows it which variables are locked: to everybody where it has no ACLs, else to management tokens
    /// only. To others a locked variable looks like any.
    ///
    /// # Errors
    ///
    /// Only when Nomad did not answer.
    pub async fn sees_locks(&self) -> Result<bool, Error> {
        Ok(self.standing().await? != Standing::Limited)
    }

    /// The first number of the agent's version.
    ///
    /// # Errors
    ///
    /// [`Error::is_denied`] where the token lacks `agent { policy = "read" }`.
    pub async fn major_version(&self) -> Result<u64, Error> {
        let wanted = "read the agent's version";
        let answer = self.ask("/v1/agent/self", wanted).await?;
        let answer = self.succeed(answer, wanted, &Namespace::from("default"))?;
        let agent: Read<wire::Agent> = decode(answer, wanted)?;
        let version = agent.value.config.version.version;
        let major = version.split('.').next().and_then(|major| major.parse().ok());
        major.ok_or_else(|| Error::Garbled {
            wanted: wanted.to_owned(),
            source: serde_json::Error::custom(format!("`{version}` is no version")),
        })
    }

    async fn standing(&self) -> Result<Standing, Error> {
        let wanted = "say whether it has ACLs";
        let answer = self.ask("/v1/acl/token/self", wanted).await?;
        let status = answer.head.status();
        // Since 1.7 Nomad describes a token that stands for all; before, it refused.
        if status == StatusCode::BAD_REQUEST && said(&answer.body) == "ACL support disabled" {
            return Ok(Standing::Unasked);
        }
        if status.is_success() {
            let token: Read<wire::AclToken> = decode(answer, wanted)?;
            return Ok(match (token.value.accessor_id.as_str(), token.value.kind.as_str()) {
                (NO_ACLS, _) => Standing::Unasked,
                (_, "management") => Standing::Management,
                _ => Standing::Limited,
            });
        }
        match self.refusal(&answer, wanted, &Namespace::from("default"), Capability::Read) {
            denied if denied.is_denied() => Ok(Standing::Limited),
            other if other.is_transient() => Err(other),
            // A workload identity is no ACL token: 404.
            _ => Ok(Standing::Limited),
        }
    }

    /// Opens the stream of events about `topics` in `namespace`, from the newest on.
    ///
    /// An open stream proves nothing: only its first line, a heartbeat, does.
    pub async fn events(&self, namespace: &Namespace, topics: &Topics) -> Result<EventStream, Error> {
        let wanted = "follow events";
        let mut target = within("/v1/event/stream", namespace);
        target.push_str("&index=");
        target.push_str(&FUTURE.to_string());
        for topic in ["Job", "Allocation", "Deployment", "Evaluation"] {
            match topics {
                Topics::All => target.extend(["&topic=", topic]),
                Topics::Jobs(jobs) => {
                    for job in jobs {
                        target.extend(["&topic=", topic, ":", &encode(job.as_str())]);
                    }
                }
                Topics::Variable(_) => {}
            }
        }
        if let Topics::Variable(path) = topics {
            // As Nomad writes it: it reads `//a//b/`, too.
            let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
            target.extend(["&topic=Variable:", &encode(&segments.join("/"))]);
        }
        debug!(endpoint = %self.endpoint, target, "request");
        let opened = self.question(&target, wanted).open().await?;
        let status = opened.response.status();
        if !status.is_success() {
            let answer = self.question(&target, wanted).finish(opened).await?;
            return Err(self.refusal(&answer, wanted, namespace, Capability::Read));
        }
        Ok(EventStream::new(self.endpoint.to_string(), wanted.to_owned(), namespace.clone(), opened))
    }

    pub(super) fn question<'a>(&'a self, target: &'a str, wanted: &'a str) -> Question<'a> {
        let (endpoint, token) = (&self.endpoint, self.token.as_ref());
        let target = match &self.region {
            Some(region) => {
                let joint = if target.contains('?') { '&' } else { '?' };
                Cow::Owned(format!("{target}{joint}region={}", encode(region)))
            }
            None => Cow::Borrowed(target),
        };
        Question {
            endpoint,
            token,
            spares: self.spares.as_deref(),
            method: Method::GET,
            target,
            body: Bytes::new(),
            wanted,
            limit: TIMEOUT,
        }
    }

    /// Sends `body` as JSON, or nothing where there is none.
    pub(super) async fn send<B: Serialize + Sync>(
        &self,
        method: Method,
        target: &str,
        body: Option<&B>,
        wanted: &str,
    ) -> Result<Answer, Error> {
        debug!(endpoint = %self.endpoint, %method, target, "request");
        let body = match body {
            Some(body) => serde_json::to_vec(body)
                .map_err(|source| Error::Garbled { wanted: wanted.to_owned(), source })?
                .into(),
            None => Bytes::new(),
        };
        Question { method, body, ..self.question(target, wanted) }.ask().await
    }

    /// Asks for what comes after `after`, and waits for it a while; without, for what there is.
    pub(super) async fn ask_after(
        &self,
        target: String,
        after: Option<RaftIndex>,
        wanted: &str,
    ) -> Result<Answer, Error> {
        let Some(after) = after else { return self.ask(&target, wanted).await };
        let target = format!("{target}&index={after}&wait={}s", WAIT.as_secs());
        debug!(endpoint = %self.endpoint, target, "request");
        Question { limit: WAIT + WAIT / 16 + TIMEOUT, ..self.question(&target, wanted) }.ask().await
    }

    pub(super) async fn ask(&self, target: &str, wanted: &str) -> Result<Answer, Error> {
        debug!(endpoint = %self.endpoint, target, "request");
        self.question(target, wanted).ask().await
    }

    async fn list<W: DeserializeOwned, T>(
        &self,
        target: &str,
        wanted: &str,
        namespace: &Namespace,
        convert: impl Fn(W) -> T,
    ) -> Result<Read<Vec<T>>, Error> {
        let answer = self.ask(target, wanted).await?;
        let answer = self.succeed(answer, wanted, namespace)?;
        let read: Read<Option<Vec<W>>> = decode(answer, wanted)?;
        Ok(Read {
            value: read.value.unwrap_or_default().into_iter().map(convert).collect(),
            index: read.index,
        })
    }

    /// The answer, if Nomad let us see what it was asked for.
    fn succeed(&self, answer: Answer, wanted: &str, namespace: &Namespace) -> Result<Answer, Error> {
        self.allowed(answer, wanted, namespace, Capability::Read)
    }

    /// The answer, if Nomad did what it was asked to, for which it wants `capability`.
    pub(super) fn allowed(
        &self,
        answer: Answer,
        wanted: &str,
        namespace: &Namespace,
        capability: Capability,
    ) -> Result<Answer, Error> {
        if answer.head.status().is_success() {
            Ok(answer)
        } else {
            Err(self.refusal(&answer, wanted, namespace, capability))
        }
    }

    /// What a refusal means. Nomad's own way of denying differs between the Task API, its HTTP server and its
    /// servers' answers.
    pub(super) fn refusal(
        &self,
        answer: &Answer,
        wanted: &str,
        namespace: &Namespace,
        capability: Capability,
    ) -> Error {
        let status = answer.head.status();
        let said = said(&answer.body);
        let wanted = wanted.to_owned();
        let has_token = self.token.is_some();
        let lacks_right = said.ends_with("Permission denied");
        let is_unknown = status == StatusCode::UNAUTHORIZED
            || said == "Server error authenticating request"
            || said.starts_with("failed to parse signed token")
            || status == StatusCode::FORBIDDEN && (!lacks_right || !has_token && self.asker.is_some());
        if is_unknown {
            return Error::Unidentified { wanted, asker: self.asker.clone(), has_token, said };
        }
        if lacks_right {
            let (namespace, asker) = (namespace.clone(), self.asker.clone().map(Box::new));
            return Error::Denied { wanted, namespace, capability, asker };
        }
        Error::Refused { wanted, status: status.as_u16(), said }
    }
}

/// The first line of an error's text, or the points of a list, which Nomad writes one a line below a count.
pub(super) fn said(body: &Chunks) -> String {
    let text = body.beginning(4 * MAX_SAID);
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let points: Vec<&str> = lines.filter_map(|line| line.strip_prefix("* ")).collect();
    let whole =
        if first.ends_with("occurred:") && !points.is_empty() { points.join("; ") } else { first.to_owned() };
    whole.chars().take(MAX_SAID).collect()
}

/// The position an answer is as new as. Zero, which makes nothing look outdated, when Nomad does not say.
pub(super) fn index(headers: &HeaderMap) -> RaftIndex {
    let index =
        headers.get("X-Nomad-Index").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    RaftIndex(index.unwrap_or_default())
}

pub(super) fn decode<T: DeserializeOwned>(answer: Answer, wanted: &str) -> Result<Read<T>, Error> {
    let index = index(answer.head.headers());
    let value = answer.body.json().map_err(|source| Error::Garbled { wanted: wanted.to_owned(), source })?;
    Ok(Read { value, index })
}
