//! Carries out a plan: `step(now, event) → actions`.
//!
//! ```text
//!   Started, Seen, Checked, Opened, Stopped, Tick ──▶ step ──▶ Announce, Log, … Finish (once)
//!                                                      │
//!                                   next_timeout ◀─────┘  when to come back if nothing happens
//! ```
//!
//! # Invariants
//!
//! * A gate opens only while every step is satisfied, all at the same instant, on what is seen at that instant: what
//!   cannot be seen any more is not satisfied.
//! * [`Action::Finish`] is returned exactly once, and nothing after it.
//! * The same events at the same times give the same actions.

mod announce;
mod node;
mod status;
mod time;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub use node::NodeState;
pub use status::{NodeStatus, Status};
pub(crate) use time::Spoken;
pub use time::Time;

use self::{
    announce::Announcer,
    node::{Evidence, Node},
};
use crate::{
    cluster::{Blindness, Check, JobKey, Place, Sight, Unseen},
    condition::{self, Standing},
    manifest::{OnTimeout, Subject, Until, Wait},
    plan::Plan,
};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run begins, or goes on in a new process.
    Started,
    /// This is what is seen of a job now.
    Seen(JobKey, Arc<Sight>),
    /// The checks of the own allocation have these results now.
    Checked(Vec<Check>),
    /// A user opens the gate by hand.
    Opened {
        /// Why, in the user's words.
        reason: String,
    },
    /// Nomad stops the task.
    Stopped,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell the user in a task event.
    Announce(String),
    /// Write a line into the task's log.
    Log(String),
    /// The run is over.
    Finish(Outcome),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The gate opens.
    Opened,
    /// The gate fails: what was wanted, what stood in the way, what to do.
    Failed(String),
    /// Nomad stopped the task.
    Stopped,
}

/// The instant at which each step's time is over, for a run that begins at `began`.
///
/// Made once, when the task starts, and kept in the task's handle: a recovered run has the same instants.
pub fn deadlines(plan: &Plan, began: Time) -> BTreeMap<String, Time> {
    plan.manifest().waits.iter().map(|(name, wait)| (name.clone(), began + wait.timeout)).collect()
}

/// One run of a gate.
#[derive(Clone, Debug)]
pub struct Engine {
    plan: Plan,
    place: Place,
    began: Time,
    last_deadline: Time,
    /// Boxed, because a map makes room for eleven at once and most gates have one.
    nodes: BTreeMap<String, Box<Node>>,
    sights: BTreeMap<JobKey, Arc<Sight>>,
    checks: Option<Vec<Check>>,
    standing: Standing,
    announcer: Announcer,
    ending: Option<String>,
}

impl Engine {
    /// A run that begins, or goes on, at `now`. Steps that `deadlines` does not name are over at once.
    pub fn new(plan: Plan, place: Place, deadlines: &BTreeMap<String, Time>, now: Time) -> Self {
        let nodes: BTreeMap<String, Box<Node>> = plan
            .order()
            .iter()
            .map(|name| {
                let deadline = deadlines.get(name).copied().unwrap_or(now);
                (name.clone(), Box::new(Node::new(now, deadline)))
            })
            .collect();
        Self {
            last_deadline: nodes.values().map(|node| node.deadline).max().unwrap_or(now),
            plan,
            place,
            began: now,
            nodes,
            sights: BTreeMap::new(),
            checks: None,
            standing: Standing::Looking,
            announcer: Announcer::new(now),
            ending: None,
        }
    }

    /// Takes an event in, at `now`, and says what is to be done about it.
    pub fn step(&mut self, now: Time, event: Event) -> Vec<Action> {
        if self.ending.is_some() {
            return Vec::new();
        }
        match event {
            Event::Opened { reason } => {
                return self.finish(Outcome::Opened, format!("opened by hand: {reason}"));
            }
            Event::Stopped => {
                return self.finish(Outcome::Stopped, format!("stopped; {}", self.summary(now)));
            }
            Event::Seen(job, sight) => {
                self.sights.insert(job, sight);
            }
            Event::Checked(checks) => self.checks = Some(checks),
            Event::Started | Event::Tick => {}
        }

        let was = self.standing.clone();
        self.standing = condition::standing(&self.place, &self.own_sight(), self.longest());
        if let Standing::Misplaced(why) = &self.standing {
            let why = format!("this gate would hold nothing back: {why}");
            return self.finish(Outcome::Failed(why.clone()), why);
        }
        let mut actions = Vec::new();
        if was != self.standing {
            actions.extend(self.notes().into_iter().map(Action::Log));
        }
        for name in self.plan.order().to_vec() {
            if let Some(line) = self.judge(now, &name) {
                actions.push(Action::Log(line));
            }
        }

        let failed = self.nodes.iter().find_map(|(name, node)| match &node.state {
            NodeState::Failed { why } => Some((name.clone(), why.clone())),
            NodeState::Blocked { .. } | NodeState::Gated { .. } | NodeState::Satisfied { .. } => None,
        });
        if let Some((name, why)) = failed {
            let message = self.failure(&name, &why);
            actions.extend(self.finish(Outcome::Failed(message.clone()), message));
        } else if self.is_open(now) {
            let waited = Spoken(now.since(self.began));
            let how = self.describe(now, |_| true);
            actions.extend(self.finish(Outcome::Opened, format!("open after {waited}: {how}")));
        } else if self.last_deadline <= now {
            let message = "wanted to know where it stands before it opens, but its own job could not be seen in time; \
                           check that the Nomad agent is up: `nomad server members`";
            actions.extend(self.finish(Outcome::Failed(message.to_owned()), message.to_owned()));
        } else {
            actions.extend(self.announce(now));
        }
        actions
    }

