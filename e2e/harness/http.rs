//! A very small HTTP client: enough to ask Nomad, sharing nothing with the client that is under test.
//!
//! It speaks HTTP/1.0, so that every answer ends with its connection and none is chunked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nomad answers in milliseconds; on a machine that compiles at the same time it may take seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// No answer, or one that says no.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing came back.
    #[error("no answer from {address}: {source}")]
    Unreachable {
        /// Who was asked.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// An answer, but not 200.
    #[error("{wanted}: {status}: {body}")]
    Refused {
        /// Method and path.
        wanted: String,
        /// HTTP status, 0 when there was none.
        status: u16,
        /// What the answer says.
        body: String,
    },
}

impl Error {
    /// Whether Nomad says that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

/// Sends one request; a 200 gives the body.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> Result<String, Error> {
    let answer = exchange(address, method, path, token, body)
        .map_err(|source| Error::Unreachable { address, source })?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    if status == 200 {
        Ok(body.to_owned())
    } else {
        Err(Error::Refused { wanted: format!("{method} {path}"), status, body: body.trim().to_owned() })
    }
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let token = token.map(|token| format!("X-Nomad-Token: {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\n{token}Content-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Nomad's HTTP API, as one token sees it.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    token: Option<String>,
}

impl Api {
    /// Without a token: anonymous, which is everyone while ACLs are off.
    pub(crate) fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, token }
    }

    /// As `NOMAD_ADDR` wants it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As `NOMAD_TOKEN` wants it.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// GET.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Error> {
        self.send("GET", path, &Value::Null)
    }

    /// GET of something that is no JSON.
    pub(crate) fn text(&self, path: &str) -> Result<String, Error> {
        request(self.address, "GET", path, self.token.as_deref(), "")
    }

    /// POST with a JSON body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.send("POST", path, body)
    }

    /// DELETE.
    pub(crate) fn delete(&self, path: &str) -> Result<Value, Error> {
        self.send("DELETE", path, &Value::Null)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = request(self.address, method, path, self.token.as_deref(), &body)?;
        // Some answers are plain text, or empty.
        Ok(serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
    }
}
