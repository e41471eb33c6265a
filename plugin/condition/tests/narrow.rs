//! Only some of a job counts: a release by its meta, the own client; and jobs that need not be.

use serde_json::json;

use super::*;
use crate::cluster::{AllocStatus, ClientId, DeploymentStatus, EvaluationStatus, JobType, TaskPhase, sample};

fn release(value: Option<&str>) -> JobSight {
    let meta = value.map(|value| ("release".to_owned(), value.to_owned()));
    sample::service(1).but(|job| job.meta.extend(meta)).with("a", |_| ())
}

#[test]
fn only_a_version_that_carries_the_release_counts() {
    let wanted = wait(&json!({"meta": {"release": "v7"}}));
    let both = wait(&json!({"meta": {"release": "v7", "zone": "eu"}}));
    let failed = wait(&json!({"meta": {"release": "v7"}, "until": "failed"}));
    let broken = |value| {
        release(Some(value)).deployed(DeploymentStatus::Failed, |_| ()).with("a", |a| {
            a.is_healthy = Some(false);
        })
    };
    let cases = [
        ("carries it", verdict(&wanted, release(Some("v7")))),
        ("another", verdict(&wanted, release(Some("v6")))),
        ("none", verdict(&wanted, release(None))),
        ("one of two", verdict(&both, release(Some("v7")))),
        ("another, which failed", verdict(&wanted, broken("v6"))),
        ("it failed", verdict(&wanted, broken("v7"))),
        ("until failed: another failed", verdict(&failed, broken("v6"))),
        ("until failed: it failed", verdict(&failed, broken("v7"))),
        ("not healthy yet", verdict(&wanted, release(Some("v7")).with("a", |a| a.is_healthy = None))),
    ];
    insta::assert_snapshot!(table(cases), @r#"
    carries it                         met: 1 of 1 healthy
    another                            not yet: version 3 has meta release = "v6", not "v7"
    none                               not yet: version 3 has no meta release; "v7" is awaited
    one of two                         not yet: version 3 has no meta zone; "eu" is awaited
    another, which failed              not yet: version 3 has meta release = "v6", not "v7"
    it failed                          never: deployment 7c41f0ab failed: Deployment in some state; allocation a-0000-0
    until failed: another failed       not yet: version 3 has meta release = "v6", not "v7"
    until failed: it failed            met: deployment 7c41f0ab failed: Deployment in some state; allocation a-0000-0
    not healthy yet                    not yet: 0 of 1 healthy
    "#);
}

fn here(wait: &Wait, sight: JobSight) -> String {
    told(judge_at(Some(&ClientId::from("client-1")), wait, &sight.seen(), true))
}

#[test]
fn only_what_is_on_the_own_client_counts() {
    let local = wait(&json!({"scope": "client"}));
    let running = wait(&json!({"scope": "client", "until": "running"}));
    let system = || sample::job("csi", JobType::System, 0);
    let elsewhere = |a: &mut Allocation| a.client = "client-2".into();
    let outdated = |a: &mut Allocation| a.job_version = Some(JobVersion(2));
    let unhealthy = |a: &mut Allocation| a.is_healthy = None;
    let sysbatch = || sample::job("setup", JobType::Sysbatch, 0);
    let still_runs = |a: &mut Allocation| {
        a.status = AllocStatus::Running;
        a.tasks.insert("main".to_owned(), sample::task(TaskPhase::Running));
    };
    let cases = [
        ("nothing placed", here(&local, system())),
        ("elsewhere only", here(&local, system().with("b", elsewhere))),
        ("here", here(&local, system().with("a", |_| ()))),
        (
            "here, and not elsewhere",
            here(&local, system().with("a", |_| ()).with("b", |b| (elsewhere(b), unhealthy(b)).1)),
        ),
        ("not here, elsewhere", here(&local, system().with("a", unhealthy).with("b", elsewhere))),
        ("here, old", here(&local, system().with("a", outdated).with("b", elsewhere))),
        (
            "here, old elsewhere",
            here(&local, system().with("a", |_| ()).with("b", |b| (elsewhere(b), outdated(b)).1)),
        ),
        (
            "here, still being placed elsewhere",
            here(&local, system().with("a", |_| ()).evaluated(EvaluationStatus::Pending, &[])),
        ),
        (
            "here, deployed to more",
            here(
                &local,
                system().with("a", |_| ()).deployed(DeploymentStatus::Running, |d| {
                    d.groups.values_mut().for_each(|group| group.desired_total = 3);
                }),
            ),
        ),
        (
            "failed elsewhere",
            here(&local, system().with("a", unhealthy).deployed(DeploymentStatus::Failed, |_| ())),
        ),
        ("runs here", here(&running, system().with("a", unhealthy))),
        (
            "sysbatch here",
            here(&local, sysbatch().with("a", |_| ()).with("b", |b| (elsewhere(b), still_runs(b)).1)),
        ),
        ("sysbatch elsewhere", here(&local, sysbatch().with("a", still_runs).with("b", elsewhere))),
        ("a service", here(&local, sample::service(1).with("a", |_| ()))),
        ("on an unknown client", verdict(&local, system().with("a", |_| ()))),
        (
            "everywhere",
            here(&bare(), system().with("a", |_| ()).with("b", |b| (elsewhere(b), unhealthy(b)).1)),
        ),
    ];
    insta::assert_snapshot!(table(cases), @r#"
    nothing placed                     not yet: 0 of 1 healthy, on this client
    elsewhere only                     not yet: 0 of 1 healthy, on this client
    here                               met: 1 of 1 healthy, on this client
    here, and not elsewhere            met: 1 of 1 healthy, on this client
    not here, elsewhere                not yet: 0 of 1 healthy, on this client
    here, old                          not yet: 0 of 1 healthy, 1 still of an older version, on this client
    here, old elsewhere                met: 1 of 1 healthy, on this client
    here, still being placed elsewhere met: 1 of 1 healthy, on this client
    here, deployed to more             met: deployment 7c41f0ab, 1 of 1 healthy, on this client
    failed elsewhere                   not yet: deployment 7c41f0ab failed: Deployment in some state
    runs here                          met: 1 of 1 running, on this client
    sysbatch here                      met: 1 of 1 complete, on this client
    sysbatch elsewhere                 not yet: 0 of 1 complete, 1 running, on this client
    a service                          not yet: does not run on each client; scope = "client" is for system and sysbatch jobs
    on an unknown client               not yet: on which client this task is, is not to be seen
    everywhere                         not yet: 1 of 2 healthy
    "#);
}

#[test]
fn what_is_optional_need_not_be() {
    let optional = wait(&json!({"optional": true}));
    let stopped = wait(&json!({"optional": true, "until": "stopped"}));
    let absent = || Sight::Absent { similar: None };
    let unseen = sample::unseen(crate::cluster::Blindness::Unreachable, "away");
    let cases = [
        ("absent", told(judge(&optional, &absent(), false))),
        ("purged", told(judge(&optional, &absent(), true))),
        ("until stopped, absent", told(judge(&stopped, &absent(), false))),
        ("unseen", told(judge(&optional, &unseen, false))),
        ("there", verdict(&optional, sample::service(1))),
        ("healthy", verdict(&optional, sample::service(1).with("a", |_| ()))),
    ];
    insta::assert_snapshot!(table(cases), @"
    absent                             met: no job has this ID, and it is optional
    purged                             met: no job has this ID, and it is optional
    until stopped, absent              met: no job has this ID, and it is optional
    unseen                             not yet: away; a hint
    there                              not yet: 0 of 1 healthy
    healthy                            met: 1 of 1 healthy
    ");
}
