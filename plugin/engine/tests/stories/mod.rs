//! What a run does, told as transcripts: they show *everything* that was done.

mod deadlines;
mod events;
mod failures;
mod opening;
mod standing;

use insta::assert_snapshot;

use super::*;
use crate::cluster::{
    AllocStatus, Allocation, Blindness, DeploymentStatus, EvaluationStatus, JobVersion, TaskPhase,
    sample::{batch, failed_task, service, task, unseen},
};

fn starting(allocation: &mut Allocation) {
    allocation.is_healthy = None;
}

fn deploying(count: u32) -> JobSight {
    service(count).deployed(DeploymentStatus::Running, |_| ())
}

fn failed_batch() -> Sight {
    batch(1)
        .with("61d0c2aa", |a| {
            a.status = AllocStatus::Failed;
            a.tasks.insert("main".to_owned(), failed_task(1));
        })
        .seen()
}
