//! Whatever is in the way of a stop of any tree, in whatever order it is told, and wherever the process ends.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{world::*, *};
use crate::{
    cluster::{Marks, SpecHash},
    manifest::Moment,
};

/// How a job stands before the stop begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Up,
    /// Up, and another tree waits for it.
    Held,
    Stopped,
    Absent,
    /// Someone else's.
    Foreign,
}

#[derive(Clone, Debug)]
struct JobCase {
    /// Bit i: it needs node i, if that is an earlier one.
    needs: u8,
    stands: Stands,
    /// How long it takes to end, in seconds.
    lingers: u64,
    is_excluded: bool,
    /// It stands for a wait between the jobs.
    is_wait: bool,
    /// Whether it has a hook, and whether that goes well.
    pre_stop: Option<bool>,
    post_stop: Option<bool>,
}

#[derive(Clone, Debug)]
struct Case {
    jobs: Vec<JobCase>,
    policy: &'static str,
    max_parallel: u32,
    purge: bool,
    target: Option<(u8, bool)>,
    tape: Vec<u8>,
    /// After how many actions the process ends, and whether its memory is lost.
    crashes: Vec<(u8, bool)>,
}

fn case() -> impl Strategy<Value = Case> {
    let stands = prop_oneof![
        8 => Just(Stands::Up), 1 => Just(Stands::Held), 2 => Just(Stands::Stopped), 1 => Just(Stands::Absent),
        1 => Just(Stands::Foreign),
    ];
    let hook = || prop_oneof![2 => Just(None), 3 => Just(Some(true)), 1 => Just(Some(false))];
    let lingers = prop_oneof![Just(0), 1..400_u64];
    let flags = (proptest::bool::weighted(0.1), proptest::bool::weighted(0.15));
    let job = (any::<u8>(), any::<u8>(), stands, lingers, flags, hook(), hook()).prop_map(
        |(one, other, stands, lingers, (is_excluded, is_wait), pre_stop, post_stop)| JobCase {
            needs: one & other,
            stands,
            lingers,
            is_excluded,
            is_wait,
            pre_stop,
            post_stop,
        },
    );
    (
        proptest::collection::vec(job, 1..7),
        prop_oneof![Just("finish"), Just("continue"), Just("cancel")],
        1..4_u32,
        any::<bool>(),
        prop_oneof![4 => Just(None), 1 => (any::<u8>(), any::<bool>()).prop_map(Some)],
        proptest::collection::vec(any::<u8>(), 0..80),
        proptest::collection::vec((0..30_u8, proptest::bool::weighted(0.3)), 0..4),
    )
        .prop_map(|(jobs, policy, max_parallel, purge, target, tape, crashes)| Case {
            jobs,
            policy,
            max_parallel,
            purge,
            target,
            tape,
            crashes,
        })
}

impl Case {
    fn name(&self, n: usize) -> String {
        format!("{}{n}", if self.jobs[n].is_wait { "w" } else { "n" })
    }

    fn job(&self, name: &str) -> &JobCase {
        &self.jobs[name[1..].parse::<usize>().unwrap()]
    }

    fn config(&self) -> Value {
        let (mut jobs, mut waits) = (serde_json::Map::new(), serde_json::Map::new());
        for (n, job) in self.jobs.iter().enumerate() {
            let needs = (0..n).filter(|needed| job.needs & 1 << needed != 0);
            let depends_on: Vec<String> = needs.map(|needed| self.name(needed)).collect();
            if job.is_wait {
                waits.insert(self.name(n), json!({"job": format!("out{n}"), "depends_on": depends_on}));
                continue;
            }
            let hook = |moment: &str, hook: Option<bool>| {
                let blocks = hook.map(|_| (format!("{moment}{n}"), json!({"jobspec": "x"})));
                Value::Object(blocks.into_iter().collect())
            };
            let block = json!({
                "jobspec": "x", "depends_on": depends_on,
                "pre_stop": hook("pre", job.pre_stop), "post_stop": hook("post", job.post_stop),
            });
            jobs.insert(self.name(n), block);
        }
        if jobs.is_empty() {
            jobs.insert("n0".to_owned(), json!({"jobspec": "x"}));
        }
        let labels: Vec<String> = jobs.keys().cloned().collect();
        let stop = if let Some((n, with_dependencies)) = self.target {
            json!({
                "purge": self.purge, "target": labels[usize::from(n) % labels.len()],
                "with_dependencies": with_dependencies,
            })
        } else {
            let exclude: Vec<&String> = labels.iter().filter(|label| self.job(label).is_excluded).collect();
            json!({"purge": self.purge, "exclude": exclude})
        };
        json!({
            "verb": "stop", "stop": stop, "job": jobs, "wait": waits,
            "on_failure": self.policy, "max_parallel": self.max_parallel,
        })
    }
}

