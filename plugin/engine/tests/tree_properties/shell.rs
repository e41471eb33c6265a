//! The shell: performs what a step of the engine asks for, keeps what is to be remembered, dies and comes back.

use super::{checks::Judge, *};

/// An act that is under way, and that nobody waits for any more.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) name: String,
    pub(super) act: Act,
    /// What it has found, if it has looked.
    pub(super) look: Option<Look>,
    /// Whether its step was given up then.
    pub(super) is_given_up: bool,
}

/// One run of a case, and what it did.
pub(super) struct Shell<'a> {
    pub(super) case: &'a Case,
    pub(super) plan: Plan,
    pub(super) engine: Engine,
    pub(super) world: World,
    pub(super) changed: BTreeSet<String>,
    pub(super) now: Time,
    pub(super) began: Time,
    pub(super) tape: std::slice::Iter<'a, u8>,
    pub(super) crashes: std::slice::Iter<'a, (u8, bool)>,
    pub(super) until_crash: Option<(u8, bool)>,
    pub(super) memory: Vec<Entry>,
    pub(super) has_beginning: bool,
    pub(super) has_ended_before: bool,
    /// Acts that were begun and not answered.
    pub(super) under_way: Vec<(String, Act)>,
    /// One that nobody waits for any more.
    pub(super) late: Option<Late>,
    /// After how many moves it lands.
    pub(super) lands_after: Option<u8>,
    pub(super) watched: BTreeSet<JobKey>,
    /// What is not shown yet.
    pub(super) news: BTreeSet<JobKey>,
    /// What was shown last.
    pub(super) shown: BTreeMap<JobKey, Option<Fate>>,
    /// What will become of jobs, and when.
    pub(super) to_come: BTreeMap<(Time, JobKey), Fate>,
    pub(super) judge: Judge,
}

impl<'a> Shell<'a> {
    pub(super) fn new(case: &'a Case) -> Self {
        let plan = tree_plan(&case.config());
        let now = Time::from_unix_millis(1_000_000);
        let engine = Engine::tree(plan.clone(), place(), "default/shop".into(), now);
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
            late: None,
            lands_after: case.lands_after,
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
                let mut spec = blueprints[&name].spec.clone();
                if !node.is_changed {
                    spec = self.filled(&name).unwrap_or(spec);
                }
                let marks = cluster_marks(&name, &spec);
                let submit = Act::Submit { key: key.clone(), marks, may_adopt: false, is_new: false };
                let Ok(Report::Submitted(submission)) = self.world.perform(&name, &submit) else { panic!() };
                self.world.fare(key, Fate::Good);
                let done = crate::condition::Attested {
                    create_index: submission.create_index,
                    version: submission.version,
                    spec,
                };
                self.world
                    .perform(&name, &Act::Attest { key: key.clone(), done, hooks: BTreeMap::new() })
                    .unwrap();
                if node.is_changed {
                    self.changed.insert(name);
                }
            }
        }
        self.world.written.clear();
    }

    /// The hash of a node that takes something from others, with all filled in.
    pub(super) fn filled(&self, name: &str) -> Option<SpecHash> {
        let takes = self.plan.references(name);
        if takes.is_empty() {
            return None;
        }
        let (known, wanted): (BTreeSet<_>, BTreeSet<_>) =
            takes.into_iter().partition(|reference| reference.output == "id");
        let known = known.into_iter().map(|reference| (reference.clone(), reference.node)).collect();
        match self.world.clone().perform(name, &Act::Fill { wanted, known }) {
            Ok(Report::Filled(filled)) => Some(filled.spec),
            other => panic!("{other:?}"),
        }
    }

    /// Whether this job is as it should be since before the run.
    pub(super) fn is_untouched(&self, name: &str) -> bool {
        self.case.is_up
            && self.case.node(name).is_some_and(|node| !node.is_wait && !node.is_foreign && !node.is_changed)
    }

    pub(super) fn expect(&mut self, key: &JobKey, becomes: Becomes) {
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

    pub(super) fn choice(&mut self) -> u8 {
        self.tape.next().copied().unwrap_or(0)
    }

    pub(super) fn tell(&mut self, line: impl std::fmt::Display) {
        let at = Spoken(self.now.since(self.began));
        self.judge.story.push(format!("{at}: {line}"));
    }

    /// The process ends here: what is under way is done or not.
    pub(super) fn crash(&mut self, is_memory_lost: bool) -> Result<(), TestCaseError> {
        self.tell(format!("CRASH, memory lost: {is_memory_lost}"));
        for (name, act) in std::mem::take(&mut self.under_way) {
            match self.choice() % 4 {
                0 => {}
                2 => self.becomes_late(&name, &act),
                // Nobody hears of it.
                _ => drop(self.perform(&name, &act)?),
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
        self.engine = Engine::tree(self.plan.clone(), place(), "default/shop".into(), self.now);
        self.step(Event::Started)
    }

    /// One step of the engine, and what follows from it.
    pub(super) fn step(&mut self, event: Event) -> Result<(), TestCaseError> {
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
        let (mut lead, mut prepare) = (false, false);
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
                Action::Announce(_) | Action::Notify(_) | Action::Ask(_) => {}
                Action::Keep(_) | Action::KeepApprovals(_) | Action::Do(..) => panic!("no tree does this"),
                Action::Log(line) => self.tell(format!("    {line}")),
                Action::Remember(entry) => self.remember(entry)?,
                Action::Lead => lead = true,
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
        if lead {
            let lead = Lead { entries: self.memory.clone(), note: None };
            return self.step(Event::Led(Ok(lead)));
        }
        if prepare {
            let is_same = std::mem::replace(&mut self.has_beginning, true);
            let blueprints = blueprints(&self.plan, &self.changed);
            self.step(Event::Prepared { blueprints, is_same, run: "0000beef".into() })?;
        }
        Ok(())
    }
}

fn cluster_marks(name: &str, spec: &SpecHash) -> Marks {
    Marks { tree: "default/shop".into(), node: name.to_owned(), spec: spec.clone() }
}
