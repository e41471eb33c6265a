//! Consul's HTTP API, as far as dtree asks it: the health of services, and keys.
//!
//! # Invariants
//!
//! * Every request ends: after ten seconds, or after [`WAIT`] and a little when it waits for what comes next; and with at
//!   most 2 MiB read.
//! * Nothing that Consul or someone in its place sends makes dtree panic, and what is not understood is an error, never good
//!   news: only the word `passing` passes.
//! * The token is read anew for each request, sent to the configured address only, and never shown.
//!
//! It does not retry or remember anything: that is `probe/`.

mod client;
mod error;
#[cfg(test)]
mod tests;
mod wire;

use std::{path::PathBuf, time::Duration};

pub use self::{
    client::{Read, endpoint, endpoint_with},
    error::Error,
};
pub use crate::http::{Endpoint, Trust};

/// How long Consul holds a request for what comes next, and up to a sixteenth more.
const WAIT: Duration = Duration::from_secs(25);

/// A way to Consul.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consul {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The file with the token. Without, Consul's anonymous token counts.
    pub token_file: Option<PathBuf>,
}
