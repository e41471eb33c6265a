//! Waits of a tree for what is no job, for a while, or for one of several.

use super::*;
use crate::cluster::{Blindness, Unseen, sample::unseen};

fn web(waits: &Value, needs: &[&str]) -> Value {
    json!({"wait": waits, "job": {"web": {"jobspec": "local/web.nomad.hcl", "depends_on": needs}}})
}

fn shown(run: &mut Simulation, job: &str, sight: Sight) {
    let key = JobKey::new("default", job);
    run.others.insert(key.clone(), sight.clone());
    run.happens(&format!("{job} is shown"), Event::Seen(key, Arc::new(sight)));
}

fn good() -> Sight {
    sample::service(1).with("a", |_| ()).seen()
}

fn starting() -> Sight {
    sample::service(1).with("a", |a| a.is_healthy = None).seen()
}

fn approve(run: &mut Simulation, name: &str, by: Option<&str>) {
    let event = Event::Approved { name: name.to_owned(), by: by.map(str::to_owned) };
    run.happens(&format!("{name} is approved"), event);
}

#[test]
fn an_approval_is_remembered() {
    let config = web(
        &json!({"db": {}, "release": {"approval": "it is announced", "depends_on": ["db"]}}),
        &["release"],
    );
    let mut run = Simulation::of(&config);
    approve(&mut run, "release", None);
    assert!(run.engine.approvals().is_empty(), "it is not its turn");
    shown(&mut run, "db", good());
    assert_eq!(run.engine.approvals(), ["release"]);
    approve(&mut run, "web", None);
    approve(&mut run, "release", Some("kim"));
    let remembered = serde_json::to_string(&run.remembered).unwrap();
    assert!(remembered.contains(r#""approved":{"by":"kim"}"#), "{remembered}");
    run.crash().fares("web", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: gated: looking at Nomad
        log     release: blocked: waits for db
        log     web: blocked: waits for release
        log     db: gated: no job has this ID yet
        event   0 of 3 satisfied · db: no job has this ID yet; gives up in 5m
    0s: release is approved
    0s: db is shown
        act     db: hold db
        log     db: satisfied: 1 of 1 healthy
        log     release: gated: not approved yet; approve it with `nomad alloc exec -task gate own-0000 approve release`
    0s: web is approved
    0s: release is approved
        log     release: satisfied: approved by kim
        act     web: submit web
        log     web: working: is being submitted
        log     web: gated: Nomad does not show version 0 yet
        log     web: gated: 0 of 1 healthy
    0s: a new process goes on
        log     db: gated: looking at Nomad
        log     release: blocked: waits for db
        log     web: gated: looking at Nomad
        log     web: gated: 0 of 1 healthy
        log     db: satisfied: 1 of 1 healthy
        log     release: satisfied: approved by kim
        act     db: hold db
        event   2 of 3 satisfied · web: 0 of 1 healthy; gives up in 10m 30s
    0s: web is Good
        log     web: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created web
        event   done after 0s: created web
        finish  done
    ");
}

#[test]
fn a_tree_asks_when_it_is_the_waits_turn() {
    let waits = json!({"db": {}, "port": {"tcp": "db:5432", "depends_on": ["db"], "stable_for": "10s"}});
    let mut run = Simulation::of(&web(&waits, &["port"]));
    shown(&mut run, "db", good());
    let question = || Question::Tcp { address: "db:5432".to_owned(), every: 100 };
    let why = "not asked yet".to_owned();
    let looking = Unseen { because: Blindness::Looking, why, hint: None };
    run.happens("looking", Event::Told(question(), Arc::new(Err(looking))));
    run.happens("accepts", Event::Told(question(), Arc::new(Ok(Answer::Accepts(Ok(()))))));
    run.wait(9);
    assert!(!run.transcript().contains("submit web"), "{}", run.transcript());
    let refused = Answer::Accepts(Err("connection refused".to_owned()));
    run.happens("refuses", Event::Told(question(), Arc::new(Ok(refused))));
    run.happens("accepts", Event::Told(question(), Arc::new(Ok(Answer::Accepts(Ok(()))))));
    run.wait(9);
    assert!(!run.transcript().contains("submit web"), "{}", run.transcript());
    run.wait(1).fares("web", Fate::Good);
    assert_snapshot!(run.transcript(), @r#"
    0s: the run begins
        log     db: gated: looking at Nomad
        log     port: blocked: waits for db
        log     web: blocked: waits for port
        log     db: gated: no job has this ID yet
        event   0 of 3 satisfied · db: no job has this ID yet; gives up in 5m
    0s: db is shown
        act     db: hold db
        log     db: satisfied: 1 of 1 healthy
        ask     {Tcp { address: "db:5432", every: 100 }}
        log     port: gated: no answer yet
    0s: looking
        log     port: gated: not asked yet
    0s: accepts
        log     port: gated: db:5432 accepts connections; must stay so for 10s
    5s: time passes
        event   1 of 3 satisfied · port: db:5432 accepts connections; must stay so for 10s; gives up in 4m 55s
    9s: refuses
        log     port: gated: db:5432: connection refused
    9s: accepts
        log     port: gated: db:5432 accepts connections; must stay so for 10s
    19s: time passes
        log     port: satisfied: db:5432 accepts connections
        act     web: submit web
        log     web: working: is being submitted
        log     web: gated: Nomad does not show version 0 yet
        log     web: gated: 0 of 1 healthy
    19s: web is Good
        log     web: satisfied: created, version 0: 1 of 1 healthy
        log     done after 19s: created web
        event   done after 19s: created web
        finish  done
    "#);
}

#[test]
fn one_of_several_is_enough_and_the_others_end_nothing() {
    let waits = json!({
        "db": {}, "redis": {}, "cache": {}, "draining": {},
        "ready": {"when": "db && (redis || cache) && !draining"},
    });
    let mut run = Simulation::of(&web(&waits, &["ready"]));
    shown(&mut run, "draining", unseen(Blindness::Denied, "Nomad does not allow it"));
    shown(&mut run, "db", good());
    shown(&mut run, "cache", good());
    let failed = sample::batch(1).with("a", |a| a.status = crate::cluster::AllocStatus::Failed).seen();
    shown(&mut run, "redis", failed);
    run.wait(120);
    assert!(!run.transcript().contains("submit web"), "draining is unseen: {}", run.transcript());
    shown(&mut run, "draining", starting());
    run.fares("web", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     cache: gated: looking at Nomad
        log     db: gated: looking at Nomad
        log     draining: gated: looking at Nomad
        log     redis: gated: looking at Nomad
        log     ready: gated: cache unknown, db unknown, draining unknown, redis unknown
        log     web: blocked: waits for ready
        log     redis: gated: no job has this ID yet
        log     ready: gated: cache unknown, db unknown, draining unknown, redis does not hold
        log     draining: gated: no job has this ID yet
        log     ready: gated: cache unknown, db unknown, draining does not hold, redis does not hold
        log     db: gated: no job has this ID yet
        log     ready: gated: cache unknown, db does not hold, draining does not hold, redis does not hold
        log     cache: gated: no job has this ID yet
        log     ready: gated: cache does not hold, db does not hold, draining does not hold, redis does not hold
        event   0 of 2 satisfied · cache: no job has this ID yet · db: no job has this ID yet · draining: no job has this ID yet · redis: no job has this ID yet · and 1 more
    0s: draining is shown
        log     draining: gated: Nomad does not allow it; a hint
        log     ready: gated: cache does not hold, db does not hold, draining unknown, redis does not hold
    0s: db is shown
        log     db: satisfied: 1 of 1 healthy
        log     ready: gated: cache does not hold, db holds, draining unknown, redis does not hold
    0s: cache is shown
        log     cache: satisfied: 1 of 1 healthy
        log     ready: gated: cache holds, db holds, draining unknown, redis does not hold
    0s: redis is shown
        log     redis: gated: it failed: allocation a-0000-0
    0s: time passes
        log     ready: gated: cache holds, db holds, draining unknown, redis failed
    5s: time passes
        event   0 of 2 satisfied · draining: Nomad does not allow it; a hint · redis: it failed: allocation a-0000-0 · ready: cache holds, db holds, draining unknown, redis failed; gives up in 4m 55s
    2m: draining is shown
        log     draining: gated: 0 of 1 healthy
        log     ready: satisfied: cache holds, db holds, draining does not hold, redis failed
        act     web: submit web
        log     web: working: is being submitted
        event   1 of 2 satisfied · draining: 0 of 1 healthy · redis: it failed: allocation a-0000-0 · web: is being submitted; gives up in 10m 30s
        log     web: gated: Nomad does not show version 0 yet
        log     web: gated: 0 of 1 healthy
    2m: web is Good
        log     web: satisfied: created, version 0: 1 of 1 healthy
        log     done after 2m: created web
        event   done after 2m: created web
        finish  done
    ");
}

#[test]
fn an_expression_that_is_lost_again_has_its_time_to_come_back() {
    let waits = json!({"db": {}, "redis": {}, "ready": {"when": "db || redis", "timeout": "1m"}});
    let mut run = Simulation::of(&web(&waits, &["ready"]));
    shown(&mut run, "db", good());
    shown(&mut run, "redis", starting());
    shown(&mut run, "db", starting());
    run.fares("web", Fate::Good).wait(59);
    assert!(!run.engine.has_ended(), "{}", run.transcript());
    run.wait(2);
    assert_snapshot!(run.ending(), @"failed after 1m: ready: wanted db || redis, but not within 1m: db does not hold, redis does not hold · ready: web");
}

#[test]
fn what_is_optional_holds_no_tree_back() {
    let waits = json!({"db": {"optional": true}, "redis": {"optional": true}});
    let mut run = Simulation::of(&web(&waits, &["db", "redis"]));
    shown(&mut run, "db", Sight::Absent { similar: None });
    shown(
        &mut run,
        "redis",
        sample::batch(1).with("a", |a| a.status = crate::cluster::AllocStatus::Failed).seen(),
    );
    run.wait(31).fares("web", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     db: gated: looking at Nomad
        log     redis: gated: looking at Nomad
        log     web: blocked: waits for db, redis
        log     redis: satisfied: no job has this ID, and it is optional
        log     web: blocked: waits for db
        log     db: satisfied: no job has this ID, and it is optional
        log     web: blocked: looks at all jobs of the tree first
        act     web: submit web
        log     web: working: is being submitted
        event   2 of 3 satisfied · web: is being submitted; gives up in 10m 30s
        log     web: gated: Nomad does not show version 0 yet
        log     web: gated: 0 of 1 healthy
    0s: db is shown
    0s: redis is shown
        log     redis: gated: it failed: allocation a-0000-0
    5s: time passes
        event   1 of 3 satisfied · redis: it failed: allocation a-0000-0; gives up in 4m 55s · web: 0 of 1 healthy; gives up in 10m 25s
    30s: time passes
        log     redis: satisfied: not waited for, as it is optional: it failed: allocation a-0000-0
    31s: web is Good
        log     web: satisfied: created, version 0: 1 of 1 healthy
        log     done after 31s: created web
        event   done after 31s: created web
        finish  done
    ");
}
