//! Gates that wait for what is no job, for some of a job, for a while, or for one of several.

use insta::assert_snapshot;

use super::*;
use crate::cluster::{
    AllocStatus, Blindness, Instance, LiveChecks, Unseen, Unwell, Value as Stored,
    sample::{batch, failed_task, service, unseen},
};

fn healthy() -> Sight {
    service(1).with("a", |_| ()).seen()
}

fn starting() -> Sight {
    service(1).with("a", |a| a.is_healthy = None).seen()
}

fn failed() -> Sight {
    batch(1)
        .with("61d0c2aa", |a| {
            a.status = AllocStatus::Failed;
            a.tasks.insert("main".to_owned(), failed_task(1));
        })
        .seen()
}

fn away() -> Sight {
    unseen(Blindness::Unreachable, "Nomad is away")
}

fn instances(health: &[Result<(), &str>]) -> Answer {
    unwell(
        &health
            .iter()
            .map(|health| health.map_err(|why| Unwell::Failing(why.to_owned())))
            .collect::<Vec<_>>(),
    )
}

fn unwell(health: &[Result<(), Unwell>]) -> Answer {
    let instance = |(n, health): (usize, &Result<(), Unwell>)| Instance {
        id: format!("{n}"),
        address: format!("10.0.0.{n}:80"),
        tags: Vec::new(),
        health: health.clone(),
    };
    Answer::Instances(health.iter().enumerate().map(instance).collect())
}

#[test]
fn k_of_n_instances_with_one_failing() {
    let web = || Question::Service { namespace: "default".into(), name: "web".to_owned() };
    let mut run = Simulation::gate(&json!({"web": {"service": "web", "at_least": "2"}}));
    let refused = "check http: connection refused";
    run.wait(1).told("web", web(), Ok(instances(&[Ok(()), Err(refused), Err("check http: pending")])));
    let why = "Consul is away".to_owned();
    run.wait(20).told("web", web(), Err(Unseen { because: Blindness::Unreachable, why, hint: None }));
    run.wait(20).told("web", web(), Ok(instances(&[Ok(()), Err(refused), Ok(())])));
    assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        ask     {Service { namespace: default, name: "web" }}
        log     web: gated: no answer yet
    0s: shop is seen
    1s: web is answered
        log     web: gated: 1 of 3 passing (2 needed); 10.0.0.1:80: check http: connection refused
        event   web: 1 of 3 passing (2 needed); 10.0.0.1:80: check http: connection refused; gives up in 4m 59s
    21s: web is answered
        log     web: gated: Consul is away
        event   web: Consul is away; gives up in 4m 39s
    41s: web is answered
        log     web: satisfied: 2 of 3 passing (2 needed)
        log     open after 41s: web: 2 of 3 passing (2 needed)
        event   open after 41s: web: 2 of 3 passing (2 needed)
        finish  opened
    "#);
}

#[test]
fn an_answer_that_never_comes_is_awaited_until_the_time_is_over() {
    let mut run = Simulation::gate(&json!({"port": {"tcp": "db:5432", "timeout": "1m"}}));
    run.wait(61);
    assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        ask     {Tcp { address: "db:5432", every: 100 }}
        log     port: gated: no answer yet
    0s: shop is seen
    2s: time passes
        event   port: no answer yet; gives up in 58s
    1m: time passes
        log     port: failed: not within 1m: no answer yet
        log     port: wanted db:5432 accepting connections, but not within 1m: no answer yet
        event   port: wanted db:5432 accepting connections, but not within 1m: no answer yet
        finish  failed
    "#);
}

