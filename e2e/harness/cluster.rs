//! A Nomad of our own, with the plugin in it: a temporary directory, one agent or two, and someone who cleans up.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::agent::{Agent, Options};
use super::binaries::Binaries;
use super::http::Api;
use super::sweep::Remains;

/// An agent is ready in about five seconds; a cold or busy machine takes longer.
const START_PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks at something that is awaited.
const PAUSE: Duration = Duration::from_millis(50);

/// How long to wait for something, in the words of a story.
pub(crate) const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends every waiting of this process, those under way and those to come.
pub(crate) fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Whether someone has asked this process to end.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Looks until `probe` has an answer, at most for `limit`; the error is what it saw last.
pub(crate) fn wait_for<T, E: Display>(
    limit: Duration,
    mut probe: impl FnMut() -> Result<T, E>,
) -> Result<T, String> {
    let began = Instant::now();
    loop {
        match probe() {
            Ok(found) => return Ok(found),
            Err(_) if is_interrupted() => return Err("interrupted".to_owned()),
            Err(seen) if began.elapsed() > limit => return Err(seen.to_string()),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Cleans up when the pipe to it is closed, which also happens when this process is killed.
#[derive(Debug)]
struct Warden(Child);

impl Warden {
    fn watch(dir: &Path, warden: &Path) -> io::Result<Self> {
        let child = Command::new(warden).arg(dir).stdin(Stdio::piped()).process_group(0).spawn()?;
        Ok(Self(child))
    }

    /// Cleans up now; the warden itself says what it could not.
    fn dismiss(&mut self) -> bool {
        drop(self.0.stdin.take());
        self.0.wait().is_ok_and(|status| status.success())
    }
}

/// A Nomad cluster on loopback. Nothing of it is left when it is dropped, or when this process ends in any other way.
#[derive(Debug)]
pub(crate) struct Cluster {
    dir: PathBuf,
    options: Options,
    agents: Mutex<Vec<Agent>>,
    api: Api,
    warden: Warden,
}

impl Cluster {
    /// Starts an agent that is server and client, and waits until it can run tasks.
    pub(crate) fn start(options: Options) -> Result<Self, String> {
        let cluster = Self::launch(options)?;
        cluster.is_ready(1).map_err(|seen| format!("{seen}\n{}", cluster.log_tail(60)))?;
        Ok(cluster)
    }

    fn launch(options: Options) -> Result<Self, String> {
        let binaries = Binaries::find()?;
        // The path is short because those of the sockets beneath it may have 107 bytes only.
        let dir = tempfile::Builder::new()
            .prefix("dt")
            .rand_bytes(5)
            .tempdir()
            .and_then(|dir| dir.keep().canonicalize())
            .map_err(|error| format!("cannot make a temporary directory: {error}"))?;
        let begin = || {
            let warden = Warden::watch(&dir, &binaries.warden)?;
            let mut agent = Agent::new("a", &dir, &options, &[])?;
            agent.start()?;
            Ok((warden, agent))
        };
        let (warden, agent) =
            begin().map_err(|error: io::Error| format!("cannot start an agent: {error}"))?;
        let address = agent.address();
        let mut cluster =
            Self { dir, options, agents: Mutex::new(vec![agent]), api: Api::new(address, None), warden };
        if cluster.options.acl {
            let token = cluster.bootstrap()?;
            for agent in cluster.agents().iter() {
                agent.keep_token(&token).map_err(|error| format!("cannot keep the token: {error}"))?;
            }
            cluster.api = Api::new(address, Some(token));
        }
        Ok(cluster)
    }

    fn bootstrap(&self) -> Result<String, String> {
        let token = wait_for(START_PATIENCE, || {
            self.agent_is_up()?;
            self.api.post("/v1/acl/bootstrap", &json!({})).map_err(|error| error.to_string())
        })
        .map_err(|seen| format!("cannot bootstrap ACLs: {seen}\n{}", self.log_tail(40)))?;
        let secret = token.get("SecretID").and_then(Value::as_str);
        secret.map(str::to_owned).ok_or_else(|| format!("a bootstrap token without SecretID: {token}"))
    }

    fn agent_is_up(&self) -> Result<(), String> {
        match self.agents().iter_mut().find_map(Agent::has_ended) {
            Some(status) => Err(format!("the agent has ended: {status}")),
            None => Ok(()),
        }
    }

    /// Waits until `n` clients are ready, and know of the driver `dtree`, healthy or not.
    pub(crate) fn is_ready(&self, n: usize) -> Result<(), String> {
        wait_for(START_PATIENCE, || {
            self.agent_is_up()?;
            let nodes = self.api.get("/v1/nodes").map_err(|error| error.to_string())?;
            let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
            let drivers: &[&str] =
                if self.options.lacks_plugin { &["raw_exec"] } else { &["raw_exec", "dtree"] };
            let is_ready = |node: &&Value| {
                node["Status"] == "ready"
                    && drivers.iter().all(|driver| node["Drivers"][driver]["Detected"] == true)
            };
            if nodes.iter().filter(is_ready).count() == n {
                return Ok(());
            }
            let summary: Vec<String> = nodes
                .iter()
                .map(|node| format!("{} {} {}", node["Name"], node["Status"], node["Drivers"]["dtree"]))
                .collect();
            Err(format!("{n} clients are not ready: {summary:?}"))
        })
    }

    /// The oracle's and the stories' own way to ask, with all rights.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Beneath which everything of this cluster is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its agents, the server first.
    pub(crate) fn agents(&self) -> MutexGuard<'_, Vec<Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client, and waits until it is ready.
    pub(crate) fn join_client(&self) -> Result<(), String> {
        let rpc: Vec<u16> = self.agents().first().map(Agent::rpc_port).into_iter().collect();
        let name = "b";
        let mut agent =
            Agent::new(name, &self.dir, &self.options, &rpc).map_err(|error| error.to_string())?;
        agent.start().map_err(|error| error.to_string())?;
        self.agents().push(agent);
        self.is_ready(2).map_err(|seen| format!("{seen}\n{}", self.log_tail(40)))
    }

    /// Starts the server's agent again, and waits until it is ready.
    pub(crate) fn start_again(&self) -> Result<(), String> {
        if let Some(agent) = self.agents().first_mut() {
            agent.start().map_err(|error| error.to_string())?;
        }
        self.is_ready(1).map_err(|seen| format!("{seen}\n{}", self.log_tail(40)))
    }

    /// Runs Nomad's own command line against this cluster.
    pub(crate) fn cli(&self, args: &[&str]) -> io::Result<Output> {
        self.cli_in(&self.dir, args)
    }

    /// The same in a directory whose files it is to find.
    pub(crate) fn cli_in(&self, dir: &Path, args: &[&str]) -> io::Result<Output> {
        let nomad = &Binaries::find().map_err(io::Error::other)?.nomad;
        let mut command = Command::new(nomad);
        command.current_dir(dir).args(args).env("NOMAD_ADDR", self.api.url()).stdin(Stdio::null());
        match self.api.token() {
            Some(token) => command.env("NOMAD_TOKEN", token),
            None => command.env_remove("NOMAD_TOKEN"),
        };
        command.output()
    }

    /// What a task has written to `stdout` or `stderr`.
    pub(crate) fn logs(&self, allocation: &str, task: &str, stream: &str) -> Result<String, String> {
        let path = format!("/v1/client/fs/logs/{allocation}?task={task}&type={stream}&plain=true");
        let text = self.api.text(&path).map_err(|error| error.to_string())?;
        Ok(text)
    }

    /// What Nomad makes of a jobspec.
    pub(crate) fn parse(&self, hcl: &str, variables: &str) -> Result<Value, String> {
        let wanted = json!({ "JobHCL": hcl, "Variables": variables, "Canonicalize": true });
        self.api.post("/v1/jobs/parse", &wanted).map_err(|error| error.to_string())
    }

    /// Registers a parsed job.
    pub(crate) fn register(&self, job: &Value) -> Result<(), String> {
        let namespace = job["Namespace"].as_str().unwrap_or("default");
        let path = format!("/v1/jobs?namespace={namespace}");
        self.api.post(&path, &json!({ "Job": job })).map(drop).map_err(|error| error.to_string())
    }

    /// The end of the agents' logs: what the plugin has said, and what the agents say about it. An agent that has not
    /// come to know it yet is shown with everything.
    pub(crate) fn log_tail(&self, n_lines: usize) -> String {
        let log: String = self.agents().iter().map(Agent::log).collect();
        let is_about_us = |line: &&str| ["driver_mgr.dtree", "=dtree"].iter().any(|word| line.contains(word));
        let mut lines: Vec<&str> = log.lines().filter(is_about_us).collect();
        if lines.is_empty() {
            lines = log.lines().filter(|line| !line.contains("http: request complete")).collect();
        }
        let end: Vec<&str> = lines.iter().rev().take(n_lines).rev().copied().collect();
        format!("the end of the agent's log:\n  {}", end.join("\n  "))
    }

    /// Stops the agents and cleans up; the error is what is left all the same.
    pub(crate) fn end(&mut self) -> Result<(), Remains> {
        for agent in self.agents().iter_mut() {
            agent.stop();
        }
        self.keep_log();
        self.warden.dismiss();
        let remains = Remains::of(&self.dir);
        if remains.is_none() { Ok(()) } else { Err(remains) }
    }

    /// For looking at a failure afterwards: `DTREE_E2E_LOGS` names a directory for the agents' logs.
    fn keep_log(&self) {
        let (Some(keep), Some(name)) = (std::env::var_os("DTREE_E2E_LOGS"), self.dir.file_name()) else {
            return;
        };
        let path = Path::new(&keep).join(name).with_extension("log");
        let log: String = self.agents().iter().map(Agent::log).collect();
        if let Err(error) = fs::create_dir_all(&keep).and_then(|()| fs::write(&path, log)) {
            let _unsaid = writeln!(io::stderr(), "cannot keep {}: {error}", path.display());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let ended = self.end();
        if !thread::panicking() {
            ended.unwrap_or_else(|remains| panic!("the cluster has left behind:\n{remains}"));
        }
    }
}
