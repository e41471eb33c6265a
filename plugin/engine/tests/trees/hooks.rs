//! Hooks: before and after a rollout, tried again, dispatched, and given up.

use super::*;

#[test]
fn a_failed_post_hook_is_told_with_its_last_words_and_holds_back_what_depends_on_it() {
    let mut run = Simulation::of(&shop());
    run.fares("postgres", Fate::Good).wait(2).fares("setup", Fate::Bad).wait(2);
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
    0s: postgres is Good
        act     postgres: recall postgres
        log     postgres: satisfied: created, version 0: 1 of 1 healthy
        log     api: blocked: waits for setup
        act     setup: launch setup-shop-3bb97061-1
        log     setup: working: is being launched
        log     setup: gated: looking at Nomad
        log     setup: gated: 0 of 1 complete, 1 running
    2s: setup is Bad
        log     setup: gated: it failed: allocation a110c000: task main exited with 3
    2s: time passes
        act     setup: tail main
        log     setup: working: has failed: it failed: allocation a110c000: task main exited with 3
        log     setup: | connecting
        log     setup: | psql: no route to host
        act     setup: stop setup-shop-3bb97061-1
        log     setup: working: has failed: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        log     setup: failed: setup-shop-3bb97061-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        log     api: skipped: because setup failed
        log     failed after 2s: setup: wanted hook local/setup.nomad.hcl complete, but setup-shop-3bb97061-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host · skipped because setup failed: api · ready: postgres
        event   failed after 2s: setup: wanted hook local/setup.nomad.hcl complete, but setup-shop-3bb97061-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host · skipped because setup failed: api · ready: postgres
        finish  failed
    ");
}

#[test]
fn a_hook_that_hangs_is_stopped_at_its_limit() {
    let mut run = Simulation::of(&with_hooks(&json!({"post": {"seed": {"jobspec": "x", "timeout": "1m"}}})));
    run.fares("db", Fate::Good).wait(90);
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
    0s: db is Good
        act     db: recall db
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     web: blocked: waits for seed
        act     seed: launch seed-shop-c31c095f-1
        log     seed: working: is being launched
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    5s: time passes
        event   1 of 3 satisfied · seed: 0 of 1 complete, 1 running; gives up in 55s
    1m: time passes
        act     seed: tail main
        log     seed: working: has failed: not within 1m: 0 of 1 complete, 1 running
        event   1 of 3 satisfied · seed: has failed: not within 1m: 0 of 1 complete, 1 running
        log     seed: | connecting
        log     seed: | psql: no route to host
        act     seed: stop seed-shop-c31c095f-1
        log     seed: working: has failed: not within 1m: 0 of 1 complete, 1 running; its last words: connecting / psql: no route to host
        log     seed: failed: seed-shop-c31c095f-1: not within 1m: 0 of 1 complete, 1 running; its last words: connecting / psql: no route to host
        log     web: skipped: because seed failed
        log     failed after 1m: seed: wanted hook x complete, but seed-shop-c31c095f-1: not within 1m: 0 of 1 complete, 1 running; its last words: connecting / psql: no route to host · skipped because seed failed: web · ready: db
        event   failed after 1m: seed: wanted hook x complete, but seed-shop-c31c095f-1: not within 1m: 0 of 1 complete, 1 running; its last words: connecting / psql: no route to host · skipped because seed failed: web · ready: db
        finish  failed
    ");
    assert_eq!(run.world.written.len(), 2, "web is not begun");
}

