//! A process that ends before its run, a run that was over, and a task that Nomad stops.

use super::*;

#[test]
fn a_crash_while_a_job_is_submitted_or_a_hook_launched_repeats_nothing() {
    let mut run = Simulation::of(&shop());
    run.crash().fares("postgres", Fate::Good);
    assert_eq!(run.world.written.len(), 2);
    run.crash();
    assert_eq!(run.world.written.len(), 2);
    run.dies_at = Some("purge setup");
    run.fares("setup", Fate::Good).fares("api", Fate::Good);
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
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
    0s: a new process goes on
        log     postgres: gated: looking at Nomad
        log     setup: blocked: waits for postgres
        log     api: blocked: waits for postgres, setup
        log     postgres: gated: 0 of 1 healthy
        event   0 of 3 satisfied · postgres: 0 of 1 healthy; gives up in 10m 30s
    0s: postgres is Good
        act     postgres: recall postgres
        log     postgres: satisfied: created, version 0: 1 of 1 healthy
        log     api: blocked: waits for setup
        act     setup: launch setup-shop-3bb97061-1
        log     setup: working: is being launched
        log     setup: gated: looking at Nomad
        log     setup: gated: 0 of 1 complete, 1 running
    0s: a new process goes on
        log     postgres: gated: looking at Nomad
        log     setup: gated: looking at Nomad
        log     api: blocked: waits for postgres, setup
        log     setup: gated: 0 of 1 complete, 1 running
        log     postgres: satisfied: created, version 0: 1 of 1 healthy
        log     api: blocked: waits for setup
        event   1 of 3 satisfied · setup: 0 of 1 complete, 1 running; gives up in 10m
    0s: setup is Good
        log     setup: satisfied: setup-shop-3bb97061-1: 1 of 1 complete
        act     postgres: attest postgres version 0
        act     api: submit api
        log     api: working: is being submitted
        act     setup: purge setup-shop-3bb97061-1
    0s: a new process goes on
        log     postgres: gated: looking at Nomad
        log     setup: satisfied: setup-shop-3bb97061-1: 1 of 1 complete
        act     api: submit api
        log     api: working: is being submitted
        act     postgres: attest postgres version 0
        log     postgres: satisfied: created, version 0: 1 of 1 healthy
        event   2 of 3 satisfied · api: is being submitted; gives up in 10m 30s
        log     api: gated: 0 of 1 healthy
        act     setup: purge setup-shop-3bb97061-1
    0s: api is Good
        log     api: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created postgres, api, 1 hook run
        event   done after 0s: created postgres, api, 1 hook run
        finish  done
    ");
    let mut run = Simulation::of(&shop());
    run.dies_at = Some("launch setup");
    run.fares("postgres", Fate::Good).fares("setup", Fate::Good);
    run.dies_at = Some("stop setup");
    run.fares("api", Fate::Good);
    assert_eq!(run.world.written.len(), 3, "{}", run.transcript());
}

