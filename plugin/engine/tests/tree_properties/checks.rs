//! What is written is judged at the moment when it is written, and so is what is remembered.

use super::*;

/// What was written, and what may be said of it.
#[derive(Default)]
pub(super) struct Judge {
    /// Of this memory: the steps that are being, or were, begun.
    pub(super) begun: BTreeSet<String>,
    /// Of this memory: the steps that have failed.
    pub(super) failed: BTreeSet<String>,
    /// Of this memory: written jobs of nodes and hooks.
    pub(super) written: BTreeMap<String, BTreeSet<JobKey>>,
    /// How often a job of a node was registered, ever.
    pub(super) registered: BTreeMap<String, usize>,
    /// Hooks that were shown to have ended well, ever.
    pub(super) ended_well: BTreeSet<String>,
    /// Those of them that were not given up, and not stopped: of one that ends in the moment in which it is given up only
    /// who remembers that it ran can know.
    pub(super) counts_for_all: BTreeSet<String>,
    /// Jobs that were ready at some time since they were written.
    pub(super) were_ready: BTreeSet<JobKey>,
    pub(super) launches: BTreeMap<String, u32>,
    /// All jobs that hooks have run as.
    pub(super) ran_as: BTreeSet<JobKey>,
    pub(super) finishes: Vec<Outcome>,
    pub(super) memories_lost: u32,
    pub(super) n_crashes: u32,
    pub(super) errors: u32,
    pub(super) n_steps: u32,
    pub(super) story: Vec<String>,
}

impl Shell<'_> {
    /// Does an act, and judges what it wrote. Between its look and its write another may land.
    pub(super) fn perform(
        &mut self,
        name: &str,
        act: &Act,
    ) -> Result<Result<Report, Trouble>, TestCaseError> {
        let look = self.world.look(name, act);
        self.another_moment()?;
        self.carry_out(name, act, look)
    }

    /// The second half of an act.
    pub(super) fn carry_out(
        &mut self,
        name: &str,
        act: &Act,
        look: Look,
    ) -> Result<Result<Report, Trouble>, TestCaseError> {
        let result = self.world.write(name, act, look);
        for written in std::mem::take(&mut self.world.written) {
            let key = match &written {
                Written::Job(_) => blueprints(&self.plan, &BTreeSet::new())[name].key.clone(),
                Written::Hook(_, job) => JobKey::new("default", job.as_str()),
                Written::Stop(_) => return Err(TestCaseError::fail(format!("a run stops {name}"))),
            };
            self.tell(format!("WRITTEN {written:?}"));
            prop_assert!(self.judge.begun.contains(name), "{name}: written, but not remembered before");
            let has_foreign = self.case.nodes.iter().any(|node| node.is_foreign);
            prop_assert!(
                !has_foreign || self.case.policy == "continue" || self.case.has_strangers,
                "{name} written, although a job is someone else's"
            );
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
                    let is_done = self.judge.counts_for_all.contains(name) && !self.case.has_strangers;
                    prop_assert!(!is_done, "{name} launched after a success");
                    let launches = self.judge.launches.entry(name.to_owned()).or_default();
                    *launches += 1;
                    let is_first = self.judge.ran_as.insert(key.clone());
                    prop_assert!(is_first || self.case.lands_after.is_none(), "{} runs again", key.job);
                    let is_enough = *launches <= 1 + hook.retries;
                    prop_assert!(is_enough || self.case.has_strangers, "{name} launched too often");
                    let attempts: usize = key.job.as_str().rsplit('-').next().unwrap().parse().unwrap();
                    hook.becomes[(attempts - 1).min(hook.becomes.len() - 1)]
                }
                Written::Stop(_) => Becomes::Hung,
            };
            self.judge.written.entry(name.to_owned()).or_default().insert(key.clone());
            self.expect(&key, becomes);
            self.check_room(name)?;
        }
        let touched = match act {
            Act::Submit { key, .. } | Act::Launch { key, .. } | Act::Retire { key, .. } => key.clone(),
            Act::Recall { .. }
            | Act::Fill { .. }
            | Act::Attest { .. }
            | Act::Tail { .. }
            | Act::Holders { .. }
            | Act::Hold { .. }
            | Act::LetGo { .. }
            | Act::Stop { .. }
            | Act::ReadOnce { .. }
            | Act::WriteOnce { .. } => return Ok(result),
        };
        if let Act::Retire { key, .. } = act {
            self.to_come.retain(|(_, of), _| of != key);
        }
        if self.watched.contains(&touched) {
            self.news.insert(touched);
        }
        Ok(result)
    }

    pub(super) fn is_hook(&self, name: &str) -> bool {
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
                let was_needless = hook.moment == Moment::Post
                    && self.is_untouched(hook.of.as_deref().unwrap_or_default())
                    && self.case.is_up;
                self.judge.ended_well.contains(needed) || was_needless || self.case.hook(needed).is_optional
            } else {
                let key = match blueprints.get(needed) {
                    Some(blueprint) => {
                        let marks = self.world.jobs.get(&blueprint.key).and_then(|job| job.marks());
                        let wanted = self.filled(needed).unwrap_or_else(|| blueprint.spec.clone());
                        prop_assert_eq!(
                            marks.map(|marks| &marks.spec),
                            Some(&wanted),
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
    pub(super) fn remember(&mut self, entry: Entry) -> Result<(), TestCaseError> {
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

    /// What is remembered of a deadline is kept to.
    pub(super) fn check_deadlines(&self) -> Result<(), TestCaseError> {
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
}
