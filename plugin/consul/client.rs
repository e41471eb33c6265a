//! What dtree asks Consul, one method a question.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Request, StatusCode,
    header::{ACCEPT, HOST, HeaderValue},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::debug;

use super::{Asker, Consul, Endpoint, Error, WAIT, wire};
use crate::{
    cluster::Instance,
    http::{Token, Trust, encode, open},
};

/// Consul's port where an address names none.
const DEFAULT_PORT: u16 = 8500;
/// How long a request may take that waits for nothing.
const LIMIT: Duration = Duration::from_secs(10);
/// How much of an answer is read: some thousand instances of a service.
const MAX_BODY: usize = 2 << 20;
/// How much of what Consul says is kept, in characters.
const MAX_SAID: usize = 200;

/// [`endpoint_with`] the system's authorities, and nothing to show to the server.
///
/// # Errors
///
/// What is wrong with it.
pub fn endpoint(address: &str) -> Result<Endpoint, String> {
    endpoint_with(address, &Trust::default())
}

/// Reads `http://host:port`, `unix:///path`, or `https://host:port`, whose server proves who it is as `trust` says.
///
/// # Errors
///
/// What is wrong with it.
pub fn endpoint_with(address: &str, trust: &Trust) -> Result<Endpoint, String> {
    Endpoint::read(address, DEFAULT_PORT, trust)
        .map_err(|why| format!("`{address}` is no address of Consul's API: {why}"))
}

