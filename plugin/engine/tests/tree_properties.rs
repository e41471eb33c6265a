//! Whatever becomes of the jobs of any tree, in whatever order it is told, and wherever the process ends.
//!
//! ```text
//!   Case   the tree, what becomes of each of its jobs, and a tape of what the shell does next
//!   Shell  performs acts late, in any order, or loses them; shows old news again; dies and comes back
//!   Judge  looks at what was written in the world, at the moment it was written
//! ```
//!
//! Each number of the tape is a choice; beyond its end everything goes as well as it can, so that shrinking a case
//! makes the shell more benign.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{world::*, *};
use crate::{
    cluster::{Blindness, sample::unseen},
    manifest::{Moment, OnHookFailure},
};

/// What becomes of a job that the tree submits, seconds after it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    Good(u64),
    /// Good, lost for a while, and good again.
    Flaky(u64),
    Bad(u64),
    /// Nothing, for ever.
    Hung,
}

#[derive(Clone, Debug)]
struct HookCase {
    retries: u32,
    is_optional: bool,
    is_dispatch: bool,
    retain: &'static str,
    /// One for each attempt; the last counts for all later ones.
    becomes: Vec<Becomes>,
}

#[derive(Clone, Debug)]
struct NodeCase {
    /// Bit i: it needs node i, if that is an earlier one.
    needs: u8,
    is_wait: bool,
    is_exclusive: bool,
    /// Someone else's job is in its place.
    is_foreign: bool,
    /// Its jobspec is another than in the run before, if there was one.
    is_changed: bool,
    stable_for: u64,
    becomes: Becomes,
    pre: Vec<HookCase>,
    post: Vec<HookCase>,
}

#[derive(Clone, Debug)]
struct Case {
    nodes: Vec<NodeCase>,
    policy: &'static str,
    max_parallel: u32,
    /// The whole run's time limit, in minutes.
    timeout: Option<u64>,
    /// Whether the tree is up already, from a run before.
    is_up: bool,
    /// Whether others scale, stop, purge and change the tree's jobs meanwhile.
    has_strangers: bool,
    /// After how many choices Nomad stops the task, and whether because its job was stopped.
    stop: Option<(u8, bool)>,
    tape: Vec<u8>,
    /// After how many actions, from the one before, the process ends, and whether its memory is lost with it.
    crashes: Vec<(u8, bool)>,
}

fn becomes() -> impl Strategy<Value = Becomes> {
    prop_oneof![
        8 => (0..60_u64).prop_map(Becomes::Good),
        1 => (1..60_u64).prop_map(Becomes::Flaky),
        2 => (0..60_u64).prop_map(Becomes::Bad),
        1 => Just(Becomes::Hung),
    ]
}

fn hook() -> impl Strategy<Value = HookCase> {
    let retain = prop_oneof![Just("failed"), Just("all"), Just("none")];
    let fates = proptest::collection::vec(becomes(), 1..4);
    (0..3_u32, any::<bool>(), any::<bool>(), retain, fates).prop_map(
        |(retries, is_optional, is_dispatch, retain, becomes)| {
            // A batch job that has ended has ended.
            let becomes = becomes.into_iter().map(|becomes| match becomes {
                Becomes::Flaky(at) => Becomes::Good(at),
                other => other,
            });
            HookCase { retries, is_optional, is_dispatch, retain, becomes: becomes.collect() }
        },
    )
}

fn node() -> impl Strategy<Value = NodeCase> {
    let flags = (
        proptest::bool::weighted(0.15),
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.05),
        any::<bool>(),
    );
    let hooks = || proptest::collection::vec(hook(), 0..3);
    (any::<u8>(), any::<u8>(), flags, prop_oneof![3 => Just(0), 1 => 1..20_u64], becomes(), hooks(), hooks())
        .prop_map(|(one, other, flags, stable_for, becomes, pre, post)| {
            let (is_wait, is_exclusive, is_foreign, is_changed) = flags;
            let (pre, post) = if is_wait { (Vec::new(), Vec::new()) } else { (pre, post) };
            NodeCase {
                needs: one & other,
                is_wait,
                is_exclusive,
                is_foreign: is_foreign && !is_wait,
                is_changed,
                stable_for,
                becomes,
                pre,
                post,
            }
        })
}

