//! When a failure is believed, and how it is told.

use super::*;

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
