//! Hooks after a run, and what hooks are told.

use super::*;

fn shop_with_last_hooks() -> Value {
    let mut shop = shop();
    shop["after_success"] = json!({"tell": {"dispatch": "chat"}});
    shop["after_failure"] = json!({
        "alarm": {"dispatch": "pager"}, "note": {"dispatch": "notes", "depends_on": ["alarm"]},
    });
    shop
}

/// What the launched hooks are told.
fn told_to_hooks(run: &Simulation) -> String {
    let lines = run.told.iter().map(|(name, about)| {
        let about = about.iter().map(|(key, value)| format!(" {key}={value}"));
        format!("{name}:{}", about.collect::<String>())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_run_that_changed_something_tells_of_its_success_and_one_that_did_not_is_silent() {
    let mut run = Simulation::of(&shop_with_last_hooks());
    run.fares("postgres", Fate::Good).fares("setup", Fate::Good);
    run.lines.clear();
    run.fares("api", Fate::Good);
    // What happens to the jobs now changes nothing any more.
    run.fares("api", Fate::Bad).wait(60).fares("tell", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: api is Good
        log     api: satisfied: created, version 0: 1 of 1 healthy
        act     tell: dispatch tell as tell-shop-33481ed4-1
        log     tell: working: is being launched
        log     tell: gated: looking at Nomad
        log     tell: gated: 0 of 1 complete, 1 running
    0s: api is Bad
    5s: time passes
        event   3 of 4 satisfied · tell: 0 of 1 complete, 1 running; gives up in 9m 55s
    1m: tell is Good
        act     tell: purge tell/dispatch-tell-shop-33481ed4-1
        log     tell: satisfied: tell/dispatch-tell-shop-33481ed4-1: 1 of 1 complete
        event   4 of 4 satisfied
        log     done after 0s: created postgres, api, 1 hook run
        event   done after 0s: created postgres, api, 1 hook run
        finish  done
    ");

    let world = run.world.clone();
    let mut again = Simulation::in_world(&shop_with_last_hooks(), world, &[]);
    again.fares("api", Fate::Good);
    assert_snapshot!(again.ending(), @"done after 0s: 2 unchanged");
    assert!(!again.transcript().contains("tell"), "{}", again.transcript());
}

#[test]
fn a_failure_is_told_in_order_and_stays_the_outcome() {
    let mut run = Simulation::of(&shop_with_last_hooks());
    run.fares("postgres", Fate::Bad).wait(1);
    run.lines.clear();
    run.fares("alarm", Fate::Good).fares("note", Fate::Bad).wait(1);
    assert_snapshot!(run.transcript(), @"
    1s: alarm is Good
        act     alarm: purge alarm/dispatch-alarm-shop-49cb9102-1
        log     alarm: satisfied: alarm/dispatch-alarm-shop-49cb9102-1: 1 of 1 complete
        act     note: dispatch note as note-shop-8a2d8fa5-1
        log     note: working: is being launched
        log     note: gated: looking at Nomad
        log     note: gated: 0 of 1 complete, 1 running
    1s: note is Bad
        log     note: gated: it failed: allocation a110c000: task main exited with 3
    1s: time passes
        act     note: tail main
        log     note: working: has failed: it failed: allocation a110c000: task main exited with 3
        log     note: | connecting
        log     note: | psql: no route to host
        act     note: stop note/dispatch-note-shop-8a2d8fa5-1
        log     note: working: has failed: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        log     note: failed: note/dispatch-note-shop-8a2d8fa5-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        log     failed after 0s: postgres: wanted job postgres healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; look with `nomad job status postgres` · skipped because postgres failed: setup, api · afterwards failed: note: note/dispatch-note-shop-8a2d8fa5-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        event   failed after 0s: postgres: wanted job postgres healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; look with `nomad job status postgres` · skipped because postgres failed: setup, api · afterwards failed: note: note/dispatch-note-shop-8a2d8fa5-1: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host
        finish  failed
    ");
    assert_snapshot!(told_to_hooks(&run), @"
    alarm: dtree_cause=failure dtree_message=failed after 0s: postgres: wanted job postgres healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; look with `nomad job status postgres` · skipped because postgres failed: setup, api dtree_run=0000beef dtree_verb=run
    note: dtree_cause=failure dtree_message=failed after 0s: postgres: wanted job postgres healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; look with `nomad job status postgres` · skipped because postgres failed: setup, api dtree_run=0000beef dtree_verb=run
    ");
}

#[test]
fn a_crash_at_any_point_of_the_last_hooks_launches_none_twice_and_keeps_the_outcome() {
    for (fate, hook) in [(Fate::Good, "tell"), (Fate::Bad, "alarm")] {
        for act in ["dispatch", "purge"] {
            let mut run = Simulation::of(&shop_with_last_hooks());
            run.fares("postgres", Fate::Good).fares("setup", Fate::Good);
            run.dies_at = Some(act);
            run.fares("api", fate).wait(1);
            run.crash().fares(hook, Fate::Good).crash().wait(1);
            if fate == Fate::Bad {
                run.fares("note", Fate::Good).crash().wait(1);
            }
            let ending = run.ending();
            assert_eq!(ending.starts_with("done"), fate == Fate::Good, "{ending}");
            let launched =
                run.world.written.iter().filter(
                    |written| matches!(written, Written::Hook(_, job) if job.as_str().starts_with(hook)),
                );
            assert_eq!(launched.count(), 1, "{act}: {}", run.transcript());
        }
    }
}

#[test]
fn hooks_know_the_job_its_versions_and_why() {
    let config = with_hooks(&json!({
        "pre": {"check": {"jobspec": "x"}}, "post": {"seed": {"jobspec": "x"}},
    }));
    let mut run = Simulation::of(&config);
    run.fares("check", Fate::Good).fares("db", Fate::Good).fares("seed", Fate::Good).fares("web", Fate::Good);
    let mut again = Simulation::in_world(&config, run.world.clone(), &["db"]);
    again.fares("check", Fate::Good).fares("db", Fate::Good).fares("seed", Fate::Good);
    assert_snapshot!([told_to_hooks(&run), told_to_hooks(&again)].join("\n"), @"
    check: dtree_cause=created dtree_job=default/db dtree_run=0000beef dtree_verb=run
    seed: dtree_cause=created dtree_job=default/db dtree_run=0000beef dtree_verb=run dtree_version_after=0
    check: dtree_cause=updated dtree_job=default/db dtree_run=0000beef dtree_verb=run dtree_version_before=0
    seed: dtree_cause=updated dtree_job=default/db dtree_run=0000beef dtree_verb=run dtree_version_after=1 dtree_version_before=0
    ");
}