#[test]
fn a_crash_after_a_job_was_ready_does_not_hold_its_first_deadline_against_it() {
    let mut run = Simulation::of(&with_hooks(&json!({"post": {"seed": {"jobspec": "x", "timeout": "2h"}}})));
    run.fares("db", Fate::Good).wait(3600);
    run.lines.clear();
    run.crash().wait(15);
    assert_snapshot!(run.transcript(), @"
    1h: a new process goes on
        log     db: gated: looking at Nomad
        log     seed: gated: looking at Nomad
        log     web: blocked: waits for db, seed
        log     seed: gated: 0 of 1 complete, 1 running
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     web: blocked: waits for seed
        event   1 of 3 satisfied · seed: 0 of 1 complete, 1 running; gives up in 1h
    ");
}

#[test]
fn a_stopped_task_leaves_all_as_it_is_but_for_the_hooks_of_a_stopped_job() {
    let mut run = Simulation::of(&shop());
    run.fares("postgres", Fate::Good).wait(1);
    let blind = run.engine.clone();
    let own = |is_stopped| {
        let sight = own_job().but(|job| job.is_stopped = is_stopped).seen();
        Event::Seen(place().job, Arc::new(sight))
    };
    run.happens("its own job is seen", own(false));
    let before = run.engine.clone();
    let (world, remembered) = (run.world.clone(), run.remembered.clone());
    run.lines.clear();

    // Only the task: what runs is left, once it was looked for a moment whether its job was stopped too.
    run.happens("Nomad stops the task", Event::Stopped).wait(2);
    assert_snapshot!(run.transcript(), @"
    1s: Nomad stops the task
        log     api: skipped: not begun, because the task is being stopped
    2s: time passes
        log     stopped; 1 of 3 satisfied after 2s; the jobs are left as they are
        event   stopped; 1 of 3 satisfied after 2s; the jobs are left as they are
        finish  stopped
    ");

    // One that cannot see its job does not look.
    run.engine = blind;
    run.lines.clear();
    run.happens("Nomad stops the task", Event::Stopped);
    assert_snapshot!(run.transcript(), @"
    3s: Nomad stops the task
        log     stopped; 1 of 3 satisfied after 3s; the jobs are left as they are
        event   stopped; 1 of 3 satisfied after 3s; the jobs are left as they are
        finish  stopped
    ");

    // The job was stopped, too: Nomad's word to the task comes before the stream shows it, or after.
    let mut told = Vec::new();
    for is_shown_first in [true, false] {
        run.engine = before.clone();
        let mut news = vec![own(true), Event::Stopped];
        if !is_shown_first {
            news.reverse();
        }
        run.happens("a part of the stop", news.remove(0));
        run.lines.clear();
        run.happens("the other part of the stop", news.remove(0));
        told.push(run.transcript());
    }
    assert_eq!(told[0], told[1]);
    assert_snapshot!(told[0], @"
    3s: the other part of the stop
        act     setup: stop setup-shop-3bb97061-1
        log     setup: skipped: given up, because the tree's job was stopped
        log     api: skipped: not begun, because the tree's job was stopped
        log     stopped; 1 of 3 satisfied after 3s; its hooks were stopped, the jobs are left as they are
        event   stopped; 1 of 3 satisfied after 3s; its hooks were stopped, the jobs are left as they are
        finish  stopped
    ");
    run.lines.clear();
    run.crash().fares("setup", Fate::Good);
    let n_hooks = |run: &Simulation| {
        run.world.written.iter().filter(|written| matches!(written, Written::Hook(..))).count()
    };
    assert_eq!(n_hooks(&run), 2, "the next process begins the next attempt: {}", run.transcript());
    assert!(run.transcript().contains("submit api"), "{}", run.transcript());

    // Had it ended well just before, nobody would run it again.
    (run.engine, run.world, run.remembered) = (before, world, remembered);
    let setup = run.key("setup");
    run.world.fare(&setup, Fate::Good);
    run.lines.clear();
    run.happens("its own job is seen", own(true)).happens("Nomad stops the task", Event::Stopped).crash();
    assert_eq!(n_hooks(&run), 1, "{}", run.transcript());
    assert!(run.transcript().contains("submit api"), "{}", run.transcript());
}

#[test]
fn a_hook_that_ended_well_before_it_was_given_up_is_not_run_again() {
    let mut run = Simulation::of(&json!({
        "on_failure": "cancel",
        "wait": {"other": {}},
        "job": {"db": {"jobspec": "x", "pre": {"backup": {"jobspec": "x"}}}},
    }));
    let other = JobKey::new("default", "other");
    run.world.register_by_hand("other");
    let becomes = |run: &mut Simulation, fate| {
        run.world.fare(&other, fate);
        run.shows("other").wait(1);
    };
    becomes(&mut run, Fate::Pending);
    // It has ended, which is not to be seen yet, when the wait fails and it is stopped for that.
    let backup = run.key("backup");
    run.world.fare(&backup, Fate::Good);
    run.dies_at = Some("stop backup");
    becomes(&mut run, Fate::Bad);
    assert!(run.transcript().contains("backup: stop backup"), "{}", run.transcript());
    // For the process that goes on the wait is well again.
    becomes(&mut run, Fate::Good);
    run.fares("db", Fate::Good);
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
    assert_eq!(run.world.written.len(), 2, "{}", run.transcript());
}

#[test]
fn a_run_that_had_ended_says_so_again_and_does_nothing() {
    let mut run = Simulation::of(&jobs(&["db"]));
    run.fares("db", Fate::Good);
    run.lines.clear();
    run.wait(60).crash();
    assert_snapshot!(run.transcript(), @"
    1m: a new process goes on
        log     done after 0s: created db
        event   done after 0s: created db
        finish  done
    ");
}

#[test]
fn a_failed_attempt_keeps_its_name_until_the_hook_is_over() {
    let hook = json!({"pre": {"backup": {"jobspec": "x", "retries": 1, "retain": "none"}}});
    let mut run = Simulation::of(&with_hooks(&hook));
    run.fares("backup", Fate::Bad).wait(1);
    let second = run.key("backup");
    assert!(second.job.as_str().ends_with("-2"), "{second}");
    run.world.fare(&second, Fate::Good);
    // Nobody has seen that it ended well, and all that was remembered is lost.
    run.remembered.clear();
    run.lines.clear();
    run.crash().fares("db", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    1s: a new process goes on
        log     backup: blocked: waits for db
        log     db: blocked: looks at all jobs of the tree first
        log     web: blocked: waits for db
        log     db: blocked: waits for backup
        act     backup: launch backup-shop-a13ac03e-1
        log     backup: working: is being launched
        event   0 of 3 satisfied · backup: is being launched; gives up in 5m
        act     backup: launch backup-shop-a13ac03e-2
        log     backup: gated: looking at Nomad
        log     backup: satisfied: backup-shop-a13ac03e-2: 1 of 1 complete
        act     db: submit db
        log     db: working: is being submitted
        act     backup: purge backup-shop-a13ac03e-2
        log     db: gated: Nomad does not show version 0 yet
        log     db: gated: 0 of 1 healthy
    1s: db is Good
        log     db: satisfied: created, version 0: 1 of 1 healthy
        act     web: submit web
        log     web: working: is being submitted
        log     web: gated: Nomad does not show version 0 yet
        log     web: gated: 0 of 1 healthy
    ");
    let mut run = Simulation::of(&with_hooks(&hook));
    run.fares("backup", Fate::Bad).wait(1).fares("backup", Fate::Good);
    let hooks = run.world.jobs.keys().filter(|key| key.job.as_str().starts_with("backup"));
    assert_eq!(hooks.count(), 0, "none is to stay: {}", run.transcript());
}

#[test]
fn whoever_wants_an_end_gets_it_when_what_is_under_way_has_ended() {
    let mut run = Simulation::of(&shop());
    run.wait(1);
    let midway = run.engine.clone();
    run.lines.clear();
    run.happens("a user wants an end", Event::Drained).wait(1);
    run.fares("postgres", Fate::Good).wait(1);
    assert_snapshot!(run.transcript(), @"
    1s: a user wants an end
        log     setup: skipped: not begun, because the user wants an end
        log     api: skipped: not begun, because the user wants an end
    2s: postgres is Good
        log     postgres: satisfied: created, version 0: 1 of 1 healthy
        log     broken off after 2s: the user wants an end · not begun, because the user wants an end: setup, api · ready: postgres
        event   broken off after 2s: the user wants an end · not begun, because the user wants an end: setup, api · ready: postgres
        finish  failed
    ");

    // Leaving touches nothing at all, though its own job is nowhere to be seen, and is no end of the run.
    run.engine = midway;
    run.lines.clear();
    let own = Event::Seen(place().job, Arc::new(Sight::Absent { similar: None }));
    run.happens("it has no job", own).happens("a user leaves", Event::Left).wait(1);
    assert_snapshot!(run.transcript(), @"
    3s: it has no job
    3s: a user leaves
        log     stopped; 0 of 3 satisfied after 3s; the jobs are left as they are
        event   stopped; 0 of 3 satisfied after 3s; the jobs are left as they are
        finish  stopped
    ");
}
