//! The host's side of the conversation, on the real socket.

use std::{path::Path, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Channel, Endpoint},
};

use super::{
    Ended, Error, ORPHAN_AFTER, Socket,
    pb::plugin::{
        ConnInfo, Empty, grpc_broker_client::GrpcBrokerClient, grpc_controller_client::GrpcControllerClient,
        grpc_stdio_client::GrpcStdioClient,
    },
    serve,
};

/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_mins(1);

async fn connect(path: &Path) -> Channel {
    Endpoint::try_from(format!("unix://{}", path.display())).unwrap().connect().await.unwrap()
}

/// Serves until the end, while `host` talks to the socket.
async fn serve_while<T>(
    orphan_after: Duration,
    stop: &CancellationToken,
    host: impl AsyncFnOnce(&Path) -> T,
) -> (Result<Ended, Error>, T) {
    let socket = Socket::bind().unwrap();
    let path = socket.path().to_owned();
    let (ready, is_ready) = oneshot::channel();
    let served = serve(socket, Routes::default(), orphan_after, stop, |path| {
        ready.send(path.to_owned()).unwrap();
        Ok(())
    });
    let host = async {
        assert_eq!(is_ready.await.unwrap(), path);
        host(&path).await
    };
    let both = timeout(SOON, async { tokio::join!(served, host) }).await.expect("serving ends");
    assert!(!path.exists() && !path.parent().unwrap().exists(), "the socket's directory is gone");
    both
}

#[tokio::test]
async fn shutdown_is_answered_and_then_the_process_ends_in_time_though_streams_stay_open() {
    let stop = CancellationToken::new();
    let (ended, (answered, _open)) = serve_while(ORPHAN_AFTER, &stop, async |path| {
        let channel = connect(path).await;
        let stdio = GrpcStdioClient::new(channel.clone()).stream_stdio(()).await.unwrap();
        let broker = GrpcBrokerClient::new(channel.clone());
        let broker = { broker }.start_stream(tokio_stream::pending::<ConnInfo>()).await.unwrap();
        GrpcControllerClient::new(channel).shutdown(Empty {}).await.unwrap();
        (Instant::now(), (stdio, broker))
    })
    .await;
    assert_eq!(ended.unwrap(), Ended::Shutdown);
    assert!(answered.elapsed() < Duration::from_secs(10), "{:?}", answered.elapsed());
}

#[tokio::test]
async fn the_streams_say_nothing_until_the_host_is_done() {
    let stop = CancellationToken::new();
    let (ended, ()) = serve_while(ORPHAN_AFTER, &stop, async |path| {
        let channel = connect(path).await;
        let mut stdio = GrpcStdioClient::new(channel.clone()).stream_stdio(()).await.unwrap().into_inner();
        let said = [ConnInfo { service_id: 1, ..ConnInfo::default() }; 1];
        let broker = GrpcBrokerClient::new(channel.clone());
        let mut broker = { broker }.start_stream(tokio_stream::iter(said)).await.unwrap().into_inner();
        assert_eq!(broker.message().await.unwrap(), None, "it ends with the host's side");
        let silence = timeout(Duration::from_millis(50), stdio.message()).await;
        assert!(silence.is_err(), "{silence:?}");
        stop.cancel();
    })
    .await;
    assert_eq!(ended.unwrap(), Ended::Stopped);
}

#[tokio::test]
async fn a_plugin_whose_host_has_left_ends_by_itself() {
    let stop = CancellationToken::new();
    // A busy machine needs some of it to connect.
    let period = Duration::from_secs(2);
    let (ended, left) = serve_while(period, &stop, async |path| {
        let channel = connect(path).await;
        GrpcStdioClient::new(channel).stream_stdio(()).await.unwrap();
        // Longer than the period, with a connection: the plugin stays.
        let channel = connect(path).await;
        tokio::time::sleep(period * 2).await;
        GrpcStdioClient::new(channel).stream_stdio(()).await.unwrap();
        Instant::now()
    })
    .await;
    assert_eq!(ended.unwrap(), Ended::Orphaned);
    // The connection may be seen to close a little before the host knows it.
    assert!(left.elapsed() >= period / 2, "{:?}", left.elapsed());
}

#[tokio::test]
async fn a_host_that_cannot_be_told_where_to_connect_is_an_error() {
    let stop = CancellationToken::new();
    let socket = Socket::bind().unwrap();
    let broken = |_: &Path| Err(std::io::ErrorKind::BrokenPipe.into());
    let error = serve(socket, Routes::default(), ORPHAN_AFTER, &stop, broken).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot listen for the host");
}
