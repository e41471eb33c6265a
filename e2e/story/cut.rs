//! A way to Nomad that is cut after so many connections, or when a story says so: as if Nomad had gone away in the middle.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The way. Nobody else gets its port: it is kept as long as the story's process lives.
pub(crate) struct Cut {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// How many more connections are let through.
    left: usize,
    open: Vec<TcpStream>,
}

impl State {
    /// Closes all that is open.
    fn close(&mut self) {
        self.left = 0;
        for stream in self.open.drain(..) {
            // It may be over already.
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Cut {
    /// Leads to `url`, and lets so many connections through. The next is closed at once, with all before it and after it.
    pub(crate) fn after(url: &str, n: usize) -> Self {
        let nomad: SocketAddr = url.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(Mutex::new(State { left: n, open: Vec::new() }));
        let shared = Arc::clone(&state);
        let through = move || {
            for stream in listener.incoming().flatten() {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if state.left == 0 {
                    state.close();
                    continue;
                }
                state.left -= 1;
                let Ok(there) = TcpStream::connect(nomad) else { return };
                let Ok(kept) = stream.try_clone() else { return };
                state.open.push(kept);
                if join(stream, there).is_err() {
                    return;
                }
            }
        };
        thread::spawn(through);
        Self { address, state }
    }

    /// Cuts it.
    pub(crate) fn now(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).close();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Brings over what comes from either side, from now on.
pub(super) fn join(one: TcpStream, other: TcpStream) -> io::Result<()> {
    let (from, to) = (one.try_clone()?, other.try_clone()?);
    thread::spawn(move || pump(from, to));
    thread::spawn(move || pump(other, one));
    Ok(())
}

/// Brings over what comes, until nothing comes any more.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    // Either end may be gone.
    let _gone = io::copy(&mut from, &mut to);
    let _gone = to.shutdown(Shutdown::Write);
}
