//! One request to Nomad, bounded in time and size.

use std::{borrow::Cow, io, mem, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response,
    header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue},
};
use tokio::time::timeout;

use super::{Endpoint, Error, Token, chunks::Chunks};
use crate::http::{self, Opened, Session, SessionEnd, Spares};

/// How long a request may take. Nomad was seen to hold requests for 9 s while its servers elected a leader.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read: some ten thousand allocations.
pub(super) const MAX_BODY: usize = 64 << 20;

/// What the Task API is shown where there is no token: it wants one even when Nomad has no ACLs, and then takes any.
const PLACEHOLDER: &str = "none";
/// The header that shows a token.
const TOKEN: &str = "X-Nomad-Token";

/// A request: where, with what right, for what.
#[derive(Clone)]
pub(super) struct Question<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) token: Option<&'a Token>,
    /// Connections to the endpoint to begin with, and where this one's goes.
    pub(super) spares: Option<&'a Spares>,
    pub(super) method: Method,
    /// Path and query, already encoded.
    pub(super) target: Cow<'a, str>,
    /// JSON; empty where nothing is sent. It is given back as soon as it has been sent.
    pub(super) body: Bytes,
    /// A verb phrase for messages: "read job `api`".
    pub(super) wanted: &'a str,
    /// How long it may take.
    pub(super) limit: Duration,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) head: Response<()>,
    pub(super) body: Chunks,
}

impl Question<'_> {
    /// Asks, and reads the whole answer.
    pub(super) async fn ask(&self) -> Result<Answer, Error> {
        let whole = async { self.collect(self.connect().await?).await };
        timeout(self.limit, whole).await.unwrap_or_else(|_elapsed| Err(self.timed_out()))
    }

    /// Reads the rest of an answer that was opened.
    pub(super) async fn finish(&self, opened: Opened) -> Result<Answer, Error> {
        timeout(self.limit, self.collect(opened)).await.unwrap_or_else(|_elapsed| Err(self.timed_out()))
    }

    /// Asks, and returns as soon as the answer's head is there.
    pub(super) async fn open(&self) -> Result<Opened, Error> {
        timeout(self.limit, self.connect()).await.unwrap_or_else(|_elapsed| Err(self.timed_out()))
    }

    async fn connect(&self) -> Result<Opened, Error> {
        let request = self.request()?;
        if let Some(spares) = self.spares
            && let Some(opened) = spares.open(&request).await
        {
            match opened {
                Ok(opened) => return Ok(opened),
                // Whoever restarts ends its connections. What changes nothing may be asked twice.
                Err(stale) if stale.is_unsent || self.method == Method::GET => {}
                Err(stale) => return Err(self.broken(stale.error)),
            }
        }
        let io = self.endpoint.connect().await.map_err(|error| self.unreachable(error))?;
        http::open(io, request).await.map_err(|error| self.broken(error))
    }

    /// Asks for a session. Time is the caller's to limit.
    ///
    /// # Errors
    ///
    /// The inner one when Nomad answered and opened none.
    pub(super) async fn session(&self) -> Result<Result<Session, SessionEnd>, Error> {
        let io = self.endpoint.connect().await.map_err(|error| self.unreachable(error))?;
        let header = self.secret().map(|secret| (TOKEN, secret));
        Ok(Session::open(io, &self.endpoint.authority(), &self.target, header).await)
    }

    /// The connection of a session was lost.
    pub(super) fn lost(&self, error: io::Error) -> Error {
        let fault = self.endpoint.fault(&error);
        self.unreachable(fault.map_or(error, io::Error::other))
    }

    fn secret(&self) -> Option<&str> {
        match (self.token, self.endpoint) {
            (Some(token), _) => Some(token.secret()),
            (None, Endpoint::Unix(_)) => Some(PLACEHOLDER),
            (None, Endpoint::Tcp { .. } | Endpoint::Tls { .. }) => None,
        }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, Error> {
        let secret = self.secret();
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&*self.target)
            .header(HOST, self.endpoint.authority())
            .header(ACCEPT, "application/json");
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(secret) = secret {
            let mut value =
                HeaderValue::from_str(secret).map_err(|e| self.unreachable(io::Error::other(e)))?;
            value.set_sensitive(true);
            request = request.header(TOKEN, value);
        }
        request.body(Full::new(self.body.clone())).map_err(|error| self.unreachable(io::Error::other(error)))
    }

    async fn collect(&self, mut opened: Opened) -> Result<Answer, Error> {
        let mut body = Chunks::default();
        while let Some(data) = opened.data().await {
            let data = data.map_err(|error| self.broken(error))?;
            if body.len() + data.len() > MAX_BODY {
                return Err(Error::TooLong { wanted: self.wanted.to_owned(), limit: MAX_BODY });
            }
            body.push(data);
        }
        let mut head = Response::new(());
        *head.status_mut() = opened.response.status();
        *head.headers_mut() = mem::take(opened.response.headers_mut());
        if let Some(spares) = self.spares {
            spares.keep(opened).await;
        }
        Ok(Answer { head, body })
    }

    fn unreachable(&self, source: io::Error) -> Error {
        Error::Unreachable { address: self.endpoint.to_string(), source }
    }

    fn broken(&self, error: hyper::Error) -> Error {
        let fault = self.endpoint.fault(&error);
        self.unreachable(fault.map_or_else(|| io::Error::other(error), io::Error::other))
    }

    pub(super) fn timed_out(&self) -> Error {
        Error::TimedOut {
            wanted: self.wanted.to_owned(),
            address: self.endpoint.to_string(),
            after: self.limit,
        }
    }
}
