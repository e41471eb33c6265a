//! A request on its way, and its answer as it comes.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// How much a connection may buffer. There may be one stream for each gate, so this is small.
const MAX_BUFFER: usize = 16 << 10;

/// A socket of either kind.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that carries one request.
type Connection = http1::Connection<TokioIo<Box<dyn Io>>, Full<Bytes>>;

/// An answer whose body is still to come.
pub struct Opened {
    /// Its head; the body comes by [`Opened::poll_data`].
    pub response: Response<Incoming>,
    /// `None` once it has ended; what it brought may still wait in the response.
    connection: Option<Connection>,
    /// Kept because a connection without a sender ends when it can.
    _sender: http1::SendRequest<Full<Bytes>>,
}

/// Sends `request`, and returns as soon as the answer's head is there.
pub async fn open(io: Box<dyn Io>, request: Request<Full<Bytes>>) -> Result<Opened, hyper::Error> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(io)).await?;
    let mut connection = Some(connection);
    let response = {
        let mut answer = pin!(sender.send_request(request));
        poll_fn(|context| {
            if let Poll::Ready(response) = answer.as_mut().poll(context) {
                return Poll::Ready(response);
            }
            drive(&mut connection, context);
            answer.as_mut().poll(context)
        })
        .await
    };
    Ok(Opened { response: response?, connection, _sender: sender })
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
