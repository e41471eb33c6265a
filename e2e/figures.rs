//! The figures of the README, measured: `make figures`.
//!
//! Each is a plain reading of the operating system or of Nomad's own records, on an agent of its own.

#![expect(clippy::print_stdout, reason = "a program whose output is its result")]
#![expect(clippy::disallowed_methods, reason = "it measures in real time")]
#![expect(clippy::cast_precision_loss, reason = "figures for people have three digits")]
#![expect(clippy::indexing_slicing, reason = "a JSON value without that key gives null, and no panic")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

mod commands;
mod crowd;
#[expect(dead_code, unused_imports, reason = "the stories and the demo use the rest")]
mod harness;
mod makespan;
mod release;

use harness::{Binaries, Cluster, Options, seconds, wait_for};

/// As many waiting gates as the promise speaks of.
const GATES: usize = 200;
/// Releases that are timed.
const RELEASES: usize = 40;
/// Starts that are timed.
const STARTS: usize = 40;
const LIMIT: Duration = seconds(180);

fn main() -> ExitCode {
    match figures() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("the figures could not be measured: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn figures() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        None => all(),
        Some(release::REFERENCE) => release::reference(),
        Some("crowd") => crowd::print_rows(),
        Some("commands") => commands::print_rows(),
        Some("release") => on_cluster(release::print_rows),
        Some("makespan") => {
            let which = args.get(1).map_or("", String::as_str);
            on_cluster(|cluster| makespan::print_rows(cluster, which))
        }
        Some(other) => {
            Err(format!("there is no {other}: crowd, commands, release, makespan, or nothing for all"))
        }
    }
}

fn on_cluster(print_rows: impl FnOnce(&Cluster) -> Result<(), String>) -> Result<(), String> {
    let mut cluster = Cluster::start(Options::default())?;
    print_rows(&cluster)?;
    cluster.end().map_err(|remains| format!("it has left behind:\n{remains}"))
}

fn all() -> Result<(), String> {
    let mut starts: Vec<f64> = (0..STARTS).map(|_| handshake()).collect::<Result<_, _>>()?;
    println!("| what | measured |\n|---|---|");
    println!("| process start to handshake | {} |", spread(&mut starts));

    let mut cluster = Cluster::start(Options::default())?;
    let plugin = plugin_of(&cluster)?;
    println!("| plugin, idle: resident memory | {:.1} MiB |", memory(plugin, "VmRSS")? / 1024.0);
    let idle = memory(plugin, "RssAnon")?;

    let before = processes(&cluster);
    let job = cluster.parse(&waiting("crowd", GATES, "nobody"), "")?;
    let began = Instant::now();
    cluster.register(&job)?;
    all_wait(&cluster, GATES, LIMIT)?;
    let took = began.elapsed();
    // The first minute has the last event of each gate and one reading of the cluster.
    thread::sleep(Duration::from_secs(70));
    let each = (memory(plugin, "RssAnon")? - idle) / GATES as f64;
    println!("| {GATES} gates waiting: start of all | {:.1} s |", took.as_secs_f64());
    println!("| {GATES} gates waiting: private memory of the plugin, each | {each:.1} KiB |");
    println!("| {GATES} gates waiting: processes added | {} |", processes(&cluster) - before);
    let cpu = cpu_seconds(plugin)?;
    thread::sleep(Duration::from_mins(1));
    println!("| {GATES} gates waiting: CPU of the plugin | {:.2} s/min |", cpu_seconds(plugin)? - cpu);
    cluster.api().delete("/v1/job/crowd?purge=true").map_err(|error| error.to_string())?;
    wait_for(LIMIT, || match gates(&cluster, "crowd")?.len() {
        0 => Ok(()),
        left => Err(format!("{left} gates still run")),
    })?;

    let mut releases = releases(&cluster)?;
    println!("| seen in Nomad's event stream to gate ended | {} |", spread(&mut releases));
    for n in 0..RELEASES {
        for job in [format!("up-{n}"), format!("down-{n}")] {
            let path = format!("/v1/job/{job}?purge=true");
            cluster.api().delete(&path).map_err(|error| error.to_string())?;
        }
    }
    release::print_rows(&cluster)?;
    makespan::print_rows(&cluster, "")?;
    commands::print_rows()?;
    cluster.end().map_err(|remains| format!("it has left behind:\n{remains}"))?;
    crowd::print_rows()
}

/// Until as many gates of the job `crowd` run as are wanted.
fn all_wait(cluster: &Cluster, wanted: usize, limit: Duration) -> Result<(), String> {
    wait_for(limit, || {
        let waiting = gates(cluster, "crowd")?.len();
        if waiting == wanted { Ok(()) } else { Err(format!("{waiting} of {wanted} gates run")) }
    })
}

/// The plugin's process.
fn plugin_of(cluster: &Cluster) -> Result<i32, String> {
    wait_for(LIMIT, || match cluster.agents()[0].plugin_pids().as_slice() {
        [pid] => Ok(*pid),
        pids => Err(format!("{} plugin processes", pids.len())),
    })
}

/// `median, 95th percentile`, in milliseconds.
fn spread(values: &mut [f64]) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values[(values.len() - 1) * share / 100];
    format!("{:.1} ms median, {:.1} ms 95th percentile (n = {})", at(50), at(95), values.len())
}

