//! A real Nomad to tell stories about.
//!
//! ```text
//! Story ──▶ Cluster ──▶ Agent (a process)        warden (cleans up when this process ends, however it does)
//!   │          └──────▶ Api   (HTTP of our own)
//!   └──▶ jobs (jobspecs as text), Switch (something to health-check)
//! ```
//!
//! Nothing in here uses the library: what judges the product shares no code with it.

mod agent;
mod binaries;
mod cluster;
mod http;
pub(crate) mod shop;
mod sweep;

use std::net::SocketAddr;

pub(crate) use agent::Options;
pub(crate) use cluster::{Cluster, interrupt, is_interrupted, seconds, wait_for};
pub(crate) use shop::Shop;

/// The body of `GET /` at an address.
pub(crate) fn fetch(address: SocketAddr) -> Result<String, http::Error> {
    http::request(address, "GET", "/", None, "")
}
