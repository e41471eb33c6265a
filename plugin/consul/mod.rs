//! Consul's HTTP API, as far as dtree asks it: the health of services, and keys.
//!
//! # Invariants
//!
//! * Every request ends: after ten seconds, or after [`WAIT`] and a little when it waits for what comes next; and with at
//!   most 2 MiB read.
//! * Nothing that Consul or someone in its place sends makes dtree panic, and what is not understood is an error, never good
//!   news: only the word `passing` passes.
//! * The token is sent to the configured address only, and never shown. One in a file is read anew for each request.
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
    error::{Asker, Error},
};
pub use crate::http::{Endpoint, Token, Trust};

/// How long Consul holds a request for what comes next, and up to a sixteenth more.
const WAIT: Duration = Duration::from_secs(25);

/// A way to Consul.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consul {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What is shown to it.
    pub bearer: Bearer,
}

/// Whose token is shown to Consul. Without one its anonymous token counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// The plugin's, in a file that its configuration names.
    Plugin(Option<PathBuf>),
    /// That of whoever sits at the command line.
    User {
        /// The token itself, which counts before the file.
        token: Option<Token>,
        /// The file with it.
        file: Option<PathBuf>,
    },
}

impl Bearer {
    /// Who asks, for messages.
    fn asker(&self) -> Asker {
        match self {
            Self::Plugin(_) => Asker::Plugin,
            Self::User { .. } => Asker::User,
        }
    }

    fn given(&self) -> Option<&Token> {
        match self {
            Self::Plugin(_) => None,
            Self::User { token, .. } => token.as_ref(),
        }
    }

    fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Plugin(file) | Self::User { file, .. } => file.as_ref(),
        }
    }
}
