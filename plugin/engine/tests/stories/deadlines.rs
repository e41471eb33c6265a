//! When a gate's time is over, and what it says of that.

use super::*;

#[test]
fn a_gate_gives_up_at_its_deadline_and_not_before() {
    let mut run = Simulation::gate(&json!({"postgres": {"timeout": "1m"}}));
    run.sees("postgres", deploying(1).with("a", starting).seen()).wait(59);
    assert!(!run.engine.has_ended());
    run.wait(1);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
    0s: postgres is seen
        log     postgres: gated: deployment 7c41f0ab, 0 of 1 healthy
        event   postgres: deployment 7c41f0ab, 0 of 1 healthy; gives up in 1m
    1m: time passes
        log     postgres: failed: not within 1m: deployment 7c41f0ab, 0 of 1 healthy
        log     postgres: wanted job postgres healthy, but not within 1m: deployment 7c41f0ab, 0 of 1 healthy; look with `nomad job status postgres`
        event   postgres: wanted job postgres healthy, but not within 1m: deployment 7c41f0ab, 0 of 1 healthy; look with `nomad job status postgres`
        finish  failed
    ");
}

#[test]
fn on_timeout_continue_goes_on_and_says_so() {
    let mut run =
        Simulation::gate(&json!({"postgres": {"timeout": "1m", "on_timeout": "continue"}, "redis": {}}));
    run.sees("redis", nobody()).sees("postgres", nobody()).wait(61);
    run.sees("redis", service(1).with("a", |_| ()).seen());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
        log     redis: gated: looking at Nomad
    0s: shop is seen
    0s: redis is seen
        log     redis: gated: no job has this ID yet
    0s: postgres is seen
        log     postgres: gated: no job has this ID yet
        event   postgres: no job has this ID yet; goes on without it in 1m · redis: no job has this ID yet; gives up in 5m
    1m: time passes
        log     postgres: satisfied: not waited for any longer than 1m (on_timeout = continue): no job has this ID yet
        event   redis: no job has this ID yet; gives up in 4m
    1m 1s: redis is seen
        log     redis: satisfied: 1 of 1 healthy
        log     open after 1m 1s: postgres: not waited for any longer than 1m (on_timeout = continue): no job has this ID yet · redis: 1 of 1 healthy
        event   open after 1m 1s: postgres: not waited for any longer than 1m (on_timeout = continue): no job has this ID yet · redis: 1 of 1 healthy
        finish  opened
    ");
}

#[test]
fn what_was_lost_must_come_back_before_the_last_deadline() {
    let mut run = Simulation::gate(
        &json!({"postgres": {"timeout": "10s"}, "redis": {"timeout": "30s", "on_timeout": "continue"}}),
    );
    run.sees("postgres", service(1).with("a", |_| ()).seen()).sees("redis", nobody()).wait(20);
    run.sees("postgres", nobody()).wait(9);
    assert!(!run.engine.has_ended());
    run.wait(1);
    assert!(run.transcript().ends_with("finish  failed"), "{}", run.transcript());
}

#[test]
fn deadlines_that_are_too_short_are_told_once_in_the_first_event() {
    let mut run = Simulation::gate(&json!({"postgres": {"timeout": "30m"}}));
    run.sees("postgres", nobody()).wait(10);
    run.sees("postgres", deploying(1).seen()).wait(60);
    assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
        log     this gate may wait 30m, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "35m" progress_deadline = "40m" }`
    0s: postgres is seen
        log     postgres: gated: no job has this ID yet
        event   postgres: no job has this ID yet; gives up in 30m · this gate may wait 30m, but healthy_deadline = 5m would fail the deployment meanwhile; set `update { healthy_deadline = "35m" progress_deadline = "40m" }`
    10s: postgres is seen
        log     postgres: gated: deployment 7c41f0ab, 0 of 1 healthy
        event   postgres: deployment 7c41f0ab, 0 of 1 healthy; gives up in 29m 50s
    "#);
}

#[test]
fn a_status_says_until_when_as_long_as_that_matters() {
    let mut run =
        Simulation::gate(&json!({"postgres": {"timeout": "1m"}, "redis": {"depends_on": ["postgres"]}}));
    run.sees("redis", nobody()).wait(10);
    run.sees("postgres", service(1).with("a", |_| ()).seen()).wait(5);
    let status = run.engine.status(run.now);
    let [postgres, redis] = &*status.nodes else { panic!("{status:?}") };
    assert_eq!(
        (postgres.state, postgres.gives_up, status.now.since(postgres.since).as_secs()),
        ("satisfied", None, 5)
    );
    assert_eq!((redis.state, redis.gives_up), ("gated", Some(run.began + Duration::from_mins(5))));
    assert_eq!(
        (postgres.wanted.as_str(), redis.wanted.as_str()),
        ("job postgres healthy", "job redis ready")
    );
    assert_eq!(redis.depends_on, ["postgres"]);
    assert_eq!((status.task.as_str(), status.alloc.as_str()), ("shop/web/gate", "own-0000"));
}
