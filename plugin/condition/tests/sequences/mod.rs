//! What Nomad 1.11 was seen to show, step by step, of jobs that run on: from a registration to health, and after it. Each
//! step is judged for `healthy`; only where the table says *met* a gate opens.
//!
//! Until the deployment is over:
//!
//! | number | recorded | here |
//! |---|---|---|
//! | 1 | the order of events, with a check of Nomad's | `from_a_registration_to_a_successful_deployment` |
//! | 2 | no `update` block: ten seconds by default | `groups_that_say_little_about_their_updates` |
//! | 3 | `max_parallel = 0`: no deployment | the same |
//! | 4 | no checks, `count = 2` | the same |
//! | 5 | a prestart task of three seconds | the same |
//! | 6 | `count = 0`: dead at once, and not stopped | the same |
//! | 7 | two groups, one deployment | `two_groups_have_one_deployment` |
//! | 8, 9 | canaries, promoted by hand or by Nomad | `canaries_until_they_are_promoted` |
//! | 10 | promoted twice: refused | nothing is promoted by dtree |
//! | 11 | the check fails from the start, `auto_revert` | `a_version_that_is_rolled_back` |
//! | 12 | no rescheduling, or no `progress_deadline` | `a_deployment_that_fails_with_its_first_allocation` |
//! | 13 | a version overtaken by the next | `a_version_that_is_overtaken` |
//! | 14 | stopped meanwhile | `a_job_that_is_stopped_meanwhile` |
//! | 15 | updated in place: the same allocation | `an_update_in_place` |
//! | 16 | scaled: another version | `a_job_that_is_scaled` |
//!
//! After it:
//!
//! | number | recorded | here |
//! |---|---|---|
//! | 17 | a check turns bad: no event, only the checks tell | `a_check_that_turns_bad_afterwards` |
//! | 18 | `check_restart` | `a_check_that_restarts_its_task` |
//! | 19 | a crash, restarted in place | `a_crash_and_what_follows` |
//! | 20 | restarts exhausted: a replacement of no deployment | the same |
//! | 21 | the client is killed | `a_client_that_is_killed` |
//! | 22 | an allocation stopped by hand: a replacement of no deployment | `an_allocation_that_is_stopped_by_hand` |
//!
//! Batch and sysbatch jobs have no deployments; what is recorded of their ends is in `ends.rs`.

mod afterwards;
mod rollout;
mod unfinished;

use std::time::Duration;

use super::*;
use crate::cluster::{
    AllocStatus, Deployment, DeploymentStatus, JobType, LiveChecks, RaftIndex, TaskPhase,
    sample::{failed_task, job, service, task},
};

/// Placed, and nothing of it reported yet.
fn placed(a: &mut Allocation) {
    a.status = AllocStatus::Pending;
    a.is_healthy = None;
    a.tasks.clear();
}

/// Its main task runs, and Nomad has not judged it.
fn runs(a: &mut Allocation) {
    a.is_healthy = None;
}

fn healthy(_: &mut Allocation) {}

fn unhealthy(a: &mut Allocation) {
    a.is_healthy = Some(false);
}

fn main_is(a: &mut Allocation, phase: TaskPhase) {
    a.tasks.insert("main".to_owned(), task(phase));
}

/// The main task has ended for good; what Nomad said of its health stands.
fn exhausted(a: &mut Allocation) {
    a.status = AllocStatus::Failed;
    a.tasks.insert("main".to_owned(), failed_task(1));
}

/// An allocation that has another in its place.
fn replaced(a: &mut Allocation) {
    exhausted(a);
    a.is_wanted = false;
    a.next = Some("b-0000-0000".into());
}

fn of_version(version: u64, then: impl FnOnce(&mut Allocation)) -> impl FnOnce(&mut Allocation) {
    move |a| {
        a.job_version = Some(JobVersion(version));
        then(a);
    }
}

fn nothing(_: &mut Deployment) {}

fn described(text: &str) -> impl FnOnce(&mut Deployment) {
    move |deployment| deployment.description = text.to_owned()
}

/// What stands of the deployment of an earlier version.
fn former(version: u64, text: &str) -> impl FnOnce(&mut Deployment) {
    move |deployment| {
        deployment.job_version = JobVersion(version);
        deployment.modify_index = RaftIndex(115);
        deployment.description = text.to_owned();
    }
}

/// One line for each step, and its verdict.
fn steps<const N: usize>(steps: [(&'static str, JobSight); N]) -> String {
    table(steps.map(|(step, sight)| (step, verdict(&bare(), sight))))
}

/// A story of a service and of a system job: once where it is the same.
fn of_both<const N: usize>(story: impl Fn(JobType) -> [(&'static str, JobSight); N]) -> String {
    let [service, system] = [JobType::Service, JobType::System].map(|kind| steps(story(kind)));
    if service == system { service } else { format!("service\n{service}\nsystem\n{system}") }
}
