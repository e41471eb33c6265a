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
    /// When it last answered 200 after it had not.
    passed: Arc<Mutex<Option<jiff::Timestamp>>>,
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
        let passed = Arc::new(Mutex::new(None));
        let (is_on, is_over, has_passed) = (Arc::clone(&on), Arc::clone(&over), Arc::clone(&passed));
        thread::spawn(move || {
            for client in listener.incoming().flatten().take_while(|_| !is_over.load(Ordering::SeqCst)) {
                let good = is_on.load(Ordering::SeqCst);
                let status = if good { "200 OK" } else { "503 Service Unavailable" };
                let mut passed = has_passed.lock().unwrap_or_else(PoisonError::into_inner);
                *passed = passed.or_else(|| Some(jiff::Timestamp::now())).filter(|_| good);
                drop(passed);
                // A checker that goes away is no concern of ours.
                let _sent = answer(client, status);
            }
        });
        Self { on, over, address, passed }
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
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
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
