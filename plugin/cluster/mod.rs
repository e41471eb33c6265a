//! What Nomad shows, as plain data.
//!
//! Only `nomad/` makes these from the wire and only `watch/` puts them together; the rest of the core reads them.
//! Every type keeps just what some condition asks for, so that a watched job costs little.
//!
//! # Invariants
//!
//! * [`Sight`] says honestly what is known: nothing yet, no such job, or this. A view that lost its connection
//!   says [`Sight::Unseen`], never an old truth.
//! * Nothing here decides what the data means: that is `condition/`.

mod allocation;
mod deployment;
mod digest;
mod evaluation;
mod gate;
mod id;
mod job;
mod live;
mod marks;
mod name;
mod place;
mod question;
#[cfg(test)]
pub(crate) mod sample;
mod sight;
mod variable;
mod version;

pub use allocation::{AllocStatus, Allocation, Check, CheckStatus, TaskPhase, TaskState};
pub use deployment::{Deployment, DeploymentGroup, DeploymentStatus};
pub use digest::digest;
pub use evaluation::{Evaluation, EvaluationStatus};
pub use gate::{Awaited, Gate};
pub use id::{
    AllocId, ClientId, DeploymentId, EvalId, JobId, JobKey, JobVersion, LockId, Namespace, RaftIndex, RunId,
};
pub use job::{Group, Job, JobType, Lifecycle, LifecycleHook, TaskSpec, UpdatePolicy};
pub use live::LiveChecks;
pub use marks::{Marks, SpecHash, TreeName};
pub use name::nearest;
pub use place::Place;
pub use question::{Answer, HttpAnswer, Instance, Question, Told, Unwell, Value};
pub use sight::{Blindness, JobSight, Sight, Unseen};
pub use variable::{LONGEST_PATH, VARIABLES, fitting, path_of, segment_of, short_of};
pub use version::VersionRecord;
