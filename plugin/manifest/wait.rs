//! One `wait` block, checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AtLeast, HealthSource, OnBlocked, OnTimeout, Until, is_default};
use crate::cluster::{JobId, JobKey, Namespace, Place};

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
}

/// What a wait looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// A job.
    Job {
        /// Its ID.
        job: JobId,
        /// Its namespace; `None` is the task's own.
        namespace: Option<Namespace>,
        /// Only this group of it; `None` is all groups.
        group: Option<String>,
        /// Whose word on its health counts.
        #[serde(default, skip_serializing_if = "is_default")]
        source: HealthSource,
    },
    /// Another task of the gate's own allocation.
    Task {
        /// Its name.
        task: String,
    },
}

impl Subject {
    /// The job that a task at `place` looks at for this subject; `None` for a task of the own allocation.
    pub fn job(&self, place: &Place) -> Option<JobKey> {
        match self {
            Self::Job { job, namespace, .. } => Some(JobKey {
                namespace: namespace.clone().unwrap_or_else(|| place.job.namespace.clone()),
                job: job.clone(),
            }),
            Self::Task { .. } => None,
        }
    }
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
}
