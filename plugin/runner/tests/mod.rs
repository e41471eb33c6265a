//! The loop, on simulated time, with a cluster that a test holds in its hand.

mod trees;
mod whole;

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::{
    cluster::{Answer, Check, JobKey, Question, Sight, TaskPhase, sample},
    engine,
    http::Tls,
    manifest::Manifest,
    nomad::{
        self,
        fake::{self, FakeNomad},
    },
    probe::Probe,
    watch::{Asks, Viewer, Watch, Way},
};

/// What the test shows, what it was asked, and how often to look again.
struct Window {
    news: mpsc::UnboundedReceiver<Seen>,
    asked: Arc<Mutex<BTreeSet<Question>>>,
    looks: Arc<Mutex<u32>>,
}

impl Outlook for Window {
    async fn next(&mut self) -> Option<Seen> {
        self.news.recv().await
    }

    fn ask(&self, questions: BTreeSet<Question>) {
        self.asked.lock().unwrap().extend(questions);
    }

    fn also(&self, jobs: BTreeSet<JobKey>) {
        panic!("a gate looks at no other jobs: {jobs:?}");
    }

    fn look_again(&self) {
        *self.looks.lock().unwrap() += 1;
    }
}

#[derive(Default)]
struct Notebook(Mutex<Vec<String>>);

impl Notices for Notebook {
    fn event(&self, message: &str) {
        assert!(!message.contains("panic here"), "a mistake in the run");
        self.0.lock().unwrap().push(message.to_owned());
    }

    fn log(&self, _: &Line) {}
}

struct Bench {
    running: Running,
    show: mpsc::UnboundedSender<Seen>,
    asked: Arc<Mutex<BTreeSet<Question>>>,
    notebook: Arc<Notebook>,
    looks: Arc<Mutex<u32>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

fn place() -> Place {
    Place {
        job: JobKey::new("default", "shop"),
        group: "web".to_owned(),
        alloc: "own-0000-0000".into(),
        task: "gate".to_owned(),
    }
}

fn plan(config: &Value) -> Plan {
    let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(config).unwrap());
    Plan::compile(manifest, problems).unwrap()
}

/// The place of a task that a fake Nomad has placed.
fn placed() -> Place {
    Place { group: "g".to_owned(), alloc: "own".into(), ..place() }
}

fn viewer(fake: &FakeNomad, place: &Place) -> Viewer {
    Viewer {
        way: Way::Task {
            socket: fake.socket("api"),
            token_file: fake.socket("api").with_file_name("nomad_token"),
            env_token: None,
        },
        job: place.job.clone(),
        task: place.task.clone(),
    }
}

/// What is seen in `watch`, and answers to what is asked.
fn senses(watch: &Watch, viewer: Viewer, subjects: BTreeSet<JobKey>, asks: Asks) -> Senses {
    let probe = Probe::new(None, Tls::default(), CancellationToken::new());
    Senses { watch: watch.subscribe(viewer.clone(), subjects, asks), probe: probe.asking(viewer) }
}

/// A version of a job becomes healthy in this allocation.
fn becomes_healthy(fake: &FakeNomad, job: &str, alloc: &str, version: u64) {
    fake.transact(|write| write.allocation(fake::allocation("default", job, alloc, version, "running")));
    fake.transact(|write| {
        write.client_update(alloc, |allocation| {
            allocation["DeploymentStatus"] = json!({"Healthy": true, "Canary": false});
        });
    });
}

fn begin(waits: &Value) -> Bench {
    let plan = plan(&json!({ "wait": waits }));
    let deadlines = engine::deadlines(&plan, wall_clock());
    let (show, news) = mpsc::unbounded_channel();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let asked = Arc::new(Mutex::default());
    let (notebook, looks) = (Arc::new(Notebook::default()), Arc::new(Mutex::new(0)));
    let running = start(
        Order { plan, place: place(), deadlines, equipment: None, viewer: None, approvals: None },
        Window { news, asked: Arc::clone(&asked), looks: Arc::clone(&looks) },
        Arc::clone(&notebook) as Arc<dyn Notices>,
        &tasks,
        stop.clone(),
    );
    let bench = Bench { running, show, asked, notebook, looks, tasks, stop };
    bench.sees("shop", own_job(TaskPhase::Pending));
    bench
}

/// The own job, in which the gate stands well, with a sidecar `proxy` that Nomad checks.
fn own_job(proxy: TaskPhase) -> Sight {
    sample::job("shop", crate::cluster::JobType::Service, 1)
        .but_group(|group| {
            let mut spec = group.tasks.get("gate").cloned().unwrap();
            spec.lifecycle.as_mut().unwrap().is_sidecar = true;
            spec.has_nomad_checks = true;
            group.tasks.insert("proxy".to_owned(), spec);
        })
        .with("own", |own| own.tasks = [("proxy".to_owned(), sample::task(proxy))].into())
        .seen()
}

impl Bench {
    fn sees(&self, job: &str, sight: Sight) {
        self.show.send(Seen::Job(JobKey::new("default", job), Arc::new(sight))).unwrap();
    }

