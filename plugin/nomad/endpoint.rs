//! Where Nomad listens.

use super::{Endpoint, Error};
use crate::http::Trust;

/// Nomad's port where an address names none.
const DEFAULT_PORT: u16 = 4646;

/// [`endpoint_with`] the system's authorities, and nothing to show to the server.
pub fn endpoint(address: &str) -> Result<Endpoint, Error> {
    endpoint_with(address, &Trust::default())
}

/// Reads `http://host:port`, `unix:///path`, or `https://host:port`, whose server proves who it is as `trust` says.
pub fn endpoint_with(address: &str, trust: &Trust) -> Result<Endpoint, Error> {
    Endpoint::read(address, DEFAULT_PORT, trust)
        .map_err(|why| Error::BadAddress { address: address.to_owned(), why })
}
