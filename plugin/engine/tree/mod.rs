//! One run of a tree: jobs are submitted and hooks are run in the order of the plan.
//!
//! ```text
//!   Prepare ──▶ Prepared ──▶ steps ──▶ look at all jobs ──▶ begin what may begin ──▶ … ──▶ Finish
//! ```
//!
//! # Invariants
//!
//! * Nothing is written before every jobspec is prepared and every job was looked at once.
//! * A step begins only while all that it needs is satisfied, and while there is room for it.
//! * A step has at most one act under way, and an intent is remembered before its act.
//! * The run ends when no step can come any further and no act is under way. It ends well only if everything is
//!   satisfied at that instant.

mod agenda;
mod around;
mod attempt;
mod ending;
mod held;
mod hook;
mod job;
mod memory;
mod once;
mod report;
mod setup;
mod step;
mod wait;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use memory::{Cause, Due, Ended, Entry, HookOutcome, Memory, Submitted, Try};

use self::{
    agenda::{Agenda, wakes},
    around::Around,
    ending::Halt,
    step::{Acting, Out, Step, Work},
};
use super::{
    Action, Event, NodeState, Outcome, Report, Time, Trouble,
    announce::Announcer,
    scene::{Scene, asks_for_checks},
};
use crate::{
    cluster::{JobKey, Place, RunId, Sight, TreeName, digest},
    manifest,
    plan::Plan,
};

/// How long preparing may be tried in vain.
const PREPARE_LIMIT: Duration = Duration::from_mins(5);
/// How long a new process may look before a time limit of the one before counts: what happened in between is seen first.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How long a stopped run may take to stop its hooks: Nomad gives a task five seconds.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// A run of a tree.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    plan: Plan,
    name: TreeName,
    /// The run that this is, once it is prepared: whoever goes on with it elsewhere is the same run.
    run: Option<RunId>,
    scene: Scene,
    began: Time,
    /// Whether that is remembered.
    has_begun: bool,
    /// When the whole run's time is over.
    deadline: Option<Time>,
    phase: Phase,
    /// What an earlier process remembered, until it is taken up.
    remembered: BTreeMap<String, (Time, Memory)>,
    /// How the run ended in an earlier process, whose last words Nomad has not heard.
    ended_before: Option<(Outcome, String)>,
    steps: BTreeMap<String, Step>,
    /// The steps to bring up to date when a step has changed.
    wakes: BTreeMap<String, BTreeSet<String>>,
    /// The steps that a job is shown to.
    watchers: BTreeMap<JobKey, BTreeSet<String>>,
    /// Whether every job was looked at once.
    has_looked: bool,
    halt: Option<Halt>,
    /// Why nothing can be written down.
    hindered: Option<String>,
    announcer: Announcer,
    /// How often a step has come into another state.
    n_changes: u64,
    ending: Option<String>,
}

#[derive(Clone, Debug)]
enum Phase {
    Preparing(Acting, Time),
    Running,
    /// Nomad stops the task, and the hooks of a stopped job are being stopped.
    Stopping(Time),
}

impl Tree {
    pub(super) fn new(plan: Plan, place: Place, name: TreeName, remembers: Vec<Entry>, now: Time) -> Self {
        let mut ended_before = None;
        let (mut began, mut has_begun) = (now, false);
        let mut remembered = BTreeMap::new();
        for entry in remembers {
            match entry {
                Entry::Began { at } => (began, has_begun) = (at, true),
                Entry::Step { name, at, memory } => {
                    remembered.insert(name, (at, memory));
                }
                Entry::Ended { is_good: true, message, .. } => ended_before = Some((Outcome::Done, message)),
                Entry::Ended { is_good: false, message, .. } => {
                    ended_before = Some((Outcome::Failed(message.clone()), message));
                }
            }
        }
        let steps = plan.order().iter().enumerate().map(|(position, name)| {
            let state = NodeState::Blocked { why: "its jobspec is being prepared".to_owned() };
            let step = Step { name: name.clone(), position, state, since: now, work: Work::Unprepared };
            (name.clone(), step)
        });
        let steps = steps.collect();
        let timeout = plan.manifest().tree.as_ref().and_then(|tree| tree.timeout);
        Self {
            wakes: wakes(&plan),
            plan,
            name,
            run: None,
            scene: Scene::new(place),
            began,
            has_begun,
            deadline: timeout.map(|timeout| began + timeout),
            phase: Phase::Preparing(Acting::default(), now + PREPARE_LIMIT),
            remembered,
            ended_before,
            steps,
            watchers: BTreeMap::new(),
            has_looked: false,
            halt: None,
            hindered: None,
            announcer: Announcer::new(now),
            n_changes: 0,
            ending: None,
        }
    }