/// Something that happens to a job later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Later {
    Gone,
    Good,
    Bad,
}

struct Shell<'a> {
    case: &'a Case,
    plan: Plan,
    engine: Engine,
    world: World,
    now: Time,
    tape: std::slice::Iter<'a, u8>,
    crashes: std::slice::Iter<'a, (u8, bool)>,
    until_crash: Option<(u8, bool)>,
    memory: Vec<Entry>,
    is_begun: bool,
    under_way: Vec<(String, Act)>,
    watched: BTreeSet<JobKey>,
    news: BTreeSet<JobKey>,
    to_come: BTreeSet<(Time, JobKey, Later)>,
    memories_lost: usize,
    stopped: BTreeSet<String>,
    launched: BTreeMap<String, usize>,
    ended_well: BTreeSet<String>,
    outcome: Option<Outcome>,
    story: Vec<String>,
}

fn key(name: &str) -> JobKey {
    JobKey::new("default", name)
}

impl<'a> Shell<'a> {
    fn new(case: &'a Case) -> Self {
        let plan = tree_plan(&case.config());
        let mut world = World::default();
        let now = Time::from_unix_millis(1_000_000);
        let mut before = BTreeSet::new();
        for name in plan.manifest().tree.as_ref().unwrap().jobs.keys() {
            let (job, key) = (case.job(name), key(name));
            let marks =
                Marks { tree: "default/shop".into(), node: name.clone(), spec: SpecHash::from("as-it-was") };
            let submit = Act::Submit { key: key.clone(), marks, may_adopt: false, is_new: false };
            match job.stands {
                Stands::Absent => continue,
                Stands::Foreign => world.register_by_hand(name),
                Stands::Up | Stands::Held | Stands::Stopped => {
                    world.perform(name, &submit).unwrap();
                }
            }
            world.fare(&key, Fate::Good);
            world.linger(&key, job.lingers > 0);
            match job.stands {
                Stands::Stopped => {
                    world.stop(&key);
                    before.insert((now + Duration::from_secs(job.lingers), key, Later::Gone));
                }
                Stands::Held => _ = world.held.insert((key, "default/other".to_owned())),
                Stands::Up | Stands::Absent | Stands::Foreign => {}
            }
        }
        world.written.clear();
        let mut crashes = case.crashes.iter();
        Self {
            case,
            engine: Engine::tree(plan.clone(), place(), "default/shop".into(), now),
            plan,
            world,
            now,
            tape: case.tape.iter(),
            until_crash: crashes.next().copied(),
            crashes,
            memory: Vec::new(),
            is_begun: false,
            under_way: Vec::new(),
            watched: BTreeSet::new(),
            news: BTreeSet::new(),
            to_come: before,
            memories_lost: 0,
            stopped: BTreeSet::new(),
            launched: BTreeMap::new(),
            ended_well: BTreeSet::new(),
            outcome: None,
            story: Vec::new(),
        }
    }

    fn choice(&mut self) -> u8 {
        self.tape.next().copied().unwrap_or(0)
    }

