//! How long a tree takes, over the best that an orchestrator outside could do: have each job parsed and submit it the instant
//! at which the event stream shows the last of what it needs healthy.
//!
//! All bring up the same graphs of jobs that are healthy as soon as they run, on the same agent, in turns. All have their
//! jobspecs parsed by Nomad in the time that is measured: the reference each when its turn comes, the tree all of them, and
//! validated, before it writes anything. A tree is measured from the start of its task, because before that it is Nomad that
//! fetches the jobspecs, and from a shell from the start of the command.
//!
//! None is held back: as many jobs are brought up at a time as the graph allows, `max_parallel` of the tree is as many
//! as there are jobs at most. The reference submits over [`LANES`] connections, more of which make Nomad no faster.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};

use crate::harness::{Binaries, Cluster, seconds, wait_for};
use crate::unix_millis;

/// How many jobs the reference submits at the same time.
const LANES: usize = 8;
const LIMIT: Duration = seconds(120);

/// Where a job is told that is healthy, or why there will be none.
type Tell = mpsc::Sender<Result<String, String>>;
/// What each job needs, by name.
type Graph = BTreeMap<String, Vec<String>>;

fn name(n: usize) -> String {
    format!("j{n:03}")
}

/// One after the other.
fn chain(n: usize) -> Graph {
    (0..n).map(|i| (name(i), i.checked_sub(1).map(name).into_iter().collect())).collect()
}

/// One, then many, then one.
fn fan(n: usize) -> Graph {
    let mut graph: Graph = (1..=n).map(|i| (name(i), vec![name(0)])).collect();
    graph.insert(name(0), Vec::new());
    graph.insert(name(n + 1), (1..=n).map(name).collect());
    graph
}

/// A binary tree: one, two, four, and so on.
fn binary(n: usize) -> Graph {
    let parent = |i: usize| i.checked_sub(1).map(|i| name(i / 2));
    (0..n).map(|i| (name(i), parent(i).into_iter().collect())).collect()
}

/// Layers of jobs, each of which needs three of the layer before.
fn layered(n: usize, layers: usize) -> Graph {
    let width = n / layers;
    let needs = |i: usize| {
        let before = (i / width).checked_sub(1)?;
        // Three that differ, spread over the layer: 7 and 11 are prime to its width.
        let three: BTreeSet<usize> = [i, i * 7 + 3, i * 11 + 5].map(|k| before * width + k % width).into();
        Some(three.into_iter().map(name).collect())
    };
    (0..n).map(|i| (name(i), needs(i).unwrap_or_default())).collect()
}

