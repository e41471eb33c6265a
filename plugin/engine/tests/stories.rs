//! What a run does, told as transcripts: they show *everything* that was done.

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

/// Losing sight is no reason to act, and what is not seen is not satisfied.
#[test]
fn a_blind_gate_waits() {
    let mut run = Simulation::gate(&json!({"postgres": {}, "redis": {}}));
    run.sees("redis", nobody()).sees("postgres", service(1).with("a", |_| ()).seen());
    run.sees("postgres", unseen(Blindness::Unreachable, "cannot reach Nomad"));
    run.sees("redis", service(1).with("a", |_| ()).seen()).wait(60);
    assert!(!run.engine.has_ended());
    run.sees("postgres", service(1).with("a", |_| ()).seen());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
        log     redis: gated: looking at Nomad
    0s: shop is seen
    0s: redis is seen
        log     redis: gated: no job has this ID yet
    0s: postgres is seen
        log     postgres: satisfied: 1 of 1 healthy
        event   redis: no job has this ID yet; gives up in 5m
    0s: postgres is seen
        log     postgres: gated: cannot reach Nomad; a hint
    0s: redis is seen
        log     redis: satisfied: 1 of 1 healthy
    5s: time passes
        event   postgres: cannot reach Nomad; a hint; gives up in 4m 55s
    1m: postgres is seen
        log     postgres: satisfied: 1 of 1 healthy
        log     open after 1m: postgres: 1 of 1 healthy · redis: 1 of 1 healthy
        event   open after 1m: postgres: 1 of 1 healthy · redis: 1 of 1 healthy
        finish  opened
    ");
}

#[test]
fn a_failure_that_happens_while_we_watch_ends_the_wait_at_once() {
    let mut run = Simulation::gate(&json!({"migrate": {}}));
    run.sees("migrate", batch(1).seen()).wait(10);
    run.sees("migrate", failed_batch()).wait(6);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     migrate: gated: looking at Nomad
    0s: shop is seen
    0s: migrate is seen
        log     migrate: gated: 0 of 1 complete, nothing placed yet
        event   migrate: 0 of 1 complete, nothing placed yet; gives up in 5m
    10s: migrate is seen
        log     migrate: gated: it failed: allocation 61d0c2aa: task main exited with 1
        event   migrate: it failed: allocation 61d0c2aa: task main exited with 1; gives up in 4m 50s
    10s: time passes
        log     migrate: failed: it failed: allocation 61d0c2aa: task main exited with 1
        read    migrate: what task main of allocation 61d0c2aa wrote last
    15s: time passes
        log     migrate: wanted job migrate complete, but it failed: allocation 61d0c2aa: task main exited with 1; look with `nomad job status migrate`
        event   migrate: wanted job migrate complete, but it failed: allocation 61d0c2aa: task main exited with 1; look with `nomad job status migrate`
        finish  failed
    ");
}

#[test]
fn a_failure_that_stood_when_we_began_is_believed_after_thirty_seconds() {
    let mut run = Simulation::gate(&json!({"migrate": {}}));
    run.sees("migrate", failed_batch()).wait(29);
    assert!(!run.engine.has_ended());
    run.wait(6);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     migrate: gated: looking at Nomad
    0s: shop is seen
    0s: migrate is seen
        log     migrate: gated: it failed: allocation 61d0c2aa: task main exited with 1
        event   migrate: it failed: allocation 61d0c2aa: task main exited with 1; gives up in 5m
    30s: time passes
        log     migrate: failed: it failed: allocation 61d0c2aa: task main exited with 1
        read    migrate: what task main of allocation 61d0c2aa wrote last
    35s: time passes
        log     migrate: wanted job migrate complete, but it failed: allocation 61d0c2aa: task main exited with 1; look with `nomad job status migrate`
        event   migrate: wanted job migrate complete, but it failed: allocation 61d0c2aa: task main exited with 1; look with `nomad job status migrate`
        finish  failed
    ");
}

#[test]
fn a_failure_that_is_mended_in_time_is_forgotten() {
    let mut run = Simulation::gate(&json!({"migrate": {}}));
    run.sees("migrate", failed_batch()).wait(29);
    run.sees("migrate", batch(1).seen()).wait(60);
    run.sees("migrate", batch(1).with("a", |_| ()).seen());
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}

