//! Accepts the host's connections and knows how many there are: a plugin without any has lost its host.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream},
    sync::watch,
    time::{Sleep, sleep},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;
use tracing::warn;

/// How long to leave a listener alone that fails: mostly the process has too many open files, which only time mends.
const BREATH: Duration = Duration::from_millis(100);

/// The accepted connections, as the server takes them.
pub(super) struct Connections {
    listener: UnixListener,
    count: watch::Sender<usize>,
    breath: Option<Pin<Box<Sleep>>>,
}

impl Connections {
    /// Those of `listener`.
    pub(super) fn new(listener: UnixListener) -> Self {
        Self { listener, count: watch::Sender::new(0), breath: None }
    }

    /// Follows how many are open.
    pub(super) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(breath) = &mut self.breath {
                ready!(breath.as_mut().poll(context));
                self.breath = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Ok((stream, _)) => {
                    self.count.send_modify(|count| *count += 1);
                    let open = Open(self.count.clone());
                    return Poll::Ready(Some(Ok(Connection { stream, _open: open })));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection of the host");
                    self.breath = Some(Box::pin(sleep(BREATH)));
                }
            }
        }
    }
}

/// Waits until there has been no connection for `period` without a break.
pub(super) async fn orphaned(mut count: watch::Receiver<usize>, period: Duration) {
    loop {
        // The senders live in the server, which is served while this is polled.
        if count.wait_for(|count| *count == 0).await.is_err() {
            return std::future::pending().await;
        }
        tokio::select! {
            biased;
            _ = count.wait_for(|count| *count > 0) => (),
            () = sleep(period) => return,
        }
    }
}

/// One connection, counted for as long as it lives.
pub(super) struct Connection {
    stream: UnixStream,
    _open: Open,
}

/// One in the count.
struct Open(watch::Sender<usize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_plugin_is_an_orphan_only_after_a_whole_period_without_a_host() {
        let period = Duration::from_mins(10);
        let count = watch::Sender::new(0);
        let orphan = orphaned(count.subscribe(), period);
        tokio::pin!(orphan);

        tokio::select! {
            biased;
            () = &mut orphan => panic!("no period has passed"),
            () = advance(Duration::from_secs(599)) => (),
        }
        count.send_replace(1);
        tokio::select! {
            biased;
            () = &mut orphan => panic!("the host is there"),
            () = sleep(period * 100) => (),
        }
        let left = Instant::now();
        count.send_replace(0);
        orphan.await;
        assert_eq!(left.elapsed(), period);
    }
}
