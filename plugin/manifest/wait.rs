//! One `wait` block, checked.

use std::{ops::Not, time::Duration};

use serde::{Deserialize, Serialize};

use super::{AtLeast, Guard, HealthSource, OnBlocked, OnTimeout, Subject, Until};
use crate::cluster::{Place, Question};

/// Something that must be so before the gate opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// What is looked at.
    pub subject: Subject,
    /// What must be so of it; `None` is the default of its kind: healthy for what runs on, complete for what ends.
    pub until: Option<Until>,
    /// How many allocations of each awaited group are enough; `None` is all.
    pub at_least: Option<AtLeast>,
    /// Whether allocations of older versions count as well.
    pub any_version: bool,
    /// How long to wait, from the start of the task.
    #[serde(with = "super::millis")]
    pub timeout: Duration,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// What happens when Nomad finds no room for the job.
    pub on_blocked: OnBlocked,
    /// Waits that must hold before this one is looked at.
    pub depends_on: Vec<String>,
    /// How long it must be so without a break.
    #[serde(default, skip_serializing_if = "Duration::is_zero", with = "super::millis")]
    pub stable_for: Duration,
    /// Whether what does not exist, or has failed for good, holds nothing back.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub optional: bool,
    /// What a guard does when it is lost; `None` in a gate or a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

impl Wait {
    /// Whether the job's own checks count for it, and not only what Nomad says of its health.
    pub fn asks_checks(&self) -> bool {
        matches!(self.until, None | Some(Until::Healthy))
            && matches!(self.subject, Subject::Job { source: HealthSource::Live, .. })
    }
}

impl Wait {
    /// The time limit where the user gives none.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(5);

    /// A wait with the defaults of all that can be said of it.
    pub fn new(subject: Subject) -> Self {
        Self {
            subject,
            until: None,
            at_least: None,
            any_version: false,
            timeout: Self::DEFAULT_TIMEOUT,
            on_timeout: OnTimeout::Fail,
            on_blocked: OnBlocked::Wait,
            depends_on: Vec::new(),
            stable_for: Duration::ZERO,
            optional: false,
            guard: None,
        }
    }

    /// What a task at `place` asks for it, beside the jobs that it looks at.
    pub fn question(&self, place: &Place) -> Option<Question> {
        match (&self.subject, self.until) {
            (Subject::Task { .. }, None | Some(Until::Healthy)) => {
                Some(Question::OwnChecks { alloc: place.alloc.clone() })
            }
            (subject, _) => subject.question(place),
        }
    }
}
