//! The demo: the shop comes up as a tree, with a job beside it that waits at its gate; a second run changes nothing.
//!
//! It starts a Nomad agent of its own with the plugin in it, and leaves nothing behind, also when it is interrupted.
//! `DTREE_DEMO_UNGATED=1` leaves tree and gate out, to show that without them the same jobs fail.

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

/// The job of the tree, and its task.
const TREE: &str = "shop";
/// A job that is in no tree, with a gate.
const CUSTOMER: &str = "customer";
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
    let outcome = if ungated { all_at_once(&cluster) } else { open_the_shop(&cluster) };
    let left = cluster.end().map_err(|remains| format!("it has left behind:\n{remains}"));
    if left.is_ok() {
        println!("==> Stopped the agent and cleaned up");
    }
    outcome.and(left)
}

/// Everything without tree and gate, which must fail.
fn all_at_once(cluster: &Cluster) -> Result<(), String> {
    let shop = free_shop()?;
    let mut names: Vec<&str> = shop::JOBS.to_vec();
    names.push(CUSTOMER);
    names.reverse();
    let mut jobs = Vec::new();
    for name in &names {
        let is_customer = *name == CUSTOMER;
        jobs.push(if is_customer { shop.gated_job(name, cluster)? } else { shop.job(name, cluster)? });
    }
    println!(
        "==> Registering all at once, in the wrong order, WITHOUT TREE AND GATE: {}\n",
        names.join(", ")
    );
    for job in jobs {
        cluster.register(&shop::without_gates(job))?;
    }
    let mut watcher = Watcher::new(&names);
    match harness::wait_for(LIMIT, || watcher.look(cluster)) {
        Ok(End::Failed { job, why }) => Err(format!(
            "`{job}` needs something that is not there yet.\n    {why}\n    \
             That is what happens without dtree; `make demo` runs the same jobs with it."
        )),
        Ok(End::Good) => Err("it should have failed, and has not".to_owned()),
        Err(seen) => Err(format!("{seen}\n{}", cluster.log_tail(40))),
    }
}

fn open_the_shop(cluster: &Cluster) -> Result<(), String> {
    let shop = free_shop()?;
    println!("==> Registering `{CUSTOMER}`, which has a gate: it needs nginx, and there is no nginx yet");
    println!("==> nomad job run shop.nomad.hcl: a tree of {}\n", shop::JOBS.join(", "));
    cluster.register(&shop.gated_job(CUSTOMER, cluster)?)?;
    shop.run_tree(cluster, "1")?;
    let all = [TREE, "postgres", "api", "nginx", CUSTOMER];
    let mut watcher = Watcher::new(&all);
    run_to_its_end(cluster, &mut watcher)?;
    println!("\n==> GET http://{}/, from nginx, which asks api, which asks postgres:\n", shop.front_door());
    let row = harness::fetch(shop.front_door()).map_err(|error| error.to_string())?;
    println!("    {row}\n");
    if row != shop::ROW {
        return Err(format!("that should have been {:?}", shop::ROW));
    }

    let jobs = ["postgres", "api", "nginx"];
    let before = jobs.map(|job| stamp(cluster, job));
    println!("==> nomad job run -var run=2 shop.nomad.hcl: again, and nothing has changed\n");
    shop.run_tree(cluster, "2")?;
    watcher.begins_again(TREE, cluster)?;
    run_to_its_end(cluster, &mut watcher)?;
    println!();
    for (job, before) in jobs.iter().zip(before) {
        let (before, now) = (before?, stamp(cluster, job)?);
        if now != before {
            return Err(format!("`{job}` was touched: {before}, and now {now}"));
        }
        println!("    {job:<15}  was not touched: {now}");
    }
    println!();
    Ok(())
}

fn free_shop() -> Result<Shop, String> {
    Shop::new().map_err(|error| format!("no free ports: {error}"))
}

fn run_to_its_end(cluster: &Cluster, watcher: &mut Watcher) -> Result<(), String> {
    match harness::wait_for(LIMIT, || watcher.look(cluster)) {
        Ok(End::Good) => Ok(()),
        Ok(End::Failed { job, why }) => {
            Err(format!("`{job}` has failed\n    {why}\n{}", cluster.log_tail(40)))
        }
        Err(seen) => Err(format!("{seen}\n{}", cluster.log_tail(40))),
    }
}

/// What tells whether somebody has touched a job.
fn stamp(cluster: &Cluster, job: &str) -> Result<String, String> {
    let get = |path: String| cluster.api().get(&path).map_err(|error| error.to_string());
    let found = get(format!("/v1/job/{job}"))?;
    let allocations = get(format!("/v1/job/{job}/allocations"))?;
    let allocations = allocations.as_array().into_iter().flatten();
    let ids: Vec<&str> = allocations.filter_map(|allocation| allocation["ID"].as_str()?.get(..8)).collect();
    let (version, index) = (&found["Version"], &found["JobModifyIndex"]);
    Ok(format!("version {version}, modified at {index}, allocation {}", ids.join(", ")))
}

/// How it ended.
enum End {
    /// Every job is where it should be.
    Good,
    /// This job has failed, for good; why, in its task's own words.
    Failed { job: String, why: String },
}

/// When, in nanoseconds since 1970; the order within one instant; which job; what.
type News = (i64, usize, String, String);

