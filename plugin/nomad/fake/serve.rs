//! What the fake answers.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response,
    body::{Frame, Incoming},
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};

use super::{Answer, Seen, State, Stream};

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// A request, taken apart.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    /// In order; keys may come more than once.
    pub(super) query: Vec<(String, String)>,
    pub(super) namespace: String,
    pub(super) token: String,
    pub(super) body: Bytes,
}

impl Asked {
    /// The first value of a key of the query.
    pub(super) fn parameter(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when there is none, or none that can be read.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

pub(super) fn plain(status: u16, index: u64, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("X-Nomad-Index", index)
        .body(Full::new(body.into()).boxed())
        .unwrap()
}

/// Answers a request; an error breaks the connection.
pub(super) async fn serve(
    state: Arc<Mutex<State>>,
    socket: PathBuf,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let gone = || Err(io::Error::from(io::ErrorKind::ConnectionAborted));
    let asked = taken_apart(request).await;
    let answer = {
        let mut state = state.lock().unwrap();
        let Asked { path, token, .. } = &asked;
        state.requests.push(Seen { path: path.clone(), token: token.clone(), socket: socket.clone() });
        state.scripted(&asked)
    };
    match &answer {
        Some(Answer::Text(status, text)) => return Ok(plain(*status, 0, text.clone())),
        Some(Answer::Huge(length)) => {
            let chunk = Bytes::from(vec![b' '; 1 << 20]);
            let chunks = tokio_stream::iter((0..=length >> 20).map(move |_| Ok(Frame::data(chunk.clone()))));
            return Ok(Response::new(BodyExt::boxed(StreamBody::new(chunks))));
        }
        Some(Answer::Late(delay)) => time::sleep(*delay).await,
        Some(Answer::Gone) => return gone(),
        Some(Answer::UnderWay) => {
            state.lock().unwrap().under_way.push((socket, asked));
            return gone();
        }
        Some(Answer::LandThenTruth) => _ = state.lock().unwrap().land(),
        Some(Answer::AppliedThen(..) | Answer::AppliedThenGone) | None => {}
    }
    has_news(&state, &asked).await;
    let truth = state.lock().unwrap().answer(socket, &asked);
    match answer {
        Some(Answer::AppliedThen(status, text)) => Ok(plain(status, 0, text)),
        Some(Answer::AppliedThenGone) => gone(),
        _ => Ok(truth),
    }
}

/// Waits as a blocking query does, for anything to be written or for its time to pass.
async fn has_news(state: &Mutex<State>, asked: &Asked) {
    let Some(after) = asked.parameter("index").filter(|_| asked.path != "/v1/event/stream") else { return };
    let after: u64 = after.parse().unwrap();
    let wait: u64 = asked.parameter("wait").unwrap().trim_end_matches('s').parse().unwrap();
    let limit = time::Instant::now() + time::Duration::from_secs(wait);
    while state.lock().unwrap().index <= after && time::Instant::now() < limit {
        time::sleep(time::Duration::from_millis(10)).await;
    }
}

async fn taken_apart(request: Request<Incoming>) -> Asked {
    let query: Vec<(String, String)> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), unescape(value)))
        .collect();
    let namespace =
        query.iter().find(|(key, _)| key == "namespace").map_or("default", |(_, value)| value).to_owned();
    Asked {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        query,
        namespace,
        token: request.headers().get("X-Nomad-Token").map_or("", |token| token.to_str().unwrap()).to_owned(),
        body: request
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default(),
    }
}

impl State {
    /// What is to be answered instead of the truth, if anything.
    fn scripted(&mut self, asked: &Asked) -> Option<Answer> {
        match &mut self.nth {
            Some(_) if asked.path == "/v1/event/stream" => {}
            Some((0, _)) => return self.nth.take().map(|(_, answer)| answer),
            Some((left, _)) => *left -= 1,
            None => {}
        }
        let fits = |script: &super::Script| {
            if script.is_next_write {
                asked.method != Method::GET && asked.path == script.path
            } else {
                asked.path.starts_with(&script.path)
            }
        };
        let at = self.answers.iter().position(fits)?;
        Some(if self.answers[at].is_next_write {
            self.answers.remove(at).answer
        } else {
            self.answers[at].answer.clone()
        })
    }

