//! The shop of `jobspecs/shop`: four jobs, the ports they meet at, and how they are told of each other: as a tree, or by
//! gates.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

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

    /// The values of the jobspecs' variables.
    pub(crate) fn values(self) -> Result<[(&'static str, String); 7], String> {
        let Self { postgres, api, nginx } = self;
        let shop = Binaries::find()?.shop.display();
        Ok([
            ("shop", shop.to_string()),
            ("postgres", format!("127.0.0.1:{postgres}")),
            ("postgres_port", postgres.to_string()),
            ("api", format!("127.0.0.1:{api}")),
            ("api_port", api.to_string()),
            ("nginx", format!("127.0.0.1:{nginx}")),
            ("nginx_port", nginx.to_string()),
        ])
    }

    /// The `vars` of one of the jobs in a tree, which refuses those that the jobspec does not declare.
    pub(crate) fn vars(self, name: &str) -> String {
        let text = jobspec(name).unwrap_or_default();
        let values = self.values().into_iter().flatten();
        let declared = values.filter(|(name, _)| text.contains(&format!("variable \"{name}\"")));
        let lines: Vec<String> = declared.map(|(name, value)| format!("{name} = \"{value}\"")).collect();
        format!("vars = {{\n {}\n }}", lines.join("\n "))
    }

    /// Runs `shop.nomad.hcl`, the tree, as a user does. Another `run` is another run.
    pub(crate) fn run_tree(self, cluster: &Cluster, run: &str) -> Result<(), String> {
        let mut args = vec!["job".to_owned(), "run".to_owned(), "-detach".to_owned()];
        let tree = jobspec("shop")?;
        let values = self.values()?.into_iter().chain([("run", run.to_owned())]);
        for (name, value) in values.filter(|(name, _)| tree.contains(&format!("variable \"{name}\""))) {
            args.extend(["-var".to_owned(), format!("{name}={value}")]);
        }
        args.push("shop.nomad.hcl".to_owned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = cluster.cli_in(&directory(), &args).map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(())
        } else {
            let said = [output.stdout, output.stderr].concat();
            Err(format!("nomad {}: {}", args.join(" "), String::from_utf8_lossy(&said).trim()))
        }
    }

    /// One of the jobs with its gate. What needs nobody has none.
    pub(crate) fn gated_job(self, name: &str, cluster: &Cluster) -> Result<Value, String> {
        let gated = format!("gated/{name}");
        let is_gated = directory().join(format!("{gated}.nomad.hcl")).is_file();
        self.job(if is_gated { &gated } else { name }, cluster)
    }

    /// One of the jobs, as its file in `jobspecs/shop` has it.
    pub(crate) fn job(self, name: &str, cluster: &Cluster) -> Result<Value, String> {
        let hcl = jobspec(name)?;
        // Nomad ignores variables that a jobspec does not declare.
        let values = self.values()?;
        let variables: Vec<String> =
            values.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
        cluster.parse(&hcl, &variables.join("\n"))
    }
}

/// The text of one of the files in `jobspecs/shop`.
pub(crate) fn jobspec(name: &str) -> Result<String, String> {
    let file = directory().join(format!("{name}.nomad.hcl"));
    fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Where the shop's jobspecs are.
pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("jobspecs/shop")
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