/// A job that is healthy as soon as it runs, and costs Nomad as little as a job can.
fn hcl(id: &str) -> String {
    format!(
        r#"job "{id}" {{
  group "g" {{
    ephemeral_disk {{
      size = 10
    }}
    update {{
      max_parallel      = 1000
      health_check      = "task_states"
      min_healthy_time  = "10ms"
      healthy_deadline  = "5m"
      progress_deadline = "6m"
    }}
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    reschedule {{
      attempts  = 0
      unlimited = false
    }}
    task "main" {{
      driver = "mock_driver"
      config {{
        run_for = "1h"
      }}
      logs {{
        disabled      = true
        max_files     = 1
        max_file_size = 1
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

/// Prints the rows of the table: makespans in seconds, and their ratio. Only those graphs whose name contains `filter`.
pub(crate) fn print_rows(cluster: &Cluster, filter: &str) -> Result<(), String> {
    // What it is called, and how often each graph is brought up by either.
    let graphs = [
        ("chain of 5", 5, chain(5)),
        ("fan of 20", 5, fan(20)),
        ("binary tree of 31", 5, binary(31)),
        ("100 jobs in 5 layers", 5, layered(100, 5)),
        ("1000 jobs in 5 layers", 3, layered(1000, 5)),
    ];
    for (what, runs, graph) in graphs.into_iter().filter(|(what, ..)| what.contains(filter)) {
        let (mut reference, mut task, mut shell) = (Vec::new(), Vec::new(), Vec::new());
        for run in 0..runs {
            // The agent gets slower from one to the next, so nobody is always the first.
            for turn in 0..3 {
                match (run + turn) % 3 {
                    0 => reference.push(by_reference(cluster, &graph)?),
                    1 => task.push(by_task(cluster, &graph)?),
                    _ => shell.push(by_shell(cluster, &graph)?),
                }
            }
        }
        if std::env::var_os("DTREE_FIGURES_EACH").is_some() {
            println!("{what}: reference {reference:.0?} ms, task {task:.0?} ms, shell {shell:.0?} ms");
        }
        let (task, shell, reference) = (median(&mut task), median(&mut shell), median(&mut reference));
        println!(
            "| tree, {what}: makespan | {:.2} s in a task, {:.2} of the reference's {:.2} s; {:.2} s from a shell, {:.2} \
             of it (medians of {runs}) |",
            task / 1000.0,
            task / reference,
            reference / 1000.0,
            shell / 1000.0,
            shell / reference,
        );
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Milliseconds from the first registration to the last job healthy.
fn by_reference(cluster: &Cluster, graph: &Graph) -> Result<f64, String> {
    let (failed, healthy) = mpsc::channel();
    tell_healthy(cluster, failed.clone())?;
    let mut open: BTreeMap<&str, BTreeSet<&str>> =
        graph.iter().map(|(id, needs)| (id.as_str(), needs.iter().map(String::as_str).collect())).collect();
    let (submit, submissions) = mpsc::channel::<&str>();
    let submissions = Mutex::new(submissions);
    let began = jiff::Timestamp::now().as_nanosecond() as f64 / 1e6;
    thread::scope(|scope| {
        let lane = || {
            loop {
                let next = submissions.lock().map_err(|_| "a lane panicked")?.recv();
                let Ok(id) = next else { return Ok(()) };
                // Who reads it has given up otherwise.
                cluster
                    .parse(&hcl(id), "")
                    .and_then(|job| cluster.register(&job))
                    .or_else(|problem| failed.send(Err(problem)).map_err(|_| "nobody listens"))?;
            }
        };
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        let mut done: BTreeSet<String> = BTreeSet::new();
        loop {
            let ready: Vec<&str> =
                open.iter().filter(|(_, needs)| needs.is_empty()).map(|(id, _)| *id).collect();
            for id in ready {
                open.remove(id);
                submit.send(id).map_err(|_| "every lane has ended")?;
            }
            if done.len() == graph.len() {
                break;
            }
            let id =
                healthy.recv_timeout(LIMIT).map_err(|_| "the reference sees nothing healthy any more")??;
            if graph.contains_key(&id) && done.insert(id.clone()) {
                for needs in open.values_mut() {
                    needs.remove(id.as_str());
                }
            }
        }
        drop(submit);
        lanes.into_iter().try_for_each(|lane| lane.join().map_err(|_| "a lane panicked".to_owned())?)
    })
    .map_err(|error: String| error)?;
    let makespan = last_healthy(cluster, graph)? - began;
    clear(cluster, graph)?;
    Ok(makespan)
}

/// Milliseconds from the start of `dtree run` to the last job healthy.
fn by_shell(cluster: &Cluster, graph: &Graph) -> Result<f64, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let blocks: BTreeMap<&String, Value> = graph
        .iter()
        .map(|(id, needs)| (id, json!({ "jobspec": format!("{id}.nomad.hcl"), "depends_on": needs })))
        .collect();
    let tree = json!({ "tree": { "shell": { "max_parallel": 1000, "job": blocks } } });
    let file = dir.path().join("shell.dtree.json");
    fs::write(&file, tree.to_string()).map_err(|error| error.to_string())?;
    for id in graph.keys() {
        fs::write(dir.path().join(format!("{id}.nomad.hcl")), hcl(id)).map_err(|error| error.to_string())?;
    }
    let began = jiff::Timestamp::now().as_nanosecond() as f64 / 1e6;
    let output = Command::new(&Binaries::find()?.dtree)
        .arg("run")
        .arg(&file)
        .env("NOMAD_ADDR", format!("http://{}", cluster.agents()[0].address()))
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("dtree run: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let makespan = last_healthy(cluster, graph)? - began;
    clear(cluster, graph)?;
    Ok(makespan)
}

/// Milliseconds from the start of the tree's task to the last job healthy.
fn by_task(cluster: &Cluster, graph: &Graph) -> Result<f64, String> {
    let server = Files::serve(graph)?;
    let blocks: Vec<Value> = graph
        .iter()
        .map(|(id, needs)| json!({ id: [{ "jobspec": format!("local/{id}.nomad.hcl"), "depends_on": needs }] }))
        .collect();
    let artifacts: Vec<Value> = vec![json!({ "GetterSource": server.url(), "RelativeDest": "local/" })];
    cluster.register(&json!({
        "ID": "tree", "Name": "tree", "Type": "batch", "Datacenters": ["*"],
        "TaskGroups": [{
            "Name": "tree",
            "RestartPolicy": { "Attempts": 0, "Mode": "fail", "Interval": 60_000_000_000_i64, "Delay": 1 },
            "ReschedulePolicy": { "Attempts": 0, "Unlimited": false },
            "Tasks": [{
                "Name": "tree", "Driver": "dtree", "Identity": { "File": true },
                "Config": { "max_parallel": 1000, "job": blocks }, "Artifacts": artifacts,
                "Resources": { "CPU": 10, "MemoryMB": 10 },
            }],
        }],
    }))?;
    let began = wait_for(LIMIT, || {
        let allocations = cluster.api().get("/v1/job/tree/allocations").map_err(|error| error.to_string())?;
        let task = &allocations[0]["TaskStates"]["tree"];
        match (task["State"].as_str(), task["Failed"].as_bool()) {
            (Some("dead"), Some(false)) => {
                task["StartedAt"].as_str().and_then(unix_millis).ok_or_else(|| "no start".to_owned())
            }
            _ => Err(format!("the tree is not done: {task}")),
        }
    })?;
    let makespan = last_healthy(cluster, graph)? - began;
    clear(cluster, graph)?;
    cluster.api().delete("/v1/job/tree?purge=true").map_err(|error| error.to_string())?;
    Ok(makespan)
}

/// When the last of the jobs became healthy, by its client's clock.
fn last_healthy(cluster: &Cluster, graph: &Graph) -> Result<f64, String> {
    wait_for(LIMIT, || {
        let allocations = cluster.api().get("/v1/allocations").map_err(|error| error.to_string())?;
        let times: BTreeMap<&str, f64> = allocations
            .as_array()
            .into_iter()
            .flatten()
            .filter(|allocation| allocation["DesiredStatus"] == "run")
            .filter_map(|allocation| {
                let health = &allocation["DeploymentStatus"];
                let at = health["Timestamp"].as_str().filter(|_| health["Healthy"] == true)?;
                Some((allocation["JobID"].as_str()?, unix_millis(at)?))
            })
            .filter(|(id, _)| graph.contains_key(*id))
            .collect();
        if times.len() == graph.len() {
            Ok(times.into_values().fold(0.0, f64::max))
        } else {
            Err(format!("{} of {} jobs are healthy", times.len(), graph.len()))
        }
    })
}

/// Purges the jobs, and waits until nothing of them runs.
fn clear(cluster: &Cluster, graph: &Graph) -> Result<(), String> {
    for id in graph.keys() {
        cluster.api().delete(&format!("/v1/job/{id}?purge=true")).map_err(|error| error.to_string())?;
    }
    wait_for(LIMIT, || {
        let allocations = cluster.api().get("/v1/allocations").map_err(|error| error.to_string())?;
        let left = allocations.as_array().into_iter().flatten();
        match left.filter(|allocation| allocation["ClientStatus"] == "running").count() {
            0 => Ok(()),
            left => Err(format!("{left} allocations still run")),
        }
    })
}

/// The jobs that are seen healthy, some more than once: what a stream of events shows, which a thread of its own follows.
/// Nomad lets go of a reader that is a hundred writes behind; then all allocations are read once, and a new stream goes on.
fn tell_healthy(cluster: &Cluster, tell: Tell) -> Result<(), String> {
    let address = cluster.agents()[0].address();
    let api = cluster.api().clone();
    let (open, is_open) = mpsc::channel();
    thread::spawn(move || {
        loop {
            let lines = match events(address) {
                Ok(lines) => lines,
                Err(problem) => return drop(open.send(Err(problem))),
            };
            let Ok(all) = api.get("/v1/allocations") else { return };
            let is_wanted =
                all.as_array().into_iter().flatten().try_for_each(|allocation| tell_of(allocation, &tell));
            if is_wanted.is_none() {
                return;
            }
            // Nobody listens any more after the first.
            open.send(Ok(())).ok();
            for line in lines.map_while(Result::ok) {
                let Ok(frame) = serde_json::from_str::<Value>(&line) else { continue };
                let mut events = frame["Events"].as_array().into_iter().flatten();
                if events.try_for_each(|event| tell_of(&event["Payload"]["Allocation"], &tell)).is_none() {
                    return;
                }
            }
        }
    });
    is_open.recv_timeout(LIMIT).map_err(|_| "the reference has no stream")?
}

/// `None` when nobody wants to know any more.
fn tell_of(allocation: &Value, tell: &Tell) -> Option<()> {
    match allocation["JobID"].as_str() {
        Some(id)
            if allocation["DeploymentStatus"]["Healthy"] == true && allocation["DesiredStatus"] == "run" =>
        {
            tell.send(Ok(id.to_owned())).ok()
        }
        _ => Some(()),
    }
}

/// The lines of an event stream about allocations.
fn events(address: SocketAddr) -> Result<impl Iterator<Item = io::Result<String>>, String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(LIMIT)).map_err(|error| error.to_string())?;
    let request = "GET /v1/event/stream?topic=Allocation:*&index=9223372036854775807 HTTP/1.0\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(stream).lines();
    // Nothing is missed once the first heartbeat is there.
    while lines.next().ok_or("no stream")?.map_err(|error| error.to_string())?.trim() != "{}" {}
    Ok(lines)
}

/// Serves the jobspecs of a graph as one archive, for Nomad's `artifact`.
struct Files {
    port: u16,
}

impl Files {
    /// Until the program ends.
    fn serve(graph: &Graph) -> Result<Self, String> {
        let archive = archive(graph);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // One short request; whoever asks for something else gets the archive, too.
                let mut request = [0; 4096];
                let asked = stream.read(&mut request).unwrap_or_default();
                let is_head = request[..asked].starts_with(b"HEAD");
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", archive.len());
                let body = if is_head { &[] } else { archive.as_slice() };
                // Nomad asks again if it did not arrive.
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok();
            }
        });
        Ok(Self { port })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/specs.tar", self.port)
    }
}

/// The jobspecs as a tar archive: a header and the text of each, in blocks of 512 bytes.
fn archive(graph: &Graph) -> Vec<u8> {
    let mut bytes = Vec::new();
    for id in graph.keys() {
        let text = hcl(id);
        let mut header = [0_u8; 512];
        let mut put = |at: usize, field: &str| header[at..at + field.len()].copy_from_slice(field.as_bytes());
        put(0, &format!("{id}.nomad.hcl"));
        put(100, "0000644\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", text.len()));
        put(136, "00000000000\0");
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend(header);
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}
