//! One `webhook` block, checked.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// An address that is told how a run ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where: `http://host[:port][/path]`, or `https://…`. It may hold a secret, and is never told.
    pub url: String,
    /// The host and port in it, as the user wrote them.
    pub host: String,
    /// More headers of the request. They may hold secrets.
    pub headers: BTreeMap<String, String>,
    /// Whether a run that ended well is told, if it changed anything.
    pub on_success: bool,
    /// Whether a run that failed is told.
    pub on_failure: bool,
    /// How long one try may take, in milliseconds.
    #[serde(with = "super::millis")]
    pub timeout: Duration,
}

impl Webhook {
    /// [`Webhook::timeout`] where the user gives none.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// Whether it is told of a run that ended so.
    pub fn wants(&self, is_good: bool) -> bool {
        if is_good { self.on_success } else { self.on_failure }
    }

    /// The host, and port if there is one, of an address.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without repeating it: what may follow "url" in a sentence.
    pub fn host_of(url: &str) -> Result<&str, &'static str> {
        let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
            return Err("is no address: it begins with `http://` or `https://`");
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return Err("has a user in it; write it as a header: `headers = { Authorization = \"…\" }`");
        }
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']' | '_');
        if host.is_empty() || !host.chars().all(is_good) || url.chars().any(|c| c.is_control() || c == ' ') {
            return Err("has no host that could be looked up");
        }
        Ok(host)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, host, headers, on_success, on_failure, timeout } = self;
        f.debug_struct("Webhook")
            .field("host", host)
            .field("headers", &headers.keys())
            .field("on_success", on_success)
            .field("on_failure", on_failure)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}
