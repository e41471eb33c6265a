//! Whatever happens to those who want a hook to run once, it runs once, and all of them hear the same.
//!
//! Several allocations follow one record in one world. A tape says whose turn it is and what becomes of it: answers come,
//! are lost, or are late; processes end, with their journal or without; allocations end for ever and leave an act behind
//! that is carried out at any later time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, test_runner::TestCaseError};

use super::{world::*, *};

#[derive(Clone, Debug)]
struct Case {
    n: usize,
    retries: u32,
    /// What each attempt comes to, and after how many seconds; `None`: it never ends.
    fates: Vec<Option<(bool, u64)>>,
    tape: Vec<u8>,
}

fn case() -> impl Strategy<Value = Case> {
    let fate = prop_oneof![
        5 => (any::<bool>(), 0_u64..40).prop_map(Some),
        1 => Just(None),
    ];
    let fates = prop::collection::vec(fate, 1..3);
    (2_usize..5, 0_u32..2, fates, prop::collection::vec(any::<u8>(), 0..250))
        .prop_map(|(n, retries, fates, tape)| Case { n, retries, fates, tape })
}

/// One allocation that wants the hook to run.
struct Part {
    engine: Engine,
    place: Place,
    memory: Vec<Entry>,
    under_way: Vec<(String, Act)>,
    watched: BTreeSet<JobKey>,
    news: BTreeSet<JobKey>,
    ending: Option<Outcome>,
    is_dead: bool,
}

struct Cluster {
    case: Case,
    plan: Plan,
    world: World,
    now: Time,
    parts: Vec<Part>,
    /// What the dead have asked for, and what nobody has carried out yet.
    floating: Vec<Act>,
    to_come: BTreeMap<(Time, JobKey), Fate>,
    launched: Vec<JobKey>,
    story: Vec<String>,
    at: usize,
    n_steps: u32,
}