    /// When [`Event::Tick`] is due if nothing else happens before.
    pub fn next_timeout(&self) -> Option<Time> {
        if self.ending.is_some() {
            return None;
        }
        let waiting = self.nodes.values().filter(|node| !node.state.is_satisfied());
        waiting
            .flat_map(|node| [Some(node.effective_deadline(self.last_deadline)), node.believed_at()])
            .flatten()
            .chain(self.standing.is_undecided().then_some(self.last_deadline))
            .chain(self.announcer.due(&self.topic(), self.is_looking()))
            .min()
    }

    /// Whether the checks of the own allocation are needed to go on.
    pub fn wants_checks(&self) -> bool {
        self.ending.is_none()
            && self.plan.manifest().waits.values().any(|wait| match wait.subject {
                Subject::Task { .. } => matches!(wait.until, None | Some(Until::Healthy)),
                Subject::Job { .. } => false,
            })
    }

    /// How the run stands at `now`.
    pub fn status(&self, now: Time) -> Status {
        let nodes = self.steps().map(|(name, wait, node)| NodeStatus {
            name: name.to_owned(),
            wanted: self.wanted(wait),
            state: node.state.word(),
            detail: node.state.detail(),
            since: node.since,
            gives_up: (!node.state.is_satisfied()).then(|| node.effective_deadline(self.last_deadline)),
            on_timeout: wait.on_timeout.word(),
            depends_on: wait.depends_on.clone(),
            hint: self.hint(wait),
        });
        Status {
            now,
            began: self.began,
            task: format!("{}/{}/{}", self.place.job.job, self.place.group, self.place.task),
            alloc: self.place.alloc.short().to_owned(),
            nodes: nodes.collect(),
            notes: self.notes(),
            ending: self.ending.clone(),
        }
    }

    /// Brings one step up to date; a line for the log if that changed anything.
    fn judge(&mut self, now: Time, name: &str) -> Option<String> {
        let wait = self.plan.manifest().waits.get(name)?;
        let node = self.nodes.get(name)?;
        let sight = match wait.subject.job(&self.place) {
            Some(job) => self.sight_of(&job),
            None => self.own_sight(),
        };
        let is_seen = !matches!(*sight, Sight::Unseen(_));
        let is_present = matches!(*sight, Sight::Present(_));
        let verdict = match &wait.subject {
            Subject::Job { .. } => condition::judge(wait, &sight, node.was_seen),
            Subject::Task { task } => {
                condition::judge_task(wait, task, &self.place, &sight, self.checks.as_deref())
            }
        };
        let is_missing =
            |needed: &&String| self.nodes.get(*needed).is_none_or(|needed| !needed.state.is_satisfied());
        let evidence = Evidence {
            wait,
            missing: wait.depends_on.iter().filter(is_missing).cloned().collect(),
            verdict,
            is_seen,
            last_deadline: self.last_deadline,
        };
        let node = self.nodes.get_mut(name)?;
        let has_changed = node.judge(now, evidence);
        node.was_seen |= is_present;
        has_changed.then(|| format!("{name}: {}: {}", node.state.word(), node.state.detail()))
    }

    /// Whether everything holds at this instant.
    ///
    /// Where the task stands must be known too, unless the time is over and every wait says to go on then.
    fn is_open(&self, now: Time) -> bool {
        let goes_on = self.last_deadline <= now
            && self.plan.manifest().waits.values().all(|wait| wait.on_timeout == OnTimeout::Continue);
        (goes_on || !self.standing.is_undecided())
            && self.nodes.values().all(|node| node.state.is_satisfied())
    }

    fn finish(&mut self, outcome: Outcome, message: String) -> Vec<Action> {
        self.ending = Some(message.clone());
        // Nobody looks any more; others may share these.
        self.sights.clear();
        vec![Action::Log(message.clone()), Action::Announce(message), Action::Finish(outcome)]
    }

    fn announce(&mut self, now: Time) -> Option<Action> {
        let topic = self.topic();
        let due = self.announcer.due(&topic, self.is_looking())?;
        if now < due {
            return None;
        }
        let is_first = self.announcer.is_first();
        self.announcer.tell(now, topic);
        let mut message = self.describe(now, |node| !node.state.is_satisfied());
        if is_first {
            for note in self.notes() {
                message = format!("{message} | {note}");
            }
        }
        Some(Action::Announce(message))
    }

    /// What an event would be about, without anything that changes by the clock alone.
    fn topic(&self) -> String {
        let parts: Vec<String> =
            self.nodes.iter().map(|(name, node)| format!("{name}: {}", node.state.detail())).collect();
        parts.join("\n")
    }

