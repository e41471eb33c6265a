//! The binary as a process: what a host, a terminal and a user see of it. Needs no Nomad.

#![expect(clippy::unwrap_used, reason = "tests, whose helpers stand outside of a test function")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};
use tonic::{
    Request,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_mins(1);

const COOKIE: (&str, &str) =
    ("NOMAD_PLUGIN_MAGIC_COOKIE", "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255");

fn dtree() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dtree"));
    command.env_remove(COOKIE.0).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(command: &mut Command) -> Output {
    timeout(SOON, command.output()).await.expect("it ends").unwrap()
}

/// A plugin that its host has started.
struct Plugin {
    child: Child,
    socket: PathBuf,
    dir: TempDir,
}

impl Plugin {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = dtree()
            .env(COOKIE.0, COOKIE.1)
            .env("PLUGIN_UNIX_SOCKET_DIR", dir.path())
            .env("DTREE_LOG", "debug")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        timeout(SOON, stdout.read_line(&mut line)).await.expect("the line comes").unwrap();
        let fields: Vec<&str> = line.strip_suffix('\n').unwrap().split('|').collect();
        let ["1", "2", "unix", socket, "grpc", ""] = fields.as_slice() else { panic!("{line}") };
        Self { child, socket: PathBuf::from(socket), dir }
    }

    async fn connect(&self) -> Grpc<Channel> {
        let endpoint = Endpoint::try_from(format!("unix://{}", self.socket.display())).unwrap();
        Grpc::new(endpoint.connect().await.unwrap())
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// How it ends, and what is in its log.
    async fn end(mut self) -> (ExitStatus, String) {
        let status = timeout(SOON, self.child.wait()).await.expect("it ends").unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), 0, "nothing stays behind");
        (status, log)
    }
}

/// Calls a method without parameters and results.
async fn call(client: &mut Grpc<Channel>, method: &str) {
    client.ready().await.unwrap();
    let method = method.parse().unwrap();
    client.unary::<(), (), _>(Request::new(()), method, ProstCodec::default()).await.unwrap();
}

#[tokio::test]
async fn whoever_starts_it_by_hand_learns_what_it_is() {
    for command in [&mut dtree(), dtree().env(COOKIE.0, "wrong")] {
        let output = run(command).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8(output.stderr).unwrap().contains("plugin \"dtree\" {}"));
    }
}

#[tokio::test]
async fn version_and_help_are_answers() {
    let output = run(dtree().arg("--version")).await;
    assert!(output.status.success() && output.stderr.is_empty());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with(concat!("dtree ", env!("CARGO_PKG_VERSION"), " (tested with Nomad ")), "{said}");

    let output = run(dtree().arg("--help")).await;
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: dtree"));
}

#[tokio::test]
async fn the_host_is_told_a_socket_that_only_its_user_can_reach() {
    let plugin = Plugin::start().await;
    let dir = plugin.socket.parent().unwrap();
    assert_eq!(dir.parent(), Some(plugin.dir.path()));
    assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
    plugin.connect().await;
    plugin.signal(Signal::SIGTERM);
    plugin.end().await;
}

#[tokio::test]
async fn shutdown_is_answered_and_ends_the_process_while_the_host_stays_connected() {
    let plugin = Plugin::start().await;
    let mut client = plugin.connect().await;
    client.ready().await.unwrap();
    // A stream that stays open, like the host's.
    let method = "/plugin.GRPCStdio/StreamStdio".parse().unwrap();
    let stream = client.server_streaming::<(), (), _>(Request::new(()), method, ProstCodec::default());
    let _stream = stream.await.unwrap();

    call(&mut client, "/plugin.GRPCController/Shutdown").await;
    // If it waited for the host to leave, it would not end.
    let (status, _) = plugin.end().await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn an_interrupt_is_for_the_host_and_a_termination_ends_it_in_peace() {
    let mut plugin = Plugin::start().await;
    plugin.signal(Signal::SIGINT);
    sleep(Duration::from_millis(200)).await;
    assert!(plugin.child.try_wait().unwrap().is_none(), "it is still there");
    let mut client = plugin.connect().await;
    client.ready().await.unwrap();

    plugin.signal(Signal::SIGTERM);
    let (status, log) = plugin.end().await;
    assert!(status.success(), "{status}");
    assert!(log.contains(r#""@message":"ending on SIGTERM""#), "{log}");
    for line in log.lines() {
        let line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let has = |key: &str| line.get(key).is_some_and(serde_json::Value::is_string);
        assert!(has("@level") && has("@message") && has("@timestamp"), "{line:?}");
    }
}

#[tokio::test]
async fn a_host_that_cannot_hear_is_no_host() {
    let full = fs::File::options().write(true).open(Path::new("/dev/full")).unwrap();
    let child = dtree().env(COOKIE.0, COOKIE.1).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = timeout(SOON, child.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains(r#""@level":"error""#) && log.contains("No space left"), "{log}");
}