#[test]
fn an_approval_counts_for_the_rest_of_the_run() {
    let waits = json!({
        "db": {}, "release": {"approval": "the release is announced", "depends_on": ["db"], "timeout": "1h"},
        "late": {"approval": "all are in bed"},
    });
    let mut run = Simulation::gate(&waits);
    run.sees("db", starting());
    assert_eq!(run.engine.approvals(), ["late"], "not before it is its turn");
    run.approve("release", None).approve("db", None).approve("nobody", None);
    run.wait(10).sees("db", healthy()).wait(10).approve("release", Some("kim"));
    run.approve("release", Some("another"));
    run.wait(10).sees("db", starting()).wait(10).approve("late", None).sees("db", healthy());
    assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        log     db: gated: looking at Nomad
        log     late: gated: not approved yet; approve it with `nomad alloc exec -task gate own-0000 approve late`
        log     release: blocked: waits for db
    0s: shop is seen
        log     this gate may wait 1h, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "65m" progress_deadline = "70m" }`
    0s: db is seen
        log     db: gated: 0 of 1 healthy
        event   db: 0 of 1 healthy; gives up in 5m · late: not approved yet; approve it with `nomad alloc exec -task gate own-0000 approve late`; gives up in 5m · release: waits for db; gives up in 1h · this gate may wait 1h, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "65m" progress_deadline = "70m" }`
    0s: release is approved
    0s: db is approved
    0s: nobody is approved
    10s: db is seen
        log     db: satisfied: 1 of 1 healthy
        log     release: gated: not approved yet; approve it with `nomad alloc exec -task gate own-0000 approve release`
        event   late: not approved yet; approve it with `nomad alloc exec -task gate own-0000 approve late`; gives up in 4m 50s · release: not approved yet; approve it with `nomad alloc exec -task gate own-0000 approve release`; gives up in 59m 50s
    20s: release is approved
        keep    {"release":{"by":"kim"}}
        log     release: satisfied: approved by kim
    20s: release is approved
    30s: db is seen
        log     db: gated: 0 of 1 healthy
        log     release: blocked: waits for db
    40s: time passes
        event   db: 0 of 1 healthy; gives up in 59m 20s · late: not approved yet; approve it with `nomad alloc exec -task gate own-0000 approve late`; gives up in 4m 20s · release: waits for db; gives up in 59m 20s
    40s: late is approved
        keep    {"late":{"by":null},"release":{"by":"kim"}}
        log     late: satisfied: approved
    40s: db is seen
        log     db: satisfied: 1 of 1 healthy
        log     release: satisfied: approved by kim
        log     open after 40s: db: 1 of 1 healthy · late: approved · release: approved by kim
        event   open after 40s: db: 1 of 1 healthy · late: approved · release: approved by kim
        finish  opened
    "#);
    assert!(run.engine.approvals().is_empty());
}

#[test]
fn one_of_several_is_enough() {
    let waits = json!({
        "db": {}, "redis": {}, "cache": {}, "draining": {"until": "running"},
        "ready": {"when": "db && (redis || cache) && !draining", "timeout": "10m"},
    });
    let mut run = Simulation::gate(&waits);
    run.sees("db", healthy()).sees("redis", nobody()).sees("cache", healthy()).wait(400);
    assert!(!run.engine.has_ended(), "a part has no time limit, and what is unseen is not false");
    run.sees("draining", healthy()).wait(10).sees("draining", away()).wait(10);
    run.sees("draining", nobody());
    assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        log     cache: gated: looking at Nomad
        log     db: gated: looking at Nomad
        log     draining: gated: looking at Nomad
        log     redis: gated: looking at Nomad
        log     ready: gated: cache unknown, db unknown, draining unknown, redis unknown
    0s: shop is seen
        log     this gate may wait 10m, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "15m" progress_deadline = "20m" }`
    0s: db is seen
        log     db: satisfied: 1 of 1 healthy
        log     ready: gated: cache unknown, db holds, draining unknown, redis unknown
    0s: redis is seen
        log     redis: gated: no job has this ID yet
        log     ready: gated: cache unknown, db holds, draining unknown, redis does not hold
    0s: cache is seen
        log     cache: satisfied: 1 of 1 healthy
        log     ready: gated: cache holds, db holds, draining unknown, redis does not hold
    2s: time passes
        event   draining: looking at Nomad · redis: no job has this ID yet · ready: cache holds, db holds, draining unknown, redis does not hold; gives up in 9m 58s · this gate may wait 10m, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "15m" progress_deadline = "20m" }`
    6m 40s: draining is seen
        log     draining: satisfied: 1 of 1 running
        log     ready: gated: cache holds, db holds, draining holds, redis does not hold
        event   redis: no job has this ID yet · ready: cache holds, db holds, draining holds, redis does not hold; gives up in 3m 20s
    6m 50s: draining is seen
        log     draining: gated: Nomad is away; a hint
        log     ready: gated: cache holds, db holds, draining unknown, redis does not hold
    7m: draining is seen
        log     draining: gated: no job has this ID yet
        log     ready: satisfied: cache holds, db holds, draining does not hold, redis does not hold
        log     open after 7m: cache: 1 of 1 healthy · db: 1 of 1 healthy · draining: no job has this ID yet · redis: no job has this ID yet · ready: cache holds, db holds, draining does not hold, redis does not hold
        event   open after 7m: cache: 1 of 1 healthy · db: 1 of 1 healthy · draining: no job has this ID yet · redis: no job has this ID yet · ready: cache holds, db holds, draining does not hold, redis does not hold
        finish  opened
    "#);
}

