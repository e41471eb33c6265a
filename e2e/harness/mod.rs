//! A real Nomad, for the stories and the demo.
//!
//! ```text
//! Cluster ──▶ Agent (a process)      warden (cleans up when this process ends, however it does)
//!        └──▶ Api   (HTTP of our own)
//! ```
//!
//! Nothing in here uses the library: what judges the product shares no code with it.

mod agent;
mod binaries;
mod cluster;
mod consul;
mod http;
pub(crate) mod shop;
mod sweep;

use std::net::SocketAddr;

pub(crate) use agent::{Agent, Options, free_ports};
pub(crate) use binaries::Binaries;
pub(crate) use cluster::{Cluster, interrupt, is_interrupted, seconds, wait_for};
pub(crate) use consul::Consul;
pub(crate) use http::Api;
pub(crate) use shop::Shop;
pub(crate) use sweep::Remains;

/// The body of `GET /` at an address.
pub(crate) fn fetch(address: SocketAddr) -> Result<String, http::Error> {
    http::request(address, "GET", "/", None, "")
}
