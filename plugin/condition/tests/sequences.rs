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

#[test]
fn from_a_registration_to_a_successful_deployment() {
    use DeploymentStatus::{Running, Successful};
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).checked();
        let deployed = || sight().deployed(Running, nothing);
        let passing = |lasted| LiveChecks::Passing { lasted: Duration::from_secs(lasted) };
        [
            ("registered", sight().evaluated(EvaluationStatus::Pending, &[])),
            ("placed", deployed().evaluated(EvaluationStatus::Pending, &[]).with("a", placed)),
            ("evaluated", deployed().evaluated(EvaluationStatus::Complete, &[]).with("a", placed)),
            ("service registered", deployed().with("a", placed).saying("a", LiveChecks::Pending)),
            ("running", deployed().with("a", runs).saying("a", LiveChecks::Pending)),
            ("its check passes", deployed().with("a", runs).saying("a", passing(0))),
            ("for long enough", deployed().with("a", runs).saying("a", passing(10))),
            ("healthy to Nomad", deployed().with("a", healthy).saying("a", passing(11))),
            ("successful", sight().deployed(Successful, nothing).with("a", healthy).saying("a", passing(12))),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    registered                         not yet: 0 of 1 healthy
    placed                             not yet: deployment 7c41f0ab, 0 of 1 healthy
    evaluated                          not yet: deployment 7c41f0ab, 0 of 1 healthy
    service registered                 not yet: deployment 7c41f0ab, 0 of 1 healthy
    running                            not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks have not all answered yet
    its check passes                   not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks pass, and must for 10s
    for long enough                    met: deployment 7c41f0ab, 1 of 1 healthy
    healthy to Nomad                   met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    system
    registered                         not yet: 0 of 1 healthy, Nomad is still placing it
    placed                             not yet: deployment 7c41f0ab, 0 of 1 healthy, Nomad is still placing it
    evaluated                          not yet: deployment 7c41f0ab, 0 of 1 healthy
    service registered                 not yet: deployment 7c41f0ab, 0 of 1 healthy
    running                            not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks have not all answered yet
    its check passes                   not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks pass, and must for 10s
    for long enough                    met: deployment 7c41f0ab, 1 of 1 healthy
    healthy to Nomad                   met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn groups_that_say_little_about_their_updates() {
    use DeploymentStatus::{Running, Successful};
    let without = || service(1).but_group(|group| group.update = None);
    let unchecked = || service(2).but_group(|group| group.has_checks = false);
    let in_prestart = |a: &mut Allocation| {
        runs(a);
        a.tasks.insert("gate".to_owned(), task(TaskPhase::Running));
        main_is(a, TaskPhase::Pending);
    };
    let told = steps([
        ("2: running", without().deployed(Running, nothing).with("a", runs)),
        ("2: healthy", without().deployed(Running, nothing).with("a", healthy)),
        ("2: successful", without().deployed(Successful, nothing).with("a", healthy)),
        ("3: running, no deployment", without().with("a", runs)),
        ("3: healthy, no deployment", without().with("a", healthy)),
        ("4: one of two", unchecked().deployed(Running, nothing).with("a", healthy).with("b", runs)),
        ("4: both", unchecked().deployed(Running, nothing).with("a", healthy).with("b", healthy)),
        ("5: running, in prestart", service(1).deployed(Running, nothing).with("a", in_prestart)),
        (
            "5: pending again",
            service(1).deployed(Running, nothing).with("a", |a| {
                runs(a);
                a.status = AllocStatus::Pending;
                main_is(a, TaskPhase::Pending);
            }),
        ),
        ("5: main runs", service(1).deployed(Running, nothing).with("a", runs)),
        ("5: healthy", service(1).deployed(Running, nothing).with("a", healthy)),
        ("6: dead at once", service(0)),
    ]);
    insta::assert_snapshot!(told, @"
    2: running                         not yet: deployment 7c41f0ab, 0 of 1 healthy
    2: healthy                         met: deployment 7c41f0ab, 1 of 1 healthy
    2: successful                      met: deployment 7c41f0ab, 1 of 1 healthy
    3: running, no deployment          not yet: 0 of 1 healthy
    3: healthy, no deployment          met: 1 of 1 healthy
    4: one of two                      not yet: deployment 7c41f0ab, 1 of 2 healthy, no checks, so running for min_healthy_time counts
    4: both                            met: deployment 7c41f0ab, 2 of 2 healthy, no checks, so running for min_healthy_time counts
    5: running, in prestart            not yet: deployment 7c41f0ab, 0 of 1 healthy
    5: pending again                   not yet: deployment 7c41f0ab, 0 of 1 healthy
    5: main runs                       not yet: deployment 7c41f0ab, 0 of 1 healthy
    5: healthy                         met: deployment 7c41f0ab, 1 of 1 healthy
    6: dead at once                    met: count = 0, nothing to wait for
    ");
}

#[test]
fn two_groups_have_one_deployment() {
    use DeploymentStatus::{Running, Successful};
    let two = || {
        service(1).but(|job| {
            let web = job.groups.get("web").cloned().unwrap();
            job.groups.insert("cache".to_owned(), web);
        })
    };
    let web = |then: fn(&mut Allocation)| {
        move |a: &mut Allocation| {
            a.group = "web".to_owned();
            then(a);
        }
    };
    let told = steps([
        ("both placed", two().deployed(Running, nothing).with("a", web(placed)).with("b", placed)),
        ("one healthy", two().deployed(Running, nothing).with("a", web(healthy)).with("b", runs)),
        ("both healthy", two().deployed(Running, nothing).with("a", web(healthy)).with("b", healthy)),
        ("successful", two().deployed(Successful, nothing).with("a", web(healthy)).with("b", healthy)),
    ]);
    insta::assert_snapshot!(told, @"
    both placed                        not yet: deployment 7c41f0ab, cache 0 of 1 healthy, web 0 of 1 healthy
    one healthy                        not yet: deployment 7c41f0ab, cache 0 of 1 healthy, web 1 of 1 healthy
    both healthy                       met: deployment 7c41f0ab, cache 1 of 1 healthy, web 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, cache 1 of 1 healthy, web 1 of 1 healthy
    ");
}

#[test]
fn canaries_until_they_are_promoted() {
    use DeploymentStatus::{Running, Successful};
    let canary = |healthy: u32, is_promoted, text: &'static str| {
        move |deployment: &mut Deployment| {
            deployment.description = text.to_owned();
            for group in deployment.groups.values_mut() {
                (group.desired_canaries, group.healthy, group.is_promoted) = (1, healthy, is_promoted);
            }
        }
    };
    let by_hand = "Deployment is running but requires manual promotion";
    let by_itself = "Deployment is running pending automatic promotion";
    let old = || of_version(2, healthy);
    let told = steps([
        ("first version: no canaries", service(1).deployed(Running, nothing).with("a", healthy)),
        (
            "8: canary placed",
            service(1).deployed(Running, canary(0, false, by_hand)).with("a", old()).with("b", placed),
        ),
        (
            "8: canary healthy",
            service(1).deployed(Running, canary(1, false, by_hand)).with("a", old()).with("b", healthy),
        ),
        (
            "8: promoted",
            service(1).deployed(Running, canary(1, true, by_hand)).with("a", old()).with("b", healthy),
        ),
        (
            "8: successful",
            service(1)
                .deployed(Successful, canary(1, true, "Deployment completed successfully"))
                .with("b", healthy),
        ),
        (
            "9: canary healthy",
            service(1).deployed(Running, canary(1, false, by_itself)).with("a", old()).with("b", healthy),
        ),
        (
            "9: promoted, and told twice",
            service(1).deployed(Running, canary(1, true, by_itself)).with("a", old()).with("b", healthy),
        ),
    ]);
    insta::assert_snapshot!(told, @"
    first version: no canaries         met: deployment 7c41f0ab, 1 of 1 healthy
    8: canary placed                   not yet: deployment 7c41f0ab, group web: 0 of 1 canaries healthy, not promoted; promote with `nomad deployment promote 7c41f0ab`
    8: canary healthy                  not yet: deployment 7c41f0ab, group web: 1 of 1 canaries healthy, not promoted; promote with `nomad deployment promote 7c41f0ab`
    8: promoted                        met: deployment 7c41f0ab, 1 of 1 healthy
    8: successful                      met: deployment 7c41f0ab, 1 of 1 healthy
    9: canary healthy                  not yet: deployment 7c41f0ab, group web: 1 of 1 canaries healthy, not promoted; promote with `nomad deployment promote 7c41f0ab`
    9: promoted, and told twice        met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn a_version_that_is_rolled_back() {
    use DeploymentStatus::{Failed, Running, Successful};
    let back = "Failed due to progress deadline - rolling back to job version 2";
    let told = of_both(|kind| {
        let reverting = |sight: JobSight, status, text| {
            sight.deployed(status, move |deployment| {
                deployment.description = text;
                deployment.groups.values_mut().for_each(|group| group.auto_revert = true);
            })
        };
        let next = || job("it", kind, 1).but(|job| job.version = JobVersion(4));
        let failed = |sight: JobSight| sight.deployed(Failed, former(3, back));
        [
            (
                "unhealthy by its deadline",
                reverting(job("it", kind, 1), Running, "Deployment is running".to_owned())
                    .with("a", unhealthy),
            ),
            (
                "failed, rolls back",
                reverting(job("it", kind, 1), Failed, back.to_owned()).with("a", unhealthy),
            ),
            ("the version before, registered", failed(next()).with("a", of_version(3, unhealthy))),
            (
                "its allocation runs",
                failed(next())
                    .deployed(Running, nothing)
                    .with("a", of_version(3, unhealthy))
                    .with("b", of_version(4, runs)),
            ),
            ("healthy", failed(next()).deployed(Running, nothing).with("b", of_version(4, healthy))),
            ("successful", failed(next()).deployed(Successful, nothing).with("b", of_version(4, healthy))),
            // So it is with system jobs.
            ("healthy, with no deployment", failed(next()).with("b", of_version(4, healthy))),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    unhealthy by its deadline          not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    failed, rolls back                 not yet: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 2; allocation a-0000-0
    the version before, registered     not yet: 0 of 1 healthy
    its allocation runs                not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    healthy, with no deployment        met: 1 of 1 healthy
    system
    unhealthy by its deadline          not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    failed, rolls back                 not yet: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 2; allocation a-0000-0
    the version before, registered     not yet: 0 of 1 healthy, 1 still of an older version
    its allocation runs                not yet: deployment 7c41f0ab, 0 of 2 healthy, 1 still of an older version
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    healthy, with no deployment        met: 1 of 1 healthy
    ");
}

#[test]
fn a_deployment_that_fails_with_its_first_allocation() {
    use DeploymentStatus::{Failed, Running};
    let why = "Failed due to unhealthy allocations";
    let told = of_both(|kind| {
        [
            ("unhealthy", job("it", kind, 1).deployed(Running, nothing).with("a", unhealthy)),
            ("failed", job("it", kind, 1).deployed(Failed, described(why)).with("a", unhealthy)),
            (
                "another version, registered",
                job("it", kind, 1)
                    .but(|job| job.version = JobVersion(4))
                    .deployed(Failed, former(3, why))
                    .with("a", of_version(3, unhealthy)),
            ),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    unhealthy                          not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    failed                             never: deployment 7c41f0ab failed: Failed due to unhealthy allocations; allocation a-0000-0
    another version, registered        not yet: 0 of 1 healthy
    system
    unhealthy                          not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    failed                             never: deployment 7c41f0ab failed: Failed due to unhealthy allocations; allocation a-0000-0
    another version, registered        not yet: 0 of 1 healthy, 1 still of an older version
    ");
}

#[test]
fn a_version_that_is_overtaken() {
    use DeploymentStatus::{Cancelled, Running, Successful};
    let newer = "Cancelled due to newer version of job";
    let told = of_both(|kind| {
        let overtaken = || job("it", kind, 1).deployed(Cancelled, former(2, newer));
        [
            (
                "seen before the newer job",
                job("it", kind, 1).deployed(Cancelled, described(newer)).with("a", healthy),
            ),
            ("the newer one, placed", overtaken().with("a", of_version(2, healthy)).with("b", placed)),
            (
                "runs",
                overtaken().deployed(Running, nothing).with("a", of_version(2, healthy)).with("b", runs),
            ),
            ("healthy", overtaken().deployed(Running, nothing).with("b", healthy)),
            ("successful", overtaken().deployed(Successful, nothing).with("b", healthy)),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    seen before the newer job          not yet: deployment 7c41f0ab was cancelled: Cancelled due to newer version of job
    the newer one, placed              not yet: 0 of 1 healthy
    runs                               not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    system
    seen before the newer job          not yet: deployment 7c41f0ab was cancelled: Cancelled due to newer version of job
    the newer one, placed              not yet: 0 of 2 healthy, 1 still of an older version
    runs                               not yet: deployment 7c41f0ab, 0 of 2 healthy, 1 still of an older version
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn a_job_that_is_stopped_meanwhile() {
    use DeploymentStatus::{Cancelled, Running};
    let stopped = "Cancelled because job is stopped";
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).but(|job| (job.is_stopped, job.version) = (true, JobVersion(4)));
        let ended = |a: &mut Allocation| {
            healthy(a);
            a.is_wanted = false;
            a.status = AllocStatus::Complete;
            main_is(a, TaskPhase::Dead);
        };
        [
            ("under way", job("it", kind, 1).deployed(Running, nothing).with("a", runs)),
            (
                "stopped, still running",
                sight().deployed(Running, former(3, "Deployment is running")).with("a", healthy),
            ),
            ("cancelled", sight().deployed(Cancelled, former(3, stopped)).with("a", ended)),
        ]
    });
    insta::assert_snapshot!(told, @"
    under way                          not yet: deployment 7c41f0ab, 0 of 1 healthy
    stopped, still running             not yet: is stopped; start it with `nomad job start it`
    cancelled                          not yet: is stopped; start it with `nomad job start it`
    ");
}

#[test]
fn an_update_in_place() {
    use DeploymentStatus::{Running, Successful};
    let before = || service(1).deployed(Successful, former(2, "Deployment completed successfully"));
    let unread = |a: &mut Allocation| a.job_version = None;
    let told = steps([
        ("registered", before().with("a", of_version(2, healthy))),
        ("its allocation, from the stream", before().deployed(Running, nothing).with("a", unread)),
        ("health reset", before().deployed(Running, nothing).with("a", runs)),
        ("healthy again", before().deployed(Running, nothing).with("a", healthy)),
        ("successful", before().deployed(Successful, nothing).with("a", healthy)),
    ]);
    insta::assert_snapshot!(told, @"
    registered                         not yet: 0 of 1 healthy
    its allocation, from the stream    not yet: deployment 7c41f0ab, 0 of 1 healthy
    health reset                       not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy again                      met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn a_job_that_is_scaled() {
    use DeploymentStatus::{Running, Successful};
    let before = || service(2).deployed(Successful, former(2, "Deployment completed successfully"));
    let told = steps([
        ("registered", before().with("a", of_version(2, healthy))),
        ("one more placed", before().deployed(Running, nothing).with("a", runs).with("b", placed)),
        ("both run", before().deployed(Running, nothing).with("a", healthy).with("b", runs)),
        ("both healthy", before().deployed(Running, nothing).with("a", healthy).with("b", healthy)),
        ("successful", before().deployed(Successful, nothing).with("a", healthy).with("b", healthy)),
    ]);
    insta::assert_snapshot!(told, @"
    registered                         not yet: 0 of 2 healthy
    one more placed                    not yet: deployment 7c41f0ab, 0 of 2 healthy
    both run                           not yet: deployment 7c41f0ab, 1 of 2 healthy
    both healthy                       met: deployment 7c41f0ab, 2 of 2 healthy
    successful                         met: deployment 7c41f0ab, 2 of 2 healthy
    ");
}

#[test]
fn a_check_that_turns_bad_afterwards() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).checked().deployed(DeploymentStatus::Successful, nothing);
        let passing = |lasted| LiveChecks::Passing { lasted: Duration::from_secs(lasted) };
        let failing = LiveChecks::Failing { check: "http".to_owned(), output: "HTTP 503".to_owned() };
        [
            ("passes", sight().with("a", healthy).saying("a", passing(60))),
            ("fails, and nothing else changes", sight().with("a", healthy).saying("a", failing)),
            ("passes again", sight().with("a", healthy).saying("a", passing(0))),
            (
                "its client is away",
                sight().with("a", healthy).saying("a", LiveChecks::Unknown("No path to node".to_owned())),
            ),
        ]
    });
    insta::assert_snapshot!(told, @"
    passes                             met: deployment 7c41f0ab, 1 of 1 healthy
    fails, and nothing else changes    not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: check `http` fails: HTTP 503
    passes again                       met: deployment 7c41f0ab, 1 of 1 healthy
    its client is away                 met: deployment 7c41f0ab, 1 of 1 healthy, the checks of allocation a-0000-0 cannot be asked, so Nomad's word counts: No path to node
    ");
}

#[test]
fn a_check_that_restarts_its_task() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).checked().deployed(DeploymentStatus::Successful, nothing);
        let passing = |lasted| LiveChecks::Passing { lasted: Duration::from_secs(lasted) };
        let failing = LiveChecks::Failing { check: "http".to_owned(), output: "HTTP 503".to_owned() };
        let restarting = |a: &mut Allocation| {
            healthy(a);
            a.status = AllocStatus::Pending;
            main_is(a, TaskPhase::Pending);
        };
        let again = |a: &mut Allocation| {
            healthy(a);
            a.tasks.values_mut().for_each(|task| (task.restarts, task.started) = (1, Some(0)));
        };
        [
            ("fails", sight().with("a", healthy).saying("a", failing)),
            ("restarting", sight().with("a", restarting).saying("a", LiveChecks::Pending)),
            ("runs again, not checked yet", sight().with("a", again).saying("a", LiveChecks::Pending)),
            ("passes again", sight().with("a", healthy).saying("a", passing(0))),
            ("restarts exhausted", sight().with("a", exhausted).saying("a", LiveChecks::Pending)),
        ]
    });
    insta::assert_snapshot!(told, @"
    fails                              not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: check `http` fails: HTTP 503
    restarting                         not yet: deployment 7c41f0ab, 0 of 1 healthy
    runs again, not checked yet        not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its checks have not all answered since its restart
    passes again                       met: deployment 7c41f0ab, 1 of 1 healthy
    restarts exhausted                 not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    ");
}

#[test]
fn a_crash_and_what_follows() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).deployed(DeploymentStatus::Successful, nothing);
        let restarting = |a: &mut Allocation| {
            healthy(a);
            a.status = AllocStatus::Pending;
            main_is(a, TaskPhase::Pending);
        };
        let again = |a: &mut Allocation| {
            let main = a.tasks.get_mut("main").unwrap();
            (main.restarts, main.last_event) = (1, "Started".to_owned());
        };
        [
            ("19: crashed, restarting", sight().with("a", restarting)),
            ("19: runs again, still healthy", sight().with("a", again)),
            ("20: failed for good", sight().with("a", exhausted)),
            (
                "20: to be placed again later",
                sight().with("a", exhausted).evaluated(EvaluationStatus::Pending, &[]),
            ),
            ("20: its replacement is placed", sight().with("a", replaced).with("b", placed)),
            ("20: it runs, not judged", sight().with("a", replaced).with("b", runs)),
            ("20: it is unhealthy", sight().with("a", replaced).with("b", unhealthy)),
            ("20: it is healthy", sight().with("a", replaced).with("b", healthy)),
        ]
    });
    insta::assert_snapshot!(told, @"
    service
    19: crashed, restarting            not yet: deployment 7c41f0ab, 0 of 1 healthy
    19: runs again, still healthy      met: deployment 7c41f0ab, 1 of 1 healthy
    20: failed for good                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    20: to be placed again later       not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    20: its replacement is placed      not yet: deployment 7c41f0ab, 0 of 1 healthy
    20: it runs, not judged            not yet: deployment 7c41f0ab, 0 of 1 healthy
    20: it is unhealthy                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation b-0000-0
    20: it is healthy                  met: deployment 7c41f0ab, 1 of 1 healthy
    system
    19: crashed, restarting            not yet: deployment 7c41f0ab, 0 of 1 healthy
    19: runs again, still healthy      met: deployment 7c41f0ab, 1 of 1 healthy
    20: failed for good                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    20: to be placed again later       not yet: deployment 7c41f0ab, 0 of 1 healthy, Nomad is still placing it, allocation a-0000-0: task main: Exit Code: 1
    20: its replacement is placed      not yet: deployment 7c41f0ab, 0 of 1 healthy
    20: it runs, not judged            not yet: deployment 7c41f0ab, 0 of 1 healthy
    20: it is unhealthy                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation b-0000-0
    20: it is healthy                  met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn a_client_that_is_killed() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).checked().deployed(DeploymentStatus::Successful, nothing);
        let lost = |a: &mut Allocation| {
            healthy(a);
            a.status = AllocStatus::Lost;
            a.is_wanted = false;
        };
        let unknown = |why: &str| LiveChecks::Unknown(why.to_owned());
        let passing = LiveChecks::Passing { lasted: Duration::from_secs(10) };
        let full: &[(&str, &str)] = &[("web", "1 client filtered: missing drivers")];
        [
            ("its checks break off", sight().with("a", healthy).saying("a", unknown("EOF"))),
            ("no path to it", sight().with("a", healthy).saying("a", unknown("No path to node"))),
            ("lost, still called healthy", sight().with("a", lost)),
            ("no other client", sight().with("a", lost).evaluated(EvaluationStatus::Blocked, full)),
            ("placed elsewhere", sight().with("a", lost).with("b", placed)),
            ("healthy there", sight().with("a", lost).with("b", runs).saying("b", passing)),
        ]
    });
    insta::assert_snapshot!(told, @"
    its checks break off               met: deployment 7c41f0ab, 1 of 1 healthy, the checks of allocation a-0000-0 cannot be asked, so Nomad's word counts: EOF
    no path to it                      met: deployment 7c41f0ab, 1 of 1 healthy, the checks of allocation a-0000-0 cannot be asked, so Nomad's word counts: No path to node
    lost, still called healthy         not yet: deployment 7c41f0ab, 0 of 1 healthy
    no other client                    blocked: deployment 7c41f0ab, 0 of 1 healthy; Nomad has no room for it: group web: 1 client filtered: missing drivers
    placed elsewhere                   not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy there                      met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

#[test]
fn an_allocation_that_is_stopped_by_hand() {
    let told = of_both(|kind| {
        let sight = || job("it", kind, 1).deployed(DeploymentStatus::Successful, nothing);
        let stopping = |a: &mut Allocation| {
            healthy(a);
            a.is_wanted = false;
        };
        let stopped = |a: &mut Allocation| {
            stopping(a);
            a.status = AllocStatus::Complete;
            main_is(a, TaskPhase::Dead);
        };
        [
            ("told to stop, still running", sight().with("a", stopping)),
            ("its replacement is placed", sight().with("a", stopped).with("b", placed)),
            ("it runs, not judged", sight().with("a", stopped).with("b", runs)),
            ("it is healthy", sight().with("a", stopped).with("b", healthy)),
        ]
    });
    insta::assert_snapshot!(told, @"
    told to stop, still running        not yet: deployment 7c41f0ab, 0 of 1 healthy
    its replacement is placed          not yet: deployment 7c41f0ab, 0 of 1 healthy
    it runs, not judged                not yet: deployment 7c41f0ab, 0 of 1 healthy
    it is healthy                      met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}
