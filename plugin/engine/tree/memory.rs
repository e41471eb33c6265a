//! What a run of a tree must not forget: written down before it acts, and when it knows what came of it.
//!
//! What is not in here is found in the cluster: whose a job is and from what it was made stands in its marks, that its
//! post hooks have run in its version tag, and what became of a hook in the hook's own job, whose ID follows from what
//! it is for. So a run that has lost its memory repeats nothing; what it loses are its time limits and its report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    cluster::{JobKey, JobVersion, RaftIndex, SpecHash},
    condition::Rollout,
    engine::{Submission, Time},
};

/// One line of memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// The run began.
    Began {
        /// When.
        at: Time,
    },
    /// A step came so far.
    Step {
        /// Its name.
        name: String,
        /// When.
        at: Time,
        /// How far.
        memory: Memory,
    },
    /// The run is over but for its last hooks.
    Concluded {
        /// When.
        at: Time,
        /// Whether everything was as it should be.
        is_good: bool,
        /// What it came to.
        message: String,
    },
    /// The run is over.
    Ended {
        /// When.
        at: Time,
        /// Whether everything was as it should be.
        is_good: bool,
        /// How.
        message: String,
    },
}

/// How far a step has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Memory {
    /// A wait has begun.
    Wait {
        /// When its time is over.
        deadline: Time,
        /// Whether its condition held at any time: if it is lost, it has its whole time to come back.
        was_met: bool,
        /// That a user approved it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approved: Option<Approved>,
    },
    /// A job will be submitted when its pre hooks have run.
    Due(Due),
    /// A job is being submitted: it may be registered already, or not yet.
    Submitting {
        /// Over what.
        due: Due,
        /// When its time is over.
        deadline: Time,
    },
    /// A job is registered as the tree wants it.
    Submitted(Submitted),
    /// A job is being stopped: it may be stopped already, or not yet.
    Stopping {
        /// What ran.
        doomed: Doomed,
        /// When nothing of it may run any more.
        deadline: Time,
    },
    /// A job is stopped.
    Stopped(Stopped),
    /// A job has failed.
    Failed {
        /// Why.
        why: String,
    },
    /// A hook is being launched: its job may be registered already, or not yet.
    Launching(Try),
    /// A hook was launched.
    Running {
        /// Which attempt.
        attempt: Try,
        /// The job that runs.
        job: JobKey,
        /// When its time is over.
        deadline: Time,
        /// Whether it is being stopped because its run is interrupted: then its stop is no failure for whoever goes on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_given_up: bool,
    },
    /// An attempt of a hook has failed.
    Failing {
        /// Which attempt.
        attempt: Try,
        /// The job that ran.
        job: JobKey,
        /// Why.
        why: String,
        /// The exit code of its task, if it has ended.
        #[serde(default)]
        exit_code: Option<i32>,
    },
    /// A hook is over for this rollout.
    Ended(Ended),
}

/// A user's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approved {
    /// Whose, as far as that was said.
    pub by: Option<String>,
}

/// What a job is submitted over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    /// The last change of what is registered now; zero for nothing.
    pub before: RaftIndex,
    /// The version of what is registered now; `None` for nothing.
    pub version: Option<JobVersion>,
    /// Why it is submitted.
    pub why: Cause,
    /// The hash of what is submitted, where that follows from what others put out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<SpecHash>,
}

/// Why a job is submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// There was none.
    Created,
    /// Its jobspec has changed.
    Updated,
    /// It was stopped.
    Restarted,
    /// It was nobody's.
    Adopted,
}

impl Cause {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Restarted => "started again",
            Self::Adopted => "adopted",
        }
    }
}

/// A job that is registered as the tree wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submitted {
    /// As what.
    pub submission: Submission,
    /// Why this run submitted it; `None`: it was so before.
    pub cause: Option<Cause>,
    /// The version that this one replaced; `None`: there was none, or this run did not submit it.
    pub before: Option<JobVersion>,
    /// When it must be ready for the first time.
    pub deadline: Time,
    /// Whether it was ready at any time of this run: if that is lost, it has its whole time to come back.
    pub was_ready: bool,
    /// The rollout it belongs to, once that was asked for. Only jobs with post hooks need it.
    pub rollout: Option<Rollout>,
    /// The hash of what was submitted, where that followed from what others put out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<SpecHash>,
    /// What its post hooks came to, if they have run for this rollout before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hooks: BTreeMap<String, HookOutcome>,
}

/// What runs of a job that is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doomed {
    /// When it was first registered since it was last purged.
    pub create_index: RaftIndex,
    /// Its version.
    pub version: JobVersion,
    /// From what it was made.
    pub spec: SpecHash,
}

/// A job that this run has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// What ran.
    pub doomed: Doomed,
    /// When the stop was written; zero where the job was gone by then.
    pub at: RaftIndex,
    /// When nothing of it may run any more.
    pub deadline: Time,
}

/// One attempt to run a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Try {
    /// What it is for: a part of the job's ID.
    pub rollout: String,
    /// Its number, from 1: the last part of the job's ID. Attempts of earlier runs count too.
    pub number: u32,
    /// How many attempts of this run came before it.
    pub before: u32,
    /// Whether a request to launch one of its jobs may still be on its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_come_late: bool,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// Whether what waits for it may go on.
    pub is_good: bool,
    /// In what way, or why not.
    pub how: String,
    /// Its job, if that must still be retired.
    pub job: Option<JobKey>,
    /// What ran.
    #[serde(default)]
    pub outcome: HookOutcome,
    /// Whether a request to launch one of its jobs may still be on its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_come_late: bool,
}

impl Ended {
    /// A hook that failed, and whose job needs no more care.
    pub(super) fn failed(why: String, outcome: HookOutcome) -> Self {
        Self { is_good: false, how: why, job: None, outcome, may_come_late: false }
    }
}

/// What ran for a hook, as others may ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookOutcome {
    /// The job of its last attempt. `None` where nothing ran.
    pub job: Option<JobKey>,
    /// The exit code of that job's task: of a failed one, else of a main one. `None` where no task has ended by itself.
    pub exit_code: Option<i32>,
}
