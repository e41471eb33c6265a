//! A tree that is stopped: order, selection, hooks, and what was done by others.

use super::*;

/// db ◀─ api ◀─ web, and mail beside them.
fn stack(stop: &Value) -> Value {
    json!({"verb": "stop", "stop": stop, "job": {
        "db": {"jobspec": "local/db"},
        "api": {"jobspec": "local/api", "depends_on": ["db"]},
        "web": {"jobspec": "local/web", "depends_on": ["api"]},
        "mail": {"jobspec": "local/mail"},
    }})
}

/// The same with the verb `run`.
fn run_of(config: &Value) -> Value {
    let mut config = config.clone();
    config["verb"] = json!("run");
    config
}

/// A world in which the tree is up, and what others do to it before the stop begins.
fn stop_after(config: &Value, meddle: impl Fn(&mut World)) -> Simulation {
    let mut world = world_of(&run_of(config));
    meddle(&mut world);
    Simulation::in_world(config, world, &[])
}

fn stopped(run: &Simulation) -> Vec<&str> {
    run.world
        .written
        .iter()
        .map(|written| match written {
            Written::Stop(name) => name.as_str(),
            Written::Job(_) | Written::Hook(..) => panic!("{written:?}"),
        })
        .collect()
}

fn key(job: &str) -> JobKey {
    JobKey::new("default", job)
}

#[test]
fn each_job_is_gone_before_what_it_depends_on_is_stopped() {
    let mut run = stop_after(&stack(&Value::Null), |world| world.linger(&key("web"), true));
    run.wait(3);
    run.world.linger(&key("web"), false);
    run.shows("web");
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     mail: blocked: looks at all jobs of the tree first
        log     web: blocked: looks at all jobs of the tree first
        log     api: blocked: looks at all jobs of the tree first
        log     db: blocked: looks at all jobs of the tree first
        act     web: ask who waits for web
        act     mail: ask who waits for mail
        act     db: ask who waits for db
        act     api: ask who waits for api
        act     mail: stop mail
        log     mail: working: is being stopped
        act     web: stop web
        log     web: working: is being stopped
        log     api: blocked: waits for web
        log     db: blocked: waits for api
        event   0 of 4 satisfied · mail: is being stopped; gives up in 5m · web: is being stopped; gives up in 5m
        log     mail: gated: Nomad does not show yet that it is stopped
        log     mail: satisfied: stopped, was version 0
        log     web: gated: Nomad does not show yet that it is stopped
        log     web: gated: stopped, 1 still ending: allocation a110c000
    3s: web is shown
        log     web: satisfied: stopped, was version 0
        act     api: stop api
        log     api: working: is being stopped
        log     api: gated: Nomad does not show yet that it is stopped
        log     api: satisfied: stopped, was version 0
        act     db: stop db
        log     db: working: is being stopped
        log     db: gated: Nomad does not show yet that it is stopped
        log     db: satisfied: stopped, was version 0
        log     done after 3s: stopped mail, web, api, db
        event   done after 3s: stopped mail, web, api, db
        finish  done
    ");
    assert_eq!(stopped(&run), ["mail", "web", "api", "db"]);
}

#[test]
fn a_second_stop_changes_nothing_and_purges_what_is_stopped_if_it_is_to() {
    let mut world = stop_after(&stack(&Value::Null), |_| {}).world;
    world.written.clear();
    let run = Simulation::in_world(&stack(&Value::Null), world, &[]);
    assert_snapshot!(run.ending(), @"done after 0s: 4 were stopped already");
    assert!(run.world.written.is_empty());

    let run = Simulation::in_world(&stack(&json!({"purge": true})), run.world, &[]);
    assert_snapshot!(run.ending(), @"done after 0s: 4 were stopped already, and purged");
    assert!(run.world.jobs.is_empty() && run.world.written.is_empty());
    let run = Simulation::in_world(&stack(&json!({"purge": true})), run.world, &[]);
    assert_snapshot!(run.ending(), @"done after 0s: 4 were not there");
}

#[test]
fn a_purge_follows_when_the_job_is_gone() {
    let mut run = stop_after(&stack(&json!({"purge": true})), |world| world.linger(&key("web"), true));
    assert!(run.world.jobs.contains_key(&key("web")), "{}", run.transcript());
    run.world.linger(&key("web"), false);
    run.shows("web");
    assert_snapshot!(run.ending(), @"done after 0s: stopped and purged mail, web, api, db");
    assert!(run.world.jobs.is_empty());
}

