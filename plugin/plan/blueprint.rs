//! What a prepared jobspec says, as far as planning asks for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::{JobKey, JobType, SpecHash};

/// A job that a node of a tree will submit or dispatch, before anything is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// The namespace and ID that the jobspec gives it. A hook runs under another ID, made from this one. For a hook
    /// that dispatches: the parameterized job.
    pub key: JobKey,
    /// Which scheduler runs it.
    pub kind: JobType,
    /// Whether it only launches children by the clock.
    pub is_periodic: bool,
    /// Whether it only launches children when it is dispatched.
    pub is_parameterized: bool,
    /// Made from all that the job is, before it is marked. For a hook also from its meta and payload.
    pub spec: SpecHash,
    /// The longest progress deadline of its groups, in milliseconds; `None` where Nomad makes no deployment.
    #[serde(with = "crate::manifest::millis::option")]
    pub progress_deadline: Option<Duration>,
}
