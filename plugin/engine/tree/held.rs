//! A registered job of a tree: whether it is still what was submitted, and how it fares.

use std::time::Duration;

use super::{FIRST_LOOK, around::Around, memory::Submitted, step::Out};
use crate::{
    cluster::{DeploymentStatus, JobSight, Marks, Sight},
    condition::{self, Verdict},
    engine::{Time, node::Node},
    manifest::{Subject, Wait},
};

/// A registered job, and how it fares.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) memory: Submitted,
    pub(super) node: Node,
    /// Whether this version, or a later one, has been seen.
    pub(super) was_shown: bool,
    pub(super) record: Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    None,
    UnderWay,
    Done,
    /// It could not be set; the hooks' jobs stay, so that the next run finds their results.
    GivenUp,
}

impl Held {
    pub(super) fn new(now: Time, memory: Submitted) -> Self {
        let deadline = memory.deadline;
        // What we submitted is new; what was there before may be failing since long, and someone may be at it.
        let node = if memory.cause.is_some() { Node::fresh(now, deadline) } else { Node::new(now, deadline) };
        // What was there already has been seen.
        let was_shown = memory.cause.is_none();
        Self { memory, node, was_shown, record: Record::None }
    }

    /// As an earlier process remembered it: all that is seen now happened after that.
    pub(super) fn again(now: Time, limit: Duration, memory: Submitted) -> Self {
        let deadline = if memory.was_ready { now + limit } else { memory.deadline.max(now + FIRST_LOOK) };
        let mut held = Self::new(now, memory);
        held.node.deadline = deadline;
        held.was_shown = true;
        held
    }

    /// How it fares, if it is still what was submitted; the error says what happened to it.
    pub(super) fn verdict(
        &mut self,
        wait: &Wait,
        marks: &Marks,
        around: &Around<'_>,
    ) -> Result<Verdict, String> {
        let submission = &self.memory.submission;
        let not_shown =
            || Verdict::not_yet(format!("Nomad does not show version {} yet", submission.version));
        let Subject::Job { job, namespace: Some(namespace), .. } = &wait.subject else {
            return Ok(not_shown());
        };
        let key = crate::cluster::JobKey { namespace: namespace.clone(), job: job.clone() };
        let sight = around.scene.sight_of(&key);
        match sight.as_ref() {
            Sight::Unseen(_) => Ok(condition::judge(wait, &sight, true)),
            Sight::Absent { .. } if self.was_shown => Err("it was purged by someone else".to_owned()),
            Sight::Absent { .. } => Ok(not_shown()),
            Sight::Present(present) => {
                let job = &present.job;
                if job.create_index > submission.create_index {
                    return Err("it was purged and registered anew by someone else".to_owned());
                }
                if job.create_index < submission.create_index || job.version < submission.version {
                    return Ok(not_shown());
                }
                self.was_shown = true;
                let is_ours = job
                    .marks
                    .as_deref()
                    .is_some_and(|found| found.tree == marks.tree && found.spec == marks.spec);
                if is_ours { Ok(condition::judge(wait, &sight, true)) } else { Err(overtaken(present, self)) }
            }
        }
    }

    /// Without the record the hooks' jobs stay, and their results are taken again.
    pub(super) fn give_up_record(&mut self, name: &str, trouble: &str, out: &mut Out) {
        self.record = Record::GivenUp;
        out.log(format!(
            "{name}: that its post hooks have run cannot be written down, so the next run looks for their jobs: {trouble}"
        ));
    }
}

/// Why a version that is not ours stands in the place of ours.
fn overtaken(sight: &JobSight, held: &Held) -> String {
    let submission = &held.memory.submission;
    let failed = sight.deployments.values().find(|deployment| {
        deployment.job_version == submission.version
            && deployment.job_create_index == submission.create_index
            && deployment.status == DeploymentStatus::Failed
    });
    match failed {
        Some(deployment) => format!(
            "version {}: deployment {} failed: {}",
            submission.version,
            deployment.id.short(),
            deployment.description
        ),
        None => format!(
            "version {} was replaced by version {}, which this tree did not submit",
            submission.version, sight.job.version
        ),
    }
}