/// Tells what has happened since the last look, from Nomad's own records.
struct Watcher {
    /// The jobs that have to be healthy, or complete.
    wanted: BTreeSet<String>,
    /// When the first allocation was made, in nanoseconds since 1970.
    began: Option<i64>,
    /// What has been told.
    told: BTreeSet<News>,
    /// Jobs that are where they should be.
    ready: BTreeSet<String>,
    /// The first job that has failed, and its allocation.
    failed: Option<(String, String)>,
    /// What has ended before the run that is watched.
    past: BTreeSet<String>,
}

impl Watcher {
    fn new(wanted: &[&str]) -> Self {
        Self {
            wanted: wanted.iter().map(|job| (*job).to_owned()).collect(),
            began: None,
            told: BTreeSet::new(),
            ready: BTreeSet::new(),
            failed: None,
            past: BTreeSet::new(),
        }
    }

    /// Another allocation of this job has to end well.
    fn begins_again(&mut self, job: &str, cluster: &Cluster) -> Result<(), String> {
        self.ready.remove(job);
        let version = cluster.api().get(&format!("/v1/job/{job}")).map_err(|error| error.to_string())?;
        for allocation in allocations(cluster)? {
            if allocation["JobID"] == job && allocation["JobVersion"] != version["Version"] {
                self.past.insert(text(&allocation["ID"]));
            }
        }
        Ok(())
    }

    /// One look; the error is that it has not ended yet.
    fn look(&mut self, cluster: &Cluster) -> Result<End, String> {
        let mut news = BTreeSet::new();
        for allocation in allocations(cluster)? {
            let made = allocation["CreateTime"].as_i64().unwrap_or_default();
            self.began = Some(self.began.map_or(made, |began| began.min(made)));
            if !self.past.contains(&text(&allocation["ID"])) {
                self.read(&allocation, &mut news);
                if allocation["JobID"] == TREE {
                    // There is none before the task has begun.
                    let log = cluster.logs(&text(&allocation["ID"]), TREE, "stdout").unwrap_or_default();
                    news.extend(told_by_the_tree(&log));
                }
            }
        }
        let began = self.began.unwrap_or_default();
        for line in news.difference(&self.told) {
            let (time, _, job, what) = line;
            #[expect(clippy::cast_precision_loss, reason = "tenths of seconds, of a demo")]
            let elapsed = (time - began) as f64 / 1e9;
            println!("{elapsed:>8.1} s  {job:<15}  {what}");
        }
        self.told.append(&mut news);
        if let Some((job, allocation)) = &self.failed {
            let why = cluster.logs(allocation, job, "stderr")?.trim().to_owned();
            return Ok(End::Failed { job: job.clone(), why });
        }
        let missing: Vec<&String> = self.wanted.difference(&self.ready).collect();
        if missing.is_empty() {
            return Ok(End::Good);
        }
        Err(format!("not ready after {} s: {missing:?}", LIMIT.as_secs()))
    }

    fn read(&mut self, allocation: &Value, news: &mut BTreeSet<News>) {
        let id = text(&allocation["JobID"]);
        // A hook runs under a name of its own for each rollout: its label, the tree, which rollout, which attempt.
        let job = id.split_once(&format!("-{TREE}-")).map_or(id.as_str(), |(hook, _)| hook).to_owned();
        for (task, state) in allocation["TaskStates"].as_object().into_iter().flatten() {
            for event in state["Events"].as_array().into_iter().flatten() {
                let time = event["Time"].as_i64().unwrap_or_default();
                if let Some(what) = in_words(*task == job, event) {
                    news.insert((time, 0, job.clone(), what));
                }
            }
            if *task == job && state["State"] == "dead" && state["Failed"] == false {
                self.ready.insert(job.clone());
            }
        }
        if allocation["DeploymentStatus"]["Healthy"] == true {
            let time = allocation["DeploymentStatus"]["Timestamp"].as_str();
            let time = time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
            let time = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok()).unwrap_or_default();
            news.insert((time, 0, job.clone(), "is healthy".to_owned()));
            self.ready.insert(job.clone());
        }
        if allocation["ClientStatus"] == "failed" {
            self.failed.get_or_insert_with(|| (job, text(&allocation["ID"])));
        }
    }
}

/// All of the cluster's, those of jobs that are gone too.
fn allocations(cluster: &Cluster) -> Result<Vec<Value>, String> {
    let found = cluster.api().get("/v1/allocations").map_err(|error| error.to_string())?;
    Ok(found.as_array().cloned().unwrap_or_default())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The log of a tree has every change of every step; worth telling is when a step comes into another state.
fn told_by_the_tree(log: &str) -> Vec<News> {
    let mut told = Vec::new();
    let mut states: BTreeMap<&str, &str> = BTreeMap::new();
    for (n, line) in log.lines().enumerate() {
        let Some((time, what)) = line.split_once(' ') else { continue };
        let Ok(time) = time.parse::<jiff::Timestamp>() else { continue };
        let mut words = what.splitn(3, ": ");
        if let (Some(step), Some(state), Some(_)) = (words.next(), words.next(), words.next())
            && states.insert(step, state) == Some(state)
        {
            continue;
        }
        let time = i64::try_from(time.as_nanosecond()).unwrap_or_default();
        told.push((time, n, TREE.to_owned(), format!("│ {what}")));
    }
    told
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
