//! What a run of a tree does, told as transcripts: they show *everything* that was done.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::{world::*, *};

/// A run against a world that answers at once.
struct Simulation {
    plan: Plan,
    engine: Engine,
    world: World,
    began: Time,
    now: Time,
    changed: BTreeSet<String>,
    watched: BTreeSet<JobKey>,
    remembered: Vec<Entry>,
    lines: Vec<String>,
    /// Acts of these steps are answered with an error that does not pass.
    refused: BTreeSet<String>,
    /// What every act comes to, without being done.
    trouble: Option<&'static str>,
    /// Why the jobspecs cannot be prepared.
    unprepared: Option<Trouble>,
    /// The process ends when an act that is told so has been done, before its answer arrives.
    dies_at: Option<&'static str>,
}

fn shop() -> Value {
    json!({"job": {
        "postgres": {"jobspec": "local/postgres.nomad.hcl", "post": {
            "setup": {"jobspec": "local/setup.nomad.hcl"},
        }},
        "api": {"jobspec": "local/api.nomad.hcl", "depends_on": ["postgres"]},
    }})
}

impl Simulation {
    fn of(config: &Value) -> Self {
        Self::in_world(config, World::default(), &[])
    }

    fn in_world(config: &Value, world: World, changed: &[&str]) -> Self {
        let plan = tree_plan(config);
        let now = Time::from_unix_millis(1_000_000);
        let engine = Engine::tree(plan.clone(), place(), "default/shop".into(), Vec::new(), now);
        let mut run = Self {
            plan,
            engine,
            world,
            began: now,
            now,
            changed: changed.iter().map(|name| (*name).to_owned()).collect(),
            watched: BTreeSet::new(),
            remembered: Vec::new(),
            lines: Vec::new(),
            refused: BTreeSet::new(),
            trouble: None,
            unprepared: None,
            dies_at: None,
        };
        run.happens("the run begins", Event::Started);
        run
    }

    /// The process ends, and another goes on.
    fn crash(&mut self) -> &mut Self {
        let remembered = self.remembered.clone();
        self.watched.clear();
        self.engine = Engine::tree(self.plan.clone(), place(), "default/shop".into(), remembered, self.now);
        self.happens("a new process goes on", Event::Started)
    }

    fn happens(&mut self, what: &str, event: Event) -> &mut Self {
        self.lines.push(format!("{}: {what}", Spoken(self.now.since(self.began))));
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.engine.step(self.now, event) {
                match action {
                    Action::Announce(message) => self.lines.push(format!("    event   {message}")),
                    Action::Log(line) => self.lines.push(format!("    log     {line}")),
                    Action::Remember(entry) => self.remembered.push(entry),
                    Action::Prepare if let Some(trouble) = &self.unprepared => {
                        events.push(Event::Unprepared(trouble.clone()));
                    }
                    Action::Prepare => {
                        let blueprints = blueprints(&self.plan, &self.changed);
                        let is_same = !self.remembered.is_empty();
                        events.push(Event::Prepared { blueprints, is_same });
                    }
                    Action::Watch(jobs) => {
                        for job in jobs {
                            events.push(Event::Seen(job.clone(), Arc::new(self.world.sight(&job))));
                            self.watched.insert(job);
                        }
                    }
                    Action::Act(name, act) => {
                        self.lines.push(format!("    act     {name}: {}", told(&act)));
                        if self.dies_at.is_some_and(|last| told(&act).starts_with(last)) {
                            self.dies_at = None;
                            drop(self.world.perform(&name, &act));
                            return self.crash();
                        }
                        let result = if let Some(why) = self.trouble {
                            Err(Trouble { why: why.to_owned(), is_transient: true })
                        } else if self.refused.contains(&name) {
                            Err(Trouble { why: "Nomad says no".to_owned(), is_transient: false })
                        } else {
                            self.world.perform(&name, &act)
                        };
                        events.insert(0, Event::Acted(name, result));
                        for job in &self.watched {
                            events.insert(0, Event::Seen(job.clone(), Arc::new(self.world.sight(job))));
                        }
                    }
                    Action::Finish(outcome) => self.lines.push(format!(
                        "    finish  {}",
                        match outcome {
                            Outcome::Done => "done",
                            Outcome::Failed(_) => "failed",
                            Outcome::Stopped => "stopped",
                        }
                    )),
                }
            }
        }
        self
    }

    /// A job of the cluster comes to this; a hook's is found by its beginning.
    fn fares(&mut self, job: &str, fate: Fate) -> &mut Self {
        let key = self.key(job);
        self.world.fare(&key, fate);
        let sight = Arc::new(self.world.sight(&key));
        self.happens(&format!("{job} is {fate:?}"), Event::Seen(key, sight))
    }

    /// Nothing was ever done.
    fn forget_all(&mut self) -> &mut Self {
        self.world = World::default();
        self.remembered.clear();
        self.lines.clear();
        self
    }

    /// A job is shown as it is now.
    fn shows(&mut self, job: &str) -> &mut Self {
        let key = JobKey::new("default", job);
        let sight = Arc::new(self.world.sight(&key));
        self.happens(&format!("{job} is shown"), Event::Seen(key, sight))
    }

    fn key(&self, job: &str) -> JobKey {
        let mut found = self.world.jobs.keys().rev();
        found.find(|key| key.job.as_str().starts_with(job)).unwrap().clone()
    }

    /// Lets time pass, with a tick at each instant that the engine asks for.
    fn wait(&mut self, seconds: u64) -> &mut Self {
        let until = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.engine.next_timeout().filter(|at| *at <= until) {
            assert!(at >= self.now, "a timeout in the past: {}", self.transcript());
            let is_again = at == self.now;
            self.now = at;
            let before = self.lines.len();
            self.happens("time passes", Event::Tick);
            let is_idle = self.lines.len() == before + 1;
            assert!(!(is_again && is_idle), "asks for {at:?} again and again: {}", self.transcript());
            if is_idle {
                self.lines.pop();
            }
        }
        self.now = until;
        self
    }

    fn transcript(&self) -> String {
        self.lines.join("\n")
    }

    fn ending(&self) -> String {
        self.engine.status(self.now).ending.unwrap_or_else(|| panic!("not over: {}", self.transcript()))
    }
}