    pub(super) fn land(&mut self) -> usize {
        let arrived = std::mem::take(&mut self.under_way);
        let answers = arrived.into_iter().map(|(socket, asked)| self.answer(socket, &asked));
        answers.filter(|answer| answer.status().is_success()).count()
    }

    /// The truth.
    pub(super) fn answer(&mut self, socket: PathBuf, asked: &Asked) -> Response<Body> {
        let Asked { path, namespace, token, .. } = asked;
        if token.is_empty() {
            return plain(401, 0, "Unauthorized");
        }
        if self.acls && !self.allowed.iter().any(|(known, _)| known == token) {
            return plain(500, 0, "Server error authenticating request\n");
        }
        if path == "/v1/event/stream" {
            return stream(self, socket, namespace, token, &asked.query);
        }
        if path == "/v1/acl/token/self" {
            return if self.acls {
                plain(404, 0, "ACL token not found")
            } else {
                plain(200, 0, r#"{"AccessorID":"acls-disabled"}"#)
            };
        }
        if path == "/v1/agent/self" {
            let version = if self.is_two { "2.0.5" } else { "1.11.3" };
            let agent = json!({ "config": { "Version": { "Version": version } } });
            return if self.acls {
                plain(403, 0, "Permission denied")
            } else {
                plain(200, 0, agent.to_string())
            };
        }
        if let Some(name) = path.strip_prefix("/v1/namespace/") {
            let name = unescape(name);
            return if !self.is_allowed(token, &name) {
                plain(403, 0, "Permission denied")
            } else if self.no_namespaces.contains(&name) {
                plain(404, 0, "Namespace not found")
            } else {
                plain(200, self.index, json!({ "Name": name }).to_string())
            };
        }
        if !self.is_allowed(token, namespace) {
            return plain(403, 0, "Permission denied");
        }
        if asked.method == Method::GET { self.read(asked) } else { self.carry_out(asked) }
    }

    fn read(&self, asked: &Asked) -> Response<Body> {
        let Asked { path, namespace, .. } = asked;
        let filter = asked.parameter("filter");
        let list = |things: &mut dyn Iterator<Item = &Value>| {
            let begin = asked.parameter("prefix").unwrap_or_default();
            let fits = |thing: &&Value| {
                (namespace == "*" || thing["Namespace"] == namespace.as_str())
                    && thing["ID"].as_str().is_some_and(|id| id.starts_with(begin))
                    && filter.is_none_or(|f| passes(thing, f))
            };
            let things: Vec<&Value> = things.filter(fits).collect();
            plain(200, self.index, json!(things).to_string())
        };
        match path.as_str() {
            "/v1/jobs" => list(&mut self.jobs.values()),
            "/v1/allocations" => {
                // As Nomad does: lists leave these out.
                let stub = |allocation: &Value| {
                    let mut stub = allocation.clone();
                    stub.as_object_mut().unwrap().remove("AllocModifyIndex");
                    stub
                };
                let stubs: Vec<Value> = self.allocations.values().map(stub).collect();
                list(&mut stubs.iter())
            }
            "/v1/deployments" => list(&mut self.deployments.values()),
            "/v1/evaluations" => list(&mut self.evaluations.values()),
            _ => {
                if let Some(variable) = path.strip_prefix("/v1/var/") {
                    return self.variable(namespace, &unescape(variable));
                }
                if path == "/v1/vars" {
                    return self.list_variables(asked);
                }
                if let Some(alloc) = path.strip_prefix("/v1/allocation/") {
                    return match self.allocations.get(&unescape(alloc)) {
                        Some(allocation) => plain(200, self.index, self.whole(allocation).to_string()),
                        None => plain(404, 0, "alloc not found"),
                    };
                }
                if let Some(name) = path.strip_prefix("/v1/service/") {
                    let instances = self.services.get(&(namespace.clone(), unescape(name)));
                    return plain(200, self.index, json!(instances.cloned().unwrap_or_default()).to_string());
                }
                if let Some(alloc) =
                    path.strip_prefix("/v1/client/allocation/").and_then(|path| path.strip_suffix("/checks"))
                {
                    let checks = self.checks.get(&unescape(alloc)).cloned().unwrap_or_default();
                    return plain(200, 0, checks.to_string());
                }
                if let Some(alloc) = path.strip_prefix("/v1/client/fs/logs/") {
                    return self.read_log(asked, &unescape(alloc));
                }
                let parts: Vec<String> =
                    path.strip_prefix("/v1/job/").unwrap_or_default().split('/').map(unescape).collect();
                match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                    [""] if path != "/v1/job/" => plain(404, 0, "Invalid path"),
                    [id] => match self.jobs.get(&(namespace.clone(), (*id).to_owned())) {
                        Some(job) => plain(200, self.index, job.to_string()),
                        None => plain(404, self.index, "job not found"),
                    },
                    [id, "versions"] => match self.versions(namespace, id) {
                        versions if versions.is_empty() => plain(404, self.index, "job versions not found"),
                        versions => plain(200, self.index, json!({ "Versions": versions }).to_string()),
                    },
                    _ => plain(404, 0, "Invalid path"),
                }
            }
        }
    }

