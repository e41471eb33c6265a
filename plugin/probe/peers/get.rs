//! A GET, bounded in time and size.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Uri,
    header::{ACCEPT, CONNECTION, HOST, USER_AGENT},
};
use tokio::time::timeout;

use super::{Unconnected, connect, late, lookup::Lookup};
use crate::{
    cluster::HttpAnswer,
    http::{Io, Opened, Tls, open},
};

/// How long an answer may take, with as much of its body as is looked at.
const LIMIT: Duration = Duration::from_secs(2);
/// How much of the body is looked at.
const MAX_BODY: usize = 1 << 20;

/// What is asked.
pub(super) struct Get {
    lookup: Lookup,
    /// How long what was resolved is good.
    kept: Duration,
    /// For https: how the peer proves who it is, and the name that it must have.
    tls: Option<(Tls, String)>,
    host: String,
    target: String,
    contains: Option<String>,
}

impl Get {
    /// The error says what is wrong with the address.
    pub(super) fn new(
        url: &str,
        contains: Option<&str>,
        kept: Duration,
        trust: &Tls,
    ) -> Result<Self, String> {
        let bad = || format!("`{url}` is no address: it must be `http://host[:port]/path`, or `https://…`");
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let (default_port, is_tls) = match uri.scheme_str() {
            Some("http") => (80, false),
            Some("https") => (443, true),
            _ => return Err(bad()),
        };
        let port = authority.port_u16().unwrap_or(default_port);
        Ok(Self {
            lookup: Lookup::new(authority.host(), port),
            kept,
            tls: is_tls.then(|| (trust.clone(), authority.host().to_owned())),
            host: authority.as_str().to_owned(),
            target: uri.path_and_query().map_or("/", |target| target.as_str()).to_owned(),
            contains: contains.map(str::to_owned),
        })
    }

    /// Asks.
    pub(super) async fn answer(&mut self) -> Result<HttpAnswer, Unconnected> {
        timeout(LIMIT, self.ask()).await.unwrap_or_else(|_elapsed| Err(late(LIMIT).into()))
    }

    async fn ask(&mut self) -> Result<HttpAnswer, Unconnected> {
        let stream = connect(&mut self.lookup, self.kept).await?;
        let io: Box<dyn Io> = match &self.tls {
            None => Box::new(stream),
            Some((tls, name)) => tls.over(name, stream).await.map_err(|fault| fault.told())?,
        };
        let request = Request::get(&self.target)
            .header(HOST, &self.host)
            .header(ACCEPT, "*/*")
            .header(USER_AGENT, concat!("dtree/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .body(Full::<Bytes>::default())
            .map_err(|error| error.to_string())?;
        let mut opened = open(io, request).await.map_err(|error| self.broken(&error))?;
        let status = opened.response.status().as_u16();
        let Some(contains) = &self.contains else {
            return Ok(HttpAnswer { status, is_found: true });
        };
        match find(&mut opened, contains.as_bytes()).await {
            Ok(is_found) => Ok(HttpAnswer { status, is_found }),
            Err(why) => Err(format!("status {status}, but {why}").into()),
        }
    }

    fn broken(&self, error: &hyper::Error) -> String {
        let fault = self.tls.as_ref().and_then(|(tls, name)| tls.fault(name, error));
        fault.map_or_else(|| no_http(error), |fault| fault.told())
    }
}

/// Whether the body holds `wanted`. Reads no further than to its first occurrence.
async fn find(opened: &mut Opened, wanted: &[u8]) -> Result<bool, String> {
    let mut body: Vec<u8> = Vec::new();
    loop {
        if wanted.is_empty() {
            return Ok(true);
        }
        let Some(data) = opened.data().await else { return Ok(false) };
        let data = data.map_err(|error| no_http(&error))?;
        let from = body.len().saturating_sub(wanted.len() - 1);
        body.extend_from_slice(data.get(..data.len().min(MAX_BODY - body.len())).unwrap_or_default());
        if body.get(from..).unwrap_or_default().windows(wanted.len()).any(|window| window == wanted) {
            return Ok(true);
        }
        if body.len() >= MAX_BODY {
            return Err("the text is not in the first 1 MiB of its body".to_owned());
        }
    }
}

fn no_http(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("no answer in HTTP: {error}: {source}"),
        None => format!("no answer in HTTP: {error}"),
    }
}
