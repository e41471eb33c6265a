//! A Nomad for tests: a small HTTP server on Unix sockets whose jobs a test scripts as JSON.
//!
//! ```text
//!   test ── transact ──▶ store ──▶ a line to every open stream whose topics fit
//!        ── quietly  ──▶ store      (an event that got lost)
//!        ── answer   ──▶ what a path answers instead of the truth
//!   client ── writes ──▶ store, and a list of what was written
//! ```
//!
//! All IO is within the process, so that tests may run on paused time.
//!
//! It schedules nothing: a registered job gets allocations, evaluations and deployments only from the test.

mod sample;
mod serve;
mod store;
mod variables;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use hyper::{Method, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::UnixListener, sync::mpsc, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::sample::{allocation, checked_job, deployment, evaluation, job};
use self::serve::serve;
use super::Endpoint;

type Lines = mpsc::UnboundedSender<Bytes>;
/// Namespace and ID.
type Key = (String, String);

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
    jobs: BTreeMap<Key, Value>,
    /// The versions before the current one, oldest first.
    history: BTreeMap<Key, Vec<Value>>,
    /// Namespace and name.
    services: BTreeMap<Key, Vec<Value>>,
    variables: BTreeMap<Key, variables::Kept>,
    /// Allocation, task, and `stdout` or `stderr`.
    logs: BTreeMap<(String, String, String), String>,
    /// Allocation: what its client says of its checks.
    checks: BTreeMap<String, Value>,
    allocations: BTreeMap<String, Value>,
    deployments: BTreeMap<String, Value>,
    evaluations: BTreeMap<String, Value>,
    streams: Vec<Stream>,
    denied: Vec<Lines>,
    requests: Vec<Seen>,
    sockets: BTreeMap<PathBuf, CancellationToken>,
    answers: Vec<Script>,
    /// What a request is answered after so many more.
    nth: Option<(usize, Answer)>,
    writes: Vec<Written>,
    under_way: Vec<(PathBuf, serve::Asked)>,
    /// Whether tokens matter. Without, any token may do anything.
    pub(crate) acls: bool,
    /// Token and namespace: what may be read when there are ACLs.
    pub(crate) allowed: BTreeSet<(String, String)>,
    /// Token and namespace: what may be read but not written where it is allowed.
    pub(crate) only_reads: BTreeSet<(String, String)>,
    /// Namespaces that do not exist. All others do.
    pub(crate) no_namespaces: BTreeSet<String>,
    /// Whether it is Nomad 2, which tells of writes to variables.
    pub(crate) is_two: bool,
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

/// A request to register, stop, dispatch, tag or untag that was allowed, whether or not it changed anything.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// POST or DELETE.
    pub(crate) method: Method,
    /// Path without the query, as it was sent.
    pub(crate) path: String,
    /// Where.
    pub(crate) namespace: String,
    /// What it sent; `null` for nothing.
    pub(crate) body: Value,
    /// What it truly came to: 200 when it was carried out.
    pub(crate) status: u16,
}

/// What is answered where.
struct Script {
    path: String,
    /// Whether only a write to exactly this path is meant, and only the next one.
    is_next_write: bool,
    answer: Answer,
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
    /// This status and text, after having done what was asked.
    AppliedThen(u16, String),
    /// Nothing: the connection breaks, after having done what was asked.
    AppliedThenGone,
    /// Nothing: the connection breaks, and nothing was done.
    Gone,
    /// Nothing: the connection breaks, and the request is still on its way until [`FakeNomad::land`].
    UnderWay,
    /// The truth, after what was under way has arrived.
    LandThenTruth,
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
                    let service =
                        service_fn(move |request| serve(Arc::clone(&state), socket.clone(), request));
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
        self.state().answers.push(Script { path: prefix.to_owned(), is_next_write: false, answer });
    }

    /// Answers the next write to `path` so; those before it come first.
    pub(crate) fn answer_next_write(&self, path: &str, answer: Answer) {
        self.state().answers.push(Script { path: path.to_owned(), is_next_write: true, answer });
    }

    /// Answers the request after the next `n` so, whatever it is about. Streams do not count.
    pub(crate) fn answer_nth(&self, n: usize, answer: Answer) {
        self.state().nth = Some((n, answer));
    }

    /// Requests that were still on their way arrive. How many of them were carried out.
    pub(crate) fn land(&self) -> usize {
        self.state().land()
    }

    /// Whether the request that is to be answered in another way is still to come.
    pub(crate) fn is_nth_to_come(&self) -> bool {
        self.state().nth.is_some()
    }

    /// The instances of a service of the default namespace: job, allocation, address and port of each.
    pub(crate) fn services(&self, name: &str, instances: &[(&str, &str, &str, u16)]) {
        let registration = |(job, alloc, address, port): &(&str, &str, &str, u16)| {
            serde_json::json!({
                "ServiceName": name, "Namespace": "default", "JobID": job, "AllocID": alloc, "Address": address, "Port": port,
            })
        };
        let instances = instances.iter().map(registration).collect();
        let mut state = self.state();
        state.index += 1;
        state.services.insert(("default".to_owned(), name.to_owned()), instances);
    }

    /// The results of an allocation's checks: service, check and status of each.
    pub(crate) fn checks(&self, alloc: &str, checks: &[(&str, &str, &str)]) {
        self.checks_at(alloc, 0, checks);
    }

    /// The same, of this second.
    pub(crate) fn checks_at(&self, alloc: &str, at: i64, checks: &[(&str, &str, &str)]) {
        let result = |(service, check, status): &(&str, &str, &str)| {
            let result = serde_json::json!({
                "Service": service, "Check": check, "Task": "t", "Mode": "healthiness", "Status": status,
                "Output": format!("it is a {status}"), "Timestamp": at,
            });
            ((*check).to_owned(), result)
        };
        let checks: serde_json::Map<String, Value> = checks.iter().map(result).collect();
        self.state().checks.insert(alloc.to_owned(), checks.into());
    }

    /// What an allocation's checks say from now on: name and status of each.
    pub(crate) fn health_checks(&self, alloc: &str, checks: &[(&str, &str)]) {
        let checks: Vec<_> = checks.iter().map(|(name, status)| ("s", *name, *status)).collect();
        self.checks(alloc, &checks);
    }

    /// What a task has written.
    pub(crate) fn log(&self, alloc: &str, task: &str, stream: &str, text: &str) {
        let key = (alloc.to_owned(), task.to_owned(), stream.to_owned());
        self.state().logs.insert(key, text.to_owned());
    }

    /// A job as Nomad shows it.
    pub(crate) fn job(&self, namespace: &str, id: &str) -> Option<Value> {
        self.state().jobs.get(&(namespace.to_owned(), id.to_owned())).cloned()
    }

    /// The IDs of all jobs of a namespace.
    pub(crate) fn job_ids(&self, namespace: &str) -> Vec<String> {
        self.state().jobs.keys().filter(|key| key.0 == namespace).map(|key| key.1.clone()).collect()
    }

    /// Answers with the truth again.
    pub(crate) fn answer_truly(&self) {
        let mut state = self.state();
        state.answers.clear();
        state.nth = None;
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

    /// The writes so far, and forgets them.
    pub(crate) fn take_writes(&self) -> Vec<Written> {
        std::mem::take(&mut self.state().writes)
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