/// An answer, and the position that it is as new as: zero where Consul does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// The answer.
    pub value: T,
    /// To ask for what comes after.
    pub index: u64,
    /// Whether nothing may be there only because nothing is shown: to whoever has no token Consul does not say so.
    pub is_doubtful: bool,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Consul {
    /// All instances of a service, once anything has changed after `after`, or a while later; without, as they are.
    pub async fn service(&self, name: &str, after: Option<u64>) -> Result<Read<Vec<Instance>>, Error> {
        let wanted = format!("read service `{name}`");
        let right = right_to_service(name);
        let answer = self.ask(&format!("/v1/health/service/{}", encode(name)), after, &wanted).await?;
        let answer = answer.allowed(self.bearer.asker(), &wanted, &right)?;
        let index = index(&answer.headers);
        let says = |header: &str, word: &str| answer.headers.get(header).is_some_and(|value| value == word);
        let is_filtered = says("X-Consul-Results-Filtered-By-ACLs", "true");
        let is_closed = says("X-Consul-Default-Acl-Policy", "deny");
        let entries: Option<Vec<wire::Entry>> = decode(&answer.body, &wanted)?;
        let mut value: Vec<Instance> = entries.unwrap_or_default().into_iter().map(Into::into).collect();
        if is_filtered && value.is_empty() {
            // Without the right, Consul shows an empty list and says so only here.
            return Err(Error::Denied {
                asker: self.bearer.asker(),
                wanted,
                right,
                said: "its answer was left empty by ACLs".to_owned(),
            });
        }
        value.sort_by(|a, b| (&a.id, &a.address).cmp(&(&b.id, &b.address)));
        let is_doubtful = is_closed && value.is_empty() && self.token()?.is_none();
        Ok(Read { value, index, is_doubtful })
    }

    /// Why an answer about a service that may hide all of it is none.
    pub fn doubt(&self, name: &str) -> Error {
        Error::Denied {
            asker: self.bearer.asker(),
            wanted: format!("read service `{name}`"),
            right: right_to_service(name),
            said: "its answer is empty, and who shows no token is not told whether anything was left out"
                .to_owned(),
        }
    }

    /// The value of a key, or `None` when there is no such key; `after` as in [`Consul::service`].
    pub async fn key(&self, key: &str, after: Option<u64>) -> Result<Read<Option<Vec<u8>>>, Error> {
        let wanted = format!("read key `{key}`");
        let right = format!("key \"{key}\" {{ policy = \"read\" }}");
        let segments: Vec<String> = key.split('/').map(encode).collect();
        let answer = self.ask(&format!("/v1/kv/{}", segments.join("/")), after, &wanted).await?;
        let index = index(&answer.headers);
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Read { value: None, index, is_doubtful: false });
        }
        let answer = answer.allowed(self.bearer.asker(), &wanted, &right)?;
        let entries: Vec<wire::Pair> = decode(&answer.body, &wanted)?;
        let garbled = |how: &str| Error::Garbled { wanted: wanted.clone(), how: how.to_owned() };
        let pair = entries.into_iter().next().ok_or_else(|| garbled("an empty list"))?;
        let value = BASE64_STANDARD
            .decode(pair.value.unwrap_or_default())
            .map_err(|_undecodable| garbled("a value that is not in base 64"))?;
        Ok(Read { value: Some(value), index, is_doubtful: false })
    }

    async fn ask(&self, path: &str, after: Option<u64>, wanted: &str) -> Result<Answer, Error> {
        let (target, limit) = match after {
            Some(after) => {
                (format!("{path}?index={after}&wait={}s", WAIT.as_secs()), WAIT + WAIT / 16 + LIMIT)
            }
            None => (path.to_owned(), LIMIT),
        };
        debug!(endpoint = %self.endpoint, target, "request to Consul");
        timeout(limit, self.exchange(&target, wanted)).await.unwrap_or_else(|_elapsed| {
            Err(Error::TimedOut {
                asker: self.bearer.asker(),
                wanted: wanted.to_owned(),
                address: self.endpoint.to_string(),
                after: limit,
            })
        })
    }

    async fn exchange(&self, target: &str, wanted: &str) -> Result<Answer, Error> {
        let asker = self.bearer.asker();
        let unreachable =
            |why: String| Error::Unreachable { asker, address: self.endpoint.to_string(), why, hint: None };
        let mut request = Request::builder()
            .uri(target)
            .header(HOST, self.endpoint.authority())
            .header(ACCEPT, "application/json");
        if let Some(token) = self.token()? {
            let mut value =
                HeaderValue::from_str(token.secret()).map_err(|error| unreachable(error.to_string()))?;
            value.set_sensitive(true);
            request = request.header("X-Consul-Token", value);
        }
        let request =
            request.body(Full::<Bytes>::default()).map_err(|error| unreachable(error.to_string()))?;
        let lost = |error: &(dyn std::error::Error + 'static)| {
            let fault = self.endpoint.fault(error);
            Error::Unreachable {
                asker,
                address: self.endpoint.to_string(),
                why: fault.as_ref().map_or_else(|| error.to_string(), ToString::to_string),
                hint: fault.map(|fault| fault.hint().to_owned()),
            }
        };
        let io = self.endpoint.connect().await.map_err(|error| lost(&error))?;
        let broken = |error: hyper::Error| lost(&error);
        let mut opened = open(io, request).await.map_err(broken)?;
        let mut body = Vec::new();
        while let Some(data) = opened.data().await {
            body.extend_from_slice(&data.map_err(broken)?);
            if body.len() > MAX_BODY {
                return Err(Error::TooLong { wanted: wanted.to_owned(), limit: MAX_BODY });
            }
        }
        let (head, _incoming) = opened.response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn token(&self) -> Result<Option<Token>, Error> {
        if let Some(token) = self.bearer.given() {
            return Ok(Some(token.clone()));
        }
        let asker = self.bearer.asker();
        let read = |path: &std::path::PathBuf| {
            Token::open(path).map_err(|source| Error::TokenFile { asker, path: path.clone(), source })
        };
        self.bearer.file().map(read).transpose()
    }
}

impl Answer {
    /// The answer, if Consul gave what it was asked for, for which it wants `right`.
    fn allowed(self, asker: Asker, wanted: &str, right: &str) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        let said = String::from_utf8_lossy(&self.body);
        let said: String = said.lines().next().unwrap_or_default().chars().take(MAX_SAID).collect();
        let wanted = wanted.to_owned();
        match self.status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                Err(Error::Denied { asker, wanted, right: right.to_owned(), said })
            }
            status => Err(Error::Refused { asker, wanted, status: status.as_u16(), said }),
        }
    }
}

/// The rules of a policy by which a service is shown.
fn right_to_service(name: &str) -> String {
    format!("service \"{name}\" {{ policy = \"read\" }} node_prefix \"\" {{ policy = \"read\" }}")
}

fn index(headers: &HeaderMap) -> u64 {
    let index = headers.get("X-Consul-Index").and_then(|value| value.to_str().ok());
    index.and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(body: &[u8], wanted: &str) -> Result<T, Error> {
    // Serde's words may repeat what it read, which may be a secret: only where it goes wrong is told.
    serde_json::from_slice(body).map_err(|error| Error::Garbled {
        wanted: wanted.to_owned(),
        how: format!("it goes wrong at line {} column {}", error.line(), error.column()),
    })
}