    pub(super) fn step(&mut self, now: Time, event: Event) -> Vec<Action> {
        if self.ending.is_some() {
            return Vec::new();
        }
        let mut out = Out::default();
        let mut agenda = Agenda::default();
        match event {
            Event::Started => {
                if let Some((outcome, message)) = self.ended_before.take() {
                    return self.close(outcome, message);
                }
            }
            Event::Seen(job, sight) => {
                self.scene.see(job.clone(), sight);
                let concerned = self.watchers.get(&job).into_iter().flatten();
                agenda.add(concerned.filter_map(|name| self.steps.get(name)));
            }
            Event::Checked(checks) => {
                self.scene.check(checks);
                agenda.add(self.steps.values());
            }
            Event::Prepared { blueprints, is_same, run } => {
                self.run.get_or_insert(run);
                self.set_up(now, blueprints, is_same, &mut out);
                agenda.add(self.steps.values());
            }
            Event::Unprepared(trouble) => {
                if let Some(actions) = self.unprepared(now, trouble) {
                    return actions;
                }
            }
            Event::Acted(name, result) => self.acted(now, &name, result, &mut out, &mut agenda),
            Event::Hindered(why) => {
                self.hindered = why;
                out.log(match self.hindered_note() {
                    Some(note) => note,
                    None => "the journal can be written again".to_owned(),
                });
            }
            Event::Opened { .. } => out.log("a tree cannot be opened by hand".to_owned()),
            Event::Stopped => {
                if let Some(actions) = self.stop(now) {
                    return actions;
                }
                agenda.add(self.steps.values());
            }
            Event::Tick => agenda.add(self.steps.values()),
        }
        self.check_time(now, &mut agenda);
        self.advance(now, agenda, &mut out);
        if !self.has_looked && self.is_set_up() && self.has_seen_all() {
            // Only now, when each has said how it stands: a job that is not the tree's, or a step that failed in an
            // earlier process, comes before anything that could be begun.
            self.has_looked = true;
            let mut agenda = Agenda::default();
            agenda.add(self.steps.values());
            self.advance(now, agenda, &mut out);
        }
        if let Some(ending) = self.end(now) {
            out.actions.extend(ending);
        } else {
            self.prepare(now, &mut out);
            out.actions.extend(self.announce(now));
        }
        out.actions
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        if self.ending.is_some() {
            return None;
        }
        let steps = self.steps.values().filter_map(Step::next_timeout);
        let phase = match &self.phase {
            Phase::Preparing(acting, _) if acting.is_under_way() => [None, None],
            Phase::Preparing(acting, deadline) => [acting.next_timeout(), Some(*deadline)],
            Phase::Running => [None, None],
            Phase::Stopping(deadline) => [Some(*deadline), None],
        };
        let is_cancelled = self.halt.as_ref().is_some_and(|halt| halt.is_cancel);
        let deadline = self.deadline.filter(|_| self.is_set_up() && !is_cancelled);
        steps
            .chain(phase.into_iter().flatten())
            .chain(deadline)
            .chain(self.announcer.due(&self.topic(), !self.has_looked))
            .min()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ending.is_some()
    }

    pub(super) fn wants_checks(&self) -> bool {
        self.ending.is_none() && self.plan.manifest().waits.values().any(|wait| asks_for_checks(wait))
    }

    /// Whether every job whose turn is still to come was seen, or will not be waited for; and the rest was looked for.
    fn has_seen_all(&self) -> bool {
        self.watchers.keys().all(|job| !self.scene.is_looking_at(job))
            && self.steps.values().all(|step| match &step.work {
                Work::Job(job) if job.is_undecided() && !step.state.is_lost() => {
                    !matches!(*self.scene.sight_of(&job.blueprint.key), Sight::Unseen(_))
                }
                Work::Job(_) | Work::Hook(_) | Work::Wait(_) | Work::Unprepared => true,
            })
    }

