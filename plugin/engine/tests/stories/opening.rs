//! What opens a gate, and what does not.

use super::*;

#[test]
fn a_gate_opens_when_its_job_becomes_healthy() {
    let mut run = Simulation::gate(&json!({"postgres": {}}));
    run.sees("postgres", nobody()).wait(7);
    run.sees("postgres", deploying(2).with("a", starting).with("b", starting).seen()).wait(20);
    run.sees("postgres", deploying(2).with("a", |_| ()).with("b", starting).seen()).wait(23);
    run.sees("postgres", deploying(2).with("a", |_| ()).with("b", |_| ()).seen());
    run.wait(1000).sees("postgres", nobody());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
    0s: postgres is seen
        log     postgres: gated: no job has this ID yet
        event   postgres: no job has this ID yet; gives up in 5m
    7s: postgres is seen
        log     postgres: gated: deployment 7c41f0ab, 0 of 2 healthy
        event   postgres: deployment 7c41f0ab, 0 of 2 healthy; gives up in 4m 53s
    27s: postgres is seen
        log     postgres: gated: deployment 7c41f0ab, 1 of 2 healthy
    37s: time passes
        event   postgres: deployment 7c41f0ab, 1 of 2 healthy; gives up in 4m 23s
    50s: postgres is seen
        log     postgres: satisfied: deployment 7c41f0ab, 2 of 2 healthy
        log     open after 50s: postgres: deployment 7c41f0ab, 2 of 2 healthy
        event   open after 50s: postgres: deployment 7c41f0ab, 2 of 2 healthy
        finish  opened
    17m 30s: postgres is seen
    ");
    assert_eq!(run.engine.next_timeout(), None);
}

#[test]
fn a_job_that_is_healthy_already_opens_at_once_with_one_event() {
    let mut run = Simulation::gate(&json!({"postgres": {}}));
    run.sees("postgres", service(1).with("a", |_| ()).seen());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
    0s: postgres is seen
        log     postgres: satisfied: 1 of 1 healthy
        log     open after 0s: postgres: 1 of 1 healthy
        event   open after 0s: postgres: 1 of 1 healthy
        finish  opened
    ");
}

#[test]
fn all_conditions_hold_together_when_the_gate_opens() {
    let healthy = || service(1).with("a", |_| ()).seen();
    let mut run = Simulation::gate(&json!({"postgres": {"timeout": "10s"}, "redis": {"timeout": "1m"}}));
    run.sees("redis", nobody()).sees("postgres", healthy()).wait(20);
    run.sees("postgres", nobody());
    run.sees("redis", healthy()).wait(10);
    assert!(!run.engine.has_ended(), "{}", run.transcript());
    run.sees("postgres", healthy());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
        log     redis: gated: looking at Nomad
    0s: shop is seen
    0s: redis is seen
        log     redis: gated: no job has this ID yet
    0s: postgres is seen
        log     postgres: satisfied: 1 of 1 healthy
        event   redis: no job has this ID yet; gives up in 1m
    20s: postgres is seen
        log     postgres: gated: no job has this ID yet
        event   postgres: no job has this ID yet; gives up in 40s · redis: no job has this ID yet; gives up in 40s
    20s: redis is seen
        log     redis: satisfied: 1 of 1 healthy
    30s: postgres is seen
        log     postgres: satisfied: 1 of 1 healthy
        log     open after 30s: postgres: 1 of 1 healthy · redis: 1 of 1 healthy
        event   open after 30s: postgres: 1 of 1 healthy · redis: 1 of 1 healthy
        finish  opened
    ");
}

#[test]
fn a_wait_that_depends_on_another_is_looked_at_later() {
    let mut run = Simulation::gate(&json!({"postgres": {}, "migrate": {"depends_on": ["postgres"]}}));
    run.sees("migrate", failed_batch()).sees("postgres", nobody()).wait(60);
    assert!(!run.engine.has_ended());
    run.sees("migrate", batch(1).with("a", |_| ()).seen());
    run.sees("postgres", service(1).with("a", |_| ()).seen());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
        log     migrate: blocked: waits for postgres
    0s: shop is seen
    0s: migrate is seen
    0s: postgres is seen
        log     postgres: gated: no job has this ID yet
        event   postgres: no job has this ID yet; gives up in 5m · migrate: waits for postgres; gives up in 5m
    1m: migrate is seen
    1m: postgres is seen
        log     postgres: satisfied: 1 of 1 healthy
        log     migrate: satisfied: 1 of 1 complete
        log     open after 1m: postgres: 1 of 1 healthy · migrate: 1 of 1 complete
        event   open after 1m: postgres: 1 of 1 healthy · migrate: 1 of 1 complete
        finish  opened
    ");
}