#[test]
fn a_failed_hook_is_tried_again_under_another_name() {
    let mut run = Simulation::of(&with_hooks(&json!({"post": {"seed": {"jobspec": "x", "retries": 2}}})));
    run.fares("db", Fate::Good).fares("seed", Fate::Bad).wait(1).fares("seed", Fate::Bad).wait(1);
    run.fares("seed", Fate::Good).fares("web", Fate::Good);
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
    0s: db is Good
        act     db: recall db
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     web: blocked: waits for seed
        act     seed: launch seed-shop-c31c095f-1
        log     seed: working: is being launched
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    0s: seed is Bad
        log     seed: gated: it failed: allocation a110c000: task main exited with 3
    0s: time passes
        act     seed: tail main
        log     seed: working: has failed: it failed: allocation a110c000: task main exited with 3
        log     seed: | connecting
        log     seed: | psql: no route to host
        act     seed: stop seed-shop-c31c095f-1
        log     seed: working: has failed: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        log     seed: attempt 1 failed: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        act     seed: launch seed-shop-c31c095f-2
        log     seed: working: is being launched
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    1s: seed is Bad
        log     seed: gated: it failed: allocation a110c000: task main exited with 3
    1s: time passes
        act     seed: tail main
        log     seed: working: has failed: it failed: allocation a110c000: task main exited with 3
        log     seed: | connecting
        log     seed: | psql: no route to host
        act     seed: stop seed-shop-c31c095f-2
        log     seed: working: has failed: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        log     seed: attempt 2 failed: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        act     seed: launch seed-shop-c31c095f-3
        log     seed: working: is being launched
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    2s: seed is Good
        log     seed: satisfied: seed-shop-c31c095f-3: 1 of 1 complete
        act     db: attest db version 0
        act     web: submit web
        log     web: working: is being submitted
        act     seed: purge seed-shop-c31c095f-3
        log     web: gated: Nomad does not show version 0 yet
        log     web: gated: 0 of 1 healthy
    2s: web is Good
        log     web: satisfied: created, version 0: 1 of 1 healthy
        log     done after 2s: created db, web, 1 hook run
        event   done after 2s: created db, web, 1 hook run
        finish  done
    ");
}

