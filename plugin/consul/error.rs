//! What can go wrong between dtree and Consul, said so that the reader can act on it.

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::http::SPEAKS_TLS;

/// In whose name Consul is asked. Only messages and hints use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The plugin, for all tasks of its client.
    Plugin,
    /// Whoever sits at the command line.
    User,
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plugin => "the dtree plugin",
            Self::User => "your token",
        })
    }
}

/// A request to Consul that gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with the token cannot be read.
    #[error("cannot read Consul's token in `{}`: {source}", path.display())]
    TokenFile {
        /// Whose it is.
        asker: Asker,
        /// Its path on the client.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// No answer: name resolution, TCP, the socket file, or a connection that broke.
    #[error("cannot reach Consul at {address}: {why}")]
    Unreachable {
        /// Who asked.
        asker: Asker,
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
        /// Who asked.
        asker: Asker,
        /// A verb phrase: "read service `db`".
        wanted: String,
        /// As the operator gave it.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// The token lacks a right, or is none.
    #[error("Consul does not allow {asker} to {wanted}: {said}")]
    Denied {
        /// Who asked.
        asker: Asker,
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
        /// Who asked.
        asker: Asker,
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
    /// Whether Consul was reached and does not let the asker see what was asked for.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }

    /// What whoever asked can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { asker: Asker::Plugin, right, .. } => Some(format!(
                "give the token in `consul.token_file` of the plugin's configuration a policy with the rules\n  {right}"
            )),
            Self::Denied { asker: Asker::User, right, .. } => {
                Some(format!("set CONSUL_HTTP_TOKEN to a token that has a policy with the rules\n  {right}"))
            }
            Self::Unreachable { hint: Some(hint), .. } => Some(hint.clone()),
            Self::Refused { asker, said, .. } if said.contains(SPEAKS_TLS) => Some(
                match asker {
                    Asker::Plugin => "write `https://` in `consul.address` of the plugin's configuration",
                    Asker::User => {
                        "write `https://` before the address of Consul, or set CONSUL_HTTP_SSL=true"
                    }
                }
                .to_owned(),
            ),
            Self::Unreachable { asker, hint: None, .. } | Self::TimedOut { asker, .. } => Some(
                match asker {
                    Asker::Plugin => {
                        "check that Consul is up, and `consul.address` in the plugin's configuration"
                    }
                    Asker::User => "check that Consul is up, and its address: `--consul-addr`",
                }
                .to_owned(),
            ),
            Self::TokenFile { asker, .. } => Some(
                match asker {
                    Asker::Plugin => "check `consul.token_file` in the plugin's configuration",
                    Asker::User => "check CONSUL_HTTP_TOKEN_FILE",
                }
                .to_owned(),
            ),
            Self::Refused { .. } | Self::Garbled { .. } | Self::TooLong { .. } => None,
        }
    }
}
