//! Jobs that are someone else's, or that someone else has touched.

use super::*;

#[test]
fn a_foreign_job_is_told_before_anything_is_written() {
    let mut world = World::default();
    world.register_by_hand("api");
    let run = Simulation::in_world(&shop(), world, &[]);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: blocked: looks at all jobs of the tree first
        log     setup: blocked: waits for postgres
        log     api: blocked: waits for postgres, setup
        log     api: failed: job api is registered already, and not by a tree; it is left alone; adopt = true takes it over
        log     postgres: skipped: not begun, because api failed (on_failure = finish)
        log     setup: skipped: not begun, because api failed (on_failure = finish)
        log     failed after 0s: api: wanted job api healthy, but job api is registered already, and not by a tree; it is left alone; adopt = true takes it over; look with `nomad job status api` · not begun, because api failed (on_failure = finish): postgres, setup
        event   failed after 0s: api: wanted job api healthy, but job api is registered already, and not by a tree; it is left alone; adopt = true takes it over; look with `nomad job status api` · not begun, because api failed (on_failure = finish): postgres, setup
        finish  failed
    ");
    assert_eq!(run.world.written, []);
}

#[test]
fn a_foreign_job_is_adopted_where_its_author_says_so() {
    let mut world = World::default();
    world.register_by_hand("db");
    let config = json!({"job": {"db": {"jobspec": "x", "adopt": true}}});
    let mut run = Simulation::in_world(&config, world, &[]);
    run.fares("db", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        act     db: submit db
        log     db: working: is being submitted
        event   0 of 1 satisfied · db: is being submitted; gives up in 10m 30s
        log     db: gated: Nomad does not show version 1 yet
        log     db: gated: 0 of 1 healthy
    0s: db is Good
        log     db: satisfied: adopted, version 1: 1 of 1 healthy
        log     done after 0s: updated db
        event   done after 0s: updated db
        finish  done
    ");
}

#[test]
fn a_stopped_job_is_started_again_and_its_post_hooks_run_again() {
    let mut world = shop_is_up();
    world.stop(&JobKey::new("default", "postgres"));
    let mut run = Simulation::in_world(&shop(), world, &[]);
    run.fares("postgres", Fate::Good).fares("setup", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: blocked: looks at all jobs of the tree first
        log     setup: blocked: waits for postgres
        log     api: blocked: waits for postgres, setup
        act     postgres: submit postgres
        log     postgres: working: is being submitted
        event   0 of 3 satisfied · postgres: is being submitted; gives up in 10m 30s
        log     postgres: gated: Nomad does not show version 2 yet
        log     postgres: gated: 0 of 1 healthy
    0s: postgres is Good
        act     postgres: recall postgres
        log     postgres: satisfied: started again, version 2: 1 of 1 healthy
        log     api: blocked: waits for setup
        act     setup: launch setup-shop-f73e18ed-1
        log     setup: working: is being launched
        log     setup: gated: looking at Nomad
        log     setup: gated: 0 of 1 complete, 1 running
    0s: setup is Good
        log     setup: satisfied: setup-shop-f73e18ed-1: 1 of 1 complete
        act     postgres: attest postgres version 2
        log     api: satisfied: unchanged, version 0: 1 of 1 healthy
        act     setup: purge setup-shop-f73e18ed-1
        log     done after 0s: updated postgres, 1 unchanged, 1 hook run
        event   done after 0s: updated postgres, 1 unchanged, 1 hook run
        finish  done
    ");
}

#[test]
fn a_scaled_job_is_unchanged_and_its_post_hooks_do_not_run_again() {
    let mut world = shop_is_up();
    world.scale(&JobKey::new("default", "postgres"));
    let run = Simulation::in_world(&shop(), world, &[]);
    assert_eq!(run.world.written, []);
    assert_snapshot!(run.ending(), @"done after 0s: 2 unchanged");
}

#[test]
fn a_job_that_is_purged_or_changed_in_the_middle_fails_with_a_word() {
    let mut purged = Simulation::of(&shop());
    purged.wait(5);
    purged.world.purge(&JobKey::new("default", "postgres"));
    purged.shows("postgres");
    assert_snapshot!(purged.ending(), @"failed after 5s: postgres: wanted job postgres ready, but it was purged by someone else; start the tree's task again, and it is submitted anew · skipped because postgres failed: setup, api");
    let mut changed = Simulation::of(&shop());
    changed.wait(5);
    changed.world.register_by_hand("postgres");
    changed.shows("postgres");
    assert_snapshot!(changed.ending(), @"failed after 5s: postgres: wanted job postgres healthy, but version 0 was replaced by version 1, which this tree did not submit; look with `nomad job status postgres` · skipped because postgres failed: setup, api");
    let mut anew = Simulation::of(&shop());
    anew.wait(5);
    anew.world.purge(&JobKey::new("default", "postgres"));
    anew.world.register_by_hand("postgres");
    anew.shows("postgres");
    assert_snapshot!(anew.ending(), @"failed after 5s: postgres: wanted job postgres healthy, but it was purged and registered anew by someone else; look with `nomad job status postgres` · skipped because postgres failed: setup, api");
    // While nobody looked.
    let mut meanwhile = Simulation::of(&shop());
    meanwhile.wait(5);
    meanwhile.world.purge(&JobKey::new("default", "postgres"));
    meanwhile.crash();
    assert_snapshot!(meanwhile.ending(), @"failed after 5s: postgres: wanted job postgres ready, but it was purged by someone else; start the tree's task again, and it is submitted anew · skipped because postgres failed: setup, api");
}

#[test]
fn the_pre_hooks_of_a_foreign_job_are_not_waited_for() {
    let mut config = with_hooks(&json!({"pre": {"backup": {"jobspec": "x"}}}));
    config["on_failure"] = json!("continue");
    let mut world = World::default();
    world.register_by_hand("db");
    let run = Simulation::in_world(&config, world, &[]);
    assert_snapshot!(run.ending(), @"failed after 0s: db: wanted job db healthy, but job db is registered already, and not by a tree; it is left alone; adopt = true takes it over; look with `nomad job status db` · skipped because db failed: backup, web");
    assert_eq!(run.world.written, []);
}
