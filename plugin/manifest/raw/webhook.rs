//! One `webhook` block as it arrives.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::block::Block;
use crate::manifest;

/// The longest time that one try may take: it holds nothing back, but it is kept in memory.
const LONGEST: std::time::Duration = std::time::Duration::from_mins(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    url: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    on: Option<Vec<String>>,
    timeout: Option<String>,
}

impl Webhook {
    /// The block with typed values; what is wrong with it is told to `block`.
    pub(super) fn check(self, mut block: Block<'_>) -> manifest::Webhook {
        let host = match self.url.as_deref().map(manifest::Webhook::host_of) {
            Some(Ok(host)) => host.to_owned(),
            Some(Err(why)) => {
                // The address may hold a secret: it is never repeated.
                block.problem(format!("url {why}"));
                String::new()
            }
            None => {
                block.problem_with_help("has no url", "write `url = \"http://HOST/PATH\"`");
                String::new()
            }
        };
        let headers = self.headers.unwrap_or_default();
        for (name, value) in &headers {
            let is_name = !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            if !is_name || value.chars().any(char::is_control) {
                block.problem(format!("headers has {name:?}, of which HTTP can make no header"));
            }
        }
        let words = self.on.unwrap_or_else(|| vec!["success".to_owned(), "failure".to_owned()]);
        for word in words.iter().filter(|word| !matches!(word.as_str(), "success" | "failure")) {
            block.problem(format!("on has {word:?}, which is none of success, failure"));
        }
        if words.is_empty() {
            block.problem("on is empty, so it would never be sent");
        }
        let timeout = block.time_limit("timeout", self.timeout);
        if timeout.is_some_and(|timeout| timeout > LONGEST) {
            block.problem("timeout is more than 1m for one try");
        }
        manifest::Webhook {
            url: self.url.unwrap_or_default(),
            host,
            headers,
            on_success: words.iter().any(|word| word == "success"),
            on_failure: words.iter().any(|word| word == "failure"),
            timeout: timeout.unwrap_or(manifest::Webhook::DEFAULT_TIMEOUT),
        }
    }
}
