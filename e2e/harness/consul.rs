//! A Consul of a story's own: one agent that forgets everything when it ends.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{binaries, cluster::wait_for, free_ports, http};

/// It leads itself in about two seconds; a busy machine takes longer.
const START_PATIENCE: Duration = Duration::from_mins(1);

/// The agent, or its place while it is away. It is in the directory of a cluster, whose warden ends it when this process
/// does not come to it.
#[derive(Debug)]
pub(crate) struct Consul {
    dir: PathBuf,
    ports: [u16; 3],
    more: Vec<String>,
    /// What its operator shows to it.
    token: Option<&'static str>,
    child: Option<Child>,
}

/// The token of the operator, where Consul wants one.
const OPERATOR: &str = "6a1253d2-1785-24fd-91c2-f8e78c745511";

impl Consul {
    /// Starts it in the directory of a cluster, with its API on `port`, and waits until it answers.
    pub(crate) fn start(dir: &Path, port: u16) -> Result<Self, String> {
        Self::launch(dir, port, Vec::new(), None)
    }

    /// The same with ACLs on, where nobody may do anything without a token.
    pub(crate) fn start_with_acls(dir: &Path, port: u16) -> Result<Self, String> {
        let acl = format!(
            "acl {{ enabled = true default_policy = \"deny\" tokens {{ initial_management = \"{OPERATOR}\" agent = \"{OPERATOR}\" }} }}"
        );
        Self::launch(dir, port, vec![acl], Some(OPERATOR))
    }

    /// The same with its API over TLS on `https` as well, for whoever shows a certificate that is from `ca_file`.
    pub(crate) fn start_with_tls(
        dir: &Path,
        [port, https]: [u16; 2],
        [ca_file, cert_file, key_file]: [&str; 3],
    ) -> Result<Self, String> {
        let tls = format!(
            "tls {{ https {{ verify_incoming = true ca_file = \"{ca_file}\" cert_file = \"{cert_file}\" key_file = \"{key_file}\" }} }}"
        );
        Self::launch(dir, port, vec![tls, format!("ports {{ https = {https} }}")], None)
    }

    /// Both: nobody may do anything without a token, and without such a certificate.
    pub(crate) fn start_guarded(
        dir: &Path,
        [port, https]: [u16; 2],
        [ca_file, cert_file, key_file]: [&str; 3],
    ) -> Result<Self, String> {
        let tls = format!(
            "tls {{ https {{ verify_incoming = true ca_file = \"{ca_file}\" cert_file = \"{cert_file}\" key_file = \"{key_file}\" }} }}"
        );
        let acl = format!(
            "acl {{ enabled = true default_policy = \"deny\" tokens {{ initial_management = \"{OPERATOR}\" agent = \"{OPERATOR}\" }} }}"
        );
        Self::launch(dir, port, vec![tls, acl, format!("ports {{ https = {https} }}")], Some(OPERATOR))
    }

    fn launch(dir: &Path, port: u16, more: Vec<String>, token: Option<&'static str>) -> Result<Self, String> {
        let [server, serf] = free_ports().map_err(|error| format!("no free ports: {error}"))?;
        let ports = [port, server, serf];
        let mut consul = Self { dir: dir.to_path_buf(), ports, more, token, child: None };
        consul.start_again()?;
        Ok(consul)
    }

    /// Starts it anew, knowing nothing.
    pub(crate) fn start_again(&mut self) -> Result<(), String> {
        let binary = binaries::consul()?;
        let child = self.spawn(&binary).map_err(|error| format!("cannot start Consul: {error}"))?;
        self.child = Some(child);
        wait_for(START_PATIENCE, || match self.ask("GET", "/v1/status/leader", "") {
            Ok(leader) if leader.len() > 2 => Ok(()),
            Ok(_) => Err("it leads nothing yet".to_owned()),
            Err(why) => Err(why),
        })
        .map_err(|seen| format!("Consul is not ready: {seen}"))
    }

    fn spawn(&self, binary: &Path) -> io::Result<Child> {
        let [api, server, gossip] = self.ports;
        let log = File::options().create(true).append(true).open(self.dir.join("consul.log"))?;
        let ports = format!(
            "ports {{ http = {api} server = {server} serf_lan = {gossip} serf_wan = -1 dns = -1 grpc = -1 grpc_tls = -1 }}"
        );
        Command::new(binary)
            .args(["agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-disable-host-node-id"])
            .args(["-hcl", &ports, "-hcl", "disable_update_check = true"])
            .args(self.more.iter().flat_map(|more| ["-hcl", more]))
            .current_dir(&self.dir)
            .env("TMPDIR", self.dir.join("tmp"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Result<String, String> {
        let [port, ..] = self.ports;
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
        let token = self.token.map(|token| format!("?token={token}")).unwrap_or_default();
        http::request(address, method, &format!("{path}{token}"), None, body)
            .map_err(|error| error.to_string())
    }

    /// Changes something, as its operator.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &str) {
        self.ask("PUT", path, body).unwrap_or_else(|why| panic!("Consul does not take {path}: {why}"));
    }

    /// A new token for which these rules hold, and no others.
    #[track_caller]
    pub(crate) fn token_that_may(&self, name: &str, rules: &str) -> String {
        let policy = serde_json::json!({ "Name": name, "Rules": rules });
        self.put("/v1/acl/policy", &policy.to_string());
        let token = serde_json::json!({ "Policies": [{ "Name": name }] }).to_string();
        let token = self.ask("PUT", "/v1/acl/token", &token).unwrap_or_else(|why| panic!("no token: {why}"));
        let token: serde_json::Value = serde_json::from_str(&token).expect("Consul answers in JSON");
        token["SecretID"].as_str().expect("a token has a secret").to_owned()
    }

    /// Registers a service, with a check that fails.
    #[track_caller]
    pub(crate) fn register(&self, name: &str, tags: &[&str]) {
        let service = serde_json::json!({
            "Name": name, "Tags": tags, "Port": 5432, "Check": { "TTL": "10m", "Status": "critical" },
        });
        self.put("/v1/agent/service/register", &service.to_string());
    }

    /// Its check passes.
    #[track_caller]
    pub(crate) fn passes(&self, name: &str) {
        self.put(&format!("/v1/agent/check/pass/service:{name}"), "");
    }
}

impl Drop for Consul {
    fn drop(&mut self) {
        self.kill();
    }
}