#[test]
fn a_negation_of_what_cannot_be_judged_yet_stays_shut() {
    let mut run = Simulation::gate(&json!({
        "old": {"until": "running", "stable_for": "10s"}, "gone": {"when": "!old"},
    }));
    run.wait(1).sees("old", healthy()).wait(5);
    assert!(!run.engine.has_ended(), "it only has to stay so: {}", run.transcript());
    run.sees("old", service(1).with("a", |a| a.job_version = None).seen());
    assert!(!run.engine.has_ended(), "nobody knows its version yet: {}", run.transcript());
    run.sees("old", service(1).with("a", |a| a.status = AllocStatus::Complete).seen());
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}

#[test]
fn a_negation_waits_for_checks_that_are_being_asked_or_cannot_be_and_for_clients_out_of_reach() {
    let checked = || service(1).checked().with("a", |a| a.is_healthy = None);
    let unknown = LiveChecks::Unknown("No path to node".to_owned());
    let failing = LiveChecks::Failing { check: "http".to_owned(), output: String::new() };
    let mut run = Simulation::gate(&json!({"old": {}, "gone": {"when": "!old"}}));
    run.wait(1).sees("old", checked().seen()).wait(5);
    assert!(!run.engine.has_ended(), "nobody has answered yet: {}", run.transcript());
    run.sees("old", checked().saying("a", unknown).seen()).wait(5);
    assert!(!run.engine.has_ended(), "nobody can answer: {}", run.transcript());
    run.sees("old", checked().with("a", |a| a.status = AllocStatus::Unknown).seen()).wait(5);
    assert!(!run.engine.has_ended(), "its client is out of reach: {}", run.transcript());
    run.sees("old", checked().saying("a", LiveChecks::Pending).seen()).wait(5);
    assert!(!run.engine.has_ended(), "they have not all answered yet: {}", run.transcript());
    run.sees("old", checked().saying("a", failing).seen());
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}

#[test]
fn a_negation_waits_for_what_may_have_ended_on_a_client_out_of_reach() {
    let stopped = || service(1).but(|job| job.is_stopped = true);
    for (until, sight) in
        [("stopped", stopped()), ("complete", batch(1)), ("failed", batch(1)), ("finished", batch(1))]
    {
        let mut run = Simulation::gate(&json!({"old": {"until": until}, "on": {"when": "!old"}}));
        let with = |status| sight.clone().with("a", |a| a.status = status).seen();
        run.sees("old", with(AllocStatus::Unknown)).wait(5);
        assert!(!run.engine.has_ended(), "it may have ended: {}", run.transcript());
        run.sees("old", with(AllocStatus::Running));
        assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
    }
}

#[test]
fn a_negation_waits_for_instances_of_which_nobody_can_say_how_they_fare() {
    let web = || Question::Service { namespace: "default".into(), name: "web".to_owned() };
    let waits = json!({"web": {"service": "web", "at_least": "2"}, "gone": {"when": "!web"}});
    let failing = || Err(Unwell::Failing("check http: 503".to_owned()));
    let unknown = || Err(Unwell::Unknown("No path to node".to_owned()));
    let mut run = Simulation::gate(&waits);
    run.told("web", web(), Ok(unwell(&[Ok(()), failing(), unknown()]))).wait(60);
    assert!(!run.engine.has_ended(), "two may pass: {}", run.transcript());
    run.told("web", web(), Ok(unwell(&[Ok(()), failing(), failing()])));
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}

