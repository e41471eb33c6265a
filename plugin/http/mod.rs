//! One connection, one request at a time: what every client of an HTTP API here is made of.
//!
//! # Invariants
//!
//! * The connection is driven by whoever waits for its answer, so that nothing runs in the background, and dropping the
//!   answer ends it. One that is kept for the next request ([`Spares`]) lives no longer than whoever keeps it.
//! * Nothing here waits by itself or reads to an end: time and size are bounded by the callers, who know what is sensible.
//! * A token is never shown, nor is a key.

mod connection;
mod encode;
mod endpoint;
#[cfg(test)]
pub(crate) mod fake;
mod session;
mod tls;
mod token;

pub use self::{
    connection::{Io, Opened, Spares, Stale, open},
    encode::encode,
    endpoint::Endpoint,
    session::{Session, SessionEnd},
    tls::{Names, Tls, TlsFault, Trust, go_bool},
    token::Token,
};

/// What a server in Go says in plain HTTP to who does not speak TLS with it.
pub const SPEAKS_TLS: &str = "Client sent an HTTP request to an HTTPS server";
