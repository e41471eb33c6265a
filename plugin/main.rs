//! The binary: a plugin when a Nomad client starts it, a command line otherwise.

use std::{env, process::ExitCode};

use dtree::{
    cli, driver,
    goplugin::{self, ORPHAN_AFTER, Socket, hclog},
};
use tokio::runtime;
use tokio_util::sync::CancellationToken;
use tracing::error;

fn main() -> ExitCode {
    // A Nomad client gives its plugins no words, whatever else it gives them.
    if driver::HANDSHAKE.is_by_host() && env::args_os().len() <= 1 {
        plugin()
    } else {
        cli::run(env::args_os())
    }
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
