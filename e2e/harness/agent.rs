//! One Nomad agent: a directory, a configuration, a process.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::binaries::Binaries;

/// Nomad fingerprints clouds and other daemons at start, with time limits; none of them is here.
const DENIED_FINGERPRINTS: &str = "env_aws,env_gce,env_azure,env_digitalocean,consul,vault,cni";
/// A graceful stop takes an agent about a second; on a busy machine longer.
const STOP_PATIENCE: Duration = Duration::from_mins(1);

/// What an agent is like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// With ACLs on, bootstrapped.
    pub(crate) acl: bool,
    /// Keeps its state on disk, so that it can be started again. An agent that is not (`-dev`) destroys its
    /// allocations when it stops.
    pub(crate) restartable: bool,
    /// The inside of `plugin "dtree" { }`; `{http}` is the agent's port, `{token}` a file with the management token.
    pub(crate) plugin: String,
    /// Without the plugin's binary.
    pub(crate) lacks_plugin: bool,
    /// More inside of `server { }`.
    pub(crate) server: String,
    /// More blocks beside these.
    pub(crate) blocks: String,
}

/// The agent's three ports, on loopback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) rpc: u16,
    pub(crate) serf: u16,
}

impl Ports {
    /// Three that nobody listens on at this moment.
    pub(crate) fn free() -> io::Result<Self> {
        let [http, rpc, serf] = free_ports()?;
        Ok(Self { http, rpc, serf })
    }
}

/// Where ports are looked for: below those that the system gives to outgoing connections, any of which could take one before
/// an agent listens, and below those that Nomad gives to tasks.
const PORTS: Range<u16> = 10_000..20_000;

/// Distinct ports that nobody listens on at this moment, and that this process has not given out before.
pub(crate) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    static NEXT: OnceLock<AtomicU32> = OnceLock::new();
    // Processes at the same time look in different places.
    let next = NEXT.get_or_init(|| AtomicU32::new(std::process::id().wrapping_mul(997)));
    let mut ports = [0; N];
    for port in &mut ports {
        let mut candidates = PORTS.map(|_| {
            let n = next.fetch_add(1, Ordering::SeqCst) % u32::from(PORTS.end - PORTS.start);
            PORTS.start + u16::try_from(n).expect("it is less than their number")
        });
        *port = candidates
            .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
            .ok_or_else(|| io::Error::other("loopback has no free port"))?;
    }
    Ok(ports)
}

/// A running agent, or one that has been stopped and can be started again.
#[derive(Debug)]
pub(crate) struct Agent {
    name: String,
    dir: PathBuf,
    dev: bool,
    ports: Ports,
    child: Option<Child>,
}

impl Agent {
    /// Writes the configuration beneath `dir`. `servers` are the RPC ports to join; with none it is a server itself.
    pub(crate) fn new(name: &str, dir: &Path, options: &Options, servers: &[u16]) -> io::Result<Self> {
        let ports = Ports::free()?;
        let dtree = &Binaries::find().map_err(io::Error::other)?.dtree;
        let home = dir.join(name);
        for inner in ["plugins", "data"] {
            fs::create_dir_all(home.join(inner))?;
        }
        fs::create_dir_all(dir.join("tmp"))?;
        if !options.lacks_plugin {
            fs::copy(dtree, home.join("plugins/dtree"))?;
        }
        let config = configuration(name, &home, options, ports, servers);
        fs::write(home.join("agent.hcl"), config)?;
        let dev = !options.restartable && servers.is_empty();
        Ok(Self { name: name.to_owned(), dir: dir.to_path_buf(), dev, ports, child: None })
    }

