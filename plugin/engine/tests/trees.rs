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
        };
        run.happens("the run begins", Event::Started);
        run
    }

    /// The process ends, and another goes on.
    fn crash(&mut self) -> &mut Self {
        let remembered = self.remembered.clone();
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
                        let result = if self.refused.contains(&name) {
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
