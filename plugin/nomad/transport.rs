//! One connection, one request, bounded in time and size.
//!
//! The connection is driven by whoever waits for its answer, so that nothing runs in the background.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response,
    body::{Body as _, Incoming},
    client::conn::http1,
    header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{Endpoint, Error, Token, chunks::Chunks};

/// How long a request may take. Nomad was seen to hold requests for 9 s while its servers elected a leader.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read: some ten thousand allocations.
pub(super) const MAX_BODY: usize = 64 << 20;
/// How much a connection may buffer. There may be one stream for each gate, so this is small.
const MAX_BUFFER: usize = 16 << 10;

/// What the Task API is shown where there is no token: it wants one even when Nomad has no ACLs, and then takes any.
const PLACEHOLDER: &str = "none";

/// A socket of either kind.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection that carries one request.
pub(super) type Connection = http1::Connection<TokioIo<Box<dyn Io>>, Full<Bytes>>;

/// A request: where, with what right, for what.
#[derive(Clone)]
pub(super) struct Question<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) token: Option<&'a Token>,
    pub(super) method: Method,
    /// Path and query, already encoded.
    pub(super) target: &'a str,
    /// JSON; empty where nothing is sent. It is given back as soon as it has been sent.
    pub(super) body: Bytes,
    /// A verb phrase for messages: "read job `api`".
    pub(super) wanted: &'a str,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) head: Response<()>,
    pub(super) body: Chunks,
}

/// An answer whose body is still to come.
pub(super) struct Opened {
    pub(super) response: Response<Incoming>,
    /// `None` once it has ended; what it brought may still wait in the response.
    pub(super) connection: Option<Connection>,
    /// Kept because a connection without a sender ends when it can.
    pub(super) _sender: http1::SendRequest<Full<Bytes>>,
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
    /// Drives the connection, and takes what it has brought of the body.
    pub(super) fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, hyper::Error>>> {
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
}

impl Question<'_> {
    /// Asks, and reads the whole answer.
    pub(super) async fn ask(&self) -> Result<Answer, Error> {
        let whole = async { self.collect(self.connect().await?).await };
        timeout(TIMEOUT, whole).await.unwrap_or_else(|_elapsed| Err(self.timed_out()))
    }

    /// Reads the rest of an answer that was opened.
    pub(super) async fn finish(&self, opened: Opened) -> Result<Answer, Error> {
        timeout(TIMEOUT, self.collect(opened)).await.unwrap_or_else(|_elapsed| Err(self.timed_out()))
    }

    /// Asks, and returns as soon as the answer's head is there.
    pub(super) async fn open(&self) -> Result<Opened, Error> {
        timeout(TIMEOUT, self.connect()).await.unwrap_or_else(|_elapsed| Err(self.timed_out()))
    }

    async fn connect(&self) -> Result<Opened, Error> {
        let io: Box<dyn Io> = match self.endpoint {
            Endpoint::Tcp { host, port } => {
                let socket =
                    TcpStream::connect((host.as_str(), *port)).await.map_err(|e| self.unreachable(e))?;
                Box::new(socket)
            }
            Endpoint::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(|error| self.unreachable(error))?)
            }
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| self.broken(error))?;
        let request = self.request()?;
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
        let response = response.map_err(|error| self.broken(error))?;
        Ok(Opened { response, connection, _sender: sender })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, Error> {
        let secret = match (self.token, self.endpoint) {
            (Some(token), _) => Some(token.secret()),
            (None, Endpoint::Unix(_)) => Some(PLACEHOLDER),
            (None, Endpoint::Tcp { .. }) => None,
        };
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.target)
            .header(HOST, self.endpoint.authority())
            .header(ACCEPT, "application/json");
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(secret) = secret {
            let mut value =
                HeaderValue::from_str(secret).map_err(|e| self.unreachable(io::Error::other(e)))?;
            value.set_sensitive(true);
            request = request.header("X-Nomad-Token", value);
        }
        request.body(Full::new(self.body.clone())).map_err(|error| self.unreachable(io::Error::other(error)))
    }

    async fn collect(&self, mut opened: Opened) -> Result<Answer, Error> {
        let mut body = Chunks::default();
        while let Some(data) = poll_fn(|context| opened.poll_data(context)).await {
            let data = data.map_err(|error| self.broken(error))?;
            if body.len() + data.len() > MAX_BODY {
                return Err(Error::TooLong { wanted: self.wanted.to_owned(), limit: MAX_BODY });
            }
            body.push(data);
        }
        let (head, _incoming) = opened.response.into_parts();
        Ok(Answer { head: Response::from_parts(head, ()), body })
    }

    fn unreachable(&self, source: io::Error) -> Error {
        Error::Unreachable { address: self.endpoint.to_string(), source }
    }

    fn broken(&self, error: hyper::Error) -> Error {
        self.unreachable(io::Error::other(error))
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut { wanted: self.wanted.to_owned(), address: self.endpoint.to_string(), after: TIMEOUT }
    }
}