impl Cluster {
    fn new(case: Case) -> Self {
        let plan = tree_plan(&json!({"hook": {"migrate": {"dispatch": "migrate", "once": "v7",
            "timeout": "2m", "retries": case.retries}}}));
        let now = Time::from_unix_millis(1_000_000);
        let parts = (0..case.n).map(|n| {
            let place = Place { alloc: format!("a{n}-1").as_str().into(), ..place() };
            Part {
                engine: Engine::tree(plan.clone(), place.clone(), "default/shop".into(), now),
                place,
                memory: Vec::new(),
                under_way: Vec::new(),
                watched: BTreeSet::new(),
                news: BTreeSet::new(),
                ending: None,
                is_dead: false,
            }
        });
        let parts = parts.collect();
        let world = World::default();
        let (floating, launched, story) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            case,
            plan,
            world,
            now,
            parts,
            floating,
            to_come: BTreeMap::new(),
            launched,
            story,
            at: 0,
            n_steps: 0,
        }
    }

    fn choice(&mut self) -> Option<u8> {
        self.at += 1;
        self.case.tape.get(self.at - 1).copied()
    }

    fn step(&mut self, n: usize, event: Event) {
        self.n_steps += 1;
        assert!(self.n_steps < 20_000, "it never ends");
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let part = &mut self.parts[n];
            if part.is_dead {
                return;
            }
            for action in part.engine.step(self.now, event) {
                match action {
                    Action::Announce(_) | Action::Notify(_) | Action::Ask(_) => {}
                    Action::Keep(_) | Action::KeepApprovals(_) | Action::Do(..) => {
                        panic!("no tree does this")
                    }
                    Action::Lead => {
                        let lead = Lead { entries: part.memory.clone(), note: None };
                        events.push(Event::Led(Ok(lead)));
                    }
                    Action::Log(line) => self.story.push(format!("{:?} {n}: {line}", self.now)),
                    Action::Remember(entry) => part.memory.push(entry),
                    Action::Prepare => {
                        let blueprints = blueprints(&self.plan, &BTreeSet::new());
                        let is_same = !part.memory.is_empty();
                        events.push(Event::Prepared { blueprints, is_same, run: "0000beef".into() });
                    }
                    Action::Watch(jobs) => {
                        part.news.extend(jobs.iter().cloned());
                        part.watched.extend(jobs);
                    }
                    Action::Act(name, act) => part.under_way.push((name, act)),
                    Action::Finish(outcome) => {
                        assert!(part.ending.is_none() || !part.memory.is_empty(), "ends twice");
                        part.ending = Some(outcome);
                    }
                }
            }
        }
    }

    /// Carries an act out.
    fn perform(&mut self, act: &Act) -> Result<Result<Report, Trouble>, TestCaseError> {
        let result = self.world.perform("migrate", act);
        self.story.push(format!("{:?} WORLD: {act:?} comes to {result:?}", self.now));
        for written in std::mem::take(&mut self.world.written) {
            let Written::Hook(_, job) = written else { continue };
            let key = self.world.jobs.keys().find(|key| key.job == job).cloned();
            let key = key.unwrap_or_else(|| {
                let found = self.world.jobs.keys().find(|key| key.job.as_str().ends_with(job.as_str()));
                found.unwrap().clone()
            });
            prop_assert!(!self.launched.contains(&key), "{key} was launched twice");
            // Only one may run at a time.
            for other in &self.launched {
                let is_over = self.world.jobs[other].is_stopped();
                prop_assert!(is_over, "{key} launched while {other} may run");
            }
            let attempt = self.launched.len();
            self.launched.push(key.clone());
            let fate = self.case.fates[attempt.min(self.case.fates.len() - 1)];
            if let Some((is_good, after)) = fate {
                let at = self.now + Duration::from_secs(after);
                self.to_come.insert((at, key.clone()), if is_good { Fate::Good } else { Fate::Bad });
            }
        }
        for part in &mut self.parts {
            part.news.extend(part.watched.iter().cloned());
        }
        Ok(result)
    }

    fn answer(&mut self, n: usize, is_done: bool, is_lost: bool) -> Result<(), TestCaseError> {
        if self.parts[n].under_way.is_empty() {
            return Ok(());
        }
        let (name, act) = self.parts[n].under_way.remove(0);
        let lost = Err(Trouble { why: "the answer was lost".to_owned(), is_transient: true });
        let result = if is_done {
            let result = self.perform(&act)?;
            if is_lost { lost } else { result }
        } else {
            // Its answer is given up, but it may still be carried out.
            self.floating.push(act);
            lost
        };
        self.step(n, Event::Acted(name, result));
        Ok(())
    }

    fn show(&mut self, n: usize) {
        let Some(key) = self.parts[n].news.pop_first() else { return };
        let sight = Arc::new(self.world.sight(&key));
        self.step(n, Event::Seen(key, sight));
    }

    fn crash(&mut self, n: usize, keeps_memory: bool) {
        self.story.push(format!("{:?} {n}: CRASH, keeps its memory: {keeps_memory}", self.now));
        let part = &mut self.parts[n];
        self.floating.extend(part.under_way.drain(..).map(|(_, act)| act));
        if !keeps_memory {
            part.memory.clear();
            // An allocation that comes in its place, for all that anybody knows.
            part.place.alloc = format!("{}x", part.place.alloc).as_str().into();
        }
        part.ending = None;
        part.watched.clear();
        let (plan, place) = (self.plan.clone(), part.place.clone());
        part.engine = Engine::tree(plan, place, "default/shop".into(), self.now);
        self.step(n, Event::Started);
    }

    fn land(&mut self, n: usize) -> Result<(), TestCaseError> {
        if self.floating.is_empty() {
            return Ok(());
        }
        let act = self.floating.remove(n % self.floating.len());
        self.perform(&act).map(drop)
    }

    fn pass_time(&mut self, until: Time) {
        loop {
            let live = || (0..self.parts.len()).filter(|n| !self.parts[*n].is_dead);
            let due = live().filter_map(|n| self.parts[n].engine.next_timeout().map(|at| (at, n))).min();
            let due = due.filter(|(at, _)| *at <= until);
            let fate = self.to_come.keys().next().cloned().filter(|(at, _)| *at <= until);
            match (due, fate) {
                (due, Some((at, key))) if due.is_none_or(|(due, _)| at <= due) => {
                    self.now = self.now.max(at);
                    let fate = self.to_come.remove(&(at, key.clone())).unwrap();
                    self.world.fare(&key, fate);
                    for part in &mut self.parts {
                        part.news.extend(part.watched.contains(&key).then(|| key.clone()));
                    }
                }
                (Some((at, n)), _) => {
                    assert!(at >= self.now, "a timeout in the past");
                    self.now = at;
                    self.step(n, Event::Tick);
                }
                (None, _) => break,
            }
        }
        self.now = self.now.max(until);
    }

    fn run(&mut self) -> Result<(), TestCaseError> {
        for n in 0..self.parts.len() {
            self.step(n, Event::Started);
        }
        while let Some(choice) = self.choice() {
            let n = usize::from(self.choice().unwrap_or_default()) % self.parts.len();
            match choice {
                0..=99 => self.answer(n, true, false)?,
                100..=119 => self.answer(n, true, true)?,
                120..=134 => self.answer(n, false, true)?,
                135..=179 => self.show(n),
                180..=204 => {
                    let until = self.now + Duration::from_secs(u64::from(self.choice().unwrap_or(1)) % 25);
                    self.pass_time(until);
                }
                205..=224 => self.land(n)?,
                225..=239 => self.crash(n, true),
                240..=249 => self.crash(n, false),
                250..=255 => {
                    let live = self.parts.iter().filter(|part| !part.is_dead).count();
                    if live > 1 && !self.parts[n].is_dead {
                        self.story.push(format!("{:?} {n}: DIES", self.now));
                        self.parts[n].is_dead = true;
                        let left = std::mem::take(&mut self.parts[n].under_way);
                        self.floating.extend(left.into_iter().map(|(_, act)| act));
                    }
                }
            }
        }
        self.settle()?;
        // What is late changes nothing any more.
        while !self.floating.is_empty() {
            self.land(0)?;
        }
        self.pass_time(self.now + Duration::from_mins(10));
        self.settle()
    }

    /// Everybody who lives comes to an end.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2000 {
            let open: Vec<usize> = (0..self.parts.len())
                .filter(|n| !self.parts[*n].is_dead && self.parts[*n].ending.is_none())
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            let mut is_idle = true;
            for n in open {
                while !self.parts[n].under_way.is_empty() {
                    is_idle = false;
                    self.answer(n, true, false)?;
                }
                while !self.parts[n].news.is_empty() {
                    is_idle = false;
                    self.show(n);
                }
            }
            if is_idle {
                let due = self.parts.iter().filter(|part| !part.is_dead);
                let due = due.filter_map(|part| part.engine.next_timeout());
                let due = due.chain(self.to_come.keys().map(|(at, _)| *at)).min();
                prop_assert!(due.is_some(), "nothing will ever happen");
                self.pass_time(due.unwrap_or(self.now));
            }
        }
        prop_assert!(false, "it never ends");
        Ok(())
    }

    /// What became of it, as each of them has heard.
    fn judge(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.launched.len() <= 1 + usize::try_from(self.case.retries).unwrap(), "too often");
        let outcomes: BTreeSet<String> = self
            .parts
            .iter()
            .filter(|part| !part.is_dead)
            .map(|part| {
                let ended = part.memory.iter().rev().find_map(|entry| match entry {
                    Entry::Step { memory: Memory::Ended(ended), .. } => Some(ended.clone()),
                    _ => None,
                });
                let ended = ended.unwrap();
                format!("{:?} {}", ended.outcome, ended.is_good)
            })
            .collect();
        prop_assert_eq!(outcomes.len(), 1, "they have heard different things: {:#?}", outcomes);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_runs_once_and_everybody_hears_the_same(case in case()) {
        let mut cluster = Cluster::new(case);
        let result = cluster.run().and_then(|()| cluster.judge());
        result.map_err(|error| {
            TestCaseError::fail(format!("{error}\n{}", cluster.story.join("\n")))
        })?;
    }
}