fn case() -> impl Strategy<Value = Case> {
    (
        proptest::collection::vec(node(), 1..8),
        prop_oneof![Just("finish"), Just("continue"), Just("cancel")],
        1..5_u32,
        prop_oneof![6 => Just(None), 1 => (1..90_u64).prop_map(Some)],
        (
            proptest::bool::weighted(0.25),
            proptest::bool::weighted(0.15),
            prop_oneof![7 => Just(None), 1 => (0..60_u8, any::<bool>()).prop_map(Some)],
        ),
        prop_oneof![1 => Just(Vec::new()), 4 => proptest::collection::vec(any::<u8>(), 0..120)],
        proptest::collection::vec((0..40_u8, proptest::bool::weighted(0.25)), 0..5),
    )
        .prop_map(
            |(nodes, policy, max_parallel, timeout, (is_up, has_strangers, stop), tape, crashes)| Case {
                nodes,
                policy,
                max_parallel,
                timeout,
                is_up,
                has_strangers,
                stop,
                tape,
                crashes,
            },
        )
}

impl Case {
    fn name(&self, node: usize) -> String {
        format!("{}{node}", if self.nodes[node].is_wait { "w" } else { "n" })
    }

    fn config(&self) -> Value {
        let (mut jobs, mut waits) = (serde_json::Map::new(), serde_json::Map::new());
        for (i, node) in self.nodes.iter().enumerate() {
            let needs = (0..i).filter(|needed| node.needs & 1 << needed != 0);
            let depends_on: Vec<String> = needs.map(|needed| self.name(needed)).collect();
            if node.is_wait {
                let block = json!({"job": format!("out{i}"), "depends_on": depends_on, "timeout": "1h"});
                waits.insert(self.name(i), block);
                continue;
            }
            let hooks = |moment: &str, hooks: &[HookCase]| {
                let mut blocks = serde_json::Map::new();
                for (h, hook) in hooks.iter().enumerate() {
                    let mut block = json!({
                        "timeout": "1h",
                        "retries": hook.retries,
                        "on_failure": if hook.is_optional { "continue" } else { "fail" },
                        "retain": hook.retain,
                    });
                    let launch = if hook.is_dispatch { "dispatch" } else { "jobspec" };
                    block[launch] = json!(format!("n{i}{moment}{h}"));
                    blocks.insert(format!("n{i}{moment}{h}"), block);
                }
                blocks
            };
            let mut block = json!({
                "jobspec": "local/x.nomad.hcl",
                "depends_on": depends_on,
                "ready": {"timeout": "1h", "stable_for": format!("{}s", node.stable_for)},
                "pre": hooks("pre", &node.pre),
                "post": hooks("post", &node.post),
            });
            if node.is_exclusive {
                block["exclusive"] = json!("one");
            }
            jobs.insert(self.name(i), block);
        }
        if jobs.is_empty() {
            jobs.insert("lone".to_owned(), json!({"jobspec": "local/x.nomad.hcl"}));
        }
        let mut config = json!({
            "job": jobs, "on_failure": self.policy, "max_parallel": self.max_parallel,
        });
        if !waits.is_empty() {
            config["wait"] = Value::Object(waits);
        }
        if let Some(minutes) = self.timeout {
            config["timeout"] = json!(format!("{minutes}m"));
        }
        config
    }

    /// The hook of this name.
    fn hook(&self, name: &str) -> &HookCase {
        let (node, rest) = name[1..].split_at(1);
        let node = &self.nodes[node.parse::<usize>().unwrap()];
        match rest.strip_prefix("pre") {
            Some(number) => &node.pre[number.parse::<usize>().unwrap()],
            None => &node.post[rest.strip_prefix("post").unwrap().parse::<usize>().unwrap()],
        }
    }

    fn node(&self, name: &str) -> Option<&NodeCase> {
        self.nodes.get(name[1..].parse::<usize>().ok()?)
    }

    /// Whether anything in it fails.
    fn is_all_good(&self) -> bool {
        let good = |becomes: &Becomes| matches!(becomes, Becomes::Good(_) | Becomes::Flaky(_));
        self.timeout.is_none()
            && self.nodes.iter().all(|node| {
                good(&node.becomes)
                    && !node.is_foreign
                    && node.pre.iter().chain(&node.post).all(|hook| hook.becomes.iter().all(good))
            })
    }
}

/// One run of a case, and what it did.
struct Shell<'a> {
    case: &'a Case,
    plan: Plan,
    engine: Engine,
    world: World,
    changed: BTreeSet<String>,
    now: Time,
    began: Time,
    tape: std::slice::Iter<'a, u8>,
    crashes: std::slice::Iter<'a, (u8, bool)>,
    until_crash: Option<(u8, bool)>,
    memory: Vec<Entry>,
    has_beginning: bool,
    has_ended_before: bool,
    /// Acts that were begun and not answered.
    under_way: Vec<(String, Act)>,
    watched: BTreeSet<JobKey>,
    /// What is not shown yet.
    news: BTreeSet<JobKey>,
    /// What was shown last.
    shown: BTreeMap<JobKey, Option<Fate>>,
    /// What will become of jobs, and when.
    to_come: BTreeMap<(Time, JobKey), Fate>,
    judge: Judge,
}

