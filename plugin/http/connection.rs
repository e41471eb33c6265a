//! A request on its way, and its answer as it comes.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// How much a connection may buffer. There may be one stream for each gate, so this is small.
const MAX_BUFFER: usize = 16 << 10;

/// A socket of either kind.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that carries one request at a time.
type Connection = http1::Connection<TokioIo<Box<dyn Io>>, Full<Bytes>>;
type Sender = http1::SendRequest<Full<Bytes>>;

/// An answer whose body is still to come.
pub struct Opened {
    /// Its head; the body comes by [`Opened::poll_data`].
    pub response: Response<Incoming>,
    /// `None` once it has ended; what it brought may still wait in the response.
    connection: Option<Connection>,
    /// Kept because a connection without a sender ends when it can.
    sender: Sender,
}

/// A connection whose answer was read to its end, and that can carry another request.
struct Spare {
    connection: Connection,
    sender: Sender,
}

/// Connections to one endpoint that are kept for the next request, for as long as somebody is at work who holds this.
/// Nothing moves them on meanwhile.
#[derive(Default)]
pub struct Spares(Mutex<Vec<Spare>>);

/// Why there is no answer over a spare connection.
pub struct Stale {
    /// Whether the other side cannot have seen any of the request.
    pub is_unsent: bool,
    /// What went wrong.
    pub error: hyper::Error,
}

/// Sends `request`, and returns as soon as the answer's head is there.
pub async fn open(io: Box<dyn Io>, request: Request<Full<Bytes>>) -> Result<Opened, hyper::Error> {
    let (sender, connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(io)).await?;
    send(Spare { connection, sender }, request).await.map_err(TrySendError::into_error)
}

async fn send(
    Spare { connection, mut sender }: Spare,
    request: Request<Full<Bytes>>,
) -> Result<Opened, TrySendError<Request<Full<Bytes>>>> {
    let mut connection = Some(connection);
    let response = {
        let mut answer = pin!(sender.try_send_request(request));
        poll_fn(|context| {
            if let Poll::Ready(response) = answer.as_mut().poll(context) {
                return Poll::Ready(response);
            }
            drive(&mut connection, context);
            answer.as_mut().poll(context)
        })
        .await
    };
    Ok(Opened { response: response?, connection, sender })
}

impl Spares {
    /// Sends `request` over one of them. `None` when there is none that is still open.
    pub async fn open(&self, request: &Request<Full<Bytes>>) -> Option<Result<Opened, Stale>> {
        loop {
            let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            // The other side may have closed it meanwhile.
            let Some(spare) = spare.still_open().await else { continue };
            return Some(
                send(spare, request.clone()).await.map_err(|error| Stale {
                    is_unsent: error.message().is_some(),
                    error: error.into_error(),
                }),
            );
        }
    }

    /// Keeps the connection of an answer that was read to its end, if it can carry another request.
    pub async fn keep(&self, Opened { connection, sender, .. }: Opened) {
        if let Some(connection) = connection
            && let Some(spare) = (Spare { connection, sender }).still_open().await
        {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(spare);
        }
    }
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spares").finish_non_exhaustive()
    }
}

impl Spare {
    /// Moves it on by what has arrived, and gives it back if it waits for a request then.
    async fn still_open(self) -> Option<Self> {
        let Self { connection, sender } = self;
        let mut connection = Some(connection);
        poll_fn(|context| {
            drive(&mut connection, context);
            Poll::Ready(())
        })
        .await;
        connection.filter(|_| sender.is_ready()).map(|connection| Self { connection, sender })
    }
}

/// Moves a connection on, and forgets it when it has ended. Its error, if any, is also its response's.
fn drive(connection: &mut Option<Connection>, context: &mut Context<'_>) {
    if let Some(running) = connection
        && Pin::new(running).poll(context).is_ready()
    {
        *connection = None;
    }
}

impl Opened {
    /// Drives the connection, and takes what it has brought of the body. `None` at its end.
    pub fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        drive(&mut self.connection, context);
        loop {
            match ready!(Pin::new(self.response.body_mut()).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// The next piece of the body, or `None` at its end.
    pub async fn data(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        poll_fn(|context| self.poll_data(context)).await
    }
}