#[test]
fn an_expression_fails_only_when_it_can_never_hold() {
    let waits = json!({"a": {}, "b": {}, "either": {"when": "a || b", "timeout": "1h"}});
    let mut run = Simulation::gate(&waits);
    run.sees("b", batch(1).seen()).sees("a", failed()).wait(60);
    assert!(!run.engine.has_ended(), "b may still come: {}", run.transcript());
    run.sees("b", failed()).wait(60);
    assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        log     a: gated: looking at Nomad
        log     b: gated: looking at Nomad
        log     either: gated: a unknown, b unknown
    0s: shop is seen
        log     this gate may wait 1h, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "65m" progress_deadline = "70m" }`
    0s: b is seen
        log     b: gated: 0 of 1 complete, nothing placed yet
        log     either: gated: a unknown, b does not hold
    0s: a is seen
        log     a: gated: it failed: allocation 61d0c2aa: task main exited with 1
        log     either: gated: a does not hold, b does not hold
        event   a: it failed: allocation 61d0c2aa: task main exited with 1 · b: 0 of 1 complete, nothing placed yet · either: a does not hold, b does not hold; gives up in 1h · this gate may wait 1h, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "65m" progress_deadline = "70m" }`
    30s: time passes
        log     either: gated: a failed, b does not hold
        event   a: it failed: allocation 61d0c2aa: task main exited with 1 · b: 0 of 1 complete, nothing placed yet · either: a failed, b does not hold; gives up in 59m 30s
    1m: b is seen
        log     b: gated: it failed: allocation 61d0c2aa: task main exited with 1
        event   a: it failed: allocation 61d0c2aa: task main exited with 1 · b: it failed: allocation 61d0c2aa: task main exited with 1 · either: a failed, b does not hold; gives up in 59m
    1m: time passes
        log     either: gated: `a || b` cannot hold any more: a failed, b failed
    1m 1s: time passes
        log     either: failed: `a || b` cannot hold any more: a failed, b failed
        log     either: wanted a || b, but `a || b` cannot hold any more: a failed, b failed
        event   either: wanted a || b, but `a || b` cannot hold any more: a failed, b failed
        finish  failed
    "#);
}

#[test]
fn a_lost_part_that_comes_back_counts_again() {
    let waits = json!({"a": {}, "b": {}, "both": {"when": "a && b", "timeout": "1h", "optional": true}});
    let mut run = Simulation::gate(&waits);
    run.sees("b", starting()).sees("a", failed()).wait(29);
    run.sees("a", batch(1).with("a", |_| ()).seen()).wait(60);
    assert!(!run.engine.has_ended(), "{}", run.transcript());
    run.sees("b", healthy());
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}

#[test]
fn expressions_of_expressions() {
    let waits = json!({
        "a": {}, "b": {}, "c": {}, "either": {"when": "a || b"}, "all": {"when": "!either && c", "timeout": "1h"},
    });
    let mut run = Simulation::gate(&waits);
    run.sees("c", healthy()).sees("a", nobody()).wait(10);
    assert!(!run.engine.has_ended(), "b is unseen: {}", run.transcript());
    run.sees("b", healthy()).wait(10);
    assert!(!run.engine.has_ended(), "b holds: {}", run.transcript());
    run.sees("b", nobody());
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}

#[test]
fn a_break_begins_the_time_anew_in_which_it_must_be_so() {
    let mut run = Simulation::gate(&json!({"db": {"stable_for": "30s"}}));
    run.sees("db", healthy()).wait(20).sees("db", away()).sees("db", healthy()).wait(29);
    assert!(!run.engine.has_ended(), "{}", run.transcript());
    run.wait(2);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: gated: looking at Nomad
    0s: shop is seen
    0s: db is seen
        log     db: gated: 1 of 1 healthy; must stay so for 30s
        event   db: 1 of 1 healthy; must stay so for 30s; gives up in 5m
    20s: db is seen
        log     db: gated: Nomad is away; a hint
        event   db: Nomad is away; a hint; gives up in 4m 40s
    20s: db is seen
        log     db: gated: 1 of 1 healthy; must stay so for 30s
    50s: time passes
        log     db: satisfied: 1 of 1 healthy
        log     open after 50s: db: 1 of 1 healthy
        event   open after 50s: db: 1 of 1 healthy
        finish  opened
    ");
}

