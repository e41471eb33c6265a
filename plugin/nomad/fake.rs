//! A Nomad for tests: a small HTTP server on Unix sockets whose jobs a test scripts as JSON.
//!
//! ```text
//!   test ── transact ──▶ store ──▶ a line to every open stream whose topics fit
//!        ── quietly  ──▶ store      (an event that got lost)
//!        ── answer   ──▶ what a path answers instead of the truth
//! ```
//!
//! All IO is within the process, so that tests may run on paused time.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::UnixListener, sync::mpsc, time};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Endpoint;

type Lines = mpsc::UnboundedSender<Bytes>;
type Body = BoxBody<Bytes, Infallible>;

/// The server. Everything ends when it is dropped.
pub(crate) struct FakeNomad {
    state: Arc<Mutex<State>>,
    directory: tempfile::TempDir,
    stop: CancellationToken,
    tracker: TaskTracker,
}

/// What the fake shows and how it behaves. Tests set the public fields with [`FakeNomad::state`].
#[derive(Default)]
pub(crate) struct State {
    index: u64,
    jobs: BTreeMap<(String, String), Value>,
    allocations: BTreeMap<String, Value>,
    deployments: BTreeMap<String, Value>,
    evaluations: BTreeMap<String, Value>,
    streams: Vec<Stream>,
    denied: Vec<Lines>,
    requests: Vec<Seen>,
    sockets: BTreeMap<PathBuf, CancellationToken>,
    answers: Vec<(String, Answer)>,
    /// Whether tokens matter. Without, any token may do anything.
    pub(crate) acls: bool,
    /// Token and namespace: what may be read when there are ACLs.
    pub(crate) allowed: BTreeSet<(String, String)>,
    /// Whether streams neither get their first line nor heartbeats.
    pub(crate) is_mute: bool,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Path without the query.
    pub(crate) path: String,
    /// The token it showed.
    pub(crate) token: String,
    /// The socket it came by.
    pub(crate) socket: PathBuf,
}

/// What a path answers instead of the truth.
#[derive(Clone)]
pub(crate) enum Answer {
    /// This status and text.
    Text(u16, String),
    /// 200 and as many bytes of spaces.
    Huge(usize),
    /// The truth, but late.
    Late(Duration),
}

struct Stream {
    topics: BTreeSet<(String, String)>,
    namespace: String,
    token: String,
    socket: PathBuf,
    lines: Lines,
}

/// One write: everything put in it appears at one index, in one line.
pub(crate) struct Write<'a> {
    state: &'a mut State,
    index: u64,
    events: Vec<Value>,
}

impl FakeNomad {
    /// Starts it, without ACLs and with one socket.
    pub(crate) fn start() -> Self {
        let fake = Self {
            state: Arc::new(Mutex::new(State { index: 10, ..State::default() })),
            directory: tempfile::tempdir().unwrap(),
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        let state = Arc::clone(&fake.state);
        let beat = async move {
            loop {
                time::sleep(Duration::from_secs(30)).await;
                let mut state = state.lock().unwrap();
                state.denied.clear();
                if !state.is_mute {
                    for stream in &state.streams {
                        drop(stream.lines.send(Bytes::from_static(b"{}\n")));
                    }
                }
            }
        };
        let stop = fake.stop.clone();
        fake.tracker.spawn(async move { stop.run_until_cancelled(beat).await });
        fake.open_socket("api");
        fake
    }

    /// The path of a socket.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.directory.path().join(name).join("secrets").join("api.sock")
    }

