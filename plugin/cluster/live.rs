//! What an allocation's own checks say, asked of its client while somebody waits for them.
//!
//! Nomad gives its verdict on an allocation's health once, one to two seconds late, and is silent afterwards. Its client
//! knows the checks' results at every moment.

use std::time::Duration;

use super::{Check, CheckStatus};

/// How it is with the checks of one allocation that count for health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveChecks {
    /// Each of them has succeeded each time they were asked, while the main tasks ran on.
    Passing {
        /// For how long at least, the last time they were asked.
        lasted: Duration,
    },
    /// None fails, but not each of them has a result of the main tasks as they run now.
    Pending,
    /// This one fails.
    Failing {
        /// Its name.
        check: String,
        /// What it says, perhaps nothing.
        output: String,
    },
    /// They cannot be asked: why.
    Unknown(String),
}

impl LiveChecks {
    /// What these results say of an allocation of a group with `wanted` checks, of whose main tasks one was last started again
    /// in the second `restarted`: they pass from now on, or do not.
    pub fn of(checks: &[Check], wanted: u32, restarted: Option<i64>) -> Self {
        let is = |status| move |check: &&Check| check.status_since(restarted) == status;
        if let Some(failing) = checks.iter().find(is(CheckStatus::Failure)) {
            return Self::Failing { check: failing.name.clone(), output: failing.output.clone() };
        }
        let passing = checks.iter().filter(is(CheckStatus::Success)).count();
        let is_whole = u32::try_from(passing).is_ok_and(|passing| passing >= wanted);
        if is_whole && passing == checks.len() {
            Self::Passing { lasted: Duration::ZERO }
        } else {
            Self::Pending
        }
    }
}
