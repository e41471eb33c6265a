//! Serves the host until one of four things ends it.

use std::{io, path::Path, time::Duration};

use tokio::{
    net::UnixListener,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{self, Server},
};
use tracing::{debug, info, warn};

use super::{
    Socket,
    broker::Broker,
    connections::{Connections, orphaned},
    controller::Controller,
    pb::plugin::{
        grpc_broker_server::GrpcBrokerServer, grpc_controller_server::GrpcControllerServer,
        grpc_stdio_server::GrpcStdioServer,
    },
    signals::Signals,
    stdio::Stdio,
};

/// How long requests under way may take after the end has come. The host closes its connections as soon as it has the
/// answer to `Shutdown`, so this is met only without a host that behaves; it kills after two seconds.
pub const GRACE: Duration = Duration::from_millis(50);

/// How long a plugin waits for a host to come back: longer than any restart of an agent, and short enough that plugins
/// whose agent was killed do not pile up.
pub const ORPHAN_AFTER: Duration = Duration::from_mins(10);

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The host said so.
    Shutdown,
    /// A SIGTERM.
    Terminated,
    /// No host for too long.
    Orphaned,
    /// The program itself wanted it.
    Stopped,
}

/// Serving was not possible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runtime did not take the socket.
    #[error("cannot listen for the host")]
    Listen(#[source] io::Error),
    /// The server gave up.
    #[error("cannot serve the host")]
    Serve(#[source] transport::Error),
}

/// Serves `services` beside go-plugin's own on `socket`.
///
/// It ends when the host says `Shutdown`, at a SIGTERM, after `orphan_after` without any host, or when `stop` is
/// cancelled, and then takes at most [`GRACE`]. `ready` is called once connections are accepted and signals are caught.
pub async fn serve(
    socket: Socket,
    services: Routes,
    orphan_after: Duration,
    stop: &CancellationToken,
    ready: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<Ended, Error> {
    let mut signals = Signals::listen();
    let (listener, place) = socket.into_parts();
    let connections = Connections::new(UnixListener::from_std(listener).map_err(Error::Listen)?);
    let count = connections.count();
    let shutdown = CancellationToken::new();
    let end = CancellationToken::new();

    let services = services
        .add_service(GrpcControllerServer::new(Controller { shutdown: shutdown.clone() }))
        .add_service(GrpcStdioServer::new(Stdio))
        .add_service(GrpcBrokerServer::new(Broker));
    let served = Server::builder()
        .add_routes(services)
        .serve_with_incoming_shutdown(connections, end.clone().cancelled_owned());
    tokio::pin!(served);

    ready(&place.path).map_err(Error::Listen)?;
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ended::Shutdown,
        () = stop.cancelled() => Ended::Stopped,
        () = signals.terminated() => Ended::Terminated,
        () = orphaned(count, orphan_after) => Ended::Orphaned,
        served = &mut served => return served.map(|()| Ended::Stopped).map_err(Error::Serve),
    };
    match ended {
        Ended::Shutdown | Ended::Stopped => debug!(?ended, "the end"),
        Ended::Terminated => info!("ending on SIGTERM"),
        Ended::Orphaned => {
            warn!(period = ?orphan_after, "ending, because no host has been connected for long");
        }
    }

    end.cancel();
    match timeout_at(Instant::now() + GRACE, served).await {
        Ok(served) => served.map(|()| ended).map_err(Error::Serve),
        // Streams of a host that does not close its connection end with the process.
        Err(_) => Ok(ended),
    }
}
