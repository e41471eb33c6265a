//! What anybody may ask over the client's network, again and again: whether something accepts connections, what it answers
//! to a GET, what a name resolves to.

mod crowd;
mod get;
mod looks;
mod lookup;

use std::{convert::Infallible, io, time::Duration};

use tokio::{net::TcpStream, time::timeout};

pub(super) use self::looks::Turns;
use self::{
    get::Get,
    looks::Looks,
    lookup::{Lookup, words},
};
use super::table::Line;
use crate::cluster::Answer;

/// How long a connection may take to come about.
const TCP_LIMIT: Duration = Duration::from_secs(1);
/// How long a name may take to be resolved.
const DNS_LIMIT: Duration = Duration::from_secs(2);
/// How many addresses of a name are told.
const MAX_ADDRESSES: usize = 64;
/// Nothing is asked more often than this.
const LEAST: u64 = 20;

fn every_so(every: u64) -> Duration {
    Duration::from_millis(every.max(LEAST))
}

fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// Why there is no connection.
struct Unconnected {
    why: String,
    /// Whether the host is there and refuses it: nothing listens.
    is_refused: bool,
}

impl From<String> for Unconnected {
    fn from(why: String) -> Self {
        Self { why, is_refused: false }
    }
}

/// A connection to what `lookup` resolves, for at most `kept` not anew.
async fn connect(lookup: &mut Lookup, kept: Duration) -> Result<TcpStream, Unconnected> {
    let addresses = lookup.addresses(kept).await?;
    TcpStream::connect(addresses.as_slice()).await.map_err(|error| Unconnected {
        is_refused: error.kind() == io::ErrorKind::ConnectionRefused,
        why: words(&error),
    })
}

/// Answers [`Question::Tcp`](crate::cluster::Question::Tcp).
pub(super) async fn tcp(line: &Line, address: &str, every: u64) -> Infallible {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let mut lookup = parts.map(|(host, port)| Lookup::new(host, port));
    let every = every_so(every);
    let mut looks = Looks::new(every, line.turns());
    loop {
        looks.next().await;
        let accepts = match &mut lookup {
            None => Err(format!("`{address}` is no address: it must be `host:port`").into()),
            Some(lookup) => match timeout(TCP_LIMIT, connect(lookup, every)).await {
                Ok(connected) => connected.map(drop),
                Err(_elapsed) => Err(late(TCP_LIMIT).into()),
            },
        };
        let is_refused = accepts.as_ref().is_err_and(|unconnected| unconnected.is_refused);
        let is_news = line.tell(Answer::Accepts(accepts.map_err(|Unconnected { why, .. }| why)));
        looks.looked(is_refused, is_news);
    }
}

/// Answers [`Question::Http`](crate::cluster::Question::Http).
pub(super) async fn http(line: &Line, url: &str, contains: Option<&str>, every: u64) -> Infallible {
    let every = every_so(every);
    let mut get = Get::new(url, contains, every, line.trust());
    let mut looks = Looks::new(every, line.turns());
    loop {
        looks.next().await;
        let answer = match &mut get {
            Ok(get) => get.answer().await,
            Err(why) => Err(why.clone().into()),
        };
        let is_refused = answer.as_ref().is_err_and(|unconnected| unconnected.is_refused);
        let is_news = line.tell(Answer::Http(answer.map_err(|Unconnected { why, .. }| why)));
        looks.looked(is_refused, is_news);
    }
}

/// Answers [`Question::Dns`](crate::cluster::Question::Dns).
pub(super) async fn dns(line: &Line, name: &str, every: u64) -> Infallible {
    let mut lookup = Lookup::new(name, 0);
    let mut looks = Looks::new(every_so(every), line.turns());
    loop {
        looks.next().await;
        let found = timeout(DNS_LIMIT, lookup.addresses(Duration::ZERO))
            .await
            .unwrap_or_else(|_elapsed| Err(late(DNS_LIMIT)));
        let found = found.map(|addresses| {
            let mut found: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            // Servers shuffle them.
            found.sort();
            found.dedup();
            found.truncate(MAX_ADDRESSES);
            found
        });
        let is_news = line.tell(Answer::Addresses(found));
        looks.looked(false, is_news);
    }
}
