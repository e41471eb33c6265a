//! What a run of a tree does, told as transcripts: they show *everything* that was done.

mod afterwards;
mod crash;
mod failure;
mod hooks;
mod limits;
mod once;
mod order;
mod outputs;
mod owners;
mod stops;
mod waits;

use std::collections::BTreeSet;

use insta::assert_snapshot;

use super::{world::*, *};

/// A run against a world that answers at once.
struct Simulation {
    plan: Plan,
    engine: Engine,
    world: World,
    /// Jobs of others, as they were shown last.
    others: BTreeMap<JobKey, Sight>,
    began: Time,
    now: Time,
    changed: BTreeSet<String>,
    watched: BTreeSet<JobKey>,
    remembered: Vec<Entry>,
    lines: Vec<String>,
    /// What launched hooks were told.
    told: Vec<(String, BTreeMap<&'static str, String>)>,
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
        let engine = Engine::tree(plan.clone(), place(), "default/shop".into(), now);
        let mut run = Self {
            plan,
            engine,
            world,
            others: BTreeMap::new(),
            began: now,
            now,
            changed: changed.iter().map(|name| (*name).to_owned()).collect(),
            watched: BTreeSet::new(),
            remembered: Vec::new(),
            lines: Vec::new(),
            told: Vec::new(),
            refused: BTreeSet::new(),
            trouble: None,
            unprepared: None,
            dies_at: None,
        };
        run.happens("the run begins", Event::Started);
        run
    }

    fn sight(&self, job: &JobKey) -> Sight {
        self.others.get(job).cloned().unwrap_or_else(|| self.world.sight(job))
    }

    /// The process ends, and another goes on.
    fn crash(&mut self) -> &mut Self {
        self.watched.clear();
        self.engine = Engine::tree(self.plan.clone(), place(), "default/shop".into(), self.now);
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
                    Action::Ask(questions) => self.lines.push(format!("    ask     {questions:?}")),
                    Action::Keep(_) | Action::KeepApprovals(_) | Action::Do(..) => {
                        panic!("no tree does this")
                    }
                    Action::Remember(entry) => self.remembered.push(entry),
                    Action::Lead => {
                        let lead = Lead { entries: self.remembered.clone(), note: None };
                        events.push(Event::Led(Ok(lead)));
                    }
                    Action::Prepare if let Some(trouble) = &self.unprepared => {
                        events.push(Event::Unprepared(trouble.clone()));
                    }
                    Action::Prepare => {
                        let blueprints = blueprints(&self.plan, &self.changed);
                        let is_same = !self.remembered.is_empty();
                        events.push(Event::Prepared { blueprints, is_same, run: "0000beef".into() });
                    }
                    Action::Watch(jobs) => {
                        for job in jobs {
                            events.push(Event::Seen(job.clone(), Arc::new(self.sight(&job))));
                            self.watched.insert(job);
                        }
                    }
                    Action::Act(name, act) => {
                        self.lines.push(format!("    act     {name}: {}", told(&act)));
                        if let Act::Launch { about, .. } = &act {
                            self.told.push((name.clone(), about.clone()));
                        }
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
                            events.insert(0, Event::Seen(job.clone(), Arc::new(self.sight(job))));
                        }
                    }
                    Action::Notify(notice) => self.lines.push(format!(
                        "    notify  {}: {} of run {:?}: {:?}",
                        notice.tree, notice.is_good, notice.run, notice.steps
                    )),
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

    /// As if nothing had been said or remembered.
    fn forget_words(&mut self) -> &mut Self {
        self.remembered.clear();
        self.lines.clear();
        self.watched.clear();
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
        Act::Fill { wanted, known } => {
            let known = known.iter().map(|(reference, value)| format!("{reference}={value}"));
            let words: Vec<String> = wanted.iter().map(ToString::to_string).chain(known).collect();
            format!("fill {}", words.join(" "))
        }
        Act::Submit { key, .. } => format!("submit {}", key.job),
        Act::Launch { key, dispatch: None, .. } => format!("launch {}", key.job),
        Act::Launch { key, dispatch: Some(parent), .. } => format!("dispatch {} as {}", parent.job, key.job),
        Act::Retire { key, purge } => format!("{} {}", if *purge { "purge" } else { "stop" }, key.job),
        Act::Attest { key, done, .. } => format!("attest {} version {}", key.job, done.version),
        Act::Holders { key } => format!("ask who waits for {}", key.job),
        Act::Hold { key } => format!("hold {}", key.job),
        Act::LetGo { key } => format!("let go of {}", key.job),
        Act::Stop { key, purge: false, .. } => format!("stop {}", key.job),
        Act::Stop { key, purge: true, .. } => format!("purge {}", key.job),
        Act::Tail { task, .. } => format!("tail {task}"),
        Act::ReadOnce { path } => format!("read {path}"),
        Act::WriteOnce { path, items, .. } => {
            let record: Value = serde_json::from_str(&items["record"]).unwrap();
            let state = record["state"].as_object().unwrap().keys().next().unwrap();
            format!("write {path}: attempt {} {state}", record["attempt"])
        }
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
