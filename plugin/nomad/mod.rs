//! Nomad's HTTP API, as far as dtree uses it: over TCP and over the Task API's Unix socket.
//!
//! ```text
//!   Client ──▶ transport ──▶ one connection per request
//!     │            │
//!     │           JSON
//!     ▼            ▼
//!   query        wire ──▶ convert ──▶ cluster::{Job, Allocation, …}
//! ```
//!
//! # Invariants
//!
//! * Every request ends: after ten seconds at the latest, and with at most 64 MiB read.
//! * Nothing that Nomad or someone in its place sends makes dtree panic, and nothing that is not understood counts as
//!   good news: an unknown status is an error.
//! * A token is only ever sent to the endpoint its client was made for.
//!
//! It does not retry, pool or remember anything: that is `watch/`.

mod chunks;
mod client;
mod convert;
mod endpoint;
mod error;
mod exec;
#[cfg(test)]
pub(crate) mod fake;
mod forecast;
mod gates;
mod lifecycle;
mod query;
mod rights;
mod services;
mod stream;
mod survey;
#[cfg(test)]
mod tests;
mod transport;
mod variables;
mod wire;
mod writes;

pub use client::{Asker, Client, JobStub, Read};
pub use endpoint::{endpoint, endpoint_with};
pub use error::Error;
pub use exec::Executed;
pub use forecast::{Change, Forecast};
pub use rights::{Access, Capability, Right, Rights};
pub use services::{Instance, Offer};
pub use stream::{Beat, EventStream, Topics, Transaction, Update};
pub use survey::{Declaration, Driver, DriverSight, Owned, Placed};
pub use variables::{Cas, Lock, Variable, VariableStub};
pub use writes::LogStream;

pub use crate::http::{Endpoint, Token, Trust};
