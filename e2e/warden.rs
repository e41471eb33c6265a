//! Sees to it that an agent leaves nothing behind, however its starter ends.
//!
//! `warden DIR` waits until its stdin is closed, which also happens when whoever holds the other end is killed, and
//! then sweeps DIR. It runs in a process group of its own, so that a Ctrl-C meant for the starter does not end it.

#![expect(clippy::disallowed_methods, reason = "the stories live in real time")]
#![expect(clippy::print_stderr, reason = "says what it could not clean up")]

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

#[expect(dead_code, reason = "the stories use the rest")]
#[path = "harness/sweep.rs"]
mod sweep;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from).filter(|dir| dir.is_absolute()) else {
        eprintln!("usage: warden DIR, an absolute path");
        return ExitCode::FAILURE;
    };
    let mut nothing = Vec::new();
    // The end of the pipe is the signal; an error on it is an end as well.
    let _closed = stdin().read_to_end(&mut nothing);
    match sweep::sweep(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(remains) => {
            eprint!("left behind by the agent in {}:\n{remains}", dir.display());
            ExitCode::FAILURE
        }
    }
}
