//! A connection that carries messages both ways (RFC 6455), where an API answers with a session instead of a body.

use std::{error::Error, fmt, io};

use futures_util::StreamExt as _;
use hyper::{StatusCode, Uri};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, ClientRequestBuilder, Message, protocol::WebSocketConfig},
};

use super::Io;

/// How long a message may be, in bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// A session with a server. Whoever waits for its next message drives it; dropping it ends it.
pub struct Session(WebSocketStream<Box<dyn Io>>);

/// How a session ended that did not end well.
#[derive(Debug)]
pub enum SessionEnd {
    /// The server answered, and opened none.
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// What it said, as far as it had come.
        body: Vec<u8>,
    },
    /// The server ended it.
    Closed {
        /// Its code (RFC 6455, 7.4).
        code: u16,
        /// Why.
        reason: String,
    },
    /// The connection broke, or brought something that is no session.
    Broken(io::Error),
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// Asks for a session over `io`. `authority` and `target` are those of any request; `header` shows a token under this
    /// name.
    ///
    /// # Errors
    ///
    /// Everything but an opened session.
    pub async fn open(
        io: Box<dyn Io>,
        authority: &str,
        target: &str,
        header: Option<(&str, &str)>,
    ) -> Result<Self, SessionEnd> {
        let uri: Uri = format!("ws://{authority}{target}").parse().map_err(broken)?;
        let mut request = ClientRequestBuilder::new(uri);
        if let Some((name, secret)) = header {
            request = request.with_header(name, secret);
        }
        let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE));
        let opened = client_async_with_config(request, io, Some(limits)).await;
        opened.map(|(session, _)| Self(session)).map_err(end)
    }

    /// The next message, or `None` when the server has ended the session well.
    ///
    /// # Errors
    ///
    /// When it ended it otherwise, or the connection is lost.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, SessionEnd> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Some(text.as_bytes().to_vec())),
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes.to_vec())),
                Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) != 1000 => {
                    return Err(SessionEnd::Closed {
                        code: frame.code.into(),
                        reason: frame.reason.to_string(),
                    });
                }
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(end(error)),
            }
        }
    }
}

fn end(error: tungstenite::Error) -> SessionEnd {
    match error {
        tungstenite::Error::Http(response) => {
            let status = response.status();
            SessionEnd::Refused { status, body: response.into_body().unwrap_or_default() }
        }
        tungstenite::Error::Io(error) => SessionEnd::Broken(error),
        error => broken(error),
    }
}

fn broken(error: impl Error + Send + Sync + 'static) -> SessionEnd {
    SessionEnd::Broken(io::Error::other(error))
}