/// What was written, and what may be said of it.
#[derive(Default)]
struct Judge {
    /// Of this memory: the steps that are being, or were, begun.
    begun: BTreeSet<String>,
    /// Of this memory: the steps that have failed.
    failed: BTreeSet<String>,
    /// Of this memory: written jobs of nodes and hooks.
    written: BTreeMap<String, BTreeSet<JobKey>>,
    /// How often a job of a node was registered, ever.
    registered: BTreeMap<String, usize>,
    /// Hooks that were shown to have ended well, ever.
    ended_well: BTreeSet<String>,
    /// Jobs that were ready at some time since they were written.
    were_ready: BTreeSet<JobKey>,
    launches: BTreeMap<String, u32>,
    finishes: Vec<Outcome>,
    memories_lost: u32,
    n_crashes: u32,
    errors: u32,
    n_steps: u32,
    story: Vec<String>,
}

impl<'a> Shell<'a> {
    fn new(case: &'a Case) -> Self {
        let plan = tree_plan(&case.config());
        let now = Time::from_unix_millis(1_000_000);
        let engine = Engine::tree(plan.clone(), place(), "default/shop".into(), Vec::new(), now);
        let mut shell = Self {
            case,
            engine,
            world: World::default(),
            changed: BTreeSet::new(),
            now,
            began: now,
            tape: case.tape.iter(),
            crashes: case.crashes.iter(),
            until_crash: None,
            memory: Vec::new(),
            has_beginning: false,
            has_ended_before: false,
            under_way: Vec::new(),
            watched: BTreeSet::new(),
            news: BTreeSet::new(),
            shown: BTreeMap::new(),
            to_come: BTreeMap::new(),
            judge: Judge::default(),
            plan,
        };
        shell.set_the_stage();
        shell.until_crash = shell.crashes.next().copied();
        shell
    }

    /// What is there before the run begins.
    fn set_the_stage(&mut self) {
        let blueprints = blueprints(&self.plan, &BTreeSet::new());
        for (i, node) in self.case.nodes.iter().enumerate() {
            let name = self.case.name(i);
            if node.is_wait {
                let key = JobKey::new("default", format!("out{i}"));
                self.world.register_by_hand(key.job.as_str());
                self.expect(&key, node.becomes);
            } else if node.is_foreign {
                self.world.register_by_hand(&name);
            } else if self.case.is_up {
                let key = &blueprints[&name].key;
                let spec = blueprints[&name].spec.clone();
                let marks = cluster_marks(&name, &spec);
                let submit = Act::Submit { key: key.clone(), marks, may_adopt: false };
                let Ok(Report::Submitted(submission)) = self.world.perform(&name, &submit) else { panic!() };
                self.world.fare(key, Fate::Good);
                let done = crate::condition::Attested {
                    create_index: submission.create_index,
                    version: submission.version,
                    spec,
                };
                self.world.perform(&name, &Act::Attest { key: key.clone(), done }).unwrap();
                if node.is_changed {
                    self.changed.insert(name);
                }
            }
        }
        self.world.written.clear();
    }

    /// Whether this job is as it should be since before the run.
    fn is_untouched(&self, name: &str) -> bool {
        self.case.is_up
            && self.case.node(name).is_some_and(|node| !node.is_wait && !node.is_foreign && !node.is_changed)
    }

    fn expect(&mut self, key: &JobKey, becomes: Becomes) {
        let at = |seconds: u64| self.now + Duration::from_secs(seconds);
        let steps = match becomes {
            Becomes::Good(after) => vec![(at(after), Fate::Good)],
            Becomes::Flaky(after) => {
                vec![(at(after), Fate::Good), (at(after + 7), Fate::Pending), (at(after + 40), Fate::Good)]
            }
            Becomes::Bad(after) => vec![(at(after), Fate::Bad)],
            Becomes::Hung => Vec::new(),
        };
        for (at, fate) in steps {
            self.to_come.insert((at, key.clone()), fate);
        }
    }

    fn choice(&mut self) -> u8 {
        self.tape.next().copied().unwrap_or(0)
    }

    fn tell(&mut self, line: String) {
        let at = Spoken(self.now.since(self.began));
        self.judge.story.push(format!("{at}: {line}"));
    }

