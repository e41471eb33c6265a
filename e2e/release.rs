//! From the instant at which what is waited for is healthy to the start of the main task that waited, by the clock of
//! Nomad's client; beside a reference: a task that follows the event stream and ends when Nomad calls the upstream healthy.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::harness::{Cluster, free_ports, seconds, wait_for};
use super::{spread, unix_millis};

/// The argument with which this program is the reference.
pub(crate) const REFERENCE: &str = "reference";
/// Releases of each kind.
const RELEASES: usize = 20;
/// As many at a time as their checks can be asked ten times a second each.
const AT_A_TIME: usize = 4;
/// How long the checks must pass.
const MIN_HEALTHY: Duration = seconds(2);
const LIMIT: Duration = seconds(60);

/// A row for each kind of gate and of main task.
pub(crate) fn print_rows(cluster: &Cluster) -> Result<(), String> {
    for (has_logs, words) in [(true, "with a log collector"), (false, "without a log collector")] {
        let mut floor = by_nothing(cluster, has_logs)?;
        println!(
            "| a prestart task that does nothing: its start to main task started, {words} | {} |",
            spread(&mut floor)
        );
        let (mut ours, mut reference) = by_nomad(cluster, has_logs)?;
        println!("| healthy to Nomad to main task started, {words} | {} |", spread(&mut ours));
        println!("| the same by a reference on the event stream | {} |", spread(&mut reference));
        println!("| ours of the reference's, medians | {:.2} |", median(&ours) / median(&reference));
        let Live { mut answered, mut accepted } = by_checks(cluster, has_logs)?;
        println!(
            "| its check first passes + `min_healthy_time` to main task started, {words} | {} |",
            spread(&mut answered)
        );
        println!(
            "| its port accepts + `min_healthy_time` to main task started, {words} (Nomad's check every second) | {} |",
            spread(&mut accepted)
        );
        for kind in ["tcp", "http"] {
            let mut accepted = by_socket(cluster, kind, has_logs)?;
            println!(
                "| {kind}: its port accepts to main task started, {words} | {} |",
                spread(&mut accepted)
            );
        }
    }
    Ok(())
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> f64 {
    sorted[(sorted.len() - 1) / 2]
}

/// Milliseconds that Nomad needs where nothing is waited for: less nobody can reach.
fn by_nothing(cluster: &Cluster, has_logs: bool) -> Result<Vec<f64>, String> {
    let nothing = prestart("driver = \"mock_driver\"\n      config {\n        run_for = \"0s\"\n      }");
    let mut started = Vec::new();
    for n in 0..RELEASES {
        let id = format!("floor-{n}");
        register(cluster, &job(&id, "0s", "", &nothing, has_logs))?;
        let main = started_at(cluster, &id, "main")?;
        started.push(main - started_at(cluster, &id, "gate")?);
        purge(cluster, std::iter::once(&id))?;
    }
    Ok(started)
}

/// Milliseconds from Nomad's own verdict, by a gate and by the reference, which wait for the same job.
fn by_nomad(cluster: &Cluster, has_logs: bool) -> Result<(Vec<f64>, Vec<f64>), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let address = cluster.agents()[0].address();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for batch in 0..RELEASES / AT_A_TIME {
        let ids: Vec<[String; 3]> =
            (0..AT_A_TIME).map(|n| ["up", "down", "ref"].map(|kind| format!("{kind}-{batch}-{n}"))).collect();
        for (n, [up, down, other]) in ids.iter().enumerate() {
            // The phase of Nomad's own timers is part of what is measured.
            let time = format!("{}ms", 3000 + 270 * n);
            register(cluster, &job(up, &time, "", "", true))?;
            register(cluster, &job(down, "0s", "", &gate(up), has_logs))?;
            let command = format!(
                "driver = \"raw_exec\"\n      config {{\n        command = \"{}\"\n        args    = [\"{REFERENCE}\", \"{address}\", \"{up}\"]\n      }}",
                program.display()
            );
            register(cluster, &job(other, "0s", "", &prestart(&command), has_logs))?;
        }
        for [up, down, other] in &ids {
            let ours_at = main_started(cluster, down)?;
            let theirs_at = main_started(cluster, other)?;
            let healthy = wait_for(LIMIT, || {
                let health = newest(cluster, up)?["DeploymentStatus"].take();
                let at = health["Timestamp"].as_str().and_then(unix_millis);
                at.filter(|_| health["Healthy"] == true).ok_or_else(|| format!("{up} is not healthy yet"))
            })?;
            ours.push(ours_at - healthy);
            theirs.push(theirs_at - healthy);
        }
        purge(cluster, ids.iter().flatten())?;
    }
    Ok((ours, theirs))
}

