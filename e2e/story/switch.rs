//! Something to health-check that a story turns on and off.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// An HTTP server on loopback that answers 200 while it is on, and 503 while it is off.
#[derive(Debug)]
pub(crate) struct Switch {
    on: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Switch {
    /// Off.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (on, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_on, is_over) = (Arc::clone(&on), Arc::clone(&over));
        thread::spawn(move || {
            for client in listener.incoming().flatten().take_while(|_| !is_over.load(Ordering::SeqCst)) {
                let status = if is_on.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
                // A checker that goes away is no concern of ours.
                let _sent = answer(client, status);
            }
        });
        Self { on, over, address }
    }

    /// The port to check.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// 200 from now on.
    pub(crate) fn turn_on(&self) {
        self.on.store(true, Ordering::SeqCst);
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