#[test]
fn opening_by_hand_is_recorded() {
    let mut run = Simulation::gate(&json!({"postgres": {}}));
    run.sees("postgres", nobody()).wait(5);
    run.happens("a user opens", Event::Opened { reason: "postgres is fine, INC-7".to_owned() });
    run.happens("again", Event::Opened { reason: "twice".to_owned() });
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
    0s: postgres is seen
        log     postgres: gated: no job has this ID yet
        event   postgres: no job has this ID yet; gives up in 5m
    5s: a user opens
        log     opened by hand: postgres is fine, INC-7
        event   opened by hand: postgres is fine, INC-7
        finish  opened
    5s: again
    ");
}

#[test]
fn a_stopped_gate_neither_opens_nor_fails() {
    let mut run = Simulation::gate(&json!({"postgres": {}, "redis": {}}));
    run.sees("postgres", nobody()).wait(125);
    run.happens("Nomad stops the task", Event::Stopped);
    run.sees("postgres", service(1).with("a", |_| ()).seen());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
        log     redis: gated: looking at Nomad
    0s: shop is seen
    0s: postgres is seen
        log     postgres: gated: no job has this ID yet
    2s: time passes
        event   postgres: no job has this ID yet; gives up in 4m 58s · redis: looking at Nomad; gives up in 4m 58s
    2m 5s: Nomad stops the task
        log     stopped; 2 of 2 still awaited after 2m 5s
        event   stopped; 2 of 2 still awaited after 2m 5s
        finish  stopped
    2m 5s: postgres is seen
    ");
}

#[test]
fn a_wait_for_a_task_of_the_own_allocation_needs_its_checks() {
    let own = |phase: TaskPhase| {
        own_job()
            .but_group(|group| {
                let mut proxy = group.tasks.get("gate").cloned().unwrap();
                proxy.lifecycle.as_mut().unwrap().is_sidecar = true;
                proxy.has_nomad_checks = true;
                group.tasks.insert("proxy".to_owned(), proxy);
            })
            .with("own", |own| own.tasks = [("proxy".to_owned(), task(phase))].into())
            .seen()
    };
    let waits = json!({"proxy": {"task": "proxy"}});
    let mut run = Simulation::gate_that_sees(&waits, own(TaskPhase::Pending));
    run.wait(5).sees("shop", own(TaskPhase::Running));
    let passes = Check {
        name: "alive".to_owned(),
        service: "proxy".to_owned(),
        task: "proxy".to_owned(),
        status: crate::cluster::CheckStatus::Success,
        output: String::new(),
        at: 0,
    };
    let question = Question::OwnChecks { alloc: place().alloc };
    run.wait(1).told("checks", question, Ok(Answer::Checks(vec![passes])));
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        ask     {OwnChecks { alloc: own-0000-0000 }}
        log     proxy: gated: looking at Nomad
    0s: shop is seen
        log     proxy: gated: task proxy has not started
        event   proxy: task proxy has not started; gives up in 5m
    5s: shop is seen
        log     proxy: gated: task proxy runs, its checks have not answered yet
        event   proxy: task proxy runs, its checks have not answered yet; gives up in 4m 55s
    6s: checks is answered
        log     proxy: satisfied: task proxy runs and passes 1 of 1 checks
        log     open after 6s: proxy: task proxy runs and passes 1 of 1 checks
        event   open after 6s: proxy: task proxy runs and passes 1 of 1 checks
        finish  opened
    ");
    let asks = |waits: &Value| Simulation::gate(waits).transcript().contains("ask ");
    assert!(asks(&waits) && !asks(&json!({"proxy": {}})));
    assert!(!asks(&json!({"proxy": {"task": "proxy", "until": "running"}})));
}

#[test]
fn a_job_that_was_there_and_is_purged_was_stopped() {
    let mut run = Simulation::gate(&json!({"postgres": {"until": "stopped"}}));
    run.sees("postgres", nobody()).wait(5);
    assert!(!run.engine.has_ended(), "it was never there");
    run.sees("postgres", service(1).with("a", |_| ()).seen()).wait(5);
    run.sees("postgres", nobody());
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}