    /// The chosen steps in one line: `postgres: deployment 7c41f0ab, 1 of 2 healthy; gives up in 4m 10s | …`.
    fn describe(&self, now: Time, which: impl Fn(&Node) -> bool) -> String {
        let parts: Vec<String> = self
            .steps()
            .filter(|(_, _, node)| which(node))
            .map(|(name, wait, node)| {
                let deadline = node.effective_deadline(self.last_deadline);
                let left = Spoken(deadline.since(now));
                let end = match wait.on_timeout {
                    OnTimeout::Fail => "gives up",
                    OnTimeout::Continue => "goes on without it",
                };
                let detail = node.state.detail();
                if node.state.is_satisfied() {
                    format!("{name}: {detail}")
                } else {
                    format!("{name}: {detail}; {end} in {left}")
                }
            })
            .collect();
        parts.join(" | ")
    }

    /// What was wanted, what stands in the way, what to do.
    fn failure(&self, name: &str, why: &str) -> String {
        let Some(wait) = self.plan.manifest().waits.get(name) else { return why.to_owned() };
        let hint = self.hint(wait).map_or_else(String::new, |hint| format!("; {hint}"));
        format!("{name}: wanted {}, but {why}{hint}", self.wanted(wait))
    }

    fn summary(&self, now: Time) -> String {
        let open = self.nodes.values().filter(|node| !node.state.is_satisfied()).count();
        format!("{open} of {} still awaited after {}", self.nodes.len(), Spoken(now.since(self.began)))
    }

    /// What is awaited, for people: `job default/postgres until healthy`.
    fn wanted(&self, wait: &Wait) -> String {
        let sight = wait.subject.job(&self.place).map(|job| self.sight_of(&job));
        let until = match (wait.until, sight.as_deref()) {
            (Some(until), _) => format!(" {until}"),
            (None, Some(Sight::Present(sight))) => format!(" {}", condition::default_until(sight.job.kind)),
            (None, _) => " ready".to_owned(),
        };
        match &wait.subject {
            Subject::Job { job, namespace, group } => {
                let namespace =
                    namespace.as_ref().filter(|namespace| **namespace != self.place.job.namespace);
                let namespace = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
                let group = group.as_ref().map_or_else(String::new, |group| format!(", group {group},"));
                format!("job {namespace}{job}{group}{until}")
            }
            Subject::Task { task } => format!("task {task}{until}"),
        }
    }

    /// What the user can do to see more, or to help.
    fn hint(&self, wait: &Wait) -> Option<String> {
        let job = wait.subject.job(&self.place);
        let Some(job) = job else {
            return Some(format!("look with `nomad alloc status {}`", self.place.alloc.short()));
        };
        let in_namespace = if job.namespace.as_str() == "default" {
            String::new()
        } else {
            format!("-namespace {} ", job.namespace)
        };
        match self.sight_of(&job).as_ref() {
            Sight::Unseen(_) => None, // What is in the way says what to do.
            Sight::Absent { .. } => Some(format!("register it with `nomad job run {in_namespace}FILE`")),
            Sight::Present(_) => Some(format!("look with `nomad job status {in_namespace}{}`", job.job)),
        }
    }

    fn notes(&self) -> Vec<String> {
        match &self.standing {
            Standing::Unknown(_) => vec![
                "its own job cannot be read, so it cannot tell whether it stands where Nomad waits for it"
                    .to_owned(),
            ],
            Standing::Good(Some(note)) => vec![note.clone()],
            Standing::Good(None) | Standing::Looking | Standing::Misplaced(_) => Vec::new(),
        }
    }

    /// The steps in the order of the plan, with what the user wrote.
    fn steps(&self) -> impl Iterator<Item = (&str, &Wait, &Node)> {
        self.plan.order().iter().filter_map(|name| {
            let wait: &Wait = self.plan.manifest().waits.get(name)?;
            let node: &Node = self.nodes.get(name)?;
            Some((name.as_str(), wait, node))
        })
    }

    fn sight_of(&self, job: &JobKey) -> Arc<Sight> {
        self.sights.get(job).cloned().unwrap_or_else(|| Arc::new(Sight::Unseen(not_looked())))
    }

    fn own_sight(&self) -> Arc<Sight> {
        self.sight_of(&self.place.job)
    }

    /// Whether some first look is still under way.
    fn is_looking(&self) -> bool {
        let subjects: BTreeSet<JobKey> = self.plan.subjects(&self.place);
        subjects.iter().any(|job| match self.sight_of(job).as_ref() {
            Sight::Unseen(unseen) => unseen.because == Blindness::Looking,
            Sight::Absent { .. } | Sight::Present(_) => false,
        })
    }

    fn longest(&self) -> Duration {
        self.plan.manifest().waits.values().map(|wait| wait.timeout).max().unwrap_or_default()
    }
}

fn not_looked() -> Unseen {
    Unseen { because: Blindness::Looking, why: "looking at Nomad".to_owned(), hint: None }
}

#[cfg(test)]
mod tests;
