//! What many gates cost that have nothing in common: each waits for a socket of its own, or looks on a token of its own.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::harness::{Cluster, Options, free_ports, seconds};
use super::{all_wait, cpu_seconds, memory, plugin_of};

/// As many as the promise speaks of.
const SOCKETS: usize = 200;
/// Gates with identities of their own.
const OWN: usize = 100;
const LIMIT: Duration = seconds(300);

/// A row for each kind of crowd, each on an agent of its own.
pub(crate) fn print_rows() -> Result<(), String> {
    let ports: [u16; SOCKETS] = free_ports().map_err(|error| error.to_string())?;
    let refused: Vec<String> = ports.iter().map(|port| format!("tcp = \"127.0.0.1:{port}\"")).collect();
    sockets("refuse", &refused)?;
    let (silent, hole, busy) = (silent()?, hole()?, busy()?);
    let others = (0..SOCKETS).map(|n| match n % 3 {
        0 => format!("http = \"http://{silent}/{n}\""),
        1 => format!("http = \"http://{hole}/{n}\""),
        _ => format!("http = \"http://{busy}/{n}\""),
    });
    sockets("say nothing, are not there, or answer 503, a third each", &others.collect::<Vec<_>>())?;
    identities()
}

/// The CPU that the plugin takes for gates of which each waits for another of `awaited`.
fn sockets(what: &str, awaited: &[String]) -> Result<(), String> {
    let mut cluster = Cluster::start(Options::default())?;
    let plugin = plugin_of(&cluster)?;
    let groups: Vec<String> = awaited
        .iter()
        .enumerate()
        .map(|(n, wait)| {
            group(&format!("g{n}"), 1, &format!("wait \"it\" {{\n timeout = \"1h\"\n {wait}\n }}"))
        })
        .collect();
    cluster.register(&cluster.parse(&job("crowd", &groups.concat()), "")?)?;
    all_wait(&cluster, awaited.len(), LIMIT)?;
    let title = format!("{} gates waiting for as many sockets that {what}: CPU of the plugin", awaited.len());
    let mut spent = Vec::new();
    for _ in 0..6 {
        let before = cpu_seconds(plugin)?;
        thread::sleep(Duration::from_mins(1));
        spent.push(format!("{:.2}", cpu_seconds(plugin)? - before));
    }
    println!("| {title}, in each of the first six minutes | {} s |", spent.join(", "));
    cluster.end().map_err(|remains| format!("it has left behind:\n{remains}"))
}

/// What gates cost that look with their own jobs' rights, where the plugin has no credential.
fn identities() -> Result<(), String> {
    let mut cluster = Cluster::start(Options { acl: true, ..Options::default() })?;
    let plugin = plugin_of(&cluster)?;
    let policy = json!({
        "Name": "looks", "Rules": "namespace \"default\" { capabilities = [\"list-jobs\", \"read-job\"] }",
        "JobACL": { "Namespace": "default", "JobID": "crowd" },
    });
    cluster.api().post("/v1/acl/policy/looks", &policy).map_err(|error| error.to_string())?;
    let idle = memory(plugin, "RssAnon")?;
    let gate = group("g", OWN, "wait \"nobody\" {\n timeout = \"1h\"\n }");
    cluster.register(&cluster.parse(&job("crowd", &gate), "")?)?;
    all_wait(&cluster, OWN, LIMIT)?;
    thread::sleep(Duration::from_secs(70));
    let each = (memory(plugin, "RssAnon")? - idle) / f64::from(u32::try_from(OWN).unwrap_or(u32::MAX));
    println!(
        "| {OWN} gates with identities of their own: private memory of the plugin, each | {each:.0} KiB |"
    );
    let before = cpu_seconds(plugin)?;
    thread::sleep(Duration::from_mins(1));
    println!(
        "| {OWN} gates with identities of their own: CPU of the plugin | {:.2} s/min |",
        cpu_seconds(plugin)? - before
    );
    cluster.end().map_err(|remains| format!("it has left behind:\n{remains}"))
}

/// Takes connections in, and never says anything.
fn silent() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // Until the other side gives up.
            thread::spawn(move || client.read_to_end(&mut Vec::new()));
        }
    });
    Ok(address)
}

/// Answers no attempt to connect: more wait to be taken in than the system has room for.
fn hole() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    // Nobody ever takes anyone in.
    std::mem::forget(listener);
    for _ in 0..100_000 {
        match TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(address),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("the system takes all connections in".to_owned())
}

/// Answers everything with 503.
fn busy() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = [0; 4096];
            // Who goes away is no concern of ours.
            let _asked = client.read(&mut head);
            let _answered =
                client.write_all(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    Ok(address)
}

pub(crate) fn job(id: &str, groups: &str) -> String {
    format!("job \"{id}\" {{\n{groups}\n}}\n")
}

/// A group of gates that hold back tasks which only seem to run.
pub(crate) fn group(name: &str, count: usize, waits: &str) -> String {
    format!(
        r#"
  group "{name}" {{
    count = {count}
    reschedule {{
      attempts  = 0
      unlimited = false
    }}
    ephemeral_disk {{
      size = 10
    }}
    task "gate" {{
      driver = "dtree"
      lifecycle {{
        hook = "prestart"
      }}
      identity {{
        file = true
      }}
      config {{
        {waits}
      }}
      logs {{
        max_files     = 1
        max_file_size = 1
      }}
      resources {{
        cpu    = 1
        memory = 10
      }}
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
"#
    )
}