fn told(act: &Act) -> String {
    match act {
        Act::Recall { key } => format!("recall {}", key.job),
        Act::Submit { key, .. } => format!("submit {}", key.job),
        Act::Launch { key, dispatch: None, .. } => format!("launch {}", key.job),
        Act::Launch { key, dispatch: Some(parent), .. } => format!("dispatch {} as {}", parent.job, key.job),
        Act::Retire { key, purge } => format!("{} {}", if *purge { "purge" } else { "stop" }, key.job),
        Act::Attest { key, done } => format!("attest {} version {}", key.job, done.version),
        Act::Tail { task, .. } => format!("tail {task}"),
    }
}

/// A world in which the shop is up.
fn shop_is_up() -> World {
    let mut run = Simulation::of(&shop());
    run.fares("postgres", Fate::Good).fares("setup", Fate::Good).fares("api", Fate::Good);
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
    run.world.written.clear();
    run.world
}

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

/// A job with hooks, and one that depends on it.
fn with_hooks(hooks: &Value) -> Value {
    let mut db = json!({"jobspec": "local/db.nomad.hcl"});
    for (moment, block) in hooks.as_object().unwrap() {
        db[moment] = block.clone();
    }
    json!({"job": {"db": db, "web": {"jobspec": "local/web.nomad.hcl", "depends_on": ["db"]}}})
}

/// Jobs without any order.
fn jobs(names: &[&str]) -> Value {
    let jobs: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({"jobspec": format!("local/{name}")}))).collect();
    json!({ "job": jobs })
}

