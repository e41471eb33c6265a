//! The `stop` block of a tree: what is stopped when its verb is `stop`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which jobs of a tree are stopped, and how. It counts only where the verb is [`super::Verb::Stop`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Whether Nomad is to forget the jobs.
    pub purge: bool,
    /// Jobs that are left as they are.
    pub exclude: Vec<String>,
    /// Only this job is stopped; `None`: all of them.
    pub target: Option<String>,
    /// Whether what the target depends on is stopped with it, as far as nothing else needs it.
    pub with_dependencies: bool,
    /// How long a stopped job may take until nothing of it runs any more, in milliseconds.
    #[serde(with = "super::millis")]
    pub timeout: Duration,
}

impl Stop {
    /// [`Stop::timeout`] where the user gives none.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(5);
    /// What the block is called, for messages.
    pub const PLACE: &'static str = "stop";
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            purge: false,
            exclude: Vec::new(),
            target: None,
            with_dependencies: false,
            timeout: Self::DEFAULT_TIMEOUT,
        }
    }
}
