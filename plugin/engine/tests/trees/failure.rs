//! What fails, what becomes of the rest, and what is told of it.

use super::*;

#[test]
fn an_unchanged_job_whose_deployment_failed_is_given_half_a_minute() {
    let mut world = shop_is_up();
    world.fare(&JobKey::new("default", "postgres"), Fate::Bad);
    let mut run = Simulation::in_world(&shop(), world, &[]);
    run.wait(40);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     postgres: blocked: looks at all jobs of the tree first
        log     setup: blocked: waits for postgres
        log     api: blocked: waits for postgres, setup
        log     postgres: gated: deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3
        event   0 of 3 satisfied · postgres: deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; gives up in 10m 30s
    30s: time passes
        log     postgres: failed: deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; its jobspec is unchanged, so it was not submitted again
        log     setup: skipped: because postgres failed
        log     api: skipped: because postgres failed
        log     failed after 30s: postgres: wanted job postgres healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; its jobspec is unchanged, so it was not submitted again; look with `nomad job status postgres` · skipped because postgres failed: setup, api
        event   failed after 30s: postgres: wanted job postgres healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; its jobspec is unchanged, so it was not submitted again; look with `nomad job status postgres` · skipped because postgres failed: setup, api
        finish  failed
    ");
    assert_eq!(run.world.written, []);
}

#[test]
fn a_version_that_nomad_rolls_back_has_failed() {
    let config = json!({"job": {"db": {"jobspec": "x"}}});
    let world = world_of(&config);
    let key = JobKey::new("default", "db");
    let before = world.jobs[&key].marks().cloned();
    let mut run = Simulation::in_world(&config, world, &["db"]);
    run.wait(20);
    run.world.roll_back(&key, before);
    let Sight::Present(sight) = run.world.sight(&key) else { panic!() };
    let sight = sight.deployed(crate::cluster::DeploymentStatus::Failed, |deployment| {
        deployment.job_version = crate::cluster::JobVersion(1);
        deployment.description = "Failed due to progress deadline - rolling back to job version 0".to_owned();
    });
    run.happens("Nomad rolls db back", Event::Seen(key, Arc::new(sight.seen())));
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: blocked: looks at all jobs of the tree first
        act     db: submit db
        log     db: working: is being submitted
        event   0 of 1 satisfied · db: is being submitted; gives up in 10m 30s
        log     db: gated: Nomad does not show version 1 yet
        log     db: gated: 0 of 1 healthy
    5s: time passes
        event   0 of 1 satisfied · db: 0 of 1 healthy; gives up in 10m 25s
    20s: Nomad rolls db back
        log     db: failed: version 1: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 0
        log     failed after 20s: db: wanted job db healthy, but version 1: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 0; look with `nomad job status db`
        event   failed after 20s: db: wanted job db healthy, but version 1: deployment 7c41f0ab failed: Failed due to progress deadline - rolling back to job version 0; look with `nomad job status db`
        finish  failed
    ");
}

#[test]
fn a_failure_ends_what_is_not_begun_or_only_what_depends_on_it_or_all() {
    let told = |policy: &str| {
        let mut config = jobs(&["bad", "slow", "zulu"]);
        config["job"]["late"] = json!({"jobspec": "x", "depends_on": ["slow"]});
        config["job"]["lost"] = json!({"jobspec": "x", "depends_on": ["bad"]});
        config["job"]["zulu"]["pre"] = json!({"hook": {"jobspec": "x"}});
        config["on_failure"] = json!(policy);
        let mut run = Simulation::of(&config);
        run.wait(1).fares("bad", Fate::Bad).wait(1);
        for job in ["slow", "late", "hook", "zulu"] {
            let is_there = run.world.jobs.keys().any(|key| key.job.as_str().starts_with(job));
            if is_there && !run.engine.has_ended() {
                run.fares(job, Fate::Good);
            }
        }
        (run.ending(), run.transcript())
    };
    assert_snapshot!(told("finish").0, @"failed after 2s: bad: wanted job bad healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; look with `nomad job status bad` · skipped because bad failed: lost · not begun, because bad failed (on_failure = finish): late, zulu · ready: slow");
    assert_snapshot!(told("continue").0, @"failed after 2s: bad: wanted job bad healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; look with `nomad job status bad` · skipped because bad failed: lost · ready: slow, late, zulu");
    let (ending, transcript) = told("cancel");
    assert_snapshot!(ending, @"failed after 1s: bad: wanted job bad healthy, but deployment 7c41f0ab failed: Deployment in some state; allocation a110c000: task main: Exit Code: 3; look with `nomad job status bad` · given up, because bad failed (on_failure = cancel): hook · skipped because bad failed: lost · given up, because bad failed (on_failure = cancel); it is submitted, and not waited for: slow · not begun, because bad failed (on_failure = cancel): late, zulu");
    assert!(transcript.contains("hook: stop hook-shop"), "{transcript}");
}