    /// What tells this run from others of the same tree, also when they begin at the same instant. A run of hooks only
    /// is that of one task in one allocation; one with jobs goes on in another.
    fn run_name(&self) -> String {
        let run = self.run.as_ref().map_or("", RunId::as_str);
        let Place { alloc, task, .. } = &self.scene.place;
        let began = self.began.unix_millis().to_string();
        let own = [alloc.as_str(), &began].into_iter().filter(|_| !self.has_jobs());
        digest([run, task].into_iter().chain(own))
    }

    /// Whether it has jobs, and not only hooks.
    fn has_jobs(&self) -> bool {
        self.blocks().is_some_and(|tree| !tree.jobs.is_empty())
    }

    fn is_set_up(&self) -> bool {
        !matches!(self.phase, Phase::Preparing(..))
    }

    fn blocks(&self) -> Option<&manifest::Tree> {
        self.plan.manifest().tree.as_deref()
    }

    fn acted(
        &mut self,
        now: Time,
        name: &str,
        result: Result<Report, Trouble>,
        out: &mut Out,
        agenda: &mut Agenda,
    ) {
        let Some(step) = self.steps.get_mut(name) else { return };
        let was_busy = step.is_busy();
        match &mut step.work {
            Work::Job(job) => job.acted(now, name, result, out),
            Work::Hook(hook) => {
                hook.acted(now, name, result, out);
                if let Some(job) = hook.running() {
                    self.watchers.entry(job.clone()).or_default().insert(name.to_owned());
                }
            }
            Work::Unprepared | Work::Wait(_) => {}
        }
        let (is_free, has_failed) = (was_busy && !step.is_busy(), step.has_failed());
        agenda.add(self.steps.get(name));
        if has_failed && self.halt_after(name) {
            // Before anything else takes the place that has become free.
            agenda.add(self.steps.values());
        } else if is_free {
            agenda.add(self.blocked());
        }
        // Also without a change of state: a result that stands, a rollout that is known.
        let woken = self.wakes.get(name).into_iter().flatten();
        agenda.add(woken.filter_map(|name| self.steps.get(name)));
    }

    /// The steps that may be waiting for room.
    fn blocked(&self) -> impl Iterator<Item = &Step> {
        self.steps.values().filter(|step| matches!(step.state, NodeState::Blocked { .. }))
    }

    /// Brings steps up to date until nothing changes any more.
    fn advance(&mut self, now: Time, mut agenda: Agenda, out: &mut Out) {
        if !self.is_set_up() {
            return;
        }
        while let Some(name) = agenda.next() {
            let Some(mut step) = self.steps.remove(&name) else { continue };
            let was_busy = step.is_busy();
            let around = Around {
                tree: self,
                scene: &self.scene,
                halt: self.halt.as_ref(),
                has_looked: self.has_looked,
            };
            let state = match &mut step.work {
                Work::Unprepared => step.state.clone(),
                Work::Wait(wait) => wait.advance(now, &name, &around, out),
                Work::Job(job) => job.advance(now, &name, &around, out),
                Work::Hook(hook) => hook.advance(now, &name, &around, out),
            };
            let has_changed = state != step.state;
            let is_free = was_busy && !step.is_busy();
            if has_changed {
                if state.word() != step.state.word() {
                    self.n_changes += 1;
                    step.since = now;
                }
                step.state = state;
                out.log(format!("{name}: {}: {}", step.state.word(), step.state.detail()));
            }
            let has_failed = has_changed && matches!(step.state, NodeState::Failed { .. });
            self.steps.insert(name.clone(), step);
            if has_failed && self.halt_after(&name) {
                agenda.add(self.steps.values());
                continue;
            }
            if is_free {
                agenda.add(self.blocked());
            }
            if has_changed || is_free {
                let woken = self.wakes.get(&name).into_iter().flatten();
                agenda.add(woken.filter_map(|name| self.steps.get(name)));
            }
        }
    }
}