#[test]
fn a_failure_is_told_with_the_last_words_of_what_failed_or_soon_without() {
    let failing = || {
        let mut run = Simulation::gate(&json!({"migrate": {}}));
        run.sees("migrate", batch(1).seen()).wait(10);
        run.sees("migrate", failed_batch()).wait(1);
        assert!(!run.engine.has_ended());
        run
    };
    let told = |report| {
        let mut run = failing();
        run.happens("", Event::Acted("migrate".to_owned(), report));
        run.engine.status(run.now).ending.unwrap()
    };
    let why = "Nomad does not let it read logs; grant read-logs".to_owned();
    let lines = "connecting\n\n  psql: no route\n to host\nbye\n".to_owned();
    assert_snapshot!(told(Ok(Report::Tail(lines))), @"migrate: wanted job migrate complete, but it failed: allocation 61d0c2aa: task main exited with 1; look with `nomad job status migrate`; its last words: psql: no route / to host / bye");
    assert_snapshot!(told(Ok(Report::Tail(String::new()))), @"migrate: wanted job migrate complete, but it failed: allocation 61d0c2aa: task main exited with 1; look with `nomad job status migrate`");
    assert_snapshot!(told(Err(Trouble { why, is_transient: false })), @"migrate: wanted job migrate complete, but it failed: allocation 61d0c2aa: task main exited with 1; look with `nomad job status migrate`; its output cannot be read: Nomad does not let it read logs; grant read-logs");
    // A client on a busy machine takes its time.
    let mut run = failing();
    run.wait(3).happens("", Event::Acted("migrate".to_owned(), Ok(Report::Tail("bye".to_owned()))));
    assert!(run.engine.status(run.now).ending.unwrap().ends_with("; its last words: bye"));
    // What is seen meanwhile makes no difference any more, and nobody is waited for.
    let mut run = failing();
    run.sees("migrate", batch(1).with("a", |_| ()).seen());
    run.wait(4);
    assert!(!run.engine.has_ended());
    run.wait(1);
    assert!(run.transcript().ends_with("finish  failed"), "{}", run.transcript());
    let mut run = failing();
    run.happens("", Event::Stopped);
    assert!(run.transcript().ends_with("finish  stopped"), "{}", run.transcript());
}

/// Being blind for a while is no hope: the failure may have stood all the time.
#[test]
fn a_failure_seen_after_a_blind_start_is_not_believed_at_once() {
    let mut run = Simulation::gate(&json!({"migrate": {}}));
    run.sees("migrate", unseen(Blindness::Unreachable, "cannot reach Nomad")).wait(5);
    run.sees("migrate", failed_batch()).wait(29);
    assert!(!run.engine.has_ended());
    run.wait(6);
    assert!(run.transcript().ends_with("finish  failed"));
}

#[test]
fn a_version_that_fails_and_is_rolled_back_is_never_never() {
    let failed = |sight: JobSight, revert: bool| {
        sight.deployed(DeploymentStatus::Failed, |d| {
            d.description = "Failed due to progress deadline - rolling back to job version 3".to_owned();
            d.groups.values_mut().for_each(|group| group.auto_revert = revert);
        })
    };
    let mut run = Simulation::gate(&json!({"postgres": {}}));
    run.sees("postgres", deploying(1).with("a", starting).seen()).wait(3);
    run.sees("postgres", failed(service(1), true).seen()).wait(60);
    let third = failed(service(1), true).but(|job| job.version = JobVersion(4));
    run.sees("postgres", third.clone().deployed(DeploymentStatus::Running, |_| ()).seen()).wait(5);
    run.sees("postgres", third.with("a", |_| ()).seen());
    assert!(run.transcript().ends_with("finish  opened"), "{}", run.transcript());
}