    /// The endpoint of the first socket.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.socket("api"))
    }

    /// Opens a task's socket.
    pub(crate) fn open_socket(&self, name: &str) -> PathBuf {
        let path = self.socket(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let stop = self.stop.child_token();
        self.state().sockets.insert(path.clone(), stop.clone());
        let (state, tracker, socket) = (Arc::clone(&self.state), self.tracker.clone(), path.clone());
        let accept = async move {
            let connections = stop.clone();
            let each = async {
                loop {
                    let (stream, _address) = listener.accept().await.unwrap();
                    let (state, socket) = (Arc::clone(&state), socket.clone());
                    let service = service_fn(move |request| {
                        let (state, socket) = (Arc::clone(&state), socket.clone());
                        async move { Ok::<_, Infallible>(serve(state, socket, request).await) }
                    });
                    let stop = connections.clone();
                    tracker.spawn(async move {
                        let connection =
                            http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                        drop(stop.run_until_cancelled(connection).await);
                    });
                }
            };
            stop.run_until_cancelled(each).await
        };
        self.tracker.spawn(accept);
        path
    }

    /// Ends a task: its socket goes, and every connection through it.
    pub(crate) fn close_socket(&self, path: &Path) {
        std::fs::remove_file(path).unwrap();
        let mut state = self.state();
        state.sockets.remove(path).unwrap().cancel();
        state.streams.retain(|stream| stream.socket != path);
    }

    /// Everything the fake knows, to look at and to change.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Writes, and tells the streams.
    pub(crate) fn transact(&self, write: impl FnOnce(&mut Write<'_>)) -> u64 {
        let mut state = self.state();
        let (index, events) = state.write(write);
        state.tell(index, &events);
        index
    }

    /// Writes, and tells nobody: the events got lost.
    pub(crate) fn quietly(&self, write: impl FnOnce(&mut Write<'_>)) -> u64 {
        self.state().write(write).0
    }

    /// Writes nothing, but sends a line to every stream.
    pub(crate) fn send(&self, line: &str) {
        for stream in &self.state().streams {
            drop(stream.lines.send(Bytes::from(format!("{line}\n"))));
        }
    }

    /// Ends every stream.
    pub(crate) fn end_streams(&self) {
        self.state().streams.clear();
    }

    /// Answers every path that begins with `prefix` so.
    pub(crate) fn answer(&self, prefix: &str, answer: Answer) {
        self.state().answers.push((prefix.to_owned(), answer));
    }

    /// Answers with the truth again.
    pub(crate) fn answer_truly(&self) {
        self.state().answers.clear();
    }

    /// How many streams are open.
    pub(crate) fn n_streams(&self) -> usize {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.lines.is_closed());
        state.streams.len()
    }

    /// The sockets and tokens of the open streams.
    pub(crate) fn streams(&self) -> Vec<(PathBuf, String)> {
        let mut state = self.state();
        state.streams.retain(|stream| !stream.lines.is_closed());
        state.streams.iter().map(|stream| (stream.socket.clone(), stream.token.clone())).collect()
    }

    /// The requests so far, and forgets them.
    pub(crate) fn take_requests(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state().requests)
    }
}