    /// An allocation with the version of its job that it is of.
    fn whole(&self, allocation: &Value) -> Value {
        let text = |key: &str| allocation[key].as_str().unwrap_or_default();
        let versions = self.versions(text("Namespace"), text("JobID"));
        let mut whole = allocation.clone();
        if let Some(job) = versions.into_iter().find(|job| job["Version"] == allocation["JobVersion"]) {
            whole["Job"] = job.clone();
        }
        whole
    }

    /// All versions of a job, the newest first.
    pub(super) fn versions(&self, namespace: &str, id: &str) -> Vec<&Value> {
        let key = (namespace.to_owned(), id.to_owned());
        self.jobs.get(&key).into_iter().chain(self.history.get(&key).into_iter().flatten().rev()).collect()
    }

    fn read_log(&self, asked: &Asked, alloc: &str) -> Response<Body> {
        if !self.allocations.contains_key(alloc) {
            return plain(404, 0, format!("Unknown allocation \"{alloc}\""));
        }
        if !self.may_write(&asked.token, &asked.namespace) {
            return plain(403, 0, "Permission denied");
        }
        let parameter = |key| asked.parameter(key).unwrap_or_default().to_owned();
        assert_eq!((parameter("plain").as_str(), parameter("origin").as_str()), ("true", "end"));
        let task = parameter("task");
        let Some(log) = self.logs.get(&(alloc.to_owned(), task.clone(), parameter("type"))) else {
            return plain(404, 0, format!("task \"{task}\" not started yet. No logs available"));
        };
        let from = log.len().saturating_sub(parameter("offset").parse().unwrap());
        plain(200, 0, log.as_bytes()[from..].to_vec())
    }
}

fn stream(
    state: &mut State,
    socket: PathBuf,
    namespace: &str,
    token: &str,
    query: &[(String, String)],
) -> Response<Body> {
    let topics = query.iter().filter(|(key, _)| key == "topic").map(|(_, value)| {
        let (topic, key) = value.split_once(':').unwrap_or((value.as_str(), "*"));
        (topic.to_owned(), key.to_owned())
    });
    let topics: BTreeSet<(String, String)> = topics.collect();
    let (lines, queue) = mpsc::unbounded_channel();
    // What Nomad does not know takes all rights, where rights matter.
    let is_unknown = !state.is_two && topics.iter().any(|(topic, _)| topic == "Variable");
    if state.is_allowed(token, namespace) && !(state.acls && is_unknown) {
        if !state.is_mute {
            drop(lines.send(Bytes::from_static(b"{}\n")));
        }
        state.streams.push(Stream {
            topics,
            namespace: namespace.to_owned(),
            token: token.to_owned(),
            socket,
            lines,
        });
    } else {
        // As Nomad does: 200, then nothing, and the end only some seconds later.
        state.denied.push(lines);
    }
    let body = StreamBody::new(UnboundedReceiverStream::new(queue).map(|line| Ok(Frame::data(line))));
    Response::new(BodyExt::boxed(body))
}

/// Whether `thing` passes a filter of the form `Field == "a" or Field == "b"`.
fn passes(thing: &Value, filter: &str) -> bool {
    filter.split(" or ").any(|term| {
        let (field, wanted) = term.split_once(" == ").unwrap();
        let wanted: String = serde_json::from_str(&wanted.replace("\\x22", "\\\"")).unwrap();
        thing[field] == wanted.as_str()
    })
}

/// Undoes percent-encoding.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}