#[test]
fn a_job_that_cannot_be_looked_at_holds_everything_back_and_then_fails() {
    let away = || Arc::new(sample::unseen(crate::cluster::Blindness::Unreachable, "cannot reach Nomad"));
    let plan = tree_plan(&jobs(&["db", "web"]));
    let now = Time::from_unix_millis(1_000_000);
    let mut engine = Engine::tree(plan.clone(), place(), "default/shop".into(), now);
    let blueprints = blueprints(&plan, &BTreeSet::new());
    engine.step(now, Event::Started);
    engine.step(now, Event::Led(Ok(Lead::default())));
    engine.step(now, Event::Prepared { blueprints, is_same: false, run: "0000beef".into() });
    engine.step(now, Event::Seen(JobKey::new("default", "db"), Arc::new(nobody())));
    let actions = engine.step(now, Event::Seen(JobKey::new("default", "web"), away()));
    let begins = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Act(..)));
    assert!(!begins(&actions), "{actions:?}");
    let limit = engine.next_timeout().into_iter().chain([now + Duration::from_mins(5)]).max().unwrap();
    let actions = engine.step(limit, Event::Tick);
    assert!(!begins(&actions), "{actions:?}");
    assert_snapshot!(engine.status(limit).ending.unwrap(), @"failed after 5m: web: wanted job web ready, but it could not be looked at within 5m: cannot reach Nomad; a hint · not begun, because web failed (on_failure = finish): db");
}

#[test]
fn what_cannot_be_prepared_is_told_before_anything_is_begun() {
    let mut run = Simulation::of(&jobs(&["db"]));
    run.forget_all();
    let why = "2 problems:\njob \"db\": \"local/db\" is not there\njob \"web\": no job block";
    run.unprepared = Some(Trouble { why: why.to_owned(), is_transient: false });
    run.crash();
    assert_snapshot!(run.transcript(), @r#"
    0s: a new process goes on
        log     nothing was begun: 2 problems:
    job "db": "local/db" is not there
    job "web": no job block
        event   nothing was begun: 2 problems:
    job "db": "local/db" is not there
    job "web": no job block
        finish  failed
    "#);
    let why = "cannot reach Nomad; check that its agent is up";
    run.forget_all();
    run.unprepared = Some(Trouble { why: why.to_owned(), is_transient: true });
    run.crash().wait(10);
    // However often it is tried.
    assert_eq!(run.transcript().matches(&format!("log     {why}")).count(), 1, "{}", run.transcript());
    run.unprepared = None;
    run.wait(10);
    assert_eq!(run.world.written.len(), 1, "{}", run.transcript());
    run.unprepared = Some(Trouble { why: why.to_owned(), is_transient: true });
    run.crash().wait(400);
    assert_snapshot!(run.ending(), @"the run could not go on, and what it began is left as it is: the jobspecs could not be prepared within 5m: cannot reach Nomad; check that its agent is up");
}

#[test]
fn a_journal_that_cannot_be_written_is_told_and_told_when_it_can_again() {
    let mut run = Simulation::of(&jobs(&["db"]));
    run.wait(10).lines.clear();
    let why = "cannot write the journal: No space left on device";
    run.happens("the disk is full", Event::Hindered(Some(why.to_owned()))).wait(40);
    run.happens("there is room again", Event::Hindered(None));
    run.fares("db", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    10s: the disk is full
        log     the run's record cannot be written, and nothing is begun before it can: cannot write the journal: No space left on device
    35s: time passes
        event   0 of 1 satisfied · db: 0 of 1 healthy; gives up in 9m 55s · the run's record cannot be written, and nothing is begun before it can: cannot write the journal: No space left on device
    50s: there is room again
        log     the run's record can be written again
    50s: db is Good
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     done after 50s: created db
        event   done after 50s: created db
        finish  done
    ");
}
