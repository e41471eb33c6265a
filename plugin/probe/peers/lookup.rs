//! Resolving a name, one look-up at a time.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    time::Duration,
};

use tokio::{net::lookup_host, time::Instant};

type Pending = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Who resolves a name. A look-up that nobody waits for any more goes on, and is the one that is waited for next: the
/// system's resolver cannot be interrupted, and each one that hangs costs a thread.
pub(super) struct Lookup {
    host: String,
    port: u16,
    pending: Option<Pending>,
    /// What was found last, and when.
    found: Option<(Instant, Vec<SocketAddr>)>,
}

impl Lookup {
    /// `host` may also be an address; an IPv6 address also in brackets.
    pub(super) fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { host: bare.to_owned(), port, pending: None, found: None }
    }

    /// Its addresses: one at least. What was found less than `kept` ago is still good.
    pub(super) async fn addresses(&mut self, kept: Duration) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        if let Some((at, found)) = &self.found
            && at.elapsed() < kept
        {
            return Ok(found.clone());
        }
        let (host, port) = (self.host.clone(), self.port);
        let pending = self.pending.get_or_insert_with(|| {
            Box::pin(async move { Ok(lookup_host((host.as_str(), port)).await?.collect()) })
        });
        let found = pending.await;
        self.pending = None;
        match found {
            Ok(found) if found.is_empty() => Err(format!("`{}` has no addresses", self.host)),
            Ok(found) => {
                self.found = Some((Instant::now(), found.clone()));
                Ok(found)
            }
            Err(error) => Err(format!("cannot resolve `{}`: {}", self.host, words(&error))),
        }
    }
}

/// The system's words without its numbers.
pub(super) fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::Other => error.to_string(),
        kind if error.raw_os_error().is_some() => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
            if text.is_empty() { kind.to_string() } else { text }
        }
        _ => error.to_string(),
    }
}
