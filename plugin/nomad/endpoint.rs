//! Where Nomad listens.

use super::{Endpoint, Error};

/// Nomad's port where an address names none.
const DEFAULT_PORT: u16 = 4646;

/// Reads `http://host:port` or `unix:///path`.
pub fn endpoint(address: &str) -> Result<Endpoint, Error> {
    Endpoint::read(address, DEFAULT_PORT)
        .map_err(|why| Error::BadAddress { address: address.to_owned(), why })
}