#[test]
fn what_is_not_looked_at_yet_has_not_been_so_for_a_while() {
    let mut run = Simulation::gate(&json!({"net": {}, "db": {"stable_for": "30s", "depends_on": ["net"]}}));
    run.sees("db", healthy()).sees("net", starting()).wait(100).sees("net", healthy()).wait(29);
    assert!(!run.engine.has_ended(), "{}", run.transcript());
    run.wait(1);
    assert!(run.engine.has_ended(), "{}", run.transcript());
}

#[test]
fn what_is_optional_holds_nothing_back_that_need_not_be() {
    let end = |sights: &[(u64, Sight)]| {
        let mut run = Simulation::gate(&json!({"it": {"optional": true}}));
        for (seconds, sight) in sights {
            run.sees("it", sight.clone()).wait(*seconds);
        }
        run.engine.status(run.now).ending.unwrap_or_else(|| "waits".to_owned())
    };
    let ends = [
        ("absent", end(&[(0, nobody())])),
        ("unseen", end(&[(100, away())])),
        ("may still come", end(&[(100, starting())])),
        ("came", end(&[(100, starting()), (0, healthy())])),
        ("too late", end(&[(300, starting())])),
        ("has failed just now", end(&[(5, batch(1).seen()), (0, failed())])),
        ("has failed", end(&[(5, batch(1).seen()), (1, failed())])),
        ("had failed before", end(&[(29, failed())])),
        ("had failed long before", end(&[(30, failed())])),
    ];
    let lines: Vec<String> = ends.iter().map(|(case, end)| format!("{case:<24} {end}")).collect();
    assert_snapshot!(lines.join("\n"), @"
    absent                   open after 0s: it: no job has this ID, and it is optional
    unseen                   waits
    may still come           waits
    came                     open after 1m 40s: it: 1 of 1 healthy
    too late                 open after 5m: it: not waited for any longer than 5m (on_timeout = continue): 0 of 1 healthy
    has failed just now      waits
    has failed               open after 5s: it: not waited for, as it is optional: it failed: allocation 61d0c2aa: task main exited with 1
    had failed before        waits
    had failed long before   open after 30s: it: not waited for, as it is optional: it failed: allocation 61d0c2aa: task main exited with 1
    ");
}

#[test]
fn an_optional_value_that_is_there_is_awaited() {
    let question = || Question::Variable {
        namespace: "default".into(),
        path: "db".to_owned(),
        key: Some("up".to_owned()),
        equals: Some("yes".to_owned()),
    };
    let waits = json!({"db": {"variable": "db", "key": "up", "equals": "yes", "optional": true}});
    let mut run = Simulation::gate(&waits);
    run.told("db", question(), Ok(Answer::Value(Stored::Differs))).wait(10);
    assert!(!run.engine.has_ended());
    run.told("db", question(), Ok(Answer::Value(Stored::Absent)));
    assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        ask     {Variable { namespace: default, path: "db", key: Some("up"), equals: Some("yes") }}
        log     db: gated: no answer yet
    0s: shop is seen
    0s: db is answered
        log     db: gated: variable db, item up: is something else
        event   db: variable db, item up: is something else; goes on without it in 5m
    10s: db is answered
        log     db: satisfied: there is no variable db, and it is optional
        log     open after 10s: db: there is no variable db, and it is optional
        event   open after 10s: db: there is no variable db, and it is optional
        finish  opened
    "#);
}

#[test]
fn the_own_client_is_that_of_the_own_allocation() {
    let csi = |client: &'static str| {
        let system = crate::cluster::JobType::System;
        sample::job("csi", system, 0).with("a", move |a| a.client = client.into()).seen()
    };
    let mut run = Simulation::gate_that_sees(&json!({"csi": {"scope": "client"}}), away());
    run.sees("csi", csi("client-1")).wait(5);
    assert!(!run.engine.has_ended(), "nobody knows where it is: {}", run.transcript());
    run.sees("csi", csi("client-2")).sees("shop", own_job().seen()).wait(5);
    assert!(!run.engine.has_ended(), "on another client: {}", run.transcript());
    run.sees("csi", csi("client-1"));
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}
