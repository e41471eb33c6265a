//! Values that one step takes from another: read before it is decided what to do, and told to nobody.

use super::*;

/// A job, and one that takes something from it and from a hook.
fn chain() -> Value {
    json!({
        "on_failure": "continue",
        "context": {"zone": "a"},
        "hook": {"seed": {"jobspec": "x", "on_failure": "continue"}},
        "job": {
            "db": {"jobspec": "x", "outputs": {"port": "service:db:port", "pass": "variable:db#pass"}},
            "api": {"jobspec": "x", "vars": {
                "a": "$(db.port) $(db.pass) $(db.id) $(db.namespace)", "b": "$(seed.id) $(seed.exit_code) $(context.zone)",
            }},
        },
    })
}

/// A world in which the chain is up.
fn chain_is_up() -> World {
    let mut run = Simulation::of(&chain());
    run.fares("db", Fate::Good).fares("seed", Fate::Bad).wait(1).fares("api", Fate::Good);
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
    run.world.written.clear();
    run.world
}

/// Everything that a run has told, written down or done.
fn all_of(run: &Simulation) -> String {
    format!("{}\n{}\n{:?}", run.transcript(), serde_json::to_string(&run.remembered).unwrap(), run.engine)
}

#[test]
fn what_a_step_takes_from_others_is_read_when_they_are_satisfied() {
    let mut run = Simulation::of(&chain());
    run.fares("db", Fate::Good).fares("seed", Fate::Bad).wait(1).fares("api", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        log     seed: blocked: looks at all jobs of the tree first
        log     api: blocked: waits for db, seed
        act     db: submit db
        log     db: working: is being submitted
        act     seed: launch seed-shop-5f82332a-1
        log     seed: working: is being launched
        event   0 of 3 satisfied · db: is being submitted; gives up in 10m 30s · seed: is being launched; gives up in 5m
        log     db: gated: Nomad does not show version 0 yet
        log     db: gated: 0 of 1 healthy
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    0s: db is Good
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     api: blocked: waits for seed
    0s: seed is Bad
        log     seed: gated: it failed: allocation a110c000: task main exited with 3
    0s: time passes
        act     seed: tail main
        log     seed: working: has failed: it failed: allocation a110c000: task main exited with 3
        log     seed: | connecting
        log     seed: | psql: no route to host
        act     seed: stop seed-shop-5f82332a-1
        log     seed: working: has failed: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        log     seed: satisfied: failed (on_failure = continue): seed-shop-5f82332a-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        act     api: fill $(db.pass) $(db.port) $(db.id)=db $(db.namespace)=default $(seed.exit_code)=3 $(seed.id)=seed-shop-5f82332a-1
        log     api: working: reads $(db.id), $(db.namespace), $(db.pass), $(db.port), $(seed.exit_code), $(seed.id)
        act     api: submit api
        log     api: working: is being submitted
        log     api: gated: Nomad does not show version 0 yet
        log     api: gated: 0 of 1 healthy
    1s: api is Good
        log     api: satisfied: created, version 0: 1 of 1 healthy
        log     done after 1s: created db, api, 1 hook run
        event   done after 1s: created db, api, 1 hook run
        finish  done
    ");
    assert!(!all_of(&run).contains(SECRET));
}

#[test]
fn a_second_run_reads_the_same_and_changes_nothing() {
    let mut run = Simulation::in_world(&chain(), chain_is_up(), &[]);
    run.fares("seed", Fate::Bad).wait(1);
    // The hook's exit code is the same, but the job that ran for it is another.
    assert_eq!(run.world.written.iter().filter(|written| matches!(written, Written::Job(_))).count(), 1);

    let mut config = chain();
    config["job"]["api"]["vars"] = json!({"a": "$(db.port) $(seed.exit_code)"});
    let mut run = Simulation::of(&config);
    run.fares("db", Fate::Good).fares("seed", Fate::Bad).wait(1).fares("api", Fate::Good);
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
    let mut again = Simulation::in_world(&config, run.world, &[]);
    again.world.written.clear();
    again.fares("seed", Fate::Bad).wait(1);
    assert!(again.ending().contains("2 unchanged"), "{}", again.transcript());
    assert_eq!(again.world.written.iter().filter(|written| matches!(written, Written::Job(_))).count(), 0);
}

#[test]
fn a_step_is_updated_when_what_it_takes_has_changed() {
    let config = json!({"job": {
        "db": {"jobspec": "x", "outputs": {"port": "service:db:port"}},
        "api": {"jobspec": "x", "vars": {"port": "$(db.port)"}, "pre": {"check": {"jobspec": "x"}}},
    }});
    let mut world = world_of(&config);
    world.outputs.insert("$(db.port)".to_owned(), "2".to_owned());
    let mut run = Simulation::in_world(&config, world, &[]);
    run.fares("check", Fate::Good).fares("api", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        log     check: blocked: waits for db
        log     api: blocked: waits for db
        log     db: satisfied: unchanged, version 0: 1 of 1 healthy
        log     check: blocked: waits for api
        act     api: fill $(db.port)
        log     api: working: reads $(db.port)
        event   1 of 3 satisfied · api: reads $(db.port); gives up in 5m
        log     api: blocked: waits for check
        act     check: launch check-shop-ac770c53-1
        log     check: working: is being launched
        log     check: gated: looking at Nomad
        log     check: gated: 0 of 1 complete, 1 running
    0s: check is Good
        log     check: satisfied: check-shop-ac770c53-1: 1 of 1 complete
        act     api: submit api
        log     api: working: is being submitted
        act     check: purge check-shop-ac770c53-1
        log     api: gated: Nomad does not show version 1 yet
        log     api: gated: 0 of 1 healthy
    0s: api is Good
        log     api: satisfied: updated, version 1: 1 of 1 healthy
        log     done after 0s: updated api, 1 unchanged, 1 hook run
        event   done after 0s: updated api, 1 unchanged, 1 hook run
        finish  done
    ");
}

#[test]
fn a_crash_at_any_point_reads_again_and_repeats_nothing() {
    let config = json!({"job": {
        "db": {"jobspec": "x", "outputs": {"port": "service:db:port"}},
        "api": {"jobspec": "x", "vars": {"port": "$(db.port)"}, "pre": {"check": {"dispatch": "c", "payload": "$(db.port)"}},
            "post": {"warm": {"jobspec": "x", "meta": {"at": "$(db.port)"}}}},
    }});
    for dies_at in ["recall", "fill", "dispatch", "submit api", "launch", "attest", "purge"] {
        let mut run = Simulation::of(&config);
        run.dies_at = Some(dies_at);
        for _ in 0..6 {
            let pending =
                run.world.jobs.iter().find(|(_, job)| job.fate == Fate::Pending && !job.is_stopped());
            let Some((key, _)) = pending else { break };
            let id = key.job.as_str().to_owned();
            run.fares(&id, Fate::Good).crash();
        }
        assert!(run.ending().starts_with("done"), "{dies_at}: {}", run.transcript());
        let mut written: Vec<String> =
            run.world.written.iter().map(|written| format!("{written:?}")).collect();
        assert_eq!(written.len(), 4, "{dies_at}: {written:?}");
        written.dedup();
        assert_eq!(written.len(), 4, "{dies_at}: {written:?}");
        assert!(run.dies_at.is_none(), "{dies_at} never came");
        assert!(!all_of(&run).contains(SECRET));
    }
}

#[test]
fn what_has_changed_while_nobody_looked_is_submitted_once_as_it_is_now() {
    let config = json!({"job": {
        "db": {"jobspec": "x", "outputs": {"port": "service:db:port"}},
        "api": {"jobspec": "x", "vars": {"port": "$(db.port)"}, "pre": {"check": {"jobspec": "x"}}},
    }});
    let mut run = Simulation::of(&config);
    run.fares("db", Fate::Good);
    run.world.outputs.insert("$(db.port)".to_owned(), "2".to_owned());
    run.crash().fares("check", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        log     check: blocked: waits for db
        log     api: blocked: waits for db
        act     db: submit db
        log     db: working: is being submitted
        event   0 of 3 satisfied · db: is being submitted; gives up in 10m 30s
        log     db: gated: Nomad does not show version 0 yet
        log     db: gated: 0 of 1 healthy
    0s: db is Good
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     check: blocked: waits for api
        act     api: fill $(db.port)
        log     api: working: reads $(db.port)
        log     api: blocked: waits for check
        act     check: launch check-shop-d6716917-1
        log     check: working: is being launched
        log     check: gated: looking at Nomad
        log     check: gated: 0 of 1 complete, 1 running
    0s: a new process goes on
        log     db: gated: looking at Nomad
        log     check: gated: looking at Nomad
        log     api: blocked: looks at all jobs of the tree first
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     check: gated: 0 of 1 complete, 1 running
        log     api: blocked: waits for check
        event   1 of 3 satisfied · check: 0 of 1 complete, 1 running; gives up in 10m
    0s: check is Good
        log     check: satisfied: check-shop-d6716917-1: 1 of 1 complete
        act     api: fill $(db.port)
        log     api: working: reads $(db.port)
        act     api: submit api
        log     api: working: is being submitted
        act     check: purge check-shop-d6716917-1
        log     api: gated: Nomad does not show version 0 yet
        log     api: gated: 0 of 1 healthy
    ");
    run.fares("api", Fate::Good);
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
    let written: Vec<String> = run.world.written.iter().map(|written| format!("{written:?}")).collect();
    assert_eq!(written.len(), 3, "{written:?}");
    // And the next run finds it so.
    let mut next = Simulation::in_world(&config, run.world, &[]);
    next.crash();
    assert!(next.ending().contains("2 unchanged"), "{}", next.transcript());
    assert_eq!(next.world.written.len(), 3);
}

#[test]
fn what_was_submitted_goes_on_as_it_is_after_a_crash() {
    let mut run = Simulation::of(&chain());
    run.fares("db", Fate::Good).fares("seed", Fate::Good);
    run.world.outputs.insert("$(db.port)".to_owned(), "2".to_owned());
    let before = run.lines.len();
    run.crash().fares("api", Fate::Good);
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
    assert!(!run.lines[before..].join("\n").contains("act     api"), "{}", run.transcript());
}

#[test]
fn a_value_that_cannot_be_read_fails_the_step_and_names_it() {
    let mut run = Simulation::of(&chain());
    run.refused.insert("api".to_owned());
    run.fares("db", Fate::Good).fares("seed", Fate::Good);
    assert_snapshot!(run.ending(), @"failed after 0s: api: wanted job api ready, but Nomad says no; start the tree's task again, and it is submitted anew · ready: db");

    let mut run = Simulation::of(&json!({"job": {
        "db": {"jobspec": "x", "outputs": {"port": "service:db:port"}},
        "api": {"jobspec": "x", "vars": {"port": "$(db.port)"}},
    }}));
    run.trouble = Some("service db has no running instance");
    run.fares("db", Fate::Good);
    let status = run.engine.status(run.now);
    let api = status.nodes.iter().find(|node| node.name == "api").unwrap();
    assert_snapshot!(format!("{:?}", api.state), @r#""working""#);
    run.wait(400);
    assert_snapshot!(run.ending(), @"failed after 5m: api: wanted job api ready, but $(db.port) could not be read within 5m: service db has no running instance; start the tree's task again, and it is submitted anew · ready: db");
}

#[test]
fn no_time_to_read_runs_while_what_is_read_from_is_lost() {
    for taker in [
        json!({"job": {"api": {"jobspec": "x", "vars": {"port": "$(db.port)"}}}}),
        json!({"hook": {"api": {"jobspec": "x", "meta": {"port": "$(db.port)"}}}}),
    ] {
        let mut config = taker;
        config["job"]["db"] = json!({"jobspec": "x", "outputs": {"port": "service:db:port"}});
        let mut run = Simulation::of(&config);
        run.trouble = Some("service db has no running instance");
        run.fares("db", Fate::Good).wait(200).fares("db", Fate::Pending).wait(400);
        let status = run.engine.status(run.now);
        let api = status.nodes.iter().find(|node| node.name == "api").unwrap();
        assert_eq!((api.state, api.gives_up), ("blocked", None), "{}", run.transcript());
        run.fares("db", Fate::Good).wait(200);
        run.trouble = None;
        run.wait(99).fares("api", Fate::Good);
        assert!(run.ending().starts_with("done"), "{}", run.transcript());
    }
}

#[test]
fn what_an_earlier_process_began_is_given_up_when_what_it_takes_from_is_not_begun_any_more() {
    let api = json!({"jobspec": "x", "vars": {"port": "$(db.port)"}});
    let fill = json!({"jobspec": "x", "pre": {"fill": {"jobspec": "x", "meta": {"port": "$(db.port)"}}}});
    for (taker, begun) in [(api, "api"), (fill, "fill")] {
        let seed = json!({"seed": {"jobspec": "x"}});
        let config = json!({"job": {
            "api": taker,
            "bad": {"jobspec": "x"},
            "db": {"jobspec": "x", "outputs": {"port": "service:db:port"}, "post": seed},
        }});
        let mut run = Simulation::of(&config);
        for job in
            ["db", "seed", "bad", "fill", "api"].into_iter().filter(|job| begun == "fill" || *job != "fill")
        {
            run.fares(job, Fate::Good);
        }
        assert!(run.ending().starts_with("done"), "{}", run.transcript());

        // What it takes has changed, so that it is updated; the process ends when that has begun.
        let mut world = run.world;
        world.outputs.insert("$(db.port)".to_owned(), "2".to_owned());
        let mut run = Simulation::in_world(&config, world, &["api"]);
        let begins = |entry: &Entry| matches!(entry, Entry::Step { name, memory: Memory::Submitting { .. } | Memory::Launching(_), .. } if name == begun);
        let at = run.remembered.iter().position(begins).unwrap();
        run.remembered.truncate(at + 1);
        run.world.purge(&JobKey::new("default", "bad"));
        run.crash().wait(600);
        assert!(run.ending().starts_with("failed"), "{}", run.transcript());
        let state = format!(
            "{begun}: skipped: given up, because bad failed (on_failure = finish); it may have been "
        );
        assert!(run.transcript().contains(&state), "{}", run.transcript());
    }
}

#[test]
fn a_hook_waits_for_what_it_takes_and_fails_without() {
    let config = json!({
        "job": {"db": {"jobspec": "x", "outputs": {"port": "service:db:port"}}},
        "hook": {"seed": {"dispatch": "s", "payload": "$(db.port)"}},
    });
    let mut run = Simulation::of(&config);
    run.trouble = Some("service db has no running instance");
    run.fares("db", Fate::Good).wait(20);
    run.trouble = None;
    run.wait(20);
    run.fares("seed/dispatch", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        log     seed: blocked: waits for db
        act     db: submit db
        log     db: working: is being submitted
        event   0 of 2 satisfied · db: is being submitted; gives up in 10m 30s
        log     db: gated: Nomad does not show version 0 yet
        log     db: gated: 0 of 1 healthy
    0s: db is Good
        log     db: satisfied: created, version 0: 1 of 1 healthy
        act     seed: fill $(db.port)
        log     seed: working: reads $(db.port)
        log     seed: working: reads $(db.port); tries again: service db has no running instance
    0s: time passes
        act     seed: fill $(db.port)
    0s: time passes
        act     seed: fill $(db.port)
    1s: time passes
        act     seed: fill $(db.port)
    3s: time passes
        act     seed: fill $(db.port)
    5s: time passes
        event   1 of 2 satisfied · seed: reads $(db.port); tries again: service db has no running instance; gives up in 4m 55s
    6s: time passes
        act     seed: fill $(db.port)
    12s: time passes
        act     seed: fill $(db.port)
    22s: time passes
        act     seed: fill $(db.port)
        act     seed: dispatch seed as seed-shop-5f82332a-1
        log     seed: working: is being launched
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    35s: time passes
        event   1 of 2 satisfied · seed: 0 of 1 complete, 1 running; gives up in 9m 47s
    40s: seed/dispatch is Good
        act     seed: tail main
        log     seed: satisfied: seed/dispatch-seed-shop-5f82332a-1: 1 of 1 complete
        log     seed: | connecting
        log     seed: | psql: no route to host
        act     seed: purge seed/dispatch-seed-shop-5f82332a-1
        log     done after 40s: created db, 1 hook run
        event   done after 40s: created db, 1 hook run
        finish  done
    ");

    let mut run = Simulation::of(&config);
    run.refused.insert("seed".to_owned());
    run.fares("db", Fate::Good);
    assert_snapshot!(run.ending(), @"failed after 0s: seed: wanted hook s, dispatched, complete, but Nomad says no · ready: db");
}

#[test]
fn an_exit_code_that_is_not_known_fails_the_step() {
    let mut run = Simulation::of(&json!({
        "hook": {"seed": {"jobspec": "x", "on_failure": "continue", "timeout": "1m"}},
        "job": {"api": {"jobspec": "x", "vars": {"code": "$(seed.exit_code)"}}},
    }));
    run.wait(70);
    assert_snapshot!(run.ending(), @"failed after 1m: api: wanted job api ready, but no exit code of seed is known for $(seed.exit_code): no task of it has ended by itself; start the tree's task again, and it is submitted anew");
}

#[test]
fn what_a_post_hook_came_to_survives_the_run() {
    let config = |release: &str| {
        json!({"job": {
            "db": {"jobspec": "x", "post": {"seed": {"jobspec": "x", "on_failure": "continue"}}},
            "api": {"jobspec": "x", "vars": {"code": "$(seed.exit_code) $(seed.id)", "release": release}},
        }})
    };
    let mut run = Simulation::of(&config("1"));
    run.fares("db", Fate::Good).fares("seed", Fate::Bad).wait(1).fares("api", Fate::Good);
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
    run.world.written.clear();
    let mut again = Simulation::in_world(&config("1"), run.world, &[]);
    again.crash();
    assert_snapshot!(again.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        log     seed: blocked: waits for db
        log     api: blocked: waits for seed
        act     db: recall db
        log     db: satisfied: unchanged, version 0: 1 of 1 healthy
        event   1 of 3 satisfied · seed: waits for db
        log     seed: satisfied: not needed: it ran for version 0 before
        act     api: fill $(seed.exit_code)=3 $(seed.id)=seed-shop-c31c095f-1
        log     api: working: reads $(seed.exit_code), $(seed.id)
        log     api: satisfied: unchanged, version 0: 1 of 1 healthy
        log     done after 0s: 2 unchanged
        event   done after 0s: 2 unchanged
        finish  done
    0s: a new process goes on
        log     done after 0s: 2 unchanged
        event   done after 0s: 2 unchanged
        finish  done
    ");
    assert_eq!(again.world.written, []);
}

#[test]
fn a_job_of_someone_else_is_told_before_anything_is_read() {
    let mut world = World::default();
    world.register_by_hand("api");
    let mut run = Simulation::in_world(&chain(), world, &[]);
    run.fares("db", Fate::Good).fares("seed", Fate::Good);
    assert!(!run.transcript().contains("fill"), "{}", run.transcript());
    assert!(run.ending().contains("is registered already"), "{}", run.ending());
}