#[test]
fn a_pre_hook_runs_before_each_rollout_and_never_for_a_job_that_is_as_it_should_be() {
    let config = with_hooks(&json!({"pre": {"backup": {"jobspec": "x"}}}));
    let mut run = Simulation::of(&config);
    run.fares("backup", Fate::Good).fares("db", Fate::Good).fares("web", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     backup: blocked: waits for db
        log     db: blocked: looks at all jobs of the tree first
        log     web: blocked: waits for db
        log     db: blocked: waits for backup
        act     backup: launch backup-shop-a13ac03e-1
        log     backup: working: is being launched
        event   0 of 3 satisfied · backup: is being launched; gives up in 5m
        log     backup: gated: looking at Nomad
        log     backup: gated: 0 of 1 complete, 1 running
    0s: backup is Good
        log     backup: satisfied: backup-shop-a13ac03e-1: 1 of 1 complete
        act     db: submit db
        log     db: working: is being submitted
        act     backup: purge backup-shop-a13ac03e-1
        log     db: gated: Nomad does not show version 0 yet
        log     db: gated: 0 of 1 healthy
    0s: db is Good
        log     db: satisfied: created, version 0: 1 of 1 healthy
        act     web: submit web
        log     web: working: is being submitted
        log     web: gated: Nomad does not show version 0 yet
        log     web: gated: 0 of 1 healthy
    0s: web is Good
        log     web: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created db, web, 1 hook run
        event   done after 0s: created db, web, 1 hook run
        finish  done
    ");
    let unchanged = Simulation::in_world(&config, world_of(&config), &[]);
    assert_eq!(unchanged.world.written, []);
    assert!(unchanged.ending().starts_with("done"));
    let mut changed = Simulation::in_world(&config, world_of(&config), &["db"]);
    changed.fares("backup", Fate::Good).fares("db", Fate::Good);
    assert_snapshot!(changed.transcript(), @"
    0s: the run begins
        log     backup: blocked: waits for db
        log     db: blocked: looks at all jobs of the tree first
        log     web: blocked: waits for db
        log     db: blocked: waits for backup
        act     backup: launch backup-shop-278b06e6-1
        log     backup: working: is being launched
        event   0 of 3 satisfied · backup: is being launched; gives up in 5m
        log     backup: gated: looking at Nomad
        log     backup: gated: 0 of 1 complete, 1 running
    0s: backup is Good
        log     backup: satisfied: backup-shop-278b06e6-1: 1 of 1 complete
        act     db: submit db
        log     db: working: is being submitted
        act     backup: purge backup-shop-278b06e6-1
        log     db: gated: Nomad does not show version 1 yet
        log     db: gated: 0 of 1 healthy
    0s: db is Good
        log     db: satisfied: updated, version 1: 1 of 1 healthy
        log     web: satisfied: unchanged, version 0: 1 of 1 healthy
        log     done after 0s: updated db, 1 unchanged, 1 hook run
        event   done after 0s: updated db, 1 unchanged, 1 hook run
        finish  done
    ");
}

#[test]
fn a_hook_may_dispatch_a_job_that_is_there_already() {
    let hook = json!({"post": {"seed": {"dispatch": "seeder", "payload": "all"}}});
    let mut run = Simulation::of(&with_hooks(&hook));
    run.fares("db", Fate::Good).fares("seed/dispatch", Fate::Good).fares("web", Fate::Good);
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
    0s: db is Good
        act     db: recall db
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     web: blocked: waits for seed
        act     seed: dispatch seed as seed-shop-c31c095f-1
        log     seed: working: is being launched
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    0s: seed/dispatch is Good
        log     seed: satisfied: seed/dispatch-seed-shop-c31c095f-1: 1 of 1 complete
        act     db: attest db version 0
        act     web: submit web
        log     web: working: is being submitted
        act     seed: purge seed/dispatch-seed-shop-c31c095f-1
        log     web: gated: Nomad does not show version 0 yet
        log     web: gated: 0 of 1 healthy
    0s: web is Good
        log     web: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created db, web, 1 hook run
        event   done after 0s: created db, web, 1 hook run
        finish  done
    ");
}

#[test]
fn what_ran_for_a_hook_and_its_exit_code_are_remembered() {
    let outcomes = |fate: Fate| {
        let mut run = Simulation::of(&json!({"hook": {"seed": {"jobspec": "x", "retries": 1}}}));
        run.fares("seed", fate).wait(1);
        if fate == Fate::Bad {
            run.fares("seed", fate).wait(1);
        }
        let ended = run.remembered.iter().find_map(|entry| match entry {
            Entry::Step { memory: Memory::Ended(ended), .. } => Some(ended.outcome.clone()),
            _ => None,
        });
        let outcome = ended.unwrap_or_else(|| panic!("{}", run.transcript()));
        (
            outcome.job.unwrap().job.as_str().ends_with(if fate == Fate::Bad { "-2" } else { "-1" }),
            outcome.exit_code,
        )
    };
    assert_eq!(outcomes(Fate::Good), (true, Some(0)));
    assert_eq!(outcomes(Fate::Bad), (true, Some(3)));
}

#[test]
fn a_hook_task_tells_how_its_hook_went_and_what_it_said() {
    let mut run = Simulation::of(&json!({"hook": {"seed": {"jobspec": "local/seed.nomad.hcl"}}}));
    run.fares("seed", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     seed: blocked: is about to begin
        act     seed: launch seed-shop-42bc181a-1
        log     seed: working: is being launched
        event   0 of 1 satisfied · seed: is being launched; gives up in 5m
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    0s: seed is Good
        act     seed: tail main
        log     seed: satisfied: seed-shop-42bc181a-1: 1 of 1 complete
        log     seed: | connecting
        log     seed: | psql: no route to host
        act     seed: purge seed-shop-42bc181a-1
        log     done after 0s: 1 hook run
        event   done after 0s: 1 hook run
        finish  done
    ");
    let mut run = Simulation::of(&json!({"hook": {"seed": {"dispatch": "seed"}}}));
    run.fares("seed", Fate::Bad).wait(1);
    assert_snapshot!(run.ending(), @"failed after 0s: seed: wanted hook seed, dispatched, complete, but seed/dispatch-seed-shop-42bc181a-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host");
    let mut run = Simulation::of(&json!({"hook": {"seed": {"jobspec": "x"}}}));
    run.happens("Nomad stops the task", Event::Stopped);
    assert_snapshot!(run.ending(), @"stopped; 0 of 1 satisfied after 0s; what it has launched runs on");
}

#[test]
fn no_two_tasks_or_allocations_run_a_hook_under_one_name() {
    let launched = |change: &dyn Fn(&mut Place)| {
        let mut place = place();
        change(&mut place);
        let plan = tree_plan(&json!({"hook": {"seed": {"jobspec": "x"}}}));
        let now = Time::from_unix_millis(1_000_000);
        let mut engine = Engine::tree(plan.clone(), place, "default/shop".into(), Vec::new(), now);
        engine.step(now, Event::Started);
        let blueprints = blueprints(&plan, &BTreeSet::new());
        let actions =
            engine.step(now, Event::Prepared { blueprints, is_same: false, run: "0000beef".into() });
        let launch = actions.into_iter().find_map(|action| match action {
            Action::Act(_, Act::Launch { key, .. }) => Some(key.job.as_str().to_owned()),
            _ => None,
        });
        launch.unwrap()
    };
    let names = BTreeSet::from([
        launched(&|_| {}),
        launched(&|place| place.alloc = "another".into()),
        launched(&|place| place.task = "another".to_owned()),
    ]);
    assert_eq!(names.len(), 3, "{names:?}");
}
