//! Something to health-check that a story turns on and off.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Server;

/// An HTTP server on loopback that answers 200 while it is on, and 503 while it is off.
#[derive(Debug)]
pub(crate) struct Switch {
    on: Arc<AtomicBool>,
    /// When it has answered 200 since it last answered 503.
    answered: Arc<Mutex<Vec<jiff::Timestamp>>>,
    server: Server,
}

impl Switch {
    /// Off.
    pub(crate) fn new() -> Self {
        Self::at(0)
    }

    /// Off, at a port that is free: one that Nomad has given an allocation.
    pub(crate) fn at(port: u16) -> Self {
        let (on, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_on, has_answered) = (Arc::clone(&on), Arc::clone(&answered));
        let server = Server::at(port, move |client| {
            let good = is_on.load(Ordering::SeqCst);
            let status = if good { "200 OK" } else { "503 Service Unavailable" };
            let mut answered = has_answered.lock().unwrap_or_else(PoisonError::into_inner);
            if good {
                answered.push(jiff::Timestamp::now());
            } else {
                answered.clear();
            }
            drop(answered);
            // A checker that goes away is no concern of ours.
            let _sent = answer(client, status);
        });
        Self { on, answered, server }
    }

    /// The port to check.
    pub(crate) fn port(&self) -> u16 {
        self.server.address().port()
    }

    /// 200 from now on.
    pub(crate) fn turn_on(&self) {
        self.on.store(true, Ordering::SeqCst);
    }

    /// 503 from now on.
    pub(crate) fn turn_off(&self) {
        self.on.store(false, Ordering::SeqCst);
    }

    /// Since when whoever asks is answered 200: not before this may a check pass.
    pub(crate) fn passed(&self) -> Option<jiff::Timestamp> {
        self.answered().first().copied()
    }

    /// When it has answered 200 since it last did not.
    pub(crate) fn answered(&self) -> Vec<jiff::Timestamp> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn answer(mut client: TcpStream, status: &str) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _head = client.read(&mut request)?;
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