/// A world in which a tree is up.
fn world_of(config: &Value) -> World {
    let mut run = Simulation::of(config);
    for _ in 0..20 {
        let pending = run.world.jobs.iter().find(|(_, job)| job.fate == Fate::Pending && !job.is_stopped());
        let Some((key, _)) = pending else { break };
        let id = key.job.as_str().to_owned();
        run.fares(&id, Fate::Good);
    }
    assert!(run.ending().starts_with("done"), "{}", run.transcript());
    run.world.written.clear();
    run.world
}

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
fn the_time_of_the_whole_run_is_limited() {
    let mut config = with_hooks(&json!({"post": {"seed": {"jobspec": "x"}}}));
    config["timeout"] = json!("1m");
    let mut run = Simulation::of(&config);
    run.wait(10).fares("db", Fate::Good).wait(60);
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
    5s: time passes
        event   0 of 3 satisfied · db: 0 of 1 healthy; gives up in 10m 25s
    10s: db is Good
        act     db: recall db
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     web: blocked: waits for seed
        act     seed: launch seed-shop-c31c095f-1
        log     seed: working: is being launched
        log     seed: gated: looking at Nomad
        log     seed: gated: 0 of 1 complete, 1 running
    35s: time passes
        event   1 of 3 satisfied · seed: 0 of 1 complete, 1 running; gives up in 9m 35s
    1m: time passes
        act     seed: stop seed-shop-c31c095f-1
        log     seed: skipped: given up, because the run was not done within 1m
        log     web: skipped: not begun, because the run was not done within 1m
        log     failed after 1m: the run was not done within 1m · given up, because the run was not done within 1m: seed · not begun, because the run was not done within 1m: web · ready: db
        event   failed after 1m: the run was not done within 1m · given up, because the run was not done within 1m: seed · not begun, because the run was not done within 1m: web · ready: db
        finish  failed
    ");
    // Also for a process that comes back after that: its hooks are stopped, and it says what it is.
    let mut late = Simulation::of(&config);
    late.fares("db", Fate::Good);
    late.now = late.now + Duration::from_mins(2);
    late.lines.clear();
    late.crash();
    assert_snapshot!(late.transcript(), @"
    2m: a new process goes on
        log     db: skipped: given up, because the run was not done within 1m; it is submitted, and not waited for
        act     seed: stop seed-shop-c31c095f-1
        log     seed: skipped: given up, because the run was not done within 1m
        log     web: skipped: not begun, because the run was not done within 1m
        log     db: satisfied: created, version 0: 1 of 1 healthy
        event   1 of 3 satisfied · nothing new is begun: the run was not done within 1m
        log     failed after 2m: the run was not done within 1m · given up, because the run was not done within 1m: seed · not begun, because the run was not done within 1m: web · ready: db
        event   failed after 2m: the run was not done within 1m · given up, because the run was not done within 1m: seed · not begun, because the run was not done within 1m: web · ready: db
        finish  failed
    ");
}

#[test]
fn no_more_are_under_way_than_may_be_and_exclusive_ones_never_together() {
    let mut config = jobs(&["a", "b", "c"]);
    config["max_parallel"] = json!(2);
    let mut run = Simulation::of(&config);
    run.fares("a", Fate::Good).fares("b", Fate::Good).fares("c", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     a: blocked: looks at all jobs of the tree first
        log     b: blocked: looks at all jobs of the tree first
        log     c: blocked: looks at all jobs of the tree first
        act     a: submit a
        log     a: working: is being submitted
        act     b: submit b
        log     b: working: is being submitted
        log     c: blocked: waits for its turn (max_parallel = 2)
        event   0 of 3 satisfied · a: is being submitted; gives up in 10m 30s · b: is being submitted; gives up in 10m 30s
        log     a: gated: Nomad does not show version 0 yet
        log     a: gated: 0 of 1 healthy
        log     b: gated: Nomad does not show version 0 yet
        log     b: gated: 0 of 1 healthy
    0s: a is Good
        log     a: satisfied: created, version 0: 1 of 1 healthy
        act     c: submit c
        log     c: working: is being submitted
        log     c: gated: Nomad does not show version 0 yet
        log     c: gated: 0 of 1 healthy
    0s: b is Good
        log     b: satisfied: created, version 0: 1 of 1 healthy
    0s: c is Good
        log     c: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created a, b, c
        event   done after 0s: created a, b, c
        finish  done
    ");
    let mut config = jobs(&["a", "b", "c"]);
    config["job"]["a"]["exclusive"] = json!("disk");
    config["job"]["b"]["exclusive"] = json!("disk");
    let mut run = Simulation::of(&config);
    run.fares("c", Fate::Good).fares("a", Fate::Good).fares("b", Fate::Good);
    assert_snapshot!(run.transcript(), @"
    0s: the run begins
        log     a: blocked: looks at all jobs of the tree first
        log     b: blocked: looks at all jobs of the tree first
        log     c: blocked: looks at all jobs of the tree first
        act     a: submit a
        log     a: working: is being submitted
        log     b: blocked: waits until a is ready, which has the same `exclusive`
        act     c: submit c
        log     c: working: is being submitted
        event   0 of 3 satisfied · a: is being submitted; gives up in 10m 30s · c: is being submitted; gives up in 10m 30s
        log     a: gated: Nomad does not show version 0 yet
        log     a: gated: 0 of 1 healthy
        log     c: gated: Nomad does not show version 0 yet
        log     c: gated: 0 of 1 healthy
    0s: c is Good
        log     c: satisfied: created, version 0: 1 of 1 healthy
    0s: a is Good
        log     a: satisfied: created, version 0: 1 of 1 healthy
        act     b: submit b
        log     b: working: is being submitted
        log     b: gated: Nomad does not show version 0 yet
        log     b: gated: 0 of 1 healthy
    0s: b is Good
        log     b: satisfied: created, version 0: 1 of 1 healthy
        log     done after 0s: created a, b, c
        event   done after 0s: created a, b, c
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
fn a_nomad_that_answers_nothing_but_errors_is_given_up_at_the_time_limit() {
    let mut run = Simulation::of(&jobs(&["db"]));
    run.forget_all().trouble = Some("cannot reach Nomad: 500: No cluster leader");
    run.crash().wait(700);
    let acts = run.transcript().matches("act ").count();
    assert!((60..80).contains(&acts), "{acts} tries");
    assert_snapshot!(run.ending(), @"failed after 10m 30s: db: wanted job db ready, but not within 10m 30s: it could not be submitted: cannot reach Nomad: 500: No cluster leader; start the tree's task again, and it is submitted anew");
}

#[test]
fn a_job_that_cannot_be_looked_at_holds_everything_back_and_then_fails() {
    let away = || Arc::new(sample::unseen(crate::cluster::Blindness::Unreachable, "cannot reach Nomad"));
    let plan = tree_plan(&jobs(&["db", "web"]));
    let now = Time::from_unix_millis(1_000_000);
    let mut engine = Engine::tree(plan.clone(), place(), "default/shop".into(), Vec::new(), now);
    let blueprints = blueprints(&plan, &BTreeSet::new());
    engine.step(now, Event::Started);
    engine.step(now, Event::Prepared { blueprints, is_same: false });
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
    run.lines.clear();
    let mut with_job = run.engine.clone();
    run.happens("Nomad stops the task", Event::Stopped);
    assert_snapshot!(run.transcript(), @"
    1s: Nomad stops the task
        log     stopped; 1 of 3 satisfied after 1s; the jobs are left as they are
        event   stopped; 1 of 3 satisfied after 1s; the jobs are left as they are
        finish  stopped
    ");
    let own = own_job().but(|job| job.is_stopped = true).seen();
    with_job.step(run.now, Event::Seen(place().job, Arc::new(own)));
    run.engine = with_job;
    run.lines.clear();
    run.happens("Nomad stops the task, whose job was stopped", Event::Stopped);
    assert_snapshot!(run.transcript(), @"
    1s: Nomad stops the task, whose job was stopped
        act     setup: stop setup-shop-3bb97061-1
        log     setup: skipped: given up, because the tree's job was stopped
        log     api: skipped: not begun, because the tree's job was stopped
        log     stopped; 1 of 3 satisfied after 1s; its hooks were stopped, the jobs are left as they are
        event   stopped; 1 of 3 satisfied after 1s; its hooks were stopped, the jobs are left as they are
        finish  stopped
    ");
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
        log     the journal cannot be written, and nothing is begun before it can: cannot write the journal: No space left on device
    35s: time passes
        event   0 of 1 satisfied · db: 0 of 1 healthy; gives up in 9m 55s · the journal cannot be written, and nothing is begun before it can: cannot write the journal: No space left on device
    50s: there is room again
        log     the journal can be written again
    50s: db is Good
        log     db: satisfied: created, version 0: 1 of 1 healthy
        log     done after 50s: created db
        event   done after 50s: created db
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

#[test]
fn a_place_that_a_report_has_freed_is_taken_at_once() {
    let hooks = json!({"post": {
        "one": {"jobspec": "x", "on_failure": "continue"}, "two": {"jobspec": "x"},
    }});
    let mut config = with_hooks(&hooks);
    config["max_parallel"] = json!(1);
    let mut run = Simulation::of(&config);
    run.fares("db", Fate::Good).fares("one", Fate::Bad).wait(1);
    assert!(run.world.jobs.keys().any(|key| key.job.as_str().starts_with("two")), "{}", run.transcript());
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
