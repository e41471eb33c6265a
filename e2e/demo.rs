//! The demo: four jobs that need each other, registered all at once and in the wrong order, come up in the right one.
//!
//! It starts a Nomad agent of its own with the plugin in it, and leaves nothing behind, also when it is interrupted.
//! `DTREE_DEMO_UNGATED=1` leaves the gates out, to show that without them the same jobs fail.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program to be watched")]
#![expect(clippy::disallowed_methods, reason = "the demo is an outermost shell, in real time")]
#![expect(clippy::indexing_slicing, reason = "a JSON value without that key gives null, and no panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::process::ExitCode;
use std::thread;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

#[expect(dead_code, unused_imports, reason = "the stories use the rest")]
mod harness;

use harness::{Cluster, Options, Shop, seconds, shop};

/// The shop needs about fifteen seconds.
const LIMIT: std::time::Duration = seconds(120);

fn main() -> ExitCode {
    let ungated = std::env::var("DTREE_DEMO_UNGATED").is_ok_and(|value| !["", "0"].contains(&value.as_str()));
    thread::spawn(|| match first_signal() {
        Ok(()) => {
            eprintln!("\n==> Interrupted: stopping the agent and cleaning up");
            harness::interrupt();
        }
        Err(error) => eprintln!("==> An interrupt will not be noticed: {error}"),
    });
    match demo(ungated) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if harness::is_interrupted() => ExitCode::from(130),
        Err(problem) => {
            eprintln!("\n==> The demo has failed: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C, a closed terminal or a plain `kill`.
fn first_signal() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

fn demo(ungated: bool) -> Result<(), String> {
    println!("==> Starting a Nomad agent with the dtree plugin, on loopback, in a temporary directory");
    let mut cluster = Cluster::start(Options::default())?;
    let outcome = open_the_shop(&cluster, ungated);
    let left = cluster.end().map_err(|remains| format!("it has left behind:\n{remains}"));
    if left.is_ok() {
        println!("==> Stopped the agent and cleaned up");
    }
    outcome.and(left)
}

fn open_the_shop(cluster: &Cluster, ungated: bool) -> Result<(), String> {
    let shop = Shop::new().map_err(|error| format!("no free ports: {error}"))?;
    let mut wrong_order = shop::JOBS;
    wrong_order.reverse();
    let jobs = wrong_order.iter().map(|name| shop.job(name, cluster)).collect::<Result<Vec<_>, _>>()?;
    let gates = if ungated { ", WITHOUT THEIR GATES" } else { "" };
    println!("==> Registering all at once, in the wrong order{gates}: {}\n", wrong_order.join(", "));
    let mut watcher = Watcher::default();
    for job in jobs {
        cluster.register(&if ungated { shop::without_gates(job) } else { job })?;
    }
    let end = harness::wait_for(LIMIT, || watcher.look(cluster));
    match end {
        Ok(End::Open) => {}
        Ok(End::Failed { job, why }) if ungated => {
            return Err(format!(
                "`{job}` needs something that is not there yet.\n    {why}\n    \
                 That is what happens without gates; `make demo` runs the same jobs with them."
            ));
        }
        Ok(End::Failed { job, why }) => {
            return Err(format!("`{job}` has failed\n    {why}\n{}", cluster.log_tail(40)));
        }
        Err(seen) => return Err(format!("{seen}\n{}", cluster.log_tail(40))),
    }
    println!("\n==> GET http://{}/, from nginx, which asks api, which asks postgres:\n", shop.front_door());
    let row = harness::fetch(shop.front_door()).map_err(|error| error.to_string())?;
    println!("    {row}\n");
    if row == shop::ROW { Ok(()) } else { Err(format!("that should have been {:?}", shop::ROW)) }
}

/// How it ended.
enum End {
    /// Every job is where it should be.
    Open,
    /// This job has failed, for good; why, in its task's own words.
    Failed { job: String, why: String },
}

/// Tells what has happened since the last look, from Nomad's own records.
#[derive(Default)]
struct Watcher {
    /// When the first job was registered, in nanoseconds since 1970.
    began: Option<i64>,
    /// What has been told, by job and time.
    told: BTreeSet<(i64, String, String)>,
    /// Jobs that are healthy, or complete.
    ready: BTreeSet<String>,
    /// The first job that has failed, and its allocation.
    failed: Option<(String, String)>,
}

impl Watcher {
    /// One look; the error is that it has not ended yet.
    fn look(&mut self, cluster: &Cluster) -> Result<End, String> {
        let mut news = BTreeSet::new();
        for name in shop::JOBS {
            let api = cluster.api();
            let job = api.get(&format!("/v1/job/{name}")).map_err(|error| error.to_string())?;
            let submitted = job["SubmitTime"].as_i64().unwrap_or_default();
            let began = *self.began.get_or_insert(submitted);
            self.began = Some(began.min(submitted));
            let allocations =
                api.get(&format!("/v1/job/{name}/allocations")).map_err(|error| error.to_string())?;
            for allocation in allocations.as_array().into_iter().flatten() {
                self.read(name, allocation, &mut news);
            }
        }
        let began = self.began.unwrap_or_default();
        for line in news.difference(&self.told) {
            let (time, job, what) = line;
            #[expect(clippy::cast_precision_loss, reason = "tenths of seconds, of a demo")]
            let elapsed = (time - began) as f64 / 1e9;
            println!("{elapsed:>8.1} s  {job:<15}  {what}");
        }
        self.told.append(&mut news);
        if let Some((job, allocation)) = &self.failed {
            let why = cluster.logs(allocation, job, "stderr")?.trim().to_owned();
            return Ok(End::Failed { job: job.clone(), why });
        }
        if self.ready.len() == shop::JOBS.len() {
            return Ok(End::Open);
        }
        let missing: Vec<&str> = shop::JOBS.into_iter().filter(|job| !self.ready.contains(*job)).collect();
        Err(format!("not ready after {} s: {}", LIMIT.as_secs(), missing.join(", ")))
    }

    fn read(&mut self, job: &str, allocation: &Value, news: &mut BTreeSet<(i64, String, String)>) {
        let states: BTreeMap<&str, &Value> = allocation["TaskStates"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, state)| (name.as_str(), state))
            .collect();
        for (task, state) in states {
            for event in state["Events"].as_array().into_iter().flatten() {
                let time = event["Time"].as_i64().unwrap_or_default();
                if let Some(what) = in_words(task == job, event) {
                    news.insert((time, job.to_owned(), what));
                }
            }
            if task == job && state["State"] == "dead" && state["Failed"] == false {
                self.ready.insert(job.to_owned());
            }
        }
        if allocation["DeploymentStatus"]["Healthy"] == true {
            let time = allocation["DeploymentStatus"]["Timestamp"].as_str();
            let time = time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
            let time = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok()).unwrap_or_default();
            news.insert((time, job.to_owned(), "is healthy".to_owned()));
            self.ready.insert(job.to_owned());
        }
        if allocation["ClientStatus"] == "failed" {
            let id = allocation["ID"].as_str().unwrap_or_default();
            self.failed.get_or_insert_with(|| (job.to_owned(), id.to_owned()));
        }
    }
}

/// A task event worth telling: of the main task its life, of the gate what it waits for.
fn in_words(is_main: bool, event: &Value) -> Option<String> {
    let message = event["DisplayMessage"].as_str().unwrap_or_default();
    let failed = event["ExitCode"].as_i64().unwrap_or_default() != 0;
    let what = match (event["Type"].as_str()?, is_main) {
        ("Started", true) => "starts".to_owned(),
        ("Terminated", true) if failed => format!("FAILS  {message}"),
        ("Terminated", true) => "is complete".to_owned(),
        ("Driver", false) => format!("gate: {message}"),
        ("Terminated", false) if failed => format!("gate fails  {message}"),
        ("Terminated", false) => "gate opens".to_owned(),
        ("Driver Failure" | "Failed Validation" | "Setup Failure", _) => format!("FAILS  {message}"),
        _ => return None,
    };
    Some(what)
}