#[test]
fn what_an_excluded_job_depends_on_is_not_stopped_and_all_refusals_are_told_at_once() {
    let run = stop_after(&stack(&json!({"exclude": ["web"]})), |_| {});
    assert_snapshot!(run.ending(), @"failed after 0s: api: wanted job api stopped, but web is excluded, still runs, and depends on api; exclude api too, or stop web as well; look with `nomad job status api` · db: wanted job db stopped, but web is excluded, still runs, and depends on db; exclude db too, or stop web as well; look with `nomad job status db` · not begun, because the stop was refused: mail · kept web: excluded");
    assert!(run.world.written.is_empty());

    // It needs nothing any more.
    let run = stop_after(&stack(&json!({"exclude": ["web"]})), |world| world.stop(&key("web")));
    assert_snapshot!(run.ending(), @"done after 0s: stopped mail, api, db; 1 was stopped already");
    let run = stop_after(&stack(&json!({"exclude": ["db", "mail"]})), |_| {});
    assert_snapshot!(run.ending(), @"done after 0s: stopped web, api; kept mail, db: excluded");
    assert_eq!(stopped(&run), ["web", "api"]);
}

#[test]
fn a_target_is_stopped_alone_or_with_what_nothing_else_needs() {
    let run = stop_after(&stack(&json!({"target": "api"})), |_| {});
    assert_snapshot!(run.ending(), @"failed after 0s: api: wanted job api stopped, but web still runs, and depends on api; stop that first, or all of the tree; look with `nomad job status api` · skipped because api failed: db · kept mail, web: only api is stopped");
    assert!(run.world.written.is_empty());

    let run = stop_after(&stack(&json!({"target": "web"})), |_| {});
    assert_snapshot!(run.ending(), @"done after 0s: stopped web; kept mail, api, db: only web is stopped");
    assert_eq!(stopped(&run), ["web"]);

    let run = stop_after(&stack(&json!({"target": "web", "with_dependencies": true})), |_| {});
    assert_snapshot!(run.ending(), @"done after 0s: stopped web, api, db; kept mail: only web is stopped");
    assert_eq!(stopped(&run), ["web", "api", "db"]);

    let mut config = stack(&json!({"target": "web", "with_dependencies": true}));
    config["job"]["mail"]["depends_on"] = json!(["db"]);
    let run = stop_after(&config, |_| {});
    assert_snapshot!(run.ending(), @"done after 0s: stopped web, api; kept mail: only web is stopped; kept db: mail still runs, and needs it");
    assert_eq!(stopped(&run), ["web", "api"]);
}

#[test]
fn a_job_that_another_tree_waits_for_stays_with_what_it_depends_on() {
    let held = |tree: &'static str| {
        move |world: &mut World| {
            world.held.insert((key("api"), tree.to_owned()));
        }
    };
    let run = stop_after(&stack(&Value::Null), held("default/b"));
    assert_snapshot!(run.ending(), @r#"done after 0s: stopped mail, web; kept api: tree default/b waits for it; stop that first with verb = "stop", or forget that it waits: nomad var purge dtree/~held/default/api/default/b; kept db: api stays, and needs it"#);
    assert_eq!(stopped(&run), ["mail", "web"]);
    let run = stop_after(&stack(&Value::Null), held("default/shop"));
    assert_eq!(stopped(&run).len(), 4, "its own waits hold nothing");
}

#[test]
fn what_is_not_the_trees_is_left_alone() {
    let run = stop_after(&stack(&Value::Null), |world| {
        world.purge(&key("api"));
        world.register_by_hand("api");
        world.purge(&key("mail"));
    });
    assert_snapshot!(run.ending(), @"done after 0s: stopped web, db; 1 was not there; kept api: job api was not submitted by a tree, and is left alone");
    assert_eq!(stopped(&run), ["web", "db"]);
    assert!(run.world.runs(&key("api")));

    let run = stop_after(&stack(&Value::Null), |world| {
        world.purge(&key("api"));
        world.register_by_hand("api");
        world.linger(&key("web"), true);
    });
    assert_eq!(stopped(&run), ["mail", "web"], "db waits for web, through api");
}