    async fn leaves_nothing(self) {
        self.tasks.close();
        timeout(Duration::from_secs(5), self.tasks.wait()).await.expect("everything it spawned has ended");
    }
}

fn healthy() -> Sight {
    sample::service(1).with("a", |_| ()).seen()
}

#[tokio::test(start_paused = true)]
async fn a_gate_opens_when_what_it_waits_for_is_seen() {
    let bench = begin(&json!({"postgres": {}}));
    bench.sees("postgres", healthy());
    assert_eq!(bench.running.ended().await, Ending::Done);
    assert_eq!(bench.running.ending(), Some(Ending::Done));
    assert!(bench.notebook.0.lock().unwrap().last().unwrap().starts_with("open after 0s"));
    assert!(bench.running.status().ending.is_some());
    bench.leaves_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_cluster_ends_at_the_deadline() {
    let bench = begin(&json!({"postgres": {"timeout": "5m"}}));
    let began = tokio::time::Instant::now();
    let Ending::Failed { message } = bench.running.ended().await else { panic!("it opened") };
    assert!(message.contains("not within 5m"), "{message}");
    let took = began.elapsed();
    assert!((299..=301).contains(&took.as_secs()), "{took:?}");
    bench.leaves_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_is_of_the_moment_it_is_asked_for() {
    let bench = begin(&json!({"postgres": {}}));
    tokio::time::sleep(Duration::from_mins(1)).await;
    let status = bench.running.status();
    assert_eq!(status.now.since(status.began).as_secs(), 60);
    bench.running.stop();
    assert_eq!(bench.running.ended().await, Ending::Stopped);
    // A run that has ended takes commands without harm.
    bench.running.stop();
    bench.running.look_again();
    bench.leaves_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn commands_reach_the_run() {
    let bench = begin(&json!({"postgres": {}}));
    bench.running.look_again();
    bench.running.open("INC-7".to_owned());
    assert_eq!(bench.running.ended().await, Ending::Done);
    assert_eq!(*bench.looks.lock().unwrap(), 1);
    assert_eq!(bench.notebook.0.lock().unwrap().last().unwrap(), "opened by hand: INC-7");
    bench.leaves_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_stops_leaves_no_ending_behind() {
    let bench = begin(&json!({"proxy": {"task": "proxy"}}));
    bench.stop.cancel();
    bench.tasks.close();
    bench.tasks.wait().await;
    assert_eq!(bench.running.ending(), None);
    let ended = timeout(Duration::from_mins(1), bench.running.ended()).await;
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn an_approval_is_taken_in_before_it_is_answered() {
    let waits = json!({"release": {"approval": "it is announced"}, "postgres": {}});
    let bench = begin(&waits);
    while bench.running.status().nodes.iter().any(|node| node.detail.contains("not looked at")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.running.approve("postgres", None).await, Err(vec!["release".to_owned()]));
    assert_eq!(bench.running.approve("release", Some("kim".to_owned())).await, Ok(()));
    let status = bench.running.status();
    let release = status.nodes.iter().find(|node| node.name == "release").unwrap();
    assert_eq!((release.state, release.detail.as_str()), ("satisfied", "approved by kim"));
    assert_eq!(bench.running.approve("release", None).await, Err(Vec::new()), "it is approved already");
    bench.sees("postgres", healthy());
    assert_eq!(bench.running.ended().await, Ending::Done);
    bench.leaves_nothing().await;

    let alone = begin(&json!({"release": {"approval": "it is announced"}}));
    while alone.running.approve("release", None).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(alone.running.ended().await, Ending::Done);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_run_only() {
    let bench = begin(&json!({"postgres": {}}));
    let other = begin(&json!({"postgres": {}}));
    bench.running.open("panic here".to_owned());
    assert_eq!(bench.running.ended().await, Ending::Panicked);
    other.sees("postgres", healthy());
    assert_eq!(other.running.ended().await, Ending::Done);
}

#[tokio::test(start_paused = true)]
async fn a_question_is_asked_and_its_answer_heard() {
    let bench = begin(&json!({"proxy": {"task": "proxy"}}));
    bench.sees("shop", own_job(TaskPhase::Running));
    let own = Question::OwnChecks { alloc: place().alloc };
    let passes = Check {
        name: "alive".to_owned(),
        service: "proxy".to_owned(),
        task: "proxy".to_owned(),
        status: crate::cluster::CheckStatus::Success,
        output: String::new(),
        at: 0,
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*bench.asked.lock().unwrap(), BTreeSet::from([own.clone()]));
    assert_eq!(bench.running.ending(), None);
    let told = Arc::new(Ok(Answer::Checks(vec![passes])));
    bench.show.send(Seen::Told(own, told)).unwrap();
    assert_eq!(bench.running.ended().await, Ending::Done);
    bench.leaves_nothing().await;
    assert_eq!(begin(&json!({"postgres": {}})).tasks.len(), 1, "one run is one tokio task");
}
