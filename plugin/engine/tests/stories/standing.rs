//! What a gate cannot see, and where it stands itself.

use super::*;

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
