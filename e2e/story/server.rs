//! What stands behind everything that a story serves by itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A server on loopback that takes one client after the other, as long as there is somebody who has it.
#[derive(Debug)]
pub(crate) struct Server {
    over: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Server {
    /// At a free port.
    pub(crate) fn new(serve: impl FnMut(TcpStream) + Send + 'static) -> Self {
        Self::at(0, serve)
    }

    /// At this port, which nobody has.
    pub(crate) fn at(port: u16, serve: impl FnMut(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        thread::spawn(move || {
            let clients = listener.incoming().flatten();
            clients.take_while(|_| !is_over.load(Ordering::SeqCst)).for_each(serve);
        });
        Self { over, address }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes it, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}
