//! Something in front of a server that a story has answer badly, or not at all.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::{Server, cut::join};

/// How those are treated who connect from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// They are connected, and hear nothing.
    Hangs,
    /// They are answered without an end.
    Floods,
    /// They are answered with what is no HTTP.
    Babbles,
    /// They are answered by the server.
    Passes,
}

/// A TCP relay on loopback. Who has connected is treated to the end as he was at first.
#[derive(Debug)]
pub(crate) struct Relay {
    state: Arc<Mutex<State>>,
    server: Server,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    /// How many have connected since the manner is this.
    callers: usize,
    /// The most bytes that one of them has been sent in a flood.
    most: usize,
    /// Those who hear nothing.
    silent: Vec<TcpStream>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// In front of the server at this port of loopback.
    pub(crate) fn to(port: u16, manner: Manner) -> Self {
        let state = Arc::new(Mutex::new(State { manner, callers: 0, most: 0, silent: Vec::new() }));
        let now = Arc::clone(&state);
        let server = Server::new(move |client| {
            let mut state = locked(&now);
            state.callers += 1;
            match state.manner {
                Manner::Hangs => state.silent.push(client),
                Manner::Floods => {
                    let now = Arc::clone(&now);
                    thread::spawn(move || flood(client, &now));
                }
                Manner::Babbles => drop(babble(client)),
                Manner::Passes => drop(pass(client, port)),
            }
        });
        Self { state, server }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// From now on.
    pub(crate) fn turns(&self, manner: Manner) {
        let mut state = locked(&self.state);
        (state.manner, state.callers) = (manner, 0);
    }

    /// How many have connected since it last turned.
    pub(crate) fn callers(&self) -> usize {
        locked(&self.state).callers
    }

    /// The most bytes that anybody took of a flood.
    pub(crate) fn most(&self) -> usize {
        locked(&self.state).most
    }
}

/// Ends when the client has had enough.
fn flood(mut client: TcpStream, state: &Mutex<State>) {
    let mut sent = 0;
    let mut more = b"HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\n\r\n".to_vec();
    while client.write_all(&more).is_ok() {
        sent += more.len();
        more.resize(1 << 16, b'[');
        let mut state = locked(state);
        state.most = state.most.max(sent);
    }
}

fn babble(mut client: TcpStream) -> io::Result<()> {
    client.write_all(b"\x00\x01 who are you?\r\n\r\n")
}

fn pass(client: TcpStream, port: u16) -> io::Result<()> {
    join(client, TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)
}
