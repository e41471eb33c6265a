//! Something to health-check that a story turns on and off.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// An HTTP server on loopback that answers 200 while it is on, and 503 while it is off.
#[derive(Debug)]
pub(crate) struct Switch {
    on: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    address: SocketAddr,
    /// When it has answered 200 since it last answered 503.
    answered: Arc<Mutex<Vec<jiff::Timestamp>>>,
}

impl Switch {
    /// Off.
    pub(crate) fn new() -> Self {
        Self::at(0)
    }

    /// Off, at a port that is free: one that Nomad has given an allocation.
    pub(crate) fn at(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (on, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let answered = Arc::new(Mutex::new(Vec::new()));
        let (is_on, is_over, has_answered) = (Arc::clone(&on), Arc::clone(&over), Arc::clone(&answered));
        thread::spawn(move || {
            for client in listener.incoming().flatten().take_while(|_| !is_over.load(Ordering::SeqCst)) {
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
            }
        });
        Self { on, over, address, answered }
    }

    /// The port to check.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
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

impl Drop for Switch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the server, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(mut client: TcpStream, status: &str) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let _head = client.read(&mut request)?;
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
