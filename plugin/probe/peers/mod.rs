//! What anybody may ask over the client's network, again and again: whether something accepts connections, what it answers
//! to a GET, what a name resolves to.

mod get;
mod lookup;

use std::{convert::Infallible, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use self::{
    get::Get,
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

fn ticks(every: u64) -> Interval {
    let mut ticks = interval(Duration::from_millis(every.max(LEAST)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// Answers [`Question::Tcp`](crate::cluster::Question::Tcp).
pub(super) async fn tcp(line: &Line, address: &str, every: u64) -> Infallible {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let mut lookup = parts.map(|(host, port)| Lookup::new(host, port));
    let mut ticks = ticks(every);
    loop {
        ticks.tick().await;
        let accepts = match &mut lookup {
            None => Err(format!("`{address}` is no address: it must be `host:port`")),
            Some(lookup) => {
                let connected = async {
                    let addresses = lookup.addresses().await?;
                    TcpStream::connect(addresses.as_slice()).await.map_err(|error| words(&error))
                };
                match timeout(TCP_LIMIT, connected).await {
                    Ok(connected) => connected.map(drop),
                    Err(_elapsed) => Err(late(TCP_LIMIT)),
                }
            }
        };
        line.tell(Answer::Accepts(accepts));
    }
}

/// Answers [`Question::Http`](crate::cluster::Question::Http).
pub(super) async fn http(line: &Line, url: &str, contains: Option<&str>, every: u64) -> Infallible {
    let mut get = Get::new(url, contains);
    let mut ticks = ticks(every);
    loop {
        ticks.tick().await;
        let answer = match &mut get {
            Ok(get) => get.answer().await,
            Err(why) => Err(why.clone()),
        };
        line.tell(Answer::Http(answer));
    }
}

/// Answers [`Question::Dns`](crate::cluster::Question::Dns).
pub(super) async fn dns(line: &Line, name: &str, every: u64) -> Infallible {
    let mut lookup = Lookup::new(name, 0);
    let mut ticks = ticks(every);
    loop {
        ticks.tick().await;
        let found =
            timeout(DNS_LIMIT, lookup.addresses()).await.unwrap_or_else(|_elapsed| Err(late(DNS_LIMIT)));
        let found = found.map(|addresses| {
            let mut found: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            // Servers shuffle them.
            found.sort();
            found.dedup();
            found.truncate(MAX_ADDRESSES);
            found
        });
        line.tell(Answer::Addresses(found));
    }
}
