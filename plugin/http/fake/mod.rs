//! A peer for tests, on a socket of the loopback: it answers each connection as the test says.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a connection is answered.
pub(crate) enum Reply {
    /// These bytes, and its end.
    Bytes(Vec<u8>),
    /// These bytes, and then whatever is asked next on the same connection.
    Stays(Vec<u8>),
    /// These bytes, and then nothing for ever.
    Stalls(Vec<u8>),
    /// This head, and then more and more.
    Flood(Vec<u8>),
}

impl Reply {
    /// A whole answer. `headers` are lines with their ends.
    pub(crate) fn http(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(
            format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes(),
        )
    }
}

impl Reply {
    /// The same, and the connection stays for the next request.
    pub(crate) fn stays(self) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Stays(bytes),
            other => other,
        }
    }
}

/// The peer. Everything ends when it is dropped.
pub(crate) struct Peer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Peer {
    /// Answers each request, given its head, so. Who connects and says nothing is let go.
    pub(crate) async fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    /// The same at an address.
    pub(crate) async fn start_at(
        address: &str,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (requests, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let (tracker, seen, ends) = (TaskTracker::new(), Arc::clone(&requests), stop.clone());
        let serving = tracker.clone();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tracker.spawn(async move {
            let accept = async {
                loop {
                    let (stream, _peer) = listener.accept().await.unwrap();
                    accepted.fetch_add(1, Ordering::Relaxed);
                    let (seen, answer, ends) = (Arc::clone(&seen), Arc::clone(&answer), ends.clone());
                    serving.spawn(async move {
                        let served = serve(stream, &seen, &*answer);
                        ends.run_until_cancelled(served).await
                    });
                }
            };
            ends.run_until_cancelled(accept).await
        });
        Self { address, requests, connections, stop }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many have connected.
    pub(crate) fn n_connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many requests there were.
    pub(crate) fn n_requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// The heads of the requests so far, one empty for each connection that said nothing; and forgets them.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>, answer: &(impl Fn(&str) -> Reply + Sync)) {
    let mut is_first = true;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_ended) => break,
            }
        }
        if head.is_empty() && !is_first {
            return;
        }
        is_first = false;
        let head = String::from_utf8(head).unwrap();
        seen.lock().unwrap().push(head.clone());
        if head.is_empty() {
            return;
        }
        // The other side may have had enough.
        match answer(&head) {
            Reply::Bytes(bytes) => return drop(stream.write_all(&bytes).await),
            Reply::Stays(bytes) => drop(stream.write_all(&bytes).await),
            Reply::Stalls(bytes) => {
                drop(stream.write_all(&bytes).await);
                std::future::pending::<()>().await;
            }
            Reply::Flood(head) => {
                drop(stream.write_all(&head).await);
                let more = vec![b'x'; 64 << 10];
                while stream.write_all(&more).await.is_ok() {}
            }
        }
    }
}

/// Looks again and again, for a while.
pub(crate) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it did not come about");
}
