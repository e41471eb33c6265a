//! Limits: of time, and of what is under way together.

use super::*;

#[test]
fn the_time_of_the_whole_run_is_limited() {
    let mut config = with_hooks(&json!({"post": {"seed": {"jobspec": "x"}}}));
    config["timeout"] = json!("1m");
    let mut run = Simulation::of(&config);
    run.wait(10).fares("db", Fate::Good).wait(60);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        log     seed: blocked: waits for db
        log     web: blocked: waits for db, seed
        act     db: submit db
        log     db: working: is being submitted
        event   0 of 3 satisfied · db: is being submitted; gives up in 10m 30s
        log     db: gated: Nomad does not show version 0 yet
        log     db: gated: 0 of 1 healthy
    5s: time passes
        event   0 of 3 satisfied · db: 0 of 1 healthy; gives up in 10m 25s
    10s: db is Good
        act     db: recall db
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     web: blocked: waits for seed
        act     seed: launch seed-shop-c31c095f-1
        log     seed: working: is being launched
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    35s: time passes
        event   1 of 3 satisfied · seed: 0 of 1 complete, 1 running; gives up in 9m 35s
    1m: time passes
        act     seed: stop seed-shop-c31c095f-1
        log     seed: skipped: given up, because the run was not done within 1m
        log     web: skipped: not begun, because the run was not done within 1m
        log     failed after 1m: the run was not done within 1m · given up, because the run was not done within 1m: seed · not begun, because the run was not done within 1m: web · ready: db
        event   failed after 1m: the run was not done within 1m · given up, because the run was not done within 1m: seed · not begun, because the run was not done within 1m: web · ready: db
        finish  failed
    ");
    // Also for a process that comes back after that: its hooks are stopped, and it says what it is.
    let mut late = Simulation::of(&config);
    late.fares("db", Fate::Good);
    late.now = late.now + Duration::from_mins(2);
    late.lines.clear();
    late.crash();
    assert_snapshot!(late.transcript(), @"
    2m: a new process goes on
        log     db: skipped: given up, because the run was not done within 1m; it is submitted, and not waited for
        act     seed: stop seed-shop-c31c095f-1
        log     seed: skipped: given up, because the run was not done within 1m
        log     web: skipped: not begun, because the run was not done within 1m
        log     db: satisfied: created, version 0: 1 of 1 healthy
        event   1 of 3 satisfied · nothing new is begun: the run was not done within 1m
        log     failed after 2m: the run was not done within 1m · given up, because the run was not done within 1m: seed · not begun, because the run was not done within 1m: web · ready: db
        event   failed after 2m: the run was not done within 1m · given up, because the run was not done within 1m: seed · not begun, because the run was not done within 1m: web · ready: db
        finish  failed
    ");
}

#[test]
fn no_more_are_under_way_than_may_be_and_exclusive_ones_never_together() {
    let mut config = jobs(&["a", "b", "c"]);
    config["max_parallel"] = json!(2);
    let mut run = Simulation::of(&config);
    run.fares("a", Fate::Good).fares("b", Fate::Good).fares("c", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     a: blocked: looks at all jobs of the tree first
        log     b: blocked: looks at all jobs of the tree first
        log     c: blocked: looks at all jobs of the tree first
        act     a: submit a
        log     a: working: is being submitted
        act     b: submit b
        log     b: working: is being submitted
        log     c: blocked: waits for its turn (max_parallel = 2)
        event   0 of 3 satisfied · a: is being submitted; gives up in 10m 30s · b: is being submitted; gives up in 10m 30s
        log     a: gated: Nomad does not show version 0 yet
        log     a: gated: 0 of 1 healthy
        log     b: gated: Nomad does not show version 0 yet
        log     b: gated: 0 of 1 healthy
    0s: a is Good
        log     a: satisfied: created, version 0: 1 of 1 healthy
        act     c: submit c
        log     c: working: is being submitted
        log     c: gated: Nomad does not show version 0 yet
        log     c: gated: 0 of 1 healthy
    0s: b is Good
        log     b: satisfied: created, version 0: 1 of 1 healthy
    0s: c is Good
        log     c: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created a, b, c
        event   done after 0s: created a, b, c
        finish  done
    ");
    let mut config = jobs(&["a", "b", "c"]);
    config["job"]["a"]["exclusive"] = json!("disk");
    config["job"]["b"]["exclusive"] = json!("disk");
    let mut run = Simulation::of(&config);
    run.fares("c", Fate::Good).fares("a", Fate::Good).fares("b", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     a: blocked: looks at all jobs of the tree first
        log     b: blocked: looks at all jobs of the tree first
        log     c: blocked: looks at all jobs of the tree first
        act     a: submit a
        log     a: working: is being submitted
        log     b: blocked: waits until a is ready, which has the same `exclusive`
        act     c: submit c
        log     c: working: is being submitted
        event   0 of 3 satisfied · a: is being submitted; gives up in 10m 30s · c: is being submitted; gives up in 10m 30s
        log     a: gated: Nomad does not show version 0 yet
        log     a: gated: 0 of 1 healthy
        log     c: gated: Nomad does not show version 0 yet
        log     c: gated: 0 of 1 healthy
    0s: c is Good
        log     c: satisfied: created, version 0: 1 of 1 healthy
    0s: a is Good
        log     a: satisfied: created, version 0: 1 of 1 healthy
        act     b: submit b
        log     b: working: is being submitted
        log     b: gated: Nomad does not show version 0 yet
        log     b: gated: 0 of 1 healthy
    0s: b is Good
        log     b: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created a, b, c
        event   done after 0s: created a, b, c
        finish  done
    ");
}

#[test]
fn a_nomad_that_answers_nothing_but_errors_is_given_up_at_the_time_limit() {
    let mut run = Simulation::of(&jobs(&["db"]));
    run.forget_all().trouble = Some("cannot reach Nomad: 500: No cluster leader");
    run.crash().wait(700);
    let acts = run.transcript().matches("act ").count();
    assert!((60..80).contains(&acts), "{acts} tries");
    assert_snapshot!(run.ending(), @"failed after 10m 30s: db: wanted job db ready, but not within 10m 30s: it could not be submitted: cannot reach Nomad: 500: No cluster leader; start the tree's task again, and it is submitted anew");
}

#[test]
fn a_place_that_a_report_has_freed_is_taken_at_once() {
    let hooks = json!({"post": {
        "one": {"jobspec": "x", "on_failure": "continue"}, "two": {"jobspec": "x"},
    }});
    let mut config = with_hooks(&hooks);
    config["max_parallel"] = json!(1);
    let mut run = Simulation::of(&config);
    run.fares("db", Fate::Good).fares("one", Fate::Bad).wait(1);
    assert!(run.world.jobs.keys().any(|key| key.job.as_str().starts_with("two")), "{}", run.transcript());
}