#[test]
fn a_wait_is_recorded_by_a_run_and_let_go_by_the_stop() {
    let config = json!({
        "verb": "stop", "wait": {"vault": {}, "gone": {"until": "absent"}},
        "job": {"api": {"jobspec": "x", "depends_on": ["vault", "gone"]}},
    });
    let mut world = World::default();
    world.register_by_hand("vault");
    world.fare(&key("vault"), Fate::Good);
    let mut run = Simulation::in_world(&run_of(&config), world, &[]);
    run.fares("api", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     gone: gated: looking at Nomad
        log     vault: gated: looking at Nomad
        log     api: blocked: waits for gone, vault
        log     vault: satisfied: 1 of 1 healthy
        log     api: blocked: waits for gone
        log     gone: satisfied: no job has this ID
        log     api: blocked: looks at all jobs of the tree first
        act     vault: hold vault
        act     api: submit api
        log     api: working: is being submitted
        event   2 of 3 satisfied · api: is being submitted; gives up in 10m 30s
        log     api: gated: Nomad does not show version 0 yet
        log     api: gated: 0 of 1 healthy
    0s: api is Good
        log     api: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created api
        event   done after 0s: created api
        finish  done
    ");
    assert_eq!(run.world.held.len(), 1);
    let run = Simulation::in_world(&config, run.world, &[]);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     api: blocked: looks at all jobs of the tree first
        log     gone: blocked: looks at all jobs of the tree first
        log     vault: blocked: looks at all jobs of the tree first
        act     api: ask who waits for api
        act     api: stop api
        log     api: working: is being stopped
        log     gone: blocked: waits for api
        log     vault: blocked: waits for api
        event   0 of 3 satisfied · api: is being stopped; gives up in 5m
        log     api: gated: Nomad does not show yet that it is stopped
        log     api: satisfied: stopped, was version 0
        log     gone: satisfied: nothing is recorded of it
        act     vault: let go of vault
        log     vault: working: is being let go
        log     vault: satisfied: no longer waited for
        log     done after 0s: stopped api
        event   done after 0s: stopped api
        finish  done
    ");
    assert!(run.world.held.is_empty());
}

fn with_stop_hooks(more: &Value) -> Value {
    let hook = |more: &Value| {
        let mut hook = json!({"jobspec": "x"});
        hook.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        hook
    };
    json!({"verb": "stop", "job": {
        "db": {"jobspec": "x"},
        "api": {
            "jobspec": "x", "depends_on": ["db"],
            "pre_stop": {"drain": hook(more)}, "post_stop": {"archive": hook(more)},
        },
    }})
}

#[test]
fn hooks_run_before_the_stop_and_when_the_job_is_gone() {
    let mut run = stop_after(&with_stop_hooks(&json!({})), |world| world.linger(&key("api"), true));
    run.fares("drain", Fate::Good);
    run.world.linger(&key("api"), false);
    run.shows("api");
    run.fares("archive", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     drain: blocked: waits for api
        log     api: blocked: looks at all jobs of the tree first
        log     archive: blocked: waits for api
        log     db: blocked: looks at all jobs of the tree first
        act     db: ask who waits for db
        act     api: ask who waits for api
        log     api: blocked: waits for drain
        act     drain: launch drain-shop-a793a211-1
        log     drain: working: is being launched
        log     db: blocked: waits for api, archive
        event   0 of 4 satisfied · drain: is being launched; gives up in 5m
        log     drain: gated: looking at Nomad
        log     drain: gated: 0 of 1 complete, 1 running
    0s: drain is Good
        log     drain: satisfied: drain-shop-a793a211-1: 1 of 1 complete
        act     api: stop api
        log     api: working: is being stopped
        act     drain: purge drain-shop-a793a211-1
        log     api: gated: Nomad does not show yet that it is stopped
        log     api: gated: stopped, 1 still ending: allocation a110c000
    0s: api is shown
        log     api: satisfied: stopped, was version 0
        act     archive: launch archive-shop-4cf88639-1
        log     archive: working: is being launched
        log     db: blocked: waits for archive
        log     archive: gated: looking at Nomad
        log     archive: gated: 0 of 1 complete, 1 running
    0s: archive is Good
        act     archive: purge archive-shop-4cf88639-1
        log     archive: satisfied: archive-shop-4cf88639-1: 1 of 1 complete
        act     db: stop db
        log     db: working: is being stopped
        log     db: gated: Nomad does not show yet that it is stopped
        log     db: satisfied: stopped, was version 0
        log     done after 0s: stopped api, db; 2 hooks run
        event   done after 0s: stopped api, db; 2 hooks run
        finish  done
    ");

    let mut world = run.world;
    world.written.clear();
    let run = Simulation::in_world(&with_stop_hooks(&json!({})), world, &[]);
    assert_snapshot!(run.ending(), @"done after 0s: 2 were stopped already");
    assert!(run.world.written.is_empty());
}

#[test]
fn a_failed_hook_keeps_running_what_is_not_stopped_yet() {
    let mut run = stop_after(&with_stop_hooks(&json!({})), |_| {});
    run.fares("drain", Fate::Bad).wait(1);
    assert_snapshot!(run.ending(), @"failed after 0s: drain: wanted hook x complete, but drain-shop-a793a211-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host · skipped because drain failed: api, archive, db");
    assert!(run.world.runs(&key("api")) && run.world.runs(&key("db")));

    let mut run = stop_after(&with_stop_hooks(&json!({"on_failure": "continue"})), |_| {});
    run.fares("drain", Fate::Bad).wait(1).fares("archive", Fate::Bad).wait(1);
    assert_snapshot!(run.ending(), @"done after 1s: stopped api, db; 2 hooks run");

    let mut run = stop_after(&with_stop_hooks(&json!({})), |_| {});
    run.fares("drain", Fate::Good).fares("archive", Fate::Bad).wait(1);
    assert_snapshot!(run.ending(), @"failed after 0s: archive: wanted hook x complete, but archive-shop-4cf88639-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host · skipped because archive failed: db · stopped api");
    assert!(!run.world.runs(&key("api")) && run.world.runs(&key("db")));
}

#[test]
fn a_job_is_purged_when_its_last_hook_has_ended_well() {
    let mut config = with_stop_hooks(&json!({}));
    config["stop"] = json!({"purge": true});
    let mut run = stop_after(&config, |_| {});
    run.fares("drain", Fate::Good);
    assert!(run.world.jobs.contains_key(&key("api")), "{}", run.transcript());
    let mut failing = stop_after(&config, |_| {});
    failing.fares("drain", Fate::Good).fares("archive", Fate::Bad).wait(1);
    assert!(failing.ending().starts_with("failed") && failing.world.jobs.contains_key(&key("api")));
    run.fares("archive", Fate::Good);
    assert_snapshot!(run.ending(), @"done after 0s: stopped and purged api, db; 2 hooks run");
    assert!(run.world.jobs.is_empty(), "{}", run.transcript());
}

#[test]
fn a_job_that_does_not_go_fails_with_what_still_runs() {
    let config = stack(&json!({"timeout": "1m"}));
    let mut run = stop_after(&config, |world| world.linger(&key("web"), true));
    run.wait(61);
    assert_snapshot!(run.ending(), @"failed after 1m: web: wanted job web stopped, but not gone within 1m: stopped, 1 still ending: allocation a110c000; look with `nomad job status web` · skipped because web failed: api, db · stopped mail");
    assert!(run.world.runs(&key("api")));
}

#[test]
fn whoever_starts_a_job_again_meanwhile_is_not_fought() {
    let mut run = stop_after(&stack(&Value::Null), |world| world.linger(&key("api"), true));
    let marks = run.world.jobs[&key("web")].marks().cloned();
    run.world.roll_back(&key("web"), marks);
    run.shows("web");
    run.world.linger(&key("api"), false);
    run.shows("api");
    assert_snapshot!(run.ending(), @"failed after 0s: web: wanted job web stopped, but it was started again by someone else, as version 2, while the tree was stopped; look with `nomad job status web` · not begun, because web failed (on_failure = finish): db · stopped mail, api");
    assert!(run.world.runs(&key("web")) && run.world.runs(&key("db")));
}

#[test]
fn a_crash_at_any_act_repeats_nothing() {
    for dies_at in ["launch drain", "stop api", "launch archive", "purge drain", "purge archive", "stop db"] {
        let config = with_stop_hooks(&json!({}));
        let mut run = Simulation::in_world(&config, world_of(&run_of(&config)), &[]);
        // The first act is done already when it is told to die there.
        if dies_at == "launch drain" {
            run.crash();
        } else {
            run.dies_at = Some(dies_at);
        }
        run.fares("drain", Fate::Good).fares("archive", Fate::Good);
        assert!(run.ending().starts_with("done"), "{dies_at}: {}", run.transcript());
        let written: Vec<&str> = run
            .world
            .written
            .iter()
            .map(|written| match written {
                Written::Stop(name) | Written::Hook(name, _) | Written::Job(name) => name.as_str(),
            })
            .collect();
        assert_eq!(written, ["drain", "api", "archive", "db"], "{dies_at}: {}", run.transcript());
    }
}

#[test]
fn nothing_is_stopped_while_it_is_not_known_who_waits() {
    let world = world_of(&run_of(&stack(&Value::Null)));
    let mut run = Simulation::of(&jobs(&["x"]));
    run.refused.insert("db".to_owned());
    let plan = tree_plan(&stack(&Value::Null));
    run.engine = Engine::tree(plan.clone(), place(), "default/shop".into(), run.now);
    (run.plan, run.world) = (plan, world);
    run.forget_words().happens("the stop begins", Event::Started);
    assert_snapshot!(run.ending(), @"failed after 0s: db: wanted job db stopped, but Nomad says no; look with `nomad job status db` · not begun, because db failed (on_failure = finish): mail, web, api");
    assert!(run.world.written.is_empty());
}