    fn run(&mut self) -> Result<(), TestCaseError> {
        self.step(Event::Started)?;
        for _ in 0..3000 {
            if self.outcome.is_some() {
                return self.check_end();
            }
            match self.choice() {
                0..=149 => self.go_on()?,
                150..=189 => self.answer(true, true)?,
                190..=214 => self.answer(false, true)?,
                215..=234 => {
                    // What is true is shown again, or before its time.
                    let n = usize::from(self.choice());
                    let key = self.watched.iter().nth(n % self.watched.len().max(1)).cloned();
                    if let Some(key) = key {
                        self.show(key)?;
                    }
                }
                235..=244 => self.crash(false)?,
                245..=249 => self.crash(true)?,
                250..=255 => self.pass_time(self.now + Duration::from_secs(7))?,
            }
        }
        Err(TestCaseError::fail("it never ends"))
    }

    fn go_on(&mut self) -> Result<(), TestCaseError> {
        if !self.under_way.is_empty() {
            return self.answer(true, false);
        }
        if let Some(key) = self.news.first().cloned() {
            return self.show(key);
        }
        let later = self.to_come.first().map(|(at, ..)| *at);
        let at = [self.engine.next_timeout(), later].into_iter().flatten().min();
        let Some(at) = at else { return Err(TestCaseError::fail("nothing will ever happen")) };
        self.pass_time(at)
    }

    fn pass_time(&mut self, until: Time) -> Result<(), TestCaseError> {
        self.now = self.now.max(until);
        while let Some((_, key, later)) = self.to_come.first().filter(|(at, ..)| *at <= self.now).cloned() {
            self.to_come.pop_first();
            match later {
                Later::Gone => self.world.linger(&key, false),
                Later::Bad => self.world.fare(&key, Fate::Bad),
                Later::Good => {
                    self.world.fare(&key, Fate::Good);
                    let node = self.world.jobs.get(&key).and_then(|job| job.marks()).map(|marks| &marks.node);
                    self.ended_well.extend(node.cloned());
                }
            }
            self.news.insert(key);
        }
        self.step(Event::Tick)
    }

    fn show(&mut self, key: JobKey) -> Result<(), TestCaseError> {
        self.news.remove(&key);
        let sight = Arc::new(self.world.sight(&key));
        if self.watched.contains(&key) { self.step(Event::Seen(key, sight)) } else { Ok(()) }
    }

    fn answer(&mut self, is_done: bool, is_lost: bool) -> Result<(), TestCaseError> {
        if self.under_way.is_empty() {
            return self.go_on();
        }
        let n = usize::from(self.choice()) % self.under_way.len();
        let (name, act) = self.under_way.remove(n);
        let result = if is_done { Some(self.perform(&name, &act)?) } else { None };
        let lost = Trouble { why: "the answer was lost".to_owned(), is_transient: true };
        let result = result.filter(|_| !is_lost).unwrap_or(Err(lost));
        self.story.push(format!("{name}: {act:?} comes to {result:?}, done: {is_done}"));
        self.step(Event::Acted(name, result))
    }

    fn perform(&mut self, name: &str, act: &Act) -> Result<Result<Report, Trouble>, TestCaseError> {
        let result = self.world.perform(name, act);
        for written in std::mem::take(&mut self.world.written) {
            self.story.push(format!("WRITTEN {written:?}"));
            match written {
                Written::Job(job) => return Err(TestCaseError::fail(format!("{job} is registered"))),
                Written::Hook(hook, job) => self.launched(&hook, &JobKey::new("default", job.as_str()))?,
                Written::Stop(job) => self.is_stopped(&job)?,
            }
        }
        self.news.extend(self.watched.iter().cloned());
        Ok(result)
    }

    fn launched(&mut self, hook: &str, key: &JobKey) -> Result<(), TestCaseError> {
        let times = self.launched.entry(hook.to_owned()).or_default();
        *times += 1;
        prop_assert!(*times <= 1 + self.memories_lost, "{hook} was launched {times} times");
        prop_assert!(!self.ended_well.contains(hook), "{hook} was launched after a success");
        let block = self.plan.manifest().tree.as_ref().unwrap().hooks[hook].clone();
        let of = block.of.unwrap();
        let (is_pre, case) = (block.moment == Moment::PreStop, self.case.job(&of));
        prop_assert_eq!(self.world.runs(&stop_properties::key(&of)), is_pre, "{} at the wrong time", hook);
        if is_pre {
            self.dependents_are_gone(&of)?;
        } else {
            prop_assert!(self.stopped.contains(&of), "{hook} although {of} was not stopped");
        }
        let is_good = if is_pre { case.pre_stop } else { case.post_stop };
        let later = if is_good == Some(true) { Later::Good } else { Later::Bad };
        self.to_come.insert((self.now + Duration::from_secs(3), key.clone(), later));
        Ok(())
    }