    /// Until it ends.
    fn run(&mut self) -> Result<(), TestCaseError> {
        self.step(Event::Started)?;
        while self.judge.finishes.is_empty() {
            self.judge.n_steps += 1;
            prop_assert!(self.judge.n_steps < 4000, "it never ends: {:#?}", self.engine.status(self.now));
            if let Some((after, is_own)) = self.case.stop
                && self.judge.n_steps == u32::from(after)
            {
                self.stop(is_own)?;
                continue;
            }
            match self.choice() {
                180..=199 if self.case.has_strangers => self.meddle(),
                0..=99 => self.go_on()?,
                100..=149 => self.answer(true, false)?,
                150..=164 => self.answer(true, true)?,
                165..=179 => self.answer(false, true)?,
                180..=199 => {
                    // What is true is shown again, or before its time.
                    let n = usize::from(self.choice());
                    let key = self.watched.iter().nth(n % self.watched.len().max(1)).cloned();
                    if let Some(key) = key {
                        self.show(key)?;
                    }
                }
                200..=209 => {
                    let n = usize::from(self.choice());
                    let key = self.watched.iter().nth(n % self.watched.len().max(1)).cloned();
                    if let Some(key) = key {
                        self.news.insert(key.clone());
                        self.shown.insert(key.clone(), None);
                        self.tell(format!("{} is out of sight", key.job));
                        let away = unseen(Blindness::Unreachable, "away");
                        self.step(Event::Seen(key, Arc::new(away)))?;
                    }
                }
                210..=229 => {
                    let until = self.now + Duration::from_secs(u64::from(self.choice()) % 20);
                    self.pass_time(until)?;
                }
                230..=239 => self.step(Event::Tick)?,
                240..=250 => self.crash(false)?,
                251..=255 => self.crash(self.case.tape.len() % 2 == 0)?,
            }
        }
        Ok(())
    }

    /// Nomad stops the task: the run ends as soon as it can.
    fn stop(&mut self, is_own: bool) -> Result<(), TestCaseError> {
        self.tell(format!("STOPPED, with its job: {is_own}"));
        if is_own {
            let own = own_job().but(|job| job.is_stopped = true).seen();
            self.step(Event::Seen(place().job, Arc::new(own)))?;
        }
        self.until_crash = None;
        let at = self.now;
        if self.judge.finishes.is_empty() {
            self.step(Event::Stopped)?;
        }
        while self.judge.finishes.is_empty() {
            self.judge.n_steps += 1;
            prop_assert!(is_own && self.judge.n_steps < 4000, "it does not stop");
            self.go_on()?;
        }
        prop_assert!(self.now.since(at) <= Duration::from_secs(3), "it stops late");
        Ok(())
    }

    /// Someone else does something to a job of the tree.
    fn meddle(&mut self) {
        let (what, n) = (self.choice(), usize::from(self.choice()));
        let keys: Vec<JobKey> = self.world.jobs.keys().cloned().collect();
        let Some(key) = keys.get(n % keys.len().max(1)) else { return };
        self.tell(format!("SOMEONE does {} to {}", what % 4, key.job));
        match what % 4 {
            0 => self.world.scale(key),
            1 => self.world.purge(key),
            2 => self.world.stop(key),
            _ => self.world.register_by_hand(key.job.as_str()),
        }
        if self.watched.contains(key) {
            self.news.insert(key.clone());
        }
    }

    /// The next thing that must happen some time.
    fn go_on(&mut self) -> Result<(), TestCaseError> {
        if !self.under_way.is_empty() {
            let (name, act) = self.under_way.remove(0);
            return self.report(name, act, true, false);
        }
        if let Some(key) = self.news.first().cloned() {
            return self.show(key);
        }
        let due = [self.engine.next_timeout(), self.to_come.keys().next().map(|(at, _)| *at)];
        let Some(at) = due.into_iter().flatten().min() else {
            prop_assert!(false, "nothing will ever happen: {:#?}", self.engine.status(self.now));
            return Ok(());
        };
        self.pass_time(at)
    }

