//! What can go wrong between dtree and Consul, said so that the reader can act on it.

use std::{io, path::PathBuf, time::Duration};

use crate::http::SPEAKS_TLS;

/// A request to Consul that gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with the token cannot be read.
    #[error("cannot read Consul's token in `{}`: {source}", path.display())]
    TokenFile {
        /// Its path on the client.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// No answer: name resolution, TCP, the socket file, or a connection that broke.
    #[error("cannot reach Consul at {address}: {why}")]
    Unreachable {
        /// As the operator gave it.
        address: String,
        /// The transport's own words.
        why: String,
        /// What TLS's own trouble asks for.
        hint: Option<String>,
    },
    /// No answer in time.
    #[error("Consul at {address} did not answer within {} s when asked to {wanted}", after.as_secs())]
    TimedOut {
        /// A verb phrase: "read service `db`".
        wanted: String,
        /// As the operator gave it.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// The token lacks a right, or is none.
    #[error("Consul does not allow the dtree plugin to {wanted}: {said}")]
    Denied {
        /// A verb phrase.
        wanted: String,
        /// The rules of a policy that grants it.
        right: String,
        /// Consul's reason, first line only.
        said: String,
    },
    /// Consul answered, but neither with what was asked for nor with a denial.
    #[error("Consul answered {status} when asked to {wanted}: {said}")]
    Refused {
        /// A verb phrase.
        wanted: String,
        /// The HTTP status.
        status: u16,
        /// Consul's reason, first line only.
        said: String,
    },
    /// The answer is not what Consul's API promises.
    #[error("cannot understand Consul's answer when asked to {wanted}: {how}")]
    Garbled {
        /// A verb phrase.
        wanted: String,
        /// What is wrong with it, without repeating it.
        how: String,
    },
    /// The answer was cut off before it could fill the memory.
    #[error("Consul's answer when asked to {wanted} is longer than {limit} bytes")]
    TooLong {
        /// A verb phrase.
        wanted: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Error {
    /// Whether Consul was reached and does not let the plugin see what was asked for.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { right, .. } => Some(format!(
                "give the token in `consul.token_file` of the plugin's configuration a policy with the rules\n  {right}"
            )),
            Self::Unreachable { hint: Some(hint), .. } => Some(hint.clone()),
            Self::Refused { said, .. } if said.contains(SPEAKS_TLS) => {
                Some("write `https://` in `consul.address` of the plugin's configuration".to_owned())
            }
            Self::Unreachable { hint: None, .. } | Self::TimedOut { .. } => {
                Some("check that Consul is up, and `consul.address` in the plugin's configuration".to_owned())
            }
            Self::TokenFile { .. } => {
                Some("check `consul.token_file` in the plugin's configuration".to_owned())
            }
            Self::Refused { .. } | Self::Garbled { .. } | Self::TooLong { .. } => None,
        }
    }
}
