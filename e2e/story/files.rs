//! Files that a story serves over HTTP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// An HTTP server on loopback with a few files.
#[derive(Debug)]
pub(crate) struct Files {
    over: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Files {
    /// Names, without a slash, and texts.
    pub(crate) fn serve(files: BTreeMap<String, String>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        thread::spawn(move || {
            for client in listener.incoming().flatten().take_while(|_| !is_over.load(Ordering::SeqCst)) {
                // A client that goes away is no concern of ours.
                let _sent = answer(client, &files);
            }
        });
        Self { over, address }
    }

    /// Where a file is.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the server, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn answer(mut client: TcpStream, files: &BTreeMap<String, String>) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let n = client.read(&mut request)?;
    let request = String::from_utf8_lossy(request.get(..n).unwrap_or_default()).into_owned();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let name = path.trim_start_matches('/').split('?').next().unwrap_or_default();
    let (status, text) = files.get(name).map_or(("404 Not Found", ""), |text| ("200 OK", text.as_str()));
    let length = text.len();
    let body = if method == "HEAD" { "" } else { text };
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
