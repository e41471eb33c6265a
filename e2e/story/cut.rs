//! A way to Nomad that is cut after so many connections: as if it had gone away in the middle.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The way. Nobody else gets its port: it is kept as long as the story's process lives.
pub(crate) struct Cut(SocketAddr);

impl Cut {
    /// Leads to `url`, and lets so many connections through. The next is closed at once, and so are all after it.
    pub(crate) fn after(url: &str, n: usize) -> Self {
        let nomad: SocketAddr = url.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it has an address");
        let through = move || {
            for (n_before, stream) in listener.incoming().flatten().enumerate() {
                if n_before >= n {
                    continue;
                }
                let Ok(there) = TcpStream::connect(nomad) else { return };
                let (Ok(back), Ok(front)) = (stream.try_clone(), there.try_clone()) else { return };
                thread::spawn(move || pump(back, front));
                thread::spawn(move || pump(there, stream));
            }
        };
        thread::spawn(through);
        Self(address)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

/// Brings over what comes, until nothing comes any more.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    // Either end may be gone.
    let _gone = io::copy(&mut from, &mut to);
    let _gone = to.shutdown(Shutdown::Write);
}