    /// What depends on a job, and its hooks.
    fn dependents_are_gone(&self, name: &str) -> Result<(), TestCaseError> {
        let tree = self.plan.manifest().tree.as_ref().unwrap();
        for other in tree.jobs.keys() {
            let is_foreign = self.case.job(other).stands == Stands::Foreign;
            if is_foreign || !self.plan.foundations([other.as_str()]).contains(name) {
                continue;
            }
            prop_assert!(!self.world.runs(&key(other)), "{name} before {other} is gone");
            let posts = tree
                .hooks
                .iter()
                .filter(|(_, hook)| hook.of.as_ref() == Some(other) && hook.moment == Moment::PostStop);
            for (hook, _) in posts.filter(|_| self.stopped.contains(other) && self.memories_lost == 0) {
                prop_assert!(self.ended_well.contains(hook), "{name} before {hook} has ended well");
            }
        }
        Ok(())
    }

    fn is_stopped(&mut self, name: &str) -> Result<(), TestCaseError> {
        let job = self.case.job(name);
        prop_assert_eq!(job.stands, Stands::Up, "{} is not to be stopped", name);
        prop_assert!(self.stopped.insert(name.to_owned()), "{name} is stopped twice");
        let stop = &self.plan.manifest().tree.as_ref().unwrap().stop;
        prop_assert!(!stop.exclude.iter().any(|other| other == name), "{name} is excluded");
        if let Some(target) = &stop.target {
            let is_foundation = self.plan.foundations([target.as_str()]).contains(name);
            prop_assert!(target == name || stop.with_dependencies && is_foundation, "{name} is no target");
        }
        self.dependents_are_gone(name)?;
        let hooks = &self.plan.manifest().tree.as_ref().unwrap().hooks;
        let pres = hooks
            .iter()
            .filter(|(_, hook)| hook.of.as_deref() == Some(name) && hook.moment == Moment::PreStop);
        for (hook, _) in pres {
            prop_assert!(self.ended_well.contains(hook), "{name} before {hook} has ended well");
        }
        let ending = self.now + Duration::from_secs(job.lingers);
        self.to_come.insert((ending, key(name), Later::Gone));
        Ok(())
    }

    fn crash(&mut self, is_memory_lost: bool) -> Result<(), TestCaseError> {
        self.story.push(format!("CRASH, memory lost: {is_memory_lost}"));
        for (name, act) in std::mem::take(&mut self.under_way) {
            if self.choice() % 2 == 1 {
                drop(self.perform(&name, &act)?);
            }
        }
        if is_memory_lost {
            self.memory.clear();
            self.is_begun = false;
            self.memories_lost += 1;
        }
        self.watched.clear();
        self.engine = Engine::tree(self.plan.clone(), place(), "default/shop".into(), self.now);
        self.step(Event::Started)
    }