    /// Where its HTTP API is.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.http).into()
    }

    /// The management token, for the plugin's configuration to name.
    pub(crate) fn keep_token(&self, token: &str) -> io::Result<()> {
        fs::write(self.home().join("token"), token)
    }

    /// For other agents to join.
    pub(crate) fn rpc_port(&self) -> u16 {
        self.ports.rpc
    }

    /// Everything it and its plugins have said, over all starts.
    pub(crate) fn log(&self) -> String {
        let text = fs::read(self.home().join("agent.log")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Its `plugin_dir`'s `dtree`.
    pub(crate) fn plugin_path(&self) -> PathBuf {
        self.home().join("plugins/dtree")
    }

    fn home(&self) -> PathBuf {
        self.dir.join(&self.name)
    }

    /// Starts the process; it is not ready yet when this returns.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        let nomad = &Binaries::find().map_err(io::Error::other)?.nomad;
        let log = File::options().create(true).append(true).open(self.home().join("agent.log"))?;
        let mut command = Command::new(nomad);
        command.arg("agent");
        if self.dev {
            command.arg("-dev");
        }
        let child = command
            .arg(format!("-config={}", self.home().join("agent.hcl").display()))
            .current_dir(&self.dir)
            // The Unix sockets of its plugins land in there; it also marks everything that comes from this agent.
            .env("TMPDIR", self.dir.join("tmp"))
            .env_remove("AWS_CA_BUNDLE")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C in the terminal is for whoever started us, and he stops the agent.
            .process_group(0)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Whether it has ended by itself; an agent does when it does not like its configuration.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }

    /// The graceful stop. Tasks of an agent that keeps its state go on running.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::SIGINT);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids fit"));
        // An agent that has ended already needs no signal.
        let _gone = kill(pid, signal);
        let began = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if began.elapsed() > STOP_PATIENCE {
                let _gone = child.kill();
                let _status = child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -STOP`, or `kill -CONT` when it is to go on, for the agent.
    pub(crate) fn freeze(&self, is_frozen: bool) {
        let child = self.child.as_ref().expect("it runs");
        let pid = i32::try_from(child.id()).expect("process ids fit");
        signal(pid, if is_frozen { Signal::SIGSTOP } else { Signal::SIGCONT });
    }

    /// The same for the plugin.
    pub(crate) fn freeze_plugin(&self, is_frozen: bool) {
        for pid in self.plugin_pids() {
            signal(pid, if is_frozen { Signal::SIGSTOP } else { Signal::SIGCONT });
        }
    }

    /// The process ids of its running `dtree` plugins (one, outside of an agent's start).
    pub(crate) fn plugin_pids(&self) -> Vec<i32> {
        pids_of(&self.plugin_path())
    }

    /// `kill -9` for the plugin alone; the agent starts it anew.
    pub(crate) fn kill_plugin(&self) {
        self.kill_plugin_at(&self.plugin_path());
    }

    /// The same after the plugin's file has been moved.
    pub(crate) fn kill_plugin_at(&self, program: &Path) {
        debug_assert!(program.starts_with(&self.dir), "only what is ours");
        for pid in pids_of(program) {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it is there, and ours");
}

/// Who runs this very file.
fn pids_of(program: &Path) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)).collect()
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(name: &str, home: &Path, options: &Options, ports: Ports, servers: &[u16]) -> String {
    let home = home.display();
    let Ports { http, rpc, serf } = ports;
    let acl = options.acl;
    let plugin =
        options.plugin.replace("{http}", &http.to_string()).replace("{token}", &format!("{home}/token"));
    let server = if servers.is_empty() {
        format!(
            "server {{\n  enabled          = true\n  bootstrap_expect = 1\n  raft_multiplier  = 1\n  {}\n}}\n",
            options.server
        )
    } else {
        String::new()
    };
    let joined: Vec<String> = servers.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let joined = joined.join(", ");
    format!(
        r#"name                 = "{name}"
bind_addr            = "127.0.0.1"
data_dir             = "{home}/data"
plugin_dir           = "{home}/plugins"
log_level            = "DEBUG"
disable_update_check = true

ports {{
  http = {http}
  rpc  = {rpc}
  serf = {serf}
}}

advertise {{
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}}

acl {{
  enabled = {acl}
}}

{server}
client {{
  enabled           = true
  network_interface = "lo"
  servers           = [{joined}]

  # A client with more allocations than fifty, or with a disk that is nearly full, forgets those that have ended at once, with
  # their logs.
  gc_max_allocs             = 100000
  gc_disk_usage_threshold   = 100
  gc_inode_usage_threshold  = 100

  options {{
    "fingerprint.denylist" = "{DENIED_FINGERPRINTS}"
  }}
}}

plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}

plugin "dtree" {{
  {plugin}
}}

{}
"#,
        options.blocks
    )
}
