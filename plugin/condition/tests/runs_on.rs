//! Services and system jobs.

use serde_json::json;

use super::*;
use crate::cluster::{
    AllocStatus, Deployment, DeploymentStatus, Group, JobType, RaftIndex, TaskPhase,
    sample::{failed_task, job, service, task},
};

fn failed(auto_revert: bool, description: &str) -> impl FnOnce(&mut Deployment) {
    move |deployment| {
        deployment.description = description.to_owned();
        deployment.groups.values_mut().for_each(|group| group.auto_revert = auto_revert);
    }
}

fn canary(promoted: bool) -> impl FnOnce(&mut Deployment) {
    move |deployment| {
        let group = deployment.groups.values_mut().next().unwrap();
        group.desired_canaries = 1;
        group.healthy = 2;
        group.is_promoted = promoted;
    }
}

/// The order in which Nomad 1.11 was seen to show a service on its way to health, at a glance; `sequences` has each.
#[test]
fn a_service_on_its_way_to_health() {
    use DeploymentStatus::{Running, Successful};
    let placed = |sight: JobSight| sight.deployed(Running, |_| ());
    let starting = |a: &mut Allocation| {
        a.status = AllocStatus::Pending;
        a.is_healthy = None;
        a.tasks.clear();
    };
    let in_prestart = |a: &mut Allocation| {
        a.is_healthy = None;
        a.tasks =
            [("gate".to_owned(), task(TaskPhase::Running)), ("main".to_owned(), task(TaskPhase::Pending))]
                .into();
    };
    let cases = [
        ("registered", verdict(&bare(), service(1))),
        ("registered, being placed", verdict(&bare(), service(1).evaluated(EvaluationStatus::Pending, &[]))),
        ("placed", verdict(&bare(), placed(service(1)).with("a", starting))),
        ("prestart task runs", verdict(&bare(), placed(service(1)).with("a", in_prestart))),
        ("main task runs", verdict(&bare(), placed(service(1)).with("a", |a| a.is_healthy = None))),
        ("healthy", verdict(&bare(), placed(service(1)).with("a", |_| ()))),
        ("successful", verdict(&bare(), service(1).deployed(Successful, |_| ()).with("a", |_| ()))),
        ("1 of 2", verdict(&bare(), placed(service(2)).with("a", |_| ()).with("b", starting))),
        ("2 of 2", verdict(&bare(), placed(service(2)).with("a", |_| ()).with("b", |_| ()))),
        ("no deployment (max_parallel = 0)", verdict(&bare(), service(1).with("a", |_| ()))),
        ("no checks", verdict(&bare(), service(1).but_group(|g| g.has_checks = false).with("a", |_| ()))),
        ("count = 0", verdict(&bare(), service(0))),
        ("found unhealthy", verdict(&bare(), placed(service(1)).with("a", |a| a.is_healthy = Some(false)))),
    ];
    insta::assert_snapshot!(table(cases), @"
    registered                         not yet: 0 of 1 healthy
    registered, being placed           not yet: 0 of 1 healthy
    placed                             not yet: deployment 7c41f0ab, 0 of 1 healthy
    prestart task runs                 not yet: deployment 7c41f0ab, 0 of 1 healthy
    main task runs                     not yet: deployment 7c41f0ab, 0 of 1 healthy
    healthy                            met: deployment 7c41f0ab, 1 of 1 healthy
    successful                         met: deployment 7c41f0ab, 1 of 1 healthy
    1 of 2                             not yet: deployment 7c41f0ab, 1 of 2 healthy
    2 of 2                             met: deployment 7c41f0ab, 2 of 2 healthy
    no deployment (max_parallel = 0)   met: 1 of 1 healthy
    no checks                          met: 1 of 1 healthy, no checks, so running for min_healthy_time counts
    count = 0                          met: count = 0, nothing to wait for
    found unhealthy                    not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0
    ");
}

/// What is seen after the deployment is over, at a glance; `sequences` has each.
#[test]
fn a_service_after_its_deployment() {
    let successful = |count| service(count).deployed(DeploymentStatus::Successful, |_| ());
    let cases = [
        (
            "restarting",
            verdict(
                &bare(),
                successful(1).with("a", |a| {
                    a.tasks.insert("main".to_owned(), task(TaskPhase::Pending));
                }),
            ),
        ),
        (
            "allocation pending again",
            verdict(&bare(), successful(1).with("a", |a| a.status = AllocStatus::Pending)),
        ),
        (
            "crashed, still called healthy",
            verdict(
                &bare(),
                successful(1).with("a", |a| {
                    a.status = AllocStatus::Failed;
                    a.tasks.insert("main".to_owned(), failed_task(1));
                }),
            ),
        ),
        (
            "lost, still called healthy",
            verdict(
                &bare(),
                successful(1).with("a", |a| {
                    a.status = AllocStatus::Lost;
                    a.is_wanted = false;
                }),
            ),
        ),
        (
            "client out of reach",
            verdict(&bare(), successful(1).with("a", |a| a.status = AllocStatus::Unknown)),
        ),
        (
            "replaced, new one not judged",
            verdict(
                &bare(),
                successful(1).with("a", |a| a.is_wanted = false).with("b", |b| b.is_healthy = None),
            ),
        ),
        (
            "replaced and healthy",
            verdict(
                &bare(),
                successful(1)
                    .with("a", |a| {
                        a.is_wanted = false;
                        a.status = AllocStatus::Failed;
                    })
                    .with("b", |_| ()),
            ),
        ),
        ("being drained", verdict(&bare(), successful(1).with("a", |a| a.is_wanted = false))),
    ];
    insta::assert_snapshot!(table(cases), @"
    restarting                         not yet: deployment 7c41f0ab, 0 of 1 healthy
    allocation pending again           not yet: deployment 7c41f0ab, 0 of 1 healthy
    crashed, still called healthy      not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: task main: Exit Code: 1
    lost, still called healthy         not yet: deployment 7c41f0ab, 0 of 1 healthy
    client out of reach                not yet: deployment 7c41f0ab, 0 of 1 healthy, allocation a-0000-0: its client is out of reach
    replaced, new one not judged       not yet: deployment 7c41f0ab, 0 of 1 healthy
    replaced and healthy               met: deployment 7c41f0ab, 1 of 1 healthy
    being drained                      not yet: deployment 7c41f0ab, 0 of 1 healthy
    ");
}

#[test]
fn only_the_current_version_counts() {
    let older = |a: &mut Allocation| a.job_version = Some(JobVersion(2));
    let any = wait(&json!({"any_version": true}));
    let old_deployment = |d: &mut Deployment| d.job_version = JobVersion(2);
    let other_life = |d: &mut Deployment| d.job_create_index = RaftIndex(7);
    let failing =
        || service(1).deployed(DeploymentStatus::Failed, failed(false, "Failed due to progress deadline"));
    let cases = [
        ("old one healthy", verdict(&bare(), service(1).with("a", older))),
        ("version not known yet", verdict(&bare(), service(1).with("a", |a| a.job_version = None))),
        ("old one healthy, any version", verdict(&any, service(1).with("a", older))),
        ("any version, new one fails", verdict(&any, failing().with("a", older))),
        ("any version, too few", verdict(&any, failing())),
        (
            "old version's deployment failed",
            verdict(&bare(), service(1).deployed(DeploymentStatus::Failed, old_deployment).with("a", |_| ())),
        ),
        (
            "a purged job's deployment failed",
            verdict(&bare(), service(1).deployed(DeploymentStatus::Failed, other_life).with("a", |_| ())),
        ),
        (
            "the newer of two deployments",
            verdict(
                &bare(),
                service(1)
                    .deployed(DeploymentStatus::Failed, |d| d.modify_index = RaftIndex(121))
                    .deployed(DeploymentStatus::Successful, |d| d.modify_index = RaftIndex(130))
                    .with("a", |_| ()),
            ),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    old one healthy                    not yet: 0 of 1 healthy
    version not known yet              not yet: 0 of 1 healthy
    old one healthy, any version       met: 1 of 1 healthy
    any version, new one fails         met: deployment 7c41f0ab, 1 of 1 healthy
    any version, too few               not yet: deployment 7c41f0ab, 0 of 1 healthy
    old version's deployment failed    met: 1 of 1 healthy
    a purged job's deployment failed   met: 1 of 1 healthy
    the newer of two deployments       met: deployment 7c41f0ab, 1 of 1 healthy
    ");
}

/// The job with a second group like its first.
fn with_cache(sight: JobSight) -> JobSight {
    sight.but(|job| {
        let web: Group = job.groups.get("web").cloned().unwrap();
        job.groups.insert("cache".to_owned(), web);
    })
}

/// *Never* needs a failure that nobody but a user will mend (DESIGN 5).
#[test]
fn a_deployment_that_failed() {
    use DeploymentStatus::{Failed, Running};
    let broken = |a: &mut Allocation| {
        a.is_healthy = Some(false);
        a.tasks.insert("main".to_owned(), failed_task(1));
    };
    let deadline = "Failed due to progress deadline";
    let back = "Failed due to progress deadline - rolling back to job version 0";
    let nowhere = "Failed due to progress deadline - no stable job version to auto revert to";
    let same = "Failed due to unhealthy allocations - not rolling back to stable job version 1 as current job has same specification";
    let group = wait(&json!({"group": "web"}));
    let one = wait(&json!({"at_least": "1"}));
    let cases = [
        ("failed", verdict(&bare(), service(1).deployed(Failed, failed(false, deadline)).with("a", broken))),
        (
            "failed, all healthy",
            verdict(
                &bare(),
                service(1).deployed(Failed, failed(false, "Deployment marked as failed")).with("a", |_| ()),
            ),
        ),
        ("failed, rolls back", verdict(&bare(), service(1).deployed(Failed, failed(true, back)))),
        (
            "failed, nowhere to roll back",
            verdict(&bare(), service(1).deployed(Failed, failed(true, nowhere))),
        ),
        ("failed, same specification", verdict(&bare(), service(1).deployed(Failed, failed(true, same)))),
        (
            "failed, until failed",
            verdict(&until("failed"), service(1).deployed(Failed, failed(false, deadline))),
        ),
        (
            "rolling back, until failed",
            verdict(&until("failed"), service(1).deployed(Failed, failed(true, back))),
        ),
        ("running, until failed", verdict(&until("failed"), service(1).deployed(Running, |_| ()))),
        (
            "failed, until running",
            verdict(&until("running"), service(1).deployed(Failed, failed(false, deadline))),
        ),
        (
            "other group failed",
            verdict(
                &group,
                with_cache(service(1))
                    .deployed(Failed, failed(false, deadline))
                    .with("a", |a| a.group = "web".to_owned()),
            ),
        ),
        (
            "this group failed",
            verdict(&group, with_cache(service(1)).deployed(Failed, failed(false, deadline))),
        ),
        (
            "failed, but enough",
            verdict(&one, service(3).deployed(Failed, failed(false, deadline)).with("a", |_| ())),
        ),
        (
            "failed, not enough",
            verdict(&one, service(3).deployed(Failed, failed(false, deadline)).with("a", broken)),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    failed                             never: deployment 7c41f0ab failed: Failed due to progress deadline; allocation a-0000-0: task main: Exit Code: 1
    failed, all healthy                never: deployment 7c41f0ab failed: Deployment marked as failed
    failed, rolls back                 not yet: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 0
    failed, nowhere to roll back       never: deployment 7c41f0ab failed: Failed due to progress deadline - no stable job version to auto revert to
    failed, same specification         never: deployment 7c41f0ab failed: Failed due to unhealthy allocations - not rolling back to stable job version 1 as current job has same specification
    failed, until failed               met: deployment 7c41f0ab failed: Failed due to progress deadline
    rolling back, until failed         not yet: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 0
    running, until failed              not yet: version 3 has not failed
    failed, until running              never: deployment 7c41f0ab failed: Failed due to progress deadline
    other group failed                 met: deployment 7c41f0ab, 1 of 1 healthy
    this group failed                  never: deployment 7c41f0ab failed: Failed due to progress deadline
    failed, but enough                 met: deployment 7c41f0ab, 1 of 3 healthy (1 needed)
    failed, not enough                 never: deployment 7c41f0ab failed: Failed due to progress deadline; allocation a-0000-0: task main: Exit Code: 1
    ");
}

/// In these nothing moves until a user acts, which is not never.
#[test]
fn a_deployment_that_is_halted() {
    use DeploymentStatus::{Cancelled, Failed, Paused, Pending, Running};
    let group = wait(&json!({"group": "web"}));
    let cases = [
        ("paused", verdict(&bare(), service(1).deployed(Paused, |_| ()).with("a", |_| ()))),
        (
            "cancelled",
            verdict(
                &bare(),
                service(1)
                    .deployed(Cancelled, |d| {
                        d.description = "Cancelled due to newer version of job".to_owned();
                    })
                    .with("a", |_| ()),
            ),
        ),
        ("initializing", verdict(&bare(), service(1).deployed(Pending, |_| ()).with("a", |_| ()))),
        ("canaries wait", verdict(&bare(), service(1).deployed(Running, canary(false)).with("a", |_| ()))),
        ("canaries promoted", verdict(&bare(), service(1).deployed(Running, canary(true)).with("a", |_| ()))),
        ("canaries failed", verdict(&bare(), service(1).deployed(Failed, canary(false)).with("a", |_| ()))),
        (
            "canaries of another group",
            verdict(
                &group,
                with_cache(service(1))
                    .deployed(Running, |d| {
                        d.groups.get_mut("cache").unwrap().desired_canaries = 1;
                    })
                    .with("a", |a| a.group = "web".to_owned()),
            ),
        ),
        (
            "canaries of this group",
            verdict(
                &group,
                with_cache(service(1))
                    .deployed(Running, |d| {
                        d.groups.get_mut("web").unwrap().desired_canaries = 1;
                    })
                    .with("a", |a| a.group = "web".to_owned()),
            ),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    paused                             not yet: deployment 7c41f0ab is paused; go on with `nomad deployment resume 7c41f0ab`
    cancelled                          not yet: deployment 7c41f0ab was cancelled: Cancelled due to newer version of job
    initializing                       met: deployment 7c41f0ab, 1 of 1 healthy
    canaries wait                      not yet: deployment 7c41f0ab, group web: 1 of 1 canaries healthy, not promoted; promote with `nomad deployment promote 7c41f0ab`
    canaries promoted                  met: deployment 7c41f0ab, 1 of 1 healthy
    canaries failed                    never: deployment 7c41f0ab failed: Deployment in some state
    canaries of another group          met: deployment 7c41f0ab, 1 of 1 healthy
    canaries of this group             not yet: deployment 7c41f0ab, group web: 0 of 1 canaries healthy, not promoted; promote with `nomad deployment promote 7c41f0ab`
    ");
}

#[test]
fn no_room_is_told_with_nomads_reasons() {
    let blocked = EvaluationStatus::Blocked;
    let cases = [
        (
            "blocked",
            verdict(&bare(), service(1).evaluated(blocked, &[("web", "1 client exhausted: memory")])),
        ),
        ("blocked, no reasons", verdict(&bare(), service(1).evaluated(blocked, &[]))),
        (
            "the last word counts",
            verdict(
                &bare(),
                service(1)
                    .evaluated(blocked, &[("web", "old reason")])
                    .evaluated(blocked, &[("web", "new reason")]),
            ),
        ),
        ("healthy all the same", verdict(&bare(), service(1).with("a", |_| ()).evaluated(blocked, &[]))),
        (
            "unblocked",
            verdict(&bare(), service(1).evaluated(EvaluationStatus::Complete, &[("web", "was full")])),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    blocked                            blocked: 0 of 1 healthy; Nomad has no room for it: group web: 1 client exhausted: memory
    blocked, no reasons                blocked: 0 of 1 healthy; Nomad has no room for it: evaluation e0a1b2c0 is blocked
    the last word counts               blocked: 0 of 1 healthy; Nomad has no room for it: group web: new reason
    healthy all the same               met: 1 of 1 healthy
    unblocked                          not yet: 0 of 1 healthy
    ");
}

#[test]
fn part_of_a_job() {
    let two_groups = || {
        service(2).but(|job| {
            let mut cache = job.groups.get("web").cloned().unwrap();
            cache.count = 1;
            job.groups.insert("cache".to_owned(), cache);
        })
    };
    let in_web = |a: &mut Allocation| a.group = "web".to_owned();
    let in_cache = |a: &mut Allocation| a.group = "cache".to_owned();
    let web = wait(&json!({"group": "web"}));
    let half = wait(&json!({"at_least": "50%"}));
    let two = wait(&json!({"at_least": "2"}));
    let cases = [
        ("all groups, one lacks", verdict(&bare(), two_groups().with("a", in_web).with("b", in_web))),
        (
            "all groups",
            verdict(&bare(), two_groups().with("a", in_web).with("b", in_web).with("c", in_cache)),
        ),
        ("one group", verdict(&web, two_groups().with("a", in_web).with("b", in_web))),
        ("one group, one lacks", verdict(&web, two_groups().with("a", in_web).with("c", in_cache))),
        ("half of each group", verdict(&half, two_groups().with("a", in_web).with("c", in_cache))),
        ("half of each group, one lacks", verdict(&half, two_groups().with("a", in_web))),
        ("2 of 3", verdict(&two, service(3).with("a", |_| ()).with("b", |_| ()))),
        ("1 of 3", verdict(&two, service(3).with("a", |_| ()))),
        ("more than there are to be", verdict(&two, service(1).with("a", |_| ()))),
    ];
    insta::assert_snapshot!(table(cases), @"
    all groups, one lacks              not yet: cache 0 of 1 healthy, web 2 of 2 healthy
    all groups                         met: cache 1 of 1 healthy, web 2 of 2 healthy
    one group                          met: 2 of 2 healthy
    one group, one lacks               not yet: 1 of 2 healthy
    half of each group                 met: cache 1 of 1 healthy, web 1 of 2 healthy (1 needed)
    half of each group, one lacks      not yet: cache 0 of 1 healthy, web 1 of 2 healthy (1 needed)
    2 of 3                             met: 2 of 3 healthy (2 needed)
    1 of 3                             not yet: 1 of 3 healthy (2 needed)
    more than there are to be          not yet: 1 of 1 healthy (2 needed), at_least asks for more than count = 1
    ");
}

#[test]
fn running_asks_for_less_than_healthy() {
    let running = until("running");
    let cases = [
        ("runs, not judged", verdict(&running, service(1).with("a", |a| a.is_healthy = None))),
        ("runs, unhealthy", verdict(&running, service(1).with("a", |a| a.is_healthy = Some(false)))),
        (
            "prestart only",
            verdict(
                &running,
                service(1).with("a", |a| {
                    a.tasks.insert("main".to_owned(), task(TaskPhase::Pending));
                }),
            ),
        ),
        ("nothing reported", verdict(&running, service(1).with("a", |a| a.tasks.clear()))),
        ("complete is not for services", verdict(&until("complete"), service(1).with("a", |_| ()))),
    ];
    insta::assert_snapshot!(table(cases), @r#"
    runs, not judged                   met: 1 of 1 running
    runs, unhealthy                    met: 1 of 1 running
    prestart only                      not yet: 0 of 1 running
    nothing reported                   not yet: 0 of 1 running
    complete is not for services       not yet: runs on and never completes; wait until it is healthy, or until = "stopped"
    "#);
}

/// A system job has no count: its allocations are judged against each other and the scheduler's work.
#[test]
fn system_jobs() {
    let system = || job("agent", JobType::System, 1);
    let on = |client: &'static str| move |a: &mut Allocation| a.client = client.into();
    let older = |a: &mut Allocation| a.job_version = Some(JobVersion(2));
    let aims_at = |n: u32| {
        move |d: &mut Deployment| {
            d.groups.values_mut().for_each(|group| group.desired_total = n);
        }
    };
    let one = wait(&json!({"at_least": "1"}));
    let cases = [
        ("registered", verdict(&bare(), system())),
        (
            "being placed",
            verdict(&bare(), system().with("a", |_| ()).evaluated(EvaluationStatus::Pending, &[])),
        ),
        ("on two clients", verdict(&bare(), system().with("a", on("1")).with("b", on("2")))),
        (
            "one of two healthy",
            verdict(&bare(), system().with("a", on("1")).with("b", |b| b.is_healthy = None)),
        ),
        (
            "one of two, at_least 1",
            verdict(&one, system().with("a", on("1")).with("b", |b| b.is_healthy = None)),
        ),
        ("one still of the old version", verdict(&bare(), system().with("a", |_| ()).with("b", older))),
        (
            "old version, any version",
            verdict(&wait(&json!({"any_version": true})), system().with("a", |_| ()).with("b", older)),
        ),
        (
            "deployment aims at more",
            verdict(&bare(), system().deployed(DeploymentStatus::Running, aims_at(2)).with("a", |_| ())),
        ),
        (
            "a client left since",
            verdict(&bare(), system().deployed(DeploymentStatus::Successful, aims_at(2)).with("a", |_| ())),
        ),
        (
            "rolled back, no deployment",
            verdict(&bare(), system().with("a", |_| ()).evaluated(EvaluationStatus::Complete, &[])),
        ),
        (
            "no fitting client",
            verdict(&bare(), system().evaluated(EvaluationStatus::Blocked, &[("web", "no client fits")])),
        ),
    ];
    insta::assert_snapshot!(table(cases), @"
    registered                         not yet: 0 of 1 healthy
    being placed                       not yet: 1 of 1 healthy, Nomad is still placing it
    on two clients                     met: 2 of 2 healthy
    one of two healthy                 not yet: 1 of 2 healthy
    one of two, at_least 1             met: 1 of 2 healthy (1 needed)
    one still of the old version       not yet: 1 of 2 healthy, 1 still of an older version
    old version, any version           met: 2 of 2 healthy
    deployment aims at more            not yet: deployment 7c41f0ab, 1 of 2 healthy
    a client left since                met: deployment 7c41f0ab, 1 of 1 healthy
    rolled back, no deployment         met: 1 of 1 healthy
    no fitting client                  blocked: 0 of 1 healthy; Nomad has no room for it: group web: no client fits
    ");
}

#[test]
fn trouble_names_the_task_that_has_it() {
    let tell = |change: &dyn Fn(&mut Allocation)| {
        let sight = service(1).with("61d0c2aa", |a| {
            a.tasks.clear();
            change(a);
        });
        trouble(sight.allocations.values().next().unwrap())
    };
    let failed = tell(&|a| {
        a.tasks = [("a".to_owned(), task(TaskPhase::Dead)), ("main".to_owned(), failed_task(3))].into();
    });
    let waiting = tell(&|a| {
        a.tasks =
            [("a".to_owned(), task(TaskPhase::Running)), ("b".to_owned(), task(TaskPhase::Pending))].into();
    });
    let described = tell(&|a| a.description = "Failed tasks".to_owned());
    let silent = tell(&|_| ());
    assert_eq!(
        [failed.as_str(), &waiting, &described, &silent],
        [
            "allocation 61d0c2aa: task main: Exit Code: 3",
            "allocation 61d0c2aa: task b",
            "allocation 61d0c2aa: Failed tasks",
            "allocation 61d0c2aa",
        ]
    );
}