    fn step(&mut self, event: Event) -> Result<(), TestCaseError> {
        let actions = self.engine.step(self.now, event);
        let (mut lead, mut prepare) = (false, false);
        for action in actions {
            prop_assert!(self.outcome.is_none(), "{action:?} after the end");
            match &mut self.until_crash {
                Some((0, is_lost)) => {
                    let is_lost = *is_lost;
                    self.until_crash = self.crashes.next().copied();
                    return self.crash(is_lost);
                }
                Some((left, _)) => *left -= 1,
                None => {}
            }
            match action {
                Action::Announce(_) | Action::Notify(_) | Action::Ask(_) => {}
                Action::Keep(_) | Action::KeepApprovals(_) | Action::Do(..) => panic!("no tree does this"),
                Action::Log(line) => self.story.push(format!("    {line}")),
                Action::Remember(entry) => self.memory.push(entry),
                Action::Lead => lead = true,
                Action::Prepare => prepare = true,
                Action::Watch(jobs) => {
                    self.news.extend(jobs.iter().cloned());
                    self.watched.extend(jobs);
                }
                Action::Act(name, act) => {
                    let is_second = self.under_way.iter().any(|(other, _)| *other == name);
                    prop_assert!(!is_second, "{name}: two acts under way: {act:?}");
                    self.under_way.push((name, act));
                }
                Action::Finish(outcome) => self.outcome = Some(outcome),
            }
        }
        if self.engine.next_timeout().is_some_and(|at| at > self.now)
            && self.outcome.is_none()
            && !prepare
            && !lead
        {
            let more = self.engine.clone().step(self.now, Event::Tick);
            prop_assert_eq!(more, Vec::new(), "a step was not brought up to date");
        }
        if lead {
            let lead = Lead { entries: self.memory.clone(), note: None };
            return self.step(Event::Led(Ok(lead)));
        }
        if prepare {
            let is_same = std::mem::replace(&mut self.is_begun, true);
            let blueprints = blueprints(&self.plan, &BTreeSet::new());
            self.step(Event::Prepared { blueprints, is_same, run: "0000beef".into() })?;
        }
        Ok(())
    }

    /// What was said at the end is so.
    fn check_end(&mut self) -> Result<(), TestCaseError> {
        let status = self.engine.status(self.now);
        let refused = status.ending.as_deref().is_some_and(|ending| ending.contains("the stop was refused"));
        prop_assert!(!refused || self.stopped.is_empty() || self.memories_lost > 0, "refused halfway");
        let stays: BTreeSet<String> = status
            .nodes
            .iter()
            .filter(|node| node.state == "skipped")
            .map(|node| node.name.clone())
            .collect();
        for name in self.plan.manifest().tree.as_ref().unwrap().jobs.keys() {
            let stands = self.case.job(name).stands;
            let runs = self.world.runs(&key(name));
            if matches!(stands, Stands::Foreign | Stands::Held) {
                prop_assert!(runs, "{name} was touched");
            }
            let is_over = self.outcome == Some(Outcome::Done) && !status.nodes.is_empty();
            if is_over && !stays.contains(name) && status.nodes.iter().any(|node| node.detail != "prepared") {
                let is_prepared = status.nodes.iter().any(|node| node.state == "satisfied");
                prop_assert!(!is_prepared || !runs, "{name} runs after a good end");
                let is_there = self.world.jobs.contains_key(&key(name));
                let is_kept = is_unselected(&self.plan, name);
                prop_assert!(
                    !is_prepared || !self.case.purge || !is_there || is_kept,
                    "{name} was not purged"
                );
            }
        }
        if self.outcome == Some(Outcome::Done) && self.memories_lost == 0 {
            for (hook, block) in &self.plan.manifest().tree.as_ref().unwrap().hooks {
                let was_stopped = self.stopped.contains(block.of.as_deref().unwrap_or_default());
                prop_assert_eq!(self.ended_well.contains(hook), was_stopped, "{}", hook);
            }
        }
        Ok(())
    }
}

/// Whether the `stop` block does not speak of it.
fn is_unselected(plan: &Plan, name: &str) -> bool {
    let stop = &plan.manifest().tree.as_ref().unwrap().stop;
    let is_target = |target: &String| {
        target == name || stop.with_dependencies && plan.foundations([target.as_str()]).contains(name)
    };
    stop.exclude.iter().any(|other| other == name)
        || stop.target.as_ref().is_some_and(|target| !is_target(target))
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 3000,
        ..ProptestConfig::with_cases(600)
    })]

    /// Never before its dependents are gone, hooks once, nothing of others: at every crash point and with any news.
    #[test]
    fn a_stop_keeps_its_promises(case in case()) {
        let mut shell = Shell::new(&case);
        if let Err(error) = shell.run() {
            return Err(match error {
                TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}\n{}", shell.story.join("\n"))),
                rejected @ TestCaseError::Reject(_) => rejected,
            });
        }
    }
}
