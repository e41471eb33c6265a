//! The demo keeps its promises: it shows the order, fails without tree and gate, and leaves nothing behind however it ends.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Binaries, Remains, seconds, shop, wait_for};

/// A demo that runs in a temporary directory of its own.
struct Demo {
    dir: tempfile::TempDir,
    child: Child,
}

impl Demo {
    fn start(ungated: &str) -> Self {
        let binaries = Binaries::find().unwrap_or_else(|why| panic!("the demo cannot run here: {why}"));
        let dir = tempfile::Builder::new()
            .prefix("dd")
            .rand_bytes(4)
            .tempdir()
            .expect("there is room for a directory");
        let child = Command::new(binaries.shop.with_file_name("demo"))
            .env("TMPDIR", dir.path())
            .env("DTREE_DEMO_UNGATED", ungated)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo is built together with the shop");
        Self { dir, child }
    }

    /// Its exit code, and all it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut said).expect("it speaks UTF-8");
        }
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).expect("it speaks UTF-8");
        }
        let status = self.child.wait().expect("it was started");
        leaves_nothing_behind(self.dir.path());
        (status.code(), said)
    }

    /// Sends a signal when the jobs have been registered. Gives the exit code.
    fn interrupted_by(mut self, signal: Signal) -> Option<i32> {
        let stdout = self.child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains("starts"))), "no job has started");
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("process ids fit"));
        kill(pid, signal).expect("it runs");
        let status = self.child.wait().expect("it was started");
        leaves_nothing_behind(self.dir.path());
        status.code()
    }
}

/// No process, no mount, no file. After `kill -9` it may take the warden a moment.
fn leaves_nothing_behind(dir: &Path) {
    let looked = wait_for(seconds(90), || {
        let files: Vec<_> =
            dir.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let remains = Remains::of(dir).beneath();
        if files.is_empty() && remains.is_none() { Ok(()) } else { Err(format!("{files:?}\n{remains}")) }
    });
    looked.unwrap_or_else(|left| panic!("left behind: {left}"));
}

#[test]
fn the_demo_ends_with_the_row_that_was_fetched_through_all_of_the_shop() {
    let (code, said) = Demo::start("").end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(shop::ROW), "{said}");
    let place = |words: &str| said.find(words).unwrap_or_else(|| panic!("{words:?} is not in {said}"));
    // Nomad's own word that a job is healthy may come a second after the tree has gone on by its checks.
    let order = [
        "postgres: satisfied",
        "postgres_setup: satisfied",
        "api: satisfied",
        "nginx: satisfied",
        "postgres         was not touched",
        "nginx            was not touched",
    ];
    assert!(order.map(place).is_sorted(), "{said}");
    // It is not of the tree, and sees for itself when nginx is well.
    assert!(place("nginx            starts") < place("customer         is complete"), "{said}");
    assert!(place("customer         gate:") < place("api              starts"), "{said}");
    assert!(place("3 unchanged") < place("postgres         was not touched"), "{said}");
}

#[test]
fn the_demo_without_tree_and_gate_fails_and_says_why() {
    let (code, said) = Demo::start("1").end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("WITHOUT TREE AND GATE") && said.contains("That is what happens without dtree"),
        "{said}"
    );
    assert!(!said.contains(shop::ROW), "{said}");
}

#[test]
fn the_demo_cleans_up_when_it_is_interrupted() {
    assert_eq!(Demo::start("").interrupted_by(Signal::SIGINT), Some(130));
    assert_eq!(Demo::start("").interrupted_by(Signal::SIGTERM), Some(130));
}

#[test]
fn the_demo_is_cleaned_up_after_when_it_is_killed() {
    assert_eq!(Demo::start("").interrupted_by(Signal::SIGKILL), None);
}
