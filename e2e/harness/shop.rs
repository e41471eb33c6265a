//! The shop of `jobspecs/shop`: four jobs, and the ports they meet at.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use serde_json::Value;

use super::agent::free_ports;
use super::binaries::Binaries;
use super::cluster::Cluster;

/// The shop's jobs in the order in which they can start. A user in a hurry registers them the other way round.
pub(crate) const JOBS: [&str; 4] = ["postgres", "postgres_setup", "api", "nginx"];

/// What is behind the front door when everything went well.
pub(crate) const ROW: &str = "hello from postgres";

/// Where a shop's jobs listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shop {
    postgres: u16,
    api: u16,
    nginx: u16,
}

impl Shop {
    /// On ports of its own.
    pub(crate) fn new() -> io::Result<Self> {
        let [postgres, api, nginx] = free_ports()?;
        Ok(Self { postgres, api, nginx })
    }

    /// The front door.
    pub(crate) fn front_door(self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.nginx).into()
    }

    /// One of the jobs, as its file in `jobspecs/shop` has it.
    pub(crate) fn job(self, name: &str, cluster: &Cluster) -> Result<Value, String> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("jobspecs/shop/{name}.nomad.hcl"));
        let hcl = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let Self { postgres, api, nginx } = self;
        let shop = Binaries::find()?.shop.display();
        let all = [
            ("shop", format!("\"{shop}\"")),
            ("postgres", format!("\"127.0.0.1:{postgres}\"")),
            ("postgres_port", postgres.to_string()),
            ("api", format!("\"127.0.0.1:{api}\"")),
            ("api_port", api.to_string()),
            ("nginx_port", nginx.to_string()),
        ];
        // Nomad ignores variables that a jobspec does not declare.
        let variables: Vec<String> = all.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        cluster.parse(&hcl, &variables.join("\n"))
    }
}

/// The same job with its gates left out.
pub(crate) fn without_gates(mut job: Value) -> Value {
    for group in job["TaskGroups"].as_array_mut().into_iter().flatten() {
        if let Some(tasks) = group["Tasks"].as_array_mut() {
            tasks.retain(|task| task["Driver"] != "dtree");
        }
    }
    job
}