/// Milliseconds from two instants, each later by `min_healthy_time`.
struct Live {
    /// The first answer to the check that passes.
    answered: Vec<f64>,
    /// The port accepts.
    accepted: Vec<f64>,
}

fn by_checks(cluster: &Cluster, has_logs: bool) -> Result<Live, String> {
    let mut live = Live { answered: Vec::new(), accepted: Vec::new() };
    let time = format!("{}s", MIN_HEALTHY.as_secs());
    for batch in 0..RELEASES / AT_A_TIME {
        let ports: [u16; AT_A_TIME] = free_ports().map_err(|error| error.to_string())?;
        let mut jobs = BTreeMap::new();
        for (n, port) in ports.into_iter().enumerate() {
            let (up, down) = (format!("up-{batch}-{n}"), format!("down-{batch}-{n}"));
            // A client runs a job's checks from its start on: those of jobs that start together would pass together.
            thread::sleep(Duration::from_millis(230));
            register(cluster, &job(&up, &time, &check(&up, port), "", true))?;
            register(cluster, &job(&down, "0s", "", &gate(&up), has_logs))?;
            jobs.insert(up, (down, port));
        }
        for (down, _) in jobs.values() {
            wait_for(LIMIT, || match &newest(cluster, down)?["TaskStates"]["gate"]["State"] {
                Value::String(state) if state == "running" => Ok(()),
                state => Err(format!("the gate of {down} is {state}")),
            })?;
        }
        // Long enough for Nomad to have told that the upstream's tasks run, and not in step with its checks.
        thread::sleep(Duration::from_millis(1700 + 130 * u64::try_from(batch).unwrap_or_default()));
        let mut servers = Vec::new();
        for (down, port) in jobs.values() {
            servers.push((down, Server::start(*port)?));
            thread::sleep(Duration::from_millis(70));
        }
        for (down, server) in &servers {
            let started = main_started(cluster, down)?;
            let needed = MIN_HEALTHY.as_secs_f64() * 1000.0;
            let answered = server.answered().ok_or_else(|| format!("{down} opened without a check"))?;
            live.answered.push(started - answered - needed);
            live.accepted.push(started - server.accepts - needed);
        }
        purge(cluster, jobs.keys().chain(jobs.values().map(|(down, _)| down)))?;
    }
    Ok(live)
}

/// Milliseconds from the instant at which a port accepts that a gate asks by itself.
fn by_socket(cluster: &Cluster, kind: &str, has_logs: bool) -> Result<Vec<f64>, String> {
    let mut accepted = Vec::new();
    for batch in 0..RELEASES / AT_A_TIME {
        let ports: [u16; AT_A_TIME] = free_ports().map_err(|error| error.to_string())?;
        let mut jobs = BTreeMap::new();
        for port in ports {
            let down = format!("down-{kind}-{has_logs}-{port}");
            let address = if kind == "tcp" { String::new() } else { "http://".to_owned() };
            let wait = format!("wait \"it\" {{\n {kind} = \"{address}127.0.0.1:{port}\"\n}}");
            register(cluster, &job(&down, "0s", "", &gate_with(&wait), has_logs))?;
            jobs.insert(down, port);
        }
        for down in jobs.keys() {
            wait_for(LIMIT, || match &newest(cluster, down)?["TaskStates"]["gate"]["State"] {
                Value::String(state) if state == "running" => Ok(()),
                state => Err(format!("the gate of {down} is {state}")),
            })?;
        }
        thread::sleep(Duration::from_millis(1300 + 70 * u64::try_from(batch).unwrap_or_default()));
        let mut servers = Vec::new();
        for (down, port) in &jobs {
            servers.push((down, Server::start(*port)?));
            thread::sleep(Duration::from_millis(270));
        }
        for (down, server) in &servers {
            accepted.push(main_started(cluster, down)? - server.accepts);
        }
        purge(cluster, jobs.keys())?;
    }
    Ok(accepted)
}

/// Answers 200 to everything, from its start on.
struct Server {
    address: SocketAddr,
    accepts: f64,
    answered: Arc<Mutex<Option<f64>>>,
}

