//! The binary: a plugin when a Nomad client starts it.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use dtree::{
    driver,
    goplugin::{self, ORPHAN_AFTER, Socket, hclog},
};
use tokio::runtime;
use tokio_util::sync::CancellationToken;
use tracing::error;

const HELP: &str = "\
dtree: dependency order for HashiCorp Nomad, as a task driver

This program is started by a Nomad client. Copy it into the client's plugin_dir and name it in the client's
configuration:

    plugin \"dtree\" {}

A task with driver = \"dtree\" then holds its group back until the jobs it names are healthy.

usage: dtree [--help | --version]
";

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match words.iter().map(|word| word.to_str()).collect::<Vec<_>>().as_slice() {
        [Some("--version" | "-V")] => print(concat!("dtree ", env!("CARGO_PKG_VERSION"), "\n")),
        [Some("--help" | "-h")] => print(HELP),
        _ if driver::HANDSHAKE.is_by_host() => plugin(),
        _ => {
            // With stderr closed there is nobody left to tell.
            io::stderr().write_all(HELP.as_bytes()).ok();
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    // Nobody reads it any more, which is no failure.
    io::stdout().write_all(text.as_bytes()).ok();
    ExitCode::SUCCESS
}

/// Serves the Nomad client that started this process, until the end.
fn plugin() -> ExitCode {
    hclog::install();
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let exit_code = runtime.block_on(serve());
    // What still runs is the next process's to go on with.
    runtime.shutdown_background();
    exit_code
}

async fn serve() -> ExitCode {
    let socket = match Socket::bind() {
        Ok(socket) => socket,
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "cannot listen for the Nomad client");
            return ExitCode::FAILURE;
        }
    };
    let stop = CancellationToken::new();
    let announce = |path: &_| goplugin::announce(&driver::HANDSHAKE, path);
    let served = goplugin::serve(socket, driver::routes(&stop), ORPHAN_AFTER, &stop, announce).await;
    stop.cancel();
    match served {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = &error as &dyn std::error::Error, "cannot go on");
            ExitCode::FAILURE
        }
    }
}