impl Drop for FakeNomad {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl State {
    fn write(&mut self, write: impl FnOnce(&mut Write<'_>)) -> (u64, Vec<Value>) {
        self.index += 1;
        let index = self.index;
        let mut transaction = Write { index, state: self, events: Vec::new() };
        write(&mut transaction);
        (index, transaction.events)
    }

    fn tell(&self, index: u64, events: &[Value]) {
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

    fn is_allowed(&self, token: &str, namespace: &str) -> bool {
        !self.acls || self.allowed.contains(&(token.to_owned(), namespace.to_owned()))
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
        self.state.jobs.insert(key, job);
    }

    /// Purges a job with all that belongs to it except its evaluations.
    pub(crate) fn purge(&mut self, namespace: &str, id: &str) {
        let job = self.state.jobs.remove(&(namespace.to_owned(), id.to_owned())).unwrap();
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

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap().to_owned()
}

/// A service job with one group `g` of one task `t`.
pub(crate) fn job(namespace: &str, id: &str) -> Value {
    json!({
        "ID": id, "Namespace": namespace, "Type": "service", "Stop": false, "Status": "pending",
        "Periodic": null, "ParameterizedJob": null, "Meta": null,
        "TaskGroups": [{
            "Name": "g", "Count": 1, "Services": null,
            "Update": {
                "MaxParallel": 1, "HealthCheck": "checks", "HealthyDeadline": 300_000_000_000_u64,
                "ProgressDeadline": 600_000_000_000_u64, "AutoRevert": false,
            },
            "Tasks": [{ "Name": "t", "Driver": "docker", "Lifecycle": null, "Services": null }],
        }],
    })
}

/// An allocation of `job`'s group `g`.
pub(crate) fn allocation(namespace: &str, job: &str, id: &str, version: u64, client_status: &str) -> Value {
    json!({
        "ID": id, "Namespace": namespace, "JobID": job, "JobVersion": version, "Name": format!("{job}.g[0]"),
        "NodeID": "client-1", "TaskGroup": "g", "DesiredStatus": "run", "ClientStatus": client_status,
        "ClientDescription": "", "DeploymentStatus": null, "FollowupEvalID": "", "NextAllocation": "",
        "TaskStates": { "t": { "State": "running", "Failed": false, "Restarts": 0, "Events": null } },
    })
}

/// A deployment of `job`.
pub(crate) fn deployment(namespace: &str, job: &str, id: &str, version: u64, status: &str) -> Value {
    json!({
        "ID": id, "Namespace": namespace, "JobID": job, "JobVersion": version, "Status": status,
        "StatusDescription": "", "TaskGroups": { "g": {
            "DesiredTotal": 1, "DesiredCanaries": 0, "Promoted": false, "PlacedAllocs": 1, "HealthyAllocs": 1,
            "UnhealthyAllocs": 0, "AutoRevert": false,
        } },
    })
}

/// An evaluation of `job`.
pub(crate) fn evaluation(namespace: &str, job: &str, id: &str, status: &str) -> Value {
    json!({
        "ID": id, "Namespace": namespace, "JobID": job, "Status": status, "TriggeredBy": "job-register",
        "FailedTGAllocs": null,
    })
}

fn plain(status: u16, index: u64, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("X-Nomad-Index", index)
        .body(Full::new(body.into()).boxed())
        .unwrap()
}

async fn serve(state: Arc<Mutex<State>>, socket: PathBuf, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let query: Vec<(String, String)> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), unescape(value)))
        .collect();
    let token = request.headers().get("X-Nomad-Token").map_or("", |token| token.to_str().unwrap()).to_owned();
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(Seen { path: path.clone(), token: token.clone(), socket: socket.clone() });
        state.answers.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, answer)| answer.clone())
    };
    match answer {
        Some(Answer::Text(status, text)) => return plain(status, 0, text),
        Some(Answer::Huge(length)) => {
            let chunk = Bytes::from(vec![b' '; 1 << 20]);
            let chunks = tokio_stream::iter((0..=length >> 20).map(move |_| Ok(Frame::data(chunk.clone()))));
            return Response::new(BodyExt::boxed(StreamBody::new(chunks)));
        }
        Some(Answer::Late(delay)) => time::sleep(delay).await,
        None => {}
    }
    if token.is_empty() {
        return plain(401, 0, "Unauthorized");
    }
    let mut state = state.lock().unwrap();
    if state.acls && !state.allowed.iter().any(|(known, _)| *known == token) {
        return plain(500, 0, "Server error authenticating request\n");
    }
    let namespace =
        query.iter().find(|(key, _)| key == "namespace").map_or("default", |(_, value)| value).to_owned();
    if path == "/v1/event/stream" {
        return stream(&mut state, socket, &namespace, &token, &query);
    }
    if path == "/v1/acl/token/self" {
        return if state.acls {
            plain(404, 0, "ACL token not found")
        } else {
            plain(200, 0, r#"{"AccessorID":"acls-disabled"}"#)
        };
    }
    if !state.is_allowed(&token, &namespace) {
        return plain(403, 0, "Permission denied");
    }
    let filter = query.iter().find(|(key, _)| key == "filter").map(|(_, value)| value.as_str());
    let list = |things: &mut dyn Iterator<Item = &Value>| {
        let fits = |thing: &&Value| {
            thing["Namespace"] == namespace.as_str() && filter.is_none_or(|f| passes(thing, f))
        };
        let things: Vec<&Value> = things.filter(fits).collect();
        plain(200, state.index, json!(things).to_string())
    };
    match path.as_str() {
        "/v1/jobs" => list(&mut state.jobs.values()),
        "/v1/allocations" => {
            // As Nomad does: lists leave these out.
            let stub = |allocation: &Value| {
                let mut stub = allocation.clone();
                stub.as_object_mut().unwrap().remove("AllocModifyIndex");
                stub
            };
            let stubs: Vec<Value> = state.allocations.values().map(stub).collect();
            list(&mut stubs.iter())
        }
        "/v1/deployments" => list(&mut state.deployments.values()),
        "/v1/evaluations" => list(&mut state.evaluations.values()),
        _ => match path.strip_prefix("/v1/job/") {
            Some(id) => match state.jobs.get(&(namespace, unescape(id))) {
                Some(job) => plain(200, state.index, job.to_string()),
                None => plain(404, state.index, "job not found"),
            },
            None => plain(404, 0, "Invalid path"),
        },
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
    let (lines, queue) = mpsc::unbounded_channel();
    if state.is_allowed(token, namespace) {
        if !state.is_mute {
            drop(lines.send(Bytes::from_static(b"{}\n")));
        }
        state.streams.push(Stream {
            topics: topics.collect(),
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
fn unescape(text: &str) -> String {
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
