//! A hook that runs once for its key: who launches it, who follows, and what is wrong with a record.

use super::*;
use crate::cluster::RaftIndex;

fn migrate() -> Value {
    json!({"hook": {"migrate": {"dispatch": "migrate", "once": "v7"}}})
}

const PATH: &str = "dtree/~once/migrate/v7";

/// What a dispatch of attempt 1 runs as.
fn dispatched(run: &Simulation) -> JobKey {
    run.key("migrate/dispatch-")
}

/// The record of a world, as another participant has written it.
fn set(world: &mut World, attempt: u32, state: &Value) {
    let runs = json!({"dispatch": {"namespace": "default", "job": "migrate"}});
    let record = json!({"runs": runs, "first": 1, "attempt": attempt, "state": state});
    put(world, &[("format", "1"), ("hook", "migrate"), ("key", "v7"), ("record", &record.to_string())]);
}

fn put(world: &mut World, items: &[(&str, &str)]) {
    let items = items.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let index = world.records.get(PATH).map_or(7, |kept| kept.index.0 + 1);
    world.records.insert(PATH.to_owned(), Kept { index: RaftIndex(index), items });
}

#[test]
fn a_key_that_nobody_has_used_is_claimed_before_its_hook_is_launched() {
    let mut run = Simulation::of(&migrate());
    run.fares("migrate/dispatch-", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     migrate: blocked: is about to begin
        act     migrate: read dtree/~once/migrate/v7
        log     migrate: working: looks whether it ran before
        event   0 of 1 satisfied · migrate: looks whether it ran before; gives up in 5m
        act     migrate: write dtree/~once/migrate/v7: attempt 1 launching
        log     migrate: working: is being launched
        act     migrate: dispatch migrate as migrate-once-7ff437907aac2588-1
        act     migrate: write dtree/~once/migrate/v7: attempt 1 running
        log     migrate: gated: looking at Nomad
        log     migrate: gated: 0 of 1 complete, 1 running
    0s: migrate/dispatch- is Good
        act     migrate: tail main
        log     migrate: working: has ended, and its output is being read
        log     migrate: | connecting
        log     migrate: | psql: no route to host
        act     migrate: write dtree/~once/migrate/v7: attempt 1 done
        log     migrate: working: its result is being written down
        act     migrate: stop migrate/dispatch-migrate-once-7ff437907aac2588-1
        log     migrate: satisfied: migrate/dispatch-migrate-once-7ff437907aac2588-1: 1 of 1 complete
        log     done after 0s: 1 hook run
        event   done after 0s: 1 hook run
        finish  done
    ");
    assert!(run.world.jobs[&dispatched(&run)].is_stopped(), "it stays, so that whoever is late finds it");
    let world = std::mem::take(&mut run.world);
    let run = Simulation::in_world(&migrate(), world, &[]);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     migrate: blocked: is about to begin
        act     migrate: read dtree/~once/migrate/v7
        log     migrate: working: looks whether it ran before
        event   0 of 1 satisfied · migrate: looks whether it ran before; gives up in 5m
        log     migrate: satisfied: ran before for the same key: migrate/dispatch-migrate-once-7ff437907aac2588-1: 1 of 1 complete
        log     done after 0s: 1 hook run
        event   done after 0s: 1 hook run
        finish  done
    ");
}

#[test]
fn a_failed_attempt_is_followed_by_another_and_the_last_failure_is_for_everybody() {
    let hook = json!({"hook": {"migrate": {"jobspec": "x", "once": "v7", "retries": 1}}});
    let mut run = Simulation::of(&hook);
    run.fares("migrate-once", Fate::Bad).wait(1).fares("migrate-once", Fate::Bad).wait(1);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     migrate: blocked: is about to begin
        act     migrate: read dtree/~once/migrate/v7
        log     migrate: working: looks whether it ran before
        event   0 of 1 satisfied · migrate: looks whether it ran before; gives up in 5m
        act     migrate: write dtree/~once/migrate/v7: attempt 1 launching
        log     migrate: working: is being launched
        act     migrate: launch migrate-once-7ff437907aac2588-1
        act     migrate: write dtree/~once/migrate/v7: attempt 1 running
        log     migrate: gated: looking at Nomad
        log     migrate: gated: 0 of 1 complete, 1 running
    0s: migrate-once is Bad
        log     migrate: gated: it failed: allocation a110c000: task main exited with 3
    0s: time passes
        log     migrate: attempt 1 failed: migrate-once-7ff437907aac2588-1: it failed: allocation a110c000: task main exited with 3
        act     migrate: tail main
        log     migrate: working: has ended, and its output is being read
        log     migrate: | connecting
        log     migrate: | psql: no route to host
        act     migrate: write dtree/~once/migrate/v7: attempt 2 launching
        log     migrate: working: is being launched
        act     migrate: stop migrate-once-7ff437907aac2588-1
        act     migrate: launch migrate-once-7ff437907aac2588-2
        act     migrate: write dtree/~once/migrate/v7: attempt 2 running
        log     migrate: gated: looking at Nomad
        log     migrate: gated: 0 of 1 complete, 1 running
    1s: migrate-once is Bad
        log     migrate: gated: it failed: allocation a110c000: task main exited with 3
    1s: time passes
        act     migrate: tail main
        log     migrate: working: has failed: migrate-once-7ff437907aac2588-2: it failed: allocation a110c000: task main exited with 3
        log     migrate: | connecting
        log     migrate: | psql: no route to host
        act     migrate: write dtree/~once/migrate/v7: attempt 2 failed
        log     migrate: working: its result is being written down
        act     migrate: stop migrate-once-7ff437907aac2588-2
        log     migrate: failed: migrate-once-7ff437907aac2588-2: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again
        log     failed after 1s: migrate: wanted hook x complete, but migrate-once-7ff437907aac2588-2: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again
        event   failed after 1s: migrate: wanted hook x complete, but migrate-once-7ff437907aac2588-2: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again
        finish  failed
    ");
    let world = std::mem::take(&mut run.world);
    assert_snapshot!(Simulation::in_world(&hook, world, &[]).ending(), @"failed after 0s: migrate: wanted hook x complete, but migrate-once-7ff437907aac2588-2: it failed: allocation a110c000: task main exited with 3; its last words: connecting / psql: no route to host; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again");
}

#[test]
fn whoever_comes_second_follows_and_takes_over_from_one_who_is_gone() {
    let mut world = World::default();
    set(&mut world, 1, &json!({"launching": {"by": "0badcafe-1/gate", "over": null}}));
    let mut run = Simulation::in_world(&migrate(), world, &[]);
    run.wait(14);
    assert!(run.world.jobs.is_empty(), "{}", run.transcript());
    run.wait(5).fares("migrate/dispatch-", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     migrate: blocked: is about to begin
        act     migrate: read dtree/~once/migrate/v7
        log     migrate: working: looks whether it ran before
        event   0 of 1 satisfied · migrate: looks whether it ran before; gives up in 5m
        log     migrate: gated: is being launched by allocation 0badcafe
    1s: time passes
        act     migrate: read dtree/~once/migrate/v7
    2s: time passes
        act     migrate: read dtree/~once/migrate/v7
    4s: time passes
        act     migrate: read dtree/~once/migrate/v7
    5s: time passes
        event   0 of 1 satisfied · migrate: is being launched by allocation 0badcafe; gives up in 4m 55s
    7s: time passes
        act     migrate: read dtree/~once/migrate/v7
    10s: time passes
        act     migrate: read dtree/~once/migrate/v7
    13s: time passes
        act     migrate: read dtree/~once/migrate/v7
    17s: time passes
        act     migrate: read dtree/~once/migrate/v7
        act     migrate: write dtree/~once/migrate/v7: attempt 1 launching
        log     migrate: working: is being launched
        act     migrate: dispatch migrate as migrate-once-7ff437907aac2588-1
        act     migrate: write dtree/~once/migrate/v7: attempt 1 running
        log     migrate: gated: looking at Nomad
        log     migrate: gated: 0 of 1 complete, 1 running
    19s: migrate/dispatch- is Good
        act     migrate: tail main
        log     migrate: working: has ended, and its output is being read
        log     migrate: | connecting
        log     migrate: | psql: no route to host
        act     migrate: write dtree/~once/migrate/v7: attempt 1 done
        log     migrate: working: its result is being written down
        act     migrate: stop migrate/dispatch-migrate-once-7ff437907aac2588-1
        log     migrate: satisfied: migrate/dispatch-migrate-once-7ff437907aac2588-1: 1 of 1 complete
        log     done after 19s: 1 hook run
        event   done after 19s: 1 hook run
        finish  done
    ");
}

#[test]
fn whoever_is_at_it_is_not_taken_for_gone_while_the_record_changes() {
    let mut world = World::default();
    set(&mut world, 1, &json!({"launching": {"by": "0badcafe-1/gate", "over": null}}));
    let mut run = Simulation::in_world(&migrate(), world, &[]);
    for by in ["a/gate", "b/gate", "c/gate"] {
        run.wait(13);
        set(&mut run.world, 1, &json!({"launching": {"by": by, "over": null}}));
    }
    run.wait(12);
    assert!(run.world.jobs.is_empty(), "{}", run.transcript());
}

#[test]
fn a_running_job_is_followed_and_its_end_is_written_by_whoever_sees_it() {
    let mut world = World::default();
    let job = JobKey::new("default", "migrate/dispatch-1");
    world.register_batch(&job);
    set(&mut world, 1, &json!({"running": {"by": "0badcafe-1/gate", "job": job}}));
    let mut run = Simulation::in_world(&migrate(), world, &[]);
    run.fares("migrate/dispatch-1", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     migrate: blocked: is about to begin
        act     migrate: read dtree/~once/migrate/v7
        log     migrate: working: looks whether it ran before
        event   0 of 1 satisfied · migrate: looks whether it ran before; gives up in 5m
        log     migrate: gated: looking at Nomad
        log     migrate: gated: 0 of 1 complete, 1 running
    0s: migrate/dispatch-1 is Good
        act     migrate: tail main
        log     migrate: working: has ended, and its output is being read
        log     migrate: | connecting
        log     migrate: | psql: no route to host
        act     migrate: write dtree/~once/migrate/v7: attempt 1 done
        log     migrate: working: its result is being written down
        act     migrate: stop migrate/dispatch-1
        log     migrate: satisfied: migrate/dispatch-1: 1 of 1 complete
        log     done after 0s: 1 hook run
        event   done after 0s: 1 hook run
        finish  done
    ");
}

#[test]
fn a_record_that_is_wrong_is_told_and_nothing_is_launched() {
    let ending = |change: &dyn Fn(&mut World)| {
        let mut world = World::default();
        change(&mut world);
        let run = Simulation::in_world(&migrate(), world, &[]);
        assert!(run.world.jobs.is_empty(), "{}", run.transcript());
        run.ending()
    };
    assert_snapshot!(ending(&|world| put(world, &[("format", "2")])), @r#"failed after 0s: migrate: wanted hook migrate, dispatched, complete, but its record, the variable dtree/~once/migrate/v7, is not understood, so nothing is launched: it has the format "2", which a newer dtree may have written, and this one knows "1"; to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again"#);
    assert_snapshot!(ending(&|world| put(world, &[("colour", "blue")])), @"failed after 0s: migrate: wanted hook migrate, dispatched, complete, but its record, the variable dtree/~once/migrate/v7, is not understood, so nothing is launched: it is not what dtree has written: it has no item `format`; to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again");
    let other = json!({"runs": {"dispatch": {"namespace": "default", "job": "seed"}}, "first": 1, "attempt": 1,
        "state": {"done": {"job": {"namespace": "default", "job": "seed"}, "how": "well", "exit_code": 0}}});
    assert_snapshot!(ending(&|world| {
        put(world, &[("format", "1"), ("hook", "migrate"), ("key", "v7"), ("record", &other.to_string())]);
    }), @r#"failed after 0s: migrate: wanted hook migrate, dispatched, complete, but with once = "v7" it was a dispatch of default/seed, and this is a dispatch of default/migrate: nothing is launched; give one of them another label or key"#);
}

#[test]
fn a_record_or_a_job_that_is_taken_away_in_the_middle_launches_nothing_again() {
    let mut world = World::default();
    set(&mut world, 1, &json!({"launching": {"by": "0badcafe-1/gate", "over": null}}));
    let mut run = Simulation::in_world(&migrate(), world, &[]);
    run.world.records.clear();
    run.wait(5);
    assert_snapshot!(run.ending(), @"failed after 1s: migrate: wanted hook migrate, dispatched, complete, but its record, the variable dtree/~once/migrate/v7, was taken away while it was launched or ran, so nobody knows what has run; nothing is launched again before the task is started again");
    assert!(run.world.jobs.is_empty());

    let hook = json!({"hook": {"migrate": {"dispatch": "migrate", "once": "v7", "retries": 5}}});
    let mut run = Simulation::of(&hook);
    let job = dispatched(&run);
    run.world.purge(&job);
    run.shows(job.job.as_str()).wait(1);
    assert_snapshot!(run.ending(), @"failed after 0s: migrate: wanted hook migrate, dispatched, complete, but migrate/dispatch-migrate-once-7ff437907aac2588-1: migrate/dispatch-migrate-once-7ff437907aac2588-1 was purged by someone else; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again");
    assert_eq!(run.world.written.len(), 1);

    let mut run = Simulation::of(&migrate());
    let job = dispatched(&run);
    run.world.stop(&job);
    run.shows(job.job.as_str()).wait(1);
    assert_snapshot!(run.ending(), @"failed after 0s: migrate: wanted hook migrate, dispatched, complete, but migrate/dispatch-migrate-once-7ff437907aac2588-1: migrate/dispatch-migrate-once-7ff437907aac2588-1 was stopped by someone else; its last words: connecting / psql: no route to host; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again");
}

#[test]
fn one_that_never_ends_is_stopped_at_its_limit_after_that_is_written() {
    let hook = json!({"hook": {"migrate": {"dispatch": "migrate", "once": "v7", "timeout": "1m"}}});
    let mut run = Simulation::of(&hook);
    run.lines.clear();
    run.wait(70);
    assert_snapshot!(run.transcript(), @"
    5s: time passes
        event   0 of 1 satisfied · migrate: 0 of 1 complete, 1 running; gives up in 55s
    1m: time passes
        act     migrate: tail main
        log     migrate: working: has failed: migrate/dispatch-migrate-once-7ff437907aac2588-1: not within 1m: 0 of 1 complete, 1 running
        event   0 of 1 satisfied · migrate: has failed: migrate/dispatch-migrate-once-7ff437907aac2588-1: not within 1m: 0 of 1 complete, 1 running
        log     migrate: | connecting
        log     migrate: | psql: no route to host
        act     migrate: write dtree/~once/migrate/v7: attempt 1 failed
        log     migrate: working: its result is being written down
        act     migrate: stop migrate/dispatch-migrate-once-7ff437907aac2588-1
        log     migrate: failed: migrate/dispatch-migrate-once-7ff437907aac2588-1: not within 1m: 0 of 1 complete, 1 running; its last words: connecting / psql: no route to host; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again
        log     failed after 1m: migrate: wanted hook migrate, dispatched, complete, but migrate/dispatch-migrate-once-7ff437907aac2588-1: not within 1m: 0 of 1 complete, 1 running; its last words: connecting / psql: no route to host; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again
        event   failed after 1m: migrate: wanted hook migrate, dispatched, complete, but migrate/dispatch-migrate-once-7ff437907aac2588-1: not within 1m: 0 of 1 complete, 1 running; its last words: connecting / psql: no route to host; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again
        finish  failed
    ");
}

#[test]
fn what_cannot_be_launched_is_left_to_others_and_fails_with_the_reason() {
    let mut run = Simulation::of(&json!({"hook": {"first": {"jobspec": "x"},
        "migrate": {"dispatch": "migrate", "once": "v7", "depends_on": ["first"]}}}));
    run.world.refused_launch = Some("Nomad says no");
    run.lines.clear();
    run.fares("first", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: first is Good
        act     first: tail main
        log     first: satisfied: first-shop-d5bb192f-1: 1 of 1 complete
        act     migrate: read dtree/~once/migrate/v7
        log     migrate: working: looks whether it ran before
        log     first: | connecting
        log     first: | psql: no route to host
        act     first: purge first-shop-d5bb192f-1
        act     migrate: write dtree/~once/migrate/v7: attempt 1 launching
        log     migrate: working: is being launched
        act     migrate: dispatch migrate as migrate-once-7ff437907aac2588-1
        act     migrate: write dtree/~once/migrate/v7: attempt 1 launching
        log     migrate: working: cannot be launched: Nomad says no
        log     migrate: failed: Nomad says no
        log     failed after 0s: migrate: wanted hook migrate, dispatched, complete, but Nomad says no
        event   failed after 0s: migrate: wanted hook migrate, dispatched, complete, but Nomad says no
        finish  failed
    ");
    assert!(run.world.records[PATH].items["record"].contains(r#""by":null"#));
}

#[test]
fn a_stop_leaves_it_running_and_says_so_and_a_crash_repeats_nothing() {
    let mut run = Simulation::of(&migrate());
    run.crash();
    assert_eq!(run.world.written.len(), 1);
    let own = own_job().but(|job| job.is_stopped = true).seen();
    run.happens("its job is stopped", Event::Seen(place().job, Arc::new(own)));
    run.lines.clear();
    run.happens("Nomad stops the task", Event::Stopped);
    assert_snapshot!(run.transcript(), @r#"
    0s: Nomad stops the task
        log     migrate: once = "v7": it is left as it is, because others may wait for it; what has been launched runs on
        log     stopped; 0 of 1 satisfied after 0s; what it has launched runs on
        event   stopped; 0 of 1 satisfied after 0s; what it has launched runs on
        finish  stopped
    "#);
    assert!(!run.world.jobs[&dispatched(&run)].is_stopped());
}

#[test]
fn a_purged_record_has_it_run_again_and_only_then() {
    let mut run = Simulation::of(&migrate());
    run.fares("migrate/dispatch-", Fate::Bad).wait(1);
    let mut world = std::mem::take(&mut run.world);
    world.records.clear();
    let mut run = Simulation::in_world(&migrate(), world, &[]);
    run.fares("migrate/dispatch-", Fate::Good);
    assert_snapshot!(run.ending(), @"done after 0s: 1 hook run");
    assert!(dispatched(&run).job.as_str().ends_with("-2"), "{}", run.transcript());

    // Where another may have launched it, nobody knows whether a stopped job has done its work.
    let mut world = std::mem::take(&mut run.world);
    set(&mut world, 1, &json!({"launching": {"by": "0badcafe-1/gate", "over": null}}));
    let mut run = Simulation::in_world(&migrate(), world, &[]);
    run.wait(20);
    assert_snapshot!(run.ending(), @"failed after 17s: migrate: wanted hook migrate, dispatched, complete, but migrate-once-7ff437907aac2588-1: it was stopped by someone else before its end was seen; this is the result for everybody: to have it run again, give it another key, or run `nomad var purge dtree/~once/migrate/v7` and start the task again");
}