impl Server {
    fn start(port: u16) -> Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let accepts = now();
        let answered = Arc::new(Mutex::new(None));
        let first = Arc::clone(&answered);
        thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut head = [0; 4096];
                // Who only wakes it says nothing.
                let Ok(1..) = client.read(&mut head) else { return };
                first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(now);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                // A checker that goes away is no concern of ours.
                let _sent = client.write_all(answer.as_bytes());
            }
        });
        Ok(Self { address, accepts, answered })
    }

    fn answered(&self) -> Option<f64> {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
    }
}

/// Milliseconds of the Unix epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

/// Ends when Nomad's event stream says that an allocation of the job is healthy: `reference ADDRESS JOB`.
pub(crate) fn reference() -> Result<(), String> {
    let mut args = std::env::args().skip(2);
    let (Some(address), Some(job)) = (args.next(), args.next()) else {
        return Err(format!("usage: {REFERENCE} ADDRESS JOB"));
    };
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    let request = format!(
        "GET /v1/event/stream?topic=Allocation:{job}&index=18446744073709551 HTTP/1.0\r\nHost: localhost\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let Ok(frame) = serde_json::from_str::<Value>(&line) else { continue };
        let events = frame["Events"].as_array().into_iter().flatten();
        if events
            .map(|event| &event["Payload"]["Allocation"]["DeploymentStatus"])
            .any(|it| it["Healthy"] == true)
        {
            return Ok(());
        }
    }
    Err("the stream has ended".to_owned())
}

fn register(cluster: &Cluster, hcl: &str) -> Result<(), String> {
    cluster.register(&cluster.parse(hcl, "")?)
}

fn newest(cluster: &Cluster, job: &str) -> Result<Value, String> {
    let path = format!("/v1/job/{job}/allocations");
    let mut all = cluster.api().get(&path).map_err(|error| error.to_string())?;
    // Just after a job was registered there is none yet.
    Ok(all.get_mut(0).map_or(Value::Null, Value::take))
}

fn main_started(cluster: &Cluster, job: &str) -> Result<f64, String> {
    started_at(cluster, job, "main")
}

fn started_at(cluster: &Cluster, job: &str, task: &str) -> Result<f64, String> {
    wait_for(LIMIT, || {
        let started = newest(cluster, job)?["TaskStates"][task]["StartedAt"].take();
        started
            .as_str()
            .and_then(unix_millis)
            .ok_or_else(|| format!("the {task} task of {job} has not started"))
    })
}

fn purge<'a>(cluster: &Cluster, jobs: impl Iterator<Item = &'a String>) -> Result<(), String> {
    for job in jobs {
        let path = format!("/v1/job/{job}?purge=true");
        cluster.api().delete(&path).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn check(id: &str, port: u16) -> String {
    format!(
        r#"network {{
      port "http" {{
        static = {port}
      }}
    }}
    service {{
      name     = "{id}"
      port     = "http"
      provider = "nomad"
      check {{
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }}
    }}"#
    )
}

fn gate(needs: &str) -> String {
    gate_with(&format!("wait \"{needs}\" {{}}"))
}

fn gate_with(waits: &str) -> String {
    prestart(&format!(
        "driver = \"dtree\"\n      identity {{\n        file = true\n      }}\n      config {{\n        {waits}\n      }}"
    ))
}

fn prestart(what: &str) -> String {
    format!(
        r#"task "gate" {{
      {what}
      lifecycle {{
        hook = "prestart"
      }}
      resources {{
        cpu    = 1
        memory = 10
      }}
    }}"#
    )
}

/// A service of a task that only seems to run: no process is started for it.
fn job(id: &str, min_healthy: &str, service: &str, gate: &str, has_logs: bool) -> String {
    let health = if service.is_empty() { "task_states" } else { "checks" };
    format!(
        r#"job "{id}" {{
  group "g" {{
    update {{
      health_check      = "{health}"
      min_healthy_time  = "{min_healthy}"
      healthy_deadline  = "9m"
      progress_deadline = "10m"
    }}
    {service}
    {gate}
    task "main" {{
      driver = "mock_driver"
      config {{
        run_for = "1h"
      }}
      logs {{
        disabled = {}
      }}
      resources {{
        cpu    = 1
        memory = 10
      }}
    }}
  }}
}}
"#,
        !has_logs
    )
}
