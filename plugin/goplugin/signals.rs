//! The signals that reach a plugin. SIGINT goes to a terminal's whole process group; it is the host's to answer.

use std::{future::pending, io};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::warn;

/// The signals dtree listens to, from the moment this is made.
pub(super) struct Signals {
    terminate: Option<Signal>,
    /// Held so that the signal is caught; never asked.
    _interrupt: Option<Signal>,
}

impl Signals {
    /// Begins to listen. A signal that cannot be caught is said and lived without.
    pub(super) fn listen() -> Self {
        Self {
            terminate: kept(signal(SignalKind::terminate())),
            _interrupt: kept(signal(SignalKind::interrupt())),
        }
    }

    /// Waits for SIGTERM.
    pub(super) async fn terminated(&mut self) {
        if let Some(terminate) = &mut self.terminate
            && terminate.recv().await.is_some()
        {
            return;
        }
        pending::<()>().await;
    }
}

fn kept(signal: io::Result<Signal>) -> Option<Signal> {
    signal.inspect_err(|error| warn!(%error, "cannot listen to a signal")).ok()
}
