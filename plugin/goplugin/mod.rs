//! The host side of a plugin: how a program that go-plugin starts finds its host, and how it ends.
//!
//! ```text
//!   host ── cookie in the environment ──▶ Handshake::greet
//!        ◀── 1|2|unix|<socket>|grpc| ──── Socket, announce
//!        ── connections ────────────────▶ serve: the plugin's services, and Controller, Stdio, Broker
//!        ◀── JSON lines on stderr ─────── hclog
//! ```
//!
//! It knows nothing of Nomad: cookie, protocol and services are given to it.
//!
//! # Invariants
//!
//! * Nothing before the handshake line can fail except the socket, and that has three places to try: a host that sees
//!   one failed start gives up every task of this plugin.
//! * Standard output carries the handshake line and nothing else.
//! * The process ends by itself within [`GRACE`] of the answer to `Shutdown`, and when no host has been there for long.

mod broker;
mod codec;
mod connections;
mod controller;
mod handshake;
pub mod hclog;
mod pb;
mod serve;
mod signals;
mod socket;
mod stdio;
#[cfg(test)]
mod tests;

pub use codec::SmallCodec;
pub use handshake::{Handshake, announce};
pub use serve::{Ended, Error, GRACE, ORPHAN_AFTER, serve};
pub use socket::Socket;