    /// Time goes on until `until`; what is due in between happens.
    fn pass_time(&mut self, until: Time) -> Result<(), TestCaseError> {
        while self.judge.finishes.is_empty() {
            let next = self.to_come.keys().next().map(|(at, _)| *at).filter(|at| *at <= until);
            let timeout = self.engine.next_timeout().filter(|at| *at <= until);
            match (next, timeout) {
                (Some(at), timeout) if timeout.is_none_or(|timeout| at <= timeout) => {
                    self.now = self.now.max(at);
                    let ((_, key), fate) = self.to_come.pop_first().unwrap();
                    self.world.fare(&key, fate);
                    if fate == Fate::Good {
                        self.judge.were_ready.insert(key.clone());
                    }
                    if self.watched.contains(&key) {
                        self.news.insert(key);
                    }
                }
                (_, Some(at)) => {
                    prop_assert!(at >= self.now, "a timeout in the past: {at:?} at {:?}", self.now);
                    self.now = at;
                    self.step(Event::Tick)?;
                }
                (_, None) => break,
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn show(&mut self, key: JobKey) -> Result<(), TestCaseError> {
        self.news.remove(&key);
        let fate = self.world.jobs.get(&key).map(|job| job.fate);
        self.shown.insert(key.clone(), fate);
        if fate == Some(Fate::Good) {
            let hook = self.world.jobs[&key].marks().map(|marks| marks.node.clone());
            if let Some(hook) = hook.filter(|name| self.is_hook(name))
                && !self.world.jobs[&key].is_stopped()
            {
                self.judge.ended_well.insert(hook);
            }
        }
        self.tell(format!("{} is seen: {fate:?}", key.job));
        let sight = self.world.sight(&key);
        self.step(Event::Seen(key, Arc::new(sight)))
    }

    /// An act is answered: it was done or not, and its answer arrives or is lost.
    fn answer(&mut self, is_done: bool, is_lost: bool) -> Result<(), TestCaseError> {
        let n = usize::from(self.choice());
        if self.under_way.is_empty() {
            return self.go_on();
        }
        let (name, act) = self.under_way.remove(n % self.under_way.len());
        self.report(name, act, is_done, is_lost)
    }

    fn report(&mut self, name: String, act: Act, is_done: bool, is_lost: bool) -> Result<(), TestCaseError> {
        let result = if is_done { Some(self.perform(&name, &act)?) } else { None };
        let lost = Trouble { why: "the answer was lost".to_owned(), is_transient: true };
        let result = match result {
            Some(result) if !is_lost => result,
            _ => Err(lost),
        };
        self.judge.errors += u32::from(is_lost);
        self.tell(format!("{name}: {act:?} comes to {result:?}, done: {is_done}"));
        self.step(Event::Acted(name, result))
    }

    /// Does an act, and judges what it wrote.
    fn perform(&mut self, name: &str, act: &Act) -> Result<Result<Report, Trouble>, TestCaseError> {
        let result = self.world.perform(name, act);
        for written in std::mem::take(&mut self.world.written) {
            let key = match &written {
                Written::Job(_) => blueprints(&self.plan, &BTreeSet::new())[name].key.clone(),
                Written::Hook(_, job) => JobKey::new("default", job.as_str()),
            };
            self.tell(format!("WRITTEN {written:?}"));
            prop_assert!(self.judge.begun.contains(name), "{name}: written, but not remembered before");
            self.judge.were_ready.remove(&key);
            let becomes = match &written {
                Written::Job(_) => {
                    let times = self.judge.registered.entry(name.to_owned()).or_default();
                    *times += 1;
                    prop_assert!(self.case.has_strangers || *times == 1, "{name} registered again");
                    self.case.node(name).map_or(Becomes::Good(3), |node| node.becomes)
                }
                Written::Hook(..) => {
                    let hook = self.case.hook(name).clone();
                    let is_done = self.judge.ended_well.contains(name) && !self.case.has_strangers;
                    prop_assert!(!is_done, "{name} launched after a success");
                    let launches = self.judge.launches.entry(name.to_owned()).or_default();
                    *launches += 1;
                    let is_enough = *launches <= 1 + hook.retries;
                    prop_assert!(is_enough || self.case.has_strangers, "{name} launched too often");
                    let attempts: usize = key.job.as_str().rsplit('-').next().unwrap().parse().unwrap();
                    hook.becomes[(attempts - 1).min(hook.becomes.len() - 1)]
                }
            };
            self.judge.written.entry(name.to_owned()).or_default().insert(key.clone());
            self.expect(&key, becomes);
            self.check_room(name)?;
        }
        let touched = match act {
            Act::Submit { key, .. } | Act::Launch { key, .. } | Act::Retire { key, .. } => key.clone(),
            Act::Recall { .. } | Act::Attest { .. } | Act::Tail { .. } => return Ok(result),
        };
        if let Act::Retire { key, .. } = act {
            self.to_come.retain(|(_, of), _| of != key);
        }
        if self.watched.contains(&touched) {
            self.news.insert(touched);
        }
        Ok(result)
    }

    fn is_hook(&self, name: &str) -> bool {
        self.plan.manifest().tree.as_ref().unwrap().hooks.contains_key(name)
    }

    /// How many jobs and hooks of this memory are under way in the world, but for those that were given up.
    fn check_room(&self, written: &str) -> Result<(), TestCaseError> {
        if self.case.has_strangers {
            return Ok(());
        }
        let status = self.engine.status(self.now);
        let is_lost = |name: &str| {
            status.nodes.iter().any(|node| node.name == name && matches!(node.state, "failed" | "skipped"))
        };
        let is_under_way = |name: &str, key: &JobKey| {
            !is_lost(name)
                && !self.judge.were_ready.contains(key)
                && self.world.jobs.get(key).is_some_and(|job| job.fate == Fate::Pending && !job.is_stopped())
        };
        let busy: Vec<&str> = self
            .judge
            .written
            .iter()
            .filter(|(name, keys)| keys.iter().any(|key| is_under_way(name, key)))
            .map(|(name, _)| name.as_str())
            .collect();
        let most = usize::try_from(self.case.max_parallel).unwrap();
        prop_assert!(busy.len() <= most, "{written} written: more than {most} under way: {busy:?}");
        let exclusive: Vec<&&str> = busy
            .iter()
            .filter(|name| !self.is_hook(name) && self.case.node(name).is_some_and(|node| node.is_exclusive))
            .collect();
        prop_assert!(exclusive.len() <= 1, "exclusive, but under way together: {exclusive:?}");
        Ok(())
    }

    /// A step begins: everything that it needs must be so, as far as was shown.
    fn check_order(&self, name: &str) -> Result<(), TestCaseError> {
        if self.case.has_strangers {
            return Ok(());
        }
        let blueprints = blueprints(&self.plan, &self.changed);
        for needed in self.plan.needs(name) {
            let is_so = if self.is_hook(needed) {
                let hook = &self.plan.manifest().tree.as_ref().unwrap().hooks[needed];
                let was_needless =
                    hook.moment == Moment::Post && self.is_untouched(&hook.of) && self.case.is_up;
                self.judge.ended_well.contains(needed) || was_needless || self.case.hook(needed).is_optional
            } else {
                let key = match blueprints.get(needed) {
                    Some(blueprint) => {
                        let marks = self.world.jobs.get(&blueprint.key).and_then(|job| job.marks());
                        prop_assert_eq!(
                            marks.map(|marks| &marks.spec),
                            Some(&blueprint.spec),
                            "{} begins before {}",
                            name,
                            needed
                        );
                        blueprint.key.clone()
                    }
                    None => JobKey::new("default", format!("out{}", &needed[1..])),
                };
                self.shown.get(&key).copied().flatten() == Some(Fate::Good)
            };
            prop_assert!(is_so, "{name} begins before {needed} is ready");
        }
        Ok(())
    }

    /// What is remembered is on the disk from here on.
    fn remember(&mut self, entry: Entry) -> Result<(), TestCaseError> {
        if let Entry::Step { name, memory, .. } = &entry {
            let begins = matches!(memory, Memory::Submitting { .. } | Memory::Launching(_));
            if begins && self.judge.begun.insert(name.clone()) {
                self.check_order(name)?;
                let has_failed = !self.judge.failed.is_empty();
                prop_assert!(
                    !has_failed || self.case.policy == "continue",
                    "{name} begins after {:?} failed",
                    self.judge.failed
                );
                let is_over = self.case.timeout.is_some_and(|minutes| {
                    self.now.since(self.began) >= Duration::from_mins(minutes)
                        && self.judge.memories_lost == 0
                });
                prop_assert!(!is_over, "{name} begins after the time is over");
            }
            if let Memory::Failed { .. } | Memory::Ended(Ended { is_good: false, .. }) = memory {
                self.judge.failed.insert(name.clone());
            }
        }
        self.memory.push(entry);
        Ok(())
    }

    /// The process ends here: what is under way is done or not.
    fn crash(&mut self, is_memory_lost: bool) -> Result<(), TestCaseError> {
        self.tell(format!("CRASH, memory lost: {is_memory_lost}"));
        for (name, act) in std::mem::take(&mut self.under_way) {
            if self.choice() % 2 == 1 {
                // Nobody hears of it.
                drop(self.perform(&name, &act)?);
            }
        }
        if is_memory_lost {
            self.memory.clear();
            self.has_beginning = false;
            let judge = &mut self.judge;
            judge.begun.clear();
            judge.failed.clear();
            judge.written.clear();
            judge.launches.clear();
            judge.memories_lost += 1;
        }
        self.judge.n_crashes += 1;
        self.watched.clear();
        self.news.clear();
        self.has_ended_before = self.memory.iter().any(|entry| matches!(entry, Entry::Ended { .. }));
        if !self.has_ended_before {
            self.shown.clear();
        }
        let memory = self.memory.clone();
        self.engine = Engine::tree(self.plan.clone(), place(), "default/shop".into(), memory, self.now);
        self.step(Event::Started)
    }

    /// One step of the engine, and what follows from it.
    fn step(&mut self, event: Event) -> Result<(), TestCaseError> {
        let is_prepared = matches!(event, Event::Prepared { .. });
        let is_tick = matches!(event, Event::Tick);
        let actions = self.engine.step(self.now, event);
        if is_tick && actions.is_empty() {
            let again = self.engine.next_timeout().filter(|at| *at <= self.now);
            prop_assert!(
                again.is_none(),
                "asks for {again:?} again and again: {:#?}",
                self.engine.status(self.now)
            );
        }
        if self.engine.next_timeout().is_some_and(|at| at > self.now) {
            // A tick for nothing changes nothing: no step was left asleep.
            let more = self.engine.clone().step(self.now, Event::Tick);
            prop_assert_eq!(more, Vec::new(), "a step was not brought up to date");
        }
        if is_prepared {
            self.check_deadlines()?;
        }
        let mut prepare = false;
        for action in actions {
            prop_assert!(self.judge.finishes.is_empty(), "{action:?} after the end");
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
                Action::Announce(_) => {}
                Action::Log(line) => self.tell(format!("    {line}")),
                Action::Remember(entry) => self.remember(entry)?,
                Action::Prepare => prepare = true,
                Action::Watch(jobs) => {
                    for key in jobs {
                        if self.watched.insert(key.clone()) {
                            self.news.insert(key);
                        }
                    }
                }
                Action::Act(name, act) => {
                    let is_second = self.under_way.iter().any(|(other, _)| *other == name);
                    prop_assert!(!is_second, "{name}: two acts under way: {act:?}");
                    self.tell(format!("    act {name}: {act:?}"));
                    self.under_way.push((name, act));
                }
                Action::Finish(outcome) => self.judge.finishes.push(outcome),
            }
        }
        if prepare {
            let is_same = std::mem::replace(&mut self.has_beginning, true);
            let blueprints = blueprints(&self.plan, &self.changed);
            self.step(Event::Prepared { blueprints, is_same })?;
        }
        Ok(())
    }

    /// What is remembered of a deadline is kept to.
    fn check_deadlines(&self) -> Result<(), TestCaseError> {
        let status = self.engine.status(self.now);
        let mut last = BTreeMap::new();
        for entry in &self.memory {
            if let Entry::Step { name, memory, .. } = entry {
                last.insert(name.clone(), memory);
            }
        }
        for (name, memory) in last {
            let (Memory::Submitting { deadline, .. } | Memory::Running { deadline, .. }) = memory else {
                continue;
            };
            let node = status.nodes.iter().find(|node| node.name == *name).unwrap();
            if let Some(gives_up) = node.gives_up {
                let late = gives_up.since(*deadline);
                prop_assert!(
                    gives_up == *deadline
                        || *deadline < self.now + Duration::from_secs(10)
                            && late <= self.now.since(*deadline) + Duration::from_secs(10),
                    "{name} gives up at {gives_up:?} instead of {deadline:?}"
                );
            }
        }
        Ok(())
    }

    /// At the end: what was said of it is so.
    fn check_end(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.judge.finishes.len(), 1);
        prop_assert_eq!(self.engine.next_timeout(), None);
        prop_assert_eq!(self.engine.step(self.now, Event::Tick), Vec::new());
        prop_assert_eq!(self.engine.step(self.now, Event::Stopped), Vec::new());
        let mut status = self.engine.status(self.now);
        if self.judge.finishes[0] == Outcome::Stopped {
            return Ok(());
        }
        if self.has_ended_before {
            // The process before has done it all, and only its last words were not heard.
            status.nodes = Box::default();
        }
        let blueprints = blueprints(&self.plan, &self.changed);
        let is_good = self.judge.finishes[0] == Outcome::Done;
        let failed: Vec<&str> = status
            .nodes
            .iter()
            .filter(|node| node.state == "failed")
            .map(|node| node.name.as_str())
            .collect();
        for node in &status.nodes {
            if node.state == "skipped" {
                let names_it = failed.iter().any(|failed| node.detail.contains(&format!("{failed} failed")));
                prop_assert!(
                    names_it || node.detail.contains("the run was not done within"),
                    "{} names no root cause: {}",
                    node.name,
                    node.detail
                );
            }
            prop_assert!(
                matches!(node.state, "satisfied" | "failed" | "skipped"),
                "{}: {}",
                node.name,
                node.state
            );
        }
        if is_good && !self.case.has_strangers {
            prop_assert!(failed.is_empty());
            for (name, blueprint) in &blueprints {
                if self.is_hook(name) {
                    continue;
                }
                let job = self.world.jobs.get(&blueprint.key);
                let spec = job.and_then(|job| job.marks()).map(|marks| &marks.spec);
                prop_assert_eq!(spec, Some(&blueprint.spec), "{} is not as it should be", name);
                let shown = self.shown.get(&blueprint.key).copied().flatten();
                prop_assert_eq!(shown, Some(Fate::Good), "{} is not ready", name);
            }
            for (name, hook) in &self.plan.manifest().tree.as_ref().unwrap().hooks {
                let was_touched = !self.is_untouched(&hook.of);
                let is_optional = hook.on_failure == OnHookFailure::Continue;
                prop_assert!(
                    !was_touched || is_optional || self.judge.ended_well.contains(name),
                    "{name} has not run"
                );
            }
        }
        if self.case.has_strangers {
            return Ok(());
        }
        let has_trouble = self.judge.errors > 4 || self.judge.n_steps > 1000;
        if !has_trouble && self.case.is_all_good() {
            prop_assert!(is_good, "it failed for nothing: {:?}", self.judge.finishes);
        }
        if self.case.policy == "continue"
            && !has_trouble
            && self.case.timeout.is_none()
            && self.judge.memories_lost == 0
        {
            for node in &status.nodes {
                let hook = self.plan.manifest().tree.as_ref().unwrap().hooks.get(&node.name);
                if hook
                    .is_some_and(|hook| hook.moment == Moment::Pre && !self.comes_up_but_for_itself(&hook.of))
                {
                    continue; // It ran before its job was lost, or not.
                }
                let expected = self.comes_up(&node.name);
                prop_assert_eq!(
                    node.state == "satisfied",
                    expected,
                    "{}: {}, {}",
                    &node.name,
                    node.state,
                    &node.detail
                );
            }
        }
        if self.case.policy == "cancel" && !is_good && !has_trouble {
            for (name, keys) in self.judge.written.iter().filter(|(name, _)| self.is_hook(name)) {
                for key in keys {
                    let runs_on = self
                        .world
                        .jobs
                        .get(key)
                        .is_some_and(|job| job.fate == Fate::Pending && !job.is_stopped());
                    // Of a dispatch whose answer was lost nobody knows the name, until the next run.
                    let is_known = !self.case.hook(name).is_dispatch
                        || self.judge.n_crashes == 0 && self.judge.errors == 0;
                    prop_assert!(!runs_on || !is_known || self.judge.memories_lost > 0, "{name} runs on");
                }
            }
        }
        Ok(())
    }

    /// Whether all that a job needs comes up, and it is not someone else's.
    fn comes_up_but_for_itself(&self, of: &str) -> bool {
        self.case.node(of).is_none_or(|node| !node.is_foreign)
            && self.plan.needs(of).iter().all(|needed| self.comes_up(needed))
    }

    /// Whether a step comes up where everything goes on that does not depend on something failed.
    fn comes_up(&self, name: &str) -> bool {
        let needs = self.plan.needs(name).iter().all(|needed| self.comes_up(needed));
        let good = |becomes: &Becomes| matches!(becomes, Becomes::Good(_) | Becomes::Flaky(_));
        needs
            && if self.is_hook(name) {
                let hook = &self.plan.manifest().tree.as_ref().unwrap().hooks[name];
                let case = self.case.hook(name);
                let attempts = usize::try_from(case.retries).unwrap() + 1;
                let is_there = |of: &str| self.case.node(of).is_none_or(|node| !node.is_foreign);
                let has_success = (0..attempts).any(|n| good(&case.becomes[n.min(case.becomes.len() - 1)]));
                is_there(&hook.of) && (case.is_optional || self.is_untouched(&hook.of) || has_success)
            } else {
                self.case.node(name).is_none_or(|node| {
                    !node.is_foreign && (good(&node.becomes) || self.is_untouched(name) && !node.is_wait)
                })
            }
    }
}

fn cluster_marks(name: &str, spec: &crate::cluster::SpecHash) -> crate::cluster::Marks {
    crate::cluster::Marks { tree: "default/shop".into(), node: name.to_owned(), spec: spec.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 3000,
        ..ProptestConfig::with_cases(600)
    })]

    /// Order, at most once, room, policies, root causes, one ending: at every crash point and with any news.
    #[test]
    fn a_tree_keeps_its_promises(case in case()) {
        let mut shell = Shell::new(&case);
        let result = shell.run().and_then(|()| shell.check_end());
        if let Err(error) = result {
            return Err(match error {
                TestCaseError::Fail(why) => TestCaseError::fail(format!("{why}\n{}", shell.judge.story.join("\n"))),
                other => other,
            });
        }
    }
}
