//! How few task events a gate needs.

use super::*;

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