#[test]
fn no_room_fails_the_gate_only_when_it_is_told_so() {
    let blocked = || service(1).evaluated(EvaluationStatus::Blocked, &[("web", "memory")]).seen();
    let mut run = Simulation::gate(&json!({"postgres": {"on_blocked": "fail"}}));
    run.sees("postgres", blocked());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
    0s: postgres is seen
        log     postgres: failed: 0 of 1 healthy; Nomad has no room for it: group web: memory
        log     postgres: wanted job postgres healthy, but 0 of 1 healthy; Nomad has no room for it: group web: memory; look with `nomad job status postgres`
        event   postgres: wanted job postgres healthy, but 0 of 1 healthy; Nomad has no room for it: group web: memory; look with `nomad job status postgres`
        finish  failed
    ");
    let mut patient = Simulation::gate(&json!({"postgres": {}}));
    patient.sees("postgres", blocked()).wait(60).sees("postgres", service(1).with("a", |_| ()).seen());
    assert!(patient.transcript().ends_with("finish  opened"));
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
fn a_misplaced_gate_is_refused() {
    let sidecar = |sidecar: bool| {
        own_job()
            .but_group(|group| {
                let gate = group.tasks.get_mut("gate").unwrap();
                gate.lifecycle.as_mut().unwrap().is_sidecar = sidecar;
            })
            .seen()
    };
    let refused = Simulation::gate_that_sees(&json!({"postgres": {}}), sidecar(true));
    assert_snapshot!(refused.transcript(), @r#"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
        log     this gate would hold nothing back: task `gate` is a sidecar, and Nomad holds nothing back for it; write `lifecycle { hook = "prestart" sidecar = false }` into it, each attribute on a line of its own; to keep watch beside the main tasks, give its waits an `on_loss`
        event   this gate would hold nothing back: task `gate` is a sidecar, and Nomad holds nothing back for it; write `lifecycle { hook = "prestart" sidecar = false }` into it, each attribute on a line of its own; to keep watch beside the main tasks, give its waits an `on_loss`
        finish  failed
    "#);
    let mut flipped = Simulation::gate_that_sees(&json!({"postgres": {}}), sidecar(false));
    flipped.sees("postgres", nobody()).wait(30);
    flipped.sees("shop", sidecar(true));
    assert!(flipped.transcript().ends_with("finish  failed"), "{}", flipped.transcript());
}

#[test]
fn a_gate_that_cannot_see_its_own_job_says_so_in_its_first_event_and_works() {
    let mut run =
        Simulation::gate_that_sees(&json!({"postgres": {}}), unseen(Blindness::Denied, "not allowed"));
    run.sees("postgres", nobody()).wait(5);
    run.sees("postgres", service(1).with("a", |_| ()).seen());
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
        log     its own job cannot be read, so it cannot tell whether it stands where Nomad waits for it
    0s: postgres is seen
        log     postgres: gated: no job has this ID yet
        event   postgres: no job has this ID yet; gives up in 5m · its own job cannot be read, so it cannot tell whether it stands where Nomad waits for it
    5s: postgres is seen
        log     postgres: satisfied: 1 of 1 healthy
        log     open after 5s: postgres: 1 of 1 healthy
        event   open after 5s: postgres: 1 of 1 healthy
        finish  opened
    ");
}

#[test]
fn a_gate_that_does_not_know_where_it_stands_stays_shut() {
    let mut run = Simulation::gate_that_sees(&json!({"postgres": {}}), unseen(Blindness::Looking, "looking"));
    run.sees("postgres", service(1).with("a", |_| ()).seen()).wait(100);
    assert!(!run.engine.has_ended());
    run.sees("shop", own_job().seen());
    assert!(run.transcript().ends_with("finish  opened"));
}

#[test]
fn a_gate_that_never_learns_where_it_stands_fails_unless_every_wait_says_to_go_on() {
    let end = |waits: &Value| {
        let mut run = Simulation::gate_that_sees(waits, unseen(Blindness::Unreachable, "away"));
        run.sees("a", service(1).with("a", |_| ()).seen())
            .sees("b", service(1).with("a", |_| ()).seen())
            .wait(299);
        assert!(!run.engine.has_ended());
        run.wait(1);
        run.lines.last().unwrap().clone()
    };
    assert_eq!(end(&json!({"a": {}, "b": {"on_timeout": "continue"}})), "    finish  failed");
    assert_eq!(
        end(&json!({"a": {"on_timeout": "continue"}, "b": {"on_timeout": "continue"}})),
        "    finish  opened"
    );
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
fn the_first_event_does_not_wait_long_for_the_first_look() {
    let mut run = Simulation::gate(&json!({"postgres": {}}));
    run.wait(10);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: gated: looking at Nomad
    0s: shop is seen
    2s: time passes
        event   postgres: looking at Nomad; gives up in 4m 58s
    ");
}

#[test]
fn flapping_news_leave_room_for_nomads_own_events() {
    let mut run = Simulation::gate(&json!({"postgres": {"timeout": "2h"}}));
    run.sees("postgres", nobody());
    for _ in 0..500 {
        run.wait(3).sees("postgres", deploying(1).with("a", starting).seen());
        run.wait(3).sees("postgres", deploying(2).with("a", |_| ()).seen());
    }
    let events: Vec<&str> =
        run.transcript().lines().filter(|line| line.starts_with("    event")).map(|_| "event").collect();
    assert_eq!(events.len(), 5, "{}", run.transcript());
}

#[test]
fn what_is_told_already_is_not_told_again() {
    let mut run = Simulation::gate(&json!({"postgres": {"timeout": "2h"}}));
    run.sees("postgres", nobody());
    for _ in 0..100 {
        run.wait(60).sees("postgres", nobody());
    }
    assert_eq!(run.transcript().matches("event").count(), 1, "{}", run.transcript());
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
fn a_failure_says_what_was_wanted_what_is_in_the_way_and_what_to_do() {
    let end = |waits: &Value, job: &str, sight: Sight| {
        let mut run = Simulation::gate(waits);
        run.happens("seen", Event::Seen(JobKey::new(job, "db"), Arc::new(sight))).wait(100_000);
        run.engine.status(run.now).ending.unwrap()
    };
    let elsewhere = json!({"db": {"namespace": "data", "group": "web", "timeout": "1m"}});
    assert_snapshot!(end(&elsewhere, "data", service(1).seen()), @"db: wanted job data/db, group web, healthy, but not within 1m: 0 of 1 healthy; look with `nomad job status -namespace data db`");
    assert_snapshot!(end(&elsewhere, "data", nobody()), @"db: wanted job data/db, group web, ready, but not within 1m: no job has this ID yet; register it with `nomad job run -namespace data FILE`");
    assert_snapshot!(end(&elsewhere, "data", unseen(Blindness::Denied, "Nomad does not allow it")), @"db: wanted job data/db, group web, ready, but not within 1m: Nomad does not allow it; a hint");
    assert_snapshot!(end(&json!({"db": {"until": "complete"}}), "default", batch(1).seen()), @"db: wanted job db complete, but not within 5m: 0 of 1 complete, nothing placed yet; look with `nomad job status db`");
    assert_snapshot!(end(&json!({"p": {"task": "proxy"}}), "default", nobody()), @"p: wanted task proxy ready, but not within 5m: has not been reported on yet; look with `nomad alloc status own-0000`");
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