/// Milliseconds from the start of the process to its handshake line.
fn handshake() -> Result<f64, String> {
    let dtree = &Binaries::find()?.dtree;
    let began = Instant::now();
    let mut child: Child = Command::new(dtree)
        .env("NOMAD_PLUGIN_MAGIC_COOKIE", "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    let stdout = child.stdout.take().ok_or("no stdout")?;
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    let took = began.elapsed();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM).map_err(|error| error.to_string())?;
    child.wait().map_err(|error| error.to_string())?;
    if line.starts_with("1|2|unix|") {
        Ok(took.as_secs_f64() * 1000.0)
    } else {
        Err(format!("not a handshake: {line}"))
    }
}

/// What the kernel says of a process's memory, in KiB: `VmRSS` is all that is resident, `RssAnon` what no file holds.
fn memory(pid: i32, what: &str) -> Result<f64, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok()).ok_or_else(|| format!("no {what} of process {pid}"))
}

/// Seconds of CPU that a process has used, in user and kernel mode.
fn cpu_seconds(pid: i32) -> Result<f64, String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|error| error.to_string())?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok()).ok_or("no such field");
    // Fields 14 and 15 of proc(5), counted from behind the name; a tick is a hundredth of a second on Linux.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// How many processes there are beneath the cluster's agents: plugins, log collectors, executors, tasks.
fn processes(cluster: &Cluster) -> i64 {
    let mark = format!("TMPDIR={}", cluster.dir().join("tmp").display());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    });
    i64::try_from(ours.count()).unwrap_or(i64::MAX)
}

/// A service of `count` groups, each held back by a gate that waits for `needs`.
fn waiting(id: &str, count: usize, needs: &str) -> String {
    let wait = format!("wait \"{needs}\" {{\n timeout = \"1h\"\n }}");
    crowd::job(id, &crowd::group("web", count, &wait))
}

/// A batch job that ends at once.
fn done(id: &str) -> String {
    format!(
        r#"job "{id}" {{
  type = "batch"
  group "work" {{
    task "main" {{
      driver = "raw_exec"
      config {{
        command = "/bin/true"
      }}
      resources {{
        cpu    = 1
        memory = 10
      }}
    }}
  }}
}}
"#
    )
}

/// The gates of a job that run, and when each that has ended did, in milliseconds of the Unix epoch.
fn gates(cluster: &Cluster, job: &str) -> Result<BTreeMap<String, Option<f64>>, String> {
    let path = format!("/v1/job/{job}/allocations");
    let allocations = cluster.api().get(&path).map_err(|error| error.to_string())?;
    let mut gates = BTreeMap::new();
    for allocation in allocations.as_array().into_iter().flatten() {
        let gate = &allocation["TaskStates"]["gate"];
        let ended = gate["FinishedAt"].as_str().filter(|_| gate["State"] == "dead").and_then(unix_millis);
        if gate["State"] == "running" || ended.is_some() && allocation["DesiredStatus"] == "run" {
            gates.insert(allocation["ID"].to_string(), ended);
        }
    }
    Ok(gates)
}

/// `2026-11-20T12:00:00.123456789Z` in milliseconds of the Unix epoch.
fn unix_millis(text: &str) -> Option<f64> {
    let timestamp: jiff::Timestamp = text.parse().ok()?;
    Some(timestamp.as_nanosecond() as f64 / 1e6)
}

/// For each release: milliseconds from the event that ended the wait, as an independent listener on the same stream saw
/// it, to the end of the gate, as Nomad's client recorded it.
fn releases(cluster: &Cluster) -> Result<Vec<f64>, String> {
    for n in 0..RELEASES {
        let job = cluster.parse(&waiting(&format!("down-{n}"), 1, &format!("up-{n}")), "")?;
        cluster.register(&job)?;
    }
    for n in 0..RELEASES {
        let job = format!("down-{n}");
        wait_for(LIMIT, || {
            if gates(cluster, &job)?.is_empty() { Err(format!("{job} does not wait yet")) } else { Ok(()) }
        })?;
    }
    let address = cluster.agents()[0].address();
    let seen = listen(address)?;
    let mut took = Vec::new();
    for n in 0..RELEASES {
        let (up, down) = (format!("up-{n}"), format!("down-{n}"));
        cluster.register(&cluster.parse(&done(&up), "")?)?;
        let at = loop {
            let (job, at) = seen.recv_timeout(LIMIT).map_err(|_| format!("{up} was never seen complete"))?;
            if job == up {
                break at;
            }
        };
        let ended = wait_for(LIMIT, || {
            gates(cluster, &down)?.into_values().flatten().next().ok_or_else(|| format!("{down} still waits"))
        })?;
        took.push(ended - at);
    }
    Ok(took)
}

/// Jobs whose allocation is complete, with the instant at which the event stream said so.
fn listen(address: SocketAddr) -> Result<mpsc::Receiver<(String, f64)>, String> {
    assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    let request =
        "GET /v1/event/stream?topic=Allocation:*&index=18446744073709551 HTTP/1.0\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let (told, seen) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0;
            let Ok(frame) = serde_json::from_str::<Value>(&line) else { continue };
            for event in frame["Events"].as_array().into_iter().flatten() {
                let allocation = &event["Payload"]["Allocation"];
                if allocation["ClientStatus"] == "complete"
                    && let Some(job) = allocation["JobID"].as_str()
                    && told.send((job.to_owned(), now)).is_err()
                {
                    return;
                }
            }
        }
    });
    Ok(seen)
}
