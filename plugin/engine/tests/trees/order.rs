//! What depends on what: how a tree comes up, and when there is nothing to do.

use super::*;

#[test]
fn a_tree_comes_up_in_order() {
    let mut run = Simulation::of(&shop());
    run.wait(3).fares("postgres", Fate::Good);
    run.wait(2).fares("setup", Fate::Good);
    run.wait(4).fares("api", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: blocked: looks at all jobs of the tree first
        log     setup: blocked: waits for postgres
        log     api: blocked: waits for postgres, setup
        act     postgres: submit postgres
        log     postgres: working: is being submitted
        event   0 of 3 satisfied · postgres: is being submitted; gives up in 10m 30s
        log     postgres: gated: Nomad does not show version 0 yet
        log     postgres: gated: 0 of 1 healthy
    3s: postgres is Good
        act     postgres: recall postgres
        log     postgres: satisfied: created, version 0: 1 of 1 healthy
        log     api: blocked: waits for setup
        act     setup: launch setup-shop-3bb97061-1
        log     setup: working: is being launched
        log     setup: gated: looking at Nomad
        log     setup: gated: 0 of 1 complete, 1 running
    5s: time passes
        event   1 of 3 satisfied · setup: 0 of 1 complete, 1 running; gives up in 9m 58s
    5s: setup is Good
        log     setup: satisfied: setup-shop-3bb97061-1: 1 of 1 complete
        act     postgres: attest postgres version 0
        act     api: submit api
        log     api: working: is being submitted
        act     setup: purge setup-shop-3bb97061-1
        log     api: gated: Nomad does not show version 0 yet
        log     api: gated: 0 of 1 healthy
    9s: api is Good
        log     api: satisfied: created, version 0: 1 of 1 healthy
        log     done after 9s: created postgres, api, 1 hook run
        event   done after 9s: created postgres, api, 1 hook run
        finish  done
    ");
}

#[test]
fn a_second_run_writes_nothing() {
    let mut run = Simulation::in_world(&shop(), shop_is_up(), &[]);
    run.wait(1);
    assert_eq!(run.world.written, []);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: blocked: looks at all jobs of the tree first
        log     setup: blocked: waits for postgres
        log     api: blocked: waits for postgres, setup
        act     postgres: recall postgres
        log     postgres: satisfied: unchanged, version 0: 1 of 1 healthy
        log     api: blocked: waits for setup
        event   1 of 3 satisfied · setup: waits for postgres
        log     setup: satisfied: not needed: it ran for version 0 before
        log     api: satisfied: unchanged, version 0: 1 of 1 healthy
        log     done after 0s: 2 unchanged
        event   done after 0s: 2 unchanged
        finish  done
    ");
}

#[test]
fn a_job_must_be_ready_for_as_long_as_its_author_says() {
    let config = json!({"job": {"db": {"jobspec": "x", "ready": {"stable_for": "20s"}}}});
    let mut run = Simulation::of(&config);
    run.fares("db", Fate::Good).wait(15).fares("db", Fate::Pending).wait(5).fares("db", Fate::Good).wait(25);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        act     db: submit db
        log     db: working: is being submitted
        event   0 of 1 satisfied · db: is being submitted; gives up in 10m 30s
        log     db: gated: Nomad does not show version 0 yet
        log     db: gated: 0 of 1 healthy
    0s: db is Good
        log     db: gated: 1 of 1 healthy; must stay so for 20s
    5s: time passes
        event   0 of 1 satisfied · db: 1 of 1 healthy; must stay so for 20s; gives up in 10m 25s
    15s: db is Pending
        log     db: gated: 0 of 1 healthy
    20s: db is Good
        log     db: gated: 1 of 1 healthy; must stay so for 20s
    40s: time passes
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     done after 40s: created db
        event   done after 40s: created db
        finish  done
    ");
}

#[test]
fn a_wait_that_was_given_up_stays_given_up() {
    let config = json!({
        "job": {"db": {"jobspec": "x", "depends_on": ["cache"]}},
        "wait": {"cache": {"timeout": "1m", "on_timeout": "continue"}},
    });
    let mut run = Simulation::of(&config);
    run.wait(61).wait(120).fares("db", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     cache: gated: looking at Nomad
        log     db: blocked: waits for cache
        log     cache: gated: no job has this ID yet
        event   0 of 2 satisfied · cache: no job has this ID yet; gives up in 1m
    1m: time passes
        log     cache: satisfied: not waited for any longer than 1m (on_timeout = continue): no job has this ID yet
        act     db: submit db
        log     db: working: is being submitted
        event   1 of 2 satisfied · db: is being submitted; gives up in 10m 30s
        log     db: gated: Nomad does not show version 0 yet
        log     db: gated: 0 of 1 healthy
    1m 30s: time passes
        event   1 of 2 satisfied · db: 0 of 1 healthy; gives up in 10m
    3m 1s: db is Good
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     done after 3m 1s: created db
        event   done after 3m 1s: created db
        finish  done
    ");
}
