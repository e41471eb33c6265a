//! What a guard does about a wait that held and is lost.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OnLoss;

/// What is done when a wait is lost, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// What is done.
    pub on_loss: OnLoss,
    /// How long the loss must last, seen without a break.
    #[serde(with = "super::millis")]
    pub grace: Duration,
    /// Which signal is sent where that is what is done, as Nomad names it.
    pub signal: Option<String>,
    /// To which tasks; all main tasks where there is none.
    pub tasks: Vec<String>,
    /// How often the task may act in each `period`, whatever the wait.
    pub max_actions: u32,
    /// See `max_actions`.
    #[serde(with = "super::millis")]
    pub period: Duration,
}

impl Guard {
    /// How long a loss must last where the user does not say.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);
    /// The shortest loss: what is read of several lists is not one instant.
    pub const LEAST_GRACE: Duration = Duration::from_secs(1);
    /// The signal where the user does not say.
    pub const DEFAULT_SIGNAL: &str = "SIGHUP";
    /// How often a guard acts in a period where the user does not say.
    pub const DEFAULT_MAX_ACTIONS: u32 = 3;
    /// The most that makes sense to write.
    pub const MOST_ACTIONS: u32 = 100;
    /// The period where the user does not say.
    pub const DEFAULT_PERIOD: Duration = Duration::from_mins(10);
    /// The signals that can be sent.
    pub const SIGNALS: &[&str] = &[
        "SIGABRT", "SIGALRM", "SIGCONT", "SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGSTOP", "SIGTERM",
        "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGWINCH",
    ];
}
