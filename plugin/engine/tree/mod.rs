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

mod hook;
mod job;
mod memory;
mod report;
mod step;
mod wait;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use memory::{Cause, Due, Ended, Entry, Memory, Submitted, Try};

use self::{
    hook::HookStep,
    job::JobStep,
    step::{Acting, Out, Step, Work},
    wait::WaitStep,
};
use super::{
    Action, Event, NodeState, Outcome, Report, Time, Trouble,
    announce::Announcer,
    node::waits_for,
    scene::{Scene, asks_for_checks},
    time::Spoken,
};
use crate::{
    cluster::{JobKey, Marks, Place, Sight, TreeName},
    manifest::{self, Moment, OnFailure},
    plan::{Blueprint, Plan},
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

/// Why nothing new is begun.
#[derive(Clone, Debug)]
struct Halt {
    why: String,
    /// Whether what is under way is given up too.
    is_cancel: bool,
}

/// What a step sees of the run around it.
struct Around<'a> {
    tree: &'a Tree,
    scene: &'a Scene,
    halt: Option<&'a Halt>,
    has_looked: bool,
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
                if !self.has_looked && self.is_set_up() {
                    self.has_looked = self.has_seen_all();
                    if self.has_looked {
                        agenda.add(self.steps.values());
                    }
                }
            }
            Event::Checked(checks) => {
                self.scene.check(checks);
                agenda.add(self.steps.values());
            }
            Event::Prepared { blueprints, is_same } => {
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
            // The last of those that were not seen has failed for it.
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

    fn is_set_up(&self) -> bool {
        !matches!(self.phase, Phase::Preparing(..))
    }

    fn blocks(&self) -> Option<&manifest::Tree> {
        self.plan.manifest().tree.as_deref()
    }

    /// Makes the steps' work from what is prepared, and from what an earlier process remembered.
    fn set_up(
        &mut self,
        now: Time,
        mut blueprints: BTreeMap<String, Blueprint>,
        is_same: bool,
        out: &mut Out,
    ) {
        if self.is_set_up() {
            return;
        }
        if !is_same {
            self.remembered.clear();
            self.has_begun = false;
        }
        if !self.has_begun {
            self.began = now;
            self.has_begun = true;
            self.deadline = self.blocks().and_then(|tree| tree.timeout).map(|timeout| now + timeout);
            out.actions.push(Action::Remember(Entry::Began { at: now }));
        }
        let Some(tree) = self.plan.manifest().tree.clone() else { return };
        self.phase = Phase::Running;
        let mut jobs = BTreeSet::new();
        for (name, step) in &mut self.steps {
            let memory = self.remembered.remove(name);
            if let Some((at, _)) = &memory {
                step.since = *at;
            }
            let memory = memory.map(|(_, memory)| memory);
            let marks = |blueprint: &Blueprint| Marks {
                tree: self.name.clone(),
                node: name.clone(),
                spec: blueprint.spec.clone(),
            };
            let mut shown = BTreeSet::new();
            if let Some(wait) = self.plan.manifest().waits.get(name) {
                shown.extend(wait.subject.job(&self.scene.place));
                step.work = Work::Wait(Box::new(WaitStep::new((**wait).clone(), memory.as_ref())));
            } else if let Some(blueprint) = blueprints.remove(name) {
                let marks = marks(&blueprint);
                if let Some(node) = tree.jobs.get(name) {
                    shown.insert(blueprint.key.clone());
                    step.work = Work::Job(Box::new(JobStep::new(now, node, blueprint, marks, memory)));
                } else if let Some(hook) = tree.hooks.get(name) {
                    let hook = HookStep::new(now, hook, blueprint, marks, memory);
                    shown.extend(hook.running().cloned());
                    step.work = Work::Hook(Box::new(hook));
                }
            }
            for job in shown {
                self.watchers.entry(job.clone()).or_default().insert(name.clone());
                jobs.insert(job);
            }
        }
        self.has_looked = self.has_seen_all();
        // What failed in an earlier process counts before anything is begun in this one.
        let failed = self.steps.values().find(|step| step.has_failed()).map(|step| step.name.clone());
        if let Some(failed) = failed {
            self.halt_after(&failed);
        }
        out.actions.push(Action::Watch(jobs));
    }

    /// What cannot be prepared ends the run, unless trying again may help.
    fn unprepared(&mut self, now: Time, trouble: Trouble) -> Option<Vec<Action>> {
        let Phase::Preparing(acting, _) = &mut self.phase else { return None };
        let why = trouble.why.clone();
        acting.end(now, Err(trouble))?.err()?;
        let message = format!("{}: {why}", self.came_to_nothing());
        Some(self.finish(now, Outcome::Failed(message.clone()), message))
    }

    /// What is said of a run whose jobspecs cannot be prepared.
    fn came_to_nothing(&self) -> &'static str {
        if self.has_begun {
            "the run could not go on, and what it began is left as it is"
        } else {
            "nothing was begun"
        }
    }

    /// Has the jobspecs prepared while they are not.
    fn prepare(&mut self, now: Time, out: &mut Out) {
        if let Phase::Preparing(acting, _) = &mut self.phase
            && acting.begin(now, "", || super::Act::Recall { key: self.scene.place.job.clone() }).is_some()
        {
            out.actions.push(Action::Prepare);
        }
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

    /// The run's own time limit.
    fn check_time(&mut self, now: Time, agenda: &mut Agenda) {
        let Some(tree) = self.blocks().filter(|_| self.is_set_up()) else { return };
        if self.deadline.is_some_and(|at| at <= now) && self.halt.as_ref().is_none_or(|halt| !halt.is_cancel)
        {
            let limit = Spoken(tree.timeout.unwrap_or_default());
            self.halt = Some(Halt { why: format!("the run was not done within {limit}"), is_cancel: true });
            agenda.add(self.steps.values());
        }
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
            let failure = match &step.state {
                NodeState::Failed { why } if has_changed => Some(format!("{name} failed: {why}")),
                _ => None,
            };
            self.steps.insert(name.clone(), step);
            if failure.is_some() && self.halts() {
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

    /// Applies the policy to a first failure. Whether that changed anything.
    fn halts(&mut self) -> bool {
        let failed = self.steps.values().find(|step| matches!(step.state, NodeState::Failed { .. }));
        failed.map(|step| step.name.clone()).is_some_and(|name| self.halt_after(&name))
    }

    /// Applies the policy, unless it was applied before.
    fn halt_after(&mut self, failed: &str) -> bool {
        if self.halt.is_some() {
            return false;
        }
        let policy = self.blocks().map_or(OnFailure::Finish, |tree| tree.on_failure);
        let is_cancel = match policy {
            OnFailure::Continue => return false,
            OnFailure::Finish => false,
            OnFailure::Cancel => true,
        };
        self.halt = Some(Halt { why: format!("{failed} failed (on_failure = {policy})"), is_cancel });
        true
    }

    /// Nomad stops the task. What is under way in the cluster stays, for whoever comes next; only if the tree's own job
    /// was stopped, its hooks are stopped too.
    fn stop(&mut self, now: Time) -> Option<Vec<Action>> {
        if matches!(self.phase, Phase::Stopping(_)) {
            return None;
        }
        let is_own_job_stopped =
            matches!(self.scene.own_sight().as_ref(), Sight::Present(sight) if sight.job.is_stopped);
        let has_hooks = self.steps.values().any(|step| match &step.work {
            Work::Hook(hook) => hook.is_busy(),
            Work::Unprepared | Work::Wait(_) | Work::Job(_) => false,
        });
        if is_own_job_stopped && has_hooks {
            self.phase = Phase::Stopping(now + STOP_LIMIT);
            self.halt = Some(Halt { why: "the tree's job was stopped".to_owned(), is_cancel: true });
            return None;
        }
        let message = self.stopped_message(now);
        Some(self.close(Outcome::Stopped, message))
    }

    /// The ending, if this is it.
    fn end(&mut self, now: Time) -> Option<Vec<Action>> {
        let is_settled = self.is_set_up() && self.steps.values().all(|step| self.is_settled(step));
        match &self.phase {
            Phase::Preparing(acting, deadline) if *deadline <= now && !acting.is_under_way() => {
                let why = acting.describe_end("the jobspecs could not be prepared");
                let message = format!("{} within {}: {why}", self.came_to_nothing(), Spoken(PREPARE_LIMIT));
                Some(self.finish(now, Outcome::Failed(message.clone()), message))
            }
            Phase::Stopping(deadline) if is_settled || *deadline <= now => {
                let message = self.stopped_message(now);
                Some(self.close(Outcome::Stopped, message))
            }
            Phase::Preparing(..) | Phase::Stopping(_) => None,
            Phase::Running if !is_settled => None,
            Phase::Running => {
                let is_good = self.steps.values().all(|step| step.state.is_satisfied());
                let message = if is_good { self.success(now) } else { self.failure(now) };
                let outcome = if is_good { Outcome::Done } else { Outcome::Failed(message.clone()) };
                Some(self.finish(now, outcome, message))
            }
        }
    }

    fn is_settled(&self, step: &Step) -> bool {
        let around = Around { tree: self, scene: &self.scene, halt: self.halt.as_ref(), has_looked: true };
        (step.state.is_satisfied() || step.state.is_lost())
            && match &step.work {
                Work::Unprepared => false,
                Work::Wait(_) => true,
                Work::Job(job) => !job.has_chores() && !self.owes_record(job, &step.name),
                Work::Hook(hook) => !hook.has_chores(&around),
            }
    }

    /// Whether a job with post hooks still has to be asked for its rollout, or to be attested.
    fn owes_record(&self, job: &JobStep, name: &str) -> bool {
        let around = Around { tree: self, scene: &self.scene, halt: self.halt.as_ref(), has_looked: true };
        self.halt.is_none()
            && job.is_submitted()
            && !job.is_record_settled()
            && around.has_hooks(name, Moment::Post)
            && (job.rollout().is_none() || around.have_ended_well(name, Moment::Post))
    }

    fn finish(&mut self, now: Time, outcome: Outcome, message: String) -> Vec<Action> {
        let is_good = outcome == Outcome::Done;
        let ended = Entry::Ended { at: now, is_good, message: message.clone() };
        let mut actions = vec![Action::Remember(ended)];
        actions.extend(self.close(outcome, message));
        actions
    }

    /// Ends without a memory of it: an unfinished run is continued by whoever comes next.
    fn close(&mut self, outcome: Outcome, message: String) -> Vec<Action> {
        self.ending = Some(message.clone());
        self.scene.close();
        vec![Action::Log(message.clone()), Action::Announce(message), Action::Finish(outcome)]
    }
}

impl Step {
    /// When it is to be brought up to date if nothing happens before.
    fn next_timeout(&self) -> Option<Time> {
        if self.state.is_lost() {
            // Nothing is awaited any more, but something may have to be cleared away.
            return match &self.work {
                Work::Unprepared | Work::Wait(_) => None,
                Work::Job(job) => job.retries_at(),
                Work::Hook(hook) => hook.retries_at(),
            };
        }
        match &self.work {
            Work::Unprepared => None,
            Work::Wait(wait) => wait.next_timeout(),
            Work::Job(job) => job.next_timeout(),
            Work::Hook(hook) => hook.next_timeout(),
        }
    }

    /// Whether it is remembered as failed.
    fn has_failed(&self) -> bool {
        match &self.work {
            Work::Unprepared | Work::Wait(_) => false,
            Work::Job(job) => job.has_failed(),
            Work::Hook(hook) => hook.has_failed(),
        }
    }

    /// When its time is over.
    fn gives_up(&self) -> Option<Time> {
        match &self.work {
            Work::Unprepared => None,
            Work::Wait(wait) => wait.gives_up(),
            Work::Job(job) => job.gives_up(),
            Work::Hook(hook) => hook.gives_up(),
        }
    }

    /// Whether it takes one of the places of `max_parallel`.
    fn is_busy(&self) -> bool {
        match &self.work {
            Work::Unprepared | Work::Wait(_) => false,
            Work::Job(job) => job.is_busy() && !self.state.is_lost(),
            Work::Hook(hook) => hook.is_busy(),
        }
    }
}

impl Around<'_> {
    /// The job step of this name.
    fn job(&self, name: &str) -> Option<&JobStep> {
        match &self.tree.steps.get(name)?.work {
            Work::Job(job) => Some(job),
            Work::Unprepared | Work::Wait(_) | Work::Hook(_) => None,
        }
    }

    /// Why the step `name` will not be begun, or not any more: something that it needs is lost, or nothing new is
    /// begun.
    fn halted(&self, name: &str) -> Option<String> {
        let lost = self.tree.plan.needs(name).iter().find_map(|needed| self.lost(needed));
        lost.or_else(|| self.halt.map(|halt| format!("not begun, because {}", halt.why)))
    }

    /// Why whoever needs the step `needed` will not be begun.
    fn lost(&self, needed: &str) -> Option<String> {
        match &self.tree.steps.get(needed)?.state {
            NodeState::Failed { .. } => Some(format!("because {needed} failed")),
            // The root cause is handed down; why nothing new is begun each says for itself.
            NodeState::Skipped { why } if why.starts_with("because ") => Some(why.clone()),
            NodeState::Skipped { .. }
            | NodeState::Blocked { .. }
            | NodeState::Working { .. }
            | NodeState::Gated { .. }
            | NodeState::Satisfied { .. } => None,
        }
    }

    /// Why what is under way is given up, if it is.
    fn cancelled(&self) -> Option<String> {
        self.halt.filter(|halt| halt.is_cancel).map(|halt| format!("given up, because {}", halt.why))
    }

    /// The state of step `name` while something of what it needs is not satisfied, as far as `counts`.
    fn blocked(&self, name: &str, counts: impl Fn(&str) -> bool) -> Option<NodeState> {
        let missing: Vec<String> = self
            .tree
            .plan
            .needs(name)
            .iter()
            .filter(|needed| counts(needed))
            .filter(|needed| self.tree.steps.get(*needed).is_none_or(|step| !step.state.is_satisfied()))
            .cloned()
            .collect();
        (!missing.is_empty()).then(|| NodeState::Blocked { why: waits_for(&missing) })
    }

    /// The state of a step that could begin if there were room.
    fn no_room(&self) -> Option<NodeState> {
        let most = self.tree.blocks().map_or(1, |tree| tree.max_parallel);
        let busy = self.tree.steps.values().filter(|step| step.is_busy()).count();
        let is_full = usize::try_from(most).is_ok_and(|most| busy >= most);
        is_full.then(|| NodeState::Blocked { why: format!("waits for its turn (max_parallel = {most})") })
    }

    /// A job with this `exclusive` word that is being brought into service.
    fn holder_of(&self, word: &str) -> Option<&str> {
        self.tree.steps.values().find_map(|step| match &step.work {
            Work::Job(job) if job.exclusive.as_deref() == Some(word) && step.is_busy() => {
                Some(step.name.as_str())
            }
            Work::Unprepared | Work::Wait(_) | Work::Job(_) | Work::Hook(_) => None,
        })
    }

    /// Whether the step `hook` is a hook of job `of` at this moment.
    fn is_hook_of(&self, hook: &str, of: &str, moment: Moment) -> bool {
        self.tree
            .blocks()
            .and_then(|tree| tree.hooks.get(hook))
            .is_some_and(|hook| hook.of == of && hook.moment == moment)
    }

    fn hooks_of(&self, of: &str, moment: Moment) -> impl Iterator<Item = &str> {
        self.tree
            .blocks()
            .into_iter()
            .flat_map(|tree| &tree.hooks)
            .filter(move |(_, hook)| hook.of == of && hook.moment == moment)
            .map(|(name, _)| name.as_str())
    }

    /// Whether job `of` has hooks at this moment.
    fn has_hooks(&self, of: &str, moment: Moment) -> bool {
        self.hooks_of(of, moment).next().is_some()
    }

    /// Whether all hooks of job `of` at this moment have ended well.
    fn have_ended_well(&self, of: &str, moment: Moment) -> bool {
        self.hooks_of(of, moment)
            .all(|name| self.tree.steps.get(name).is_some_and(|step| step.state.is_satisfied()))
    }
}

/// The steps that must be brought up to date, each once, in the plan's order.
#[derive(Debug, Default)]
struct Agenda(BTreeMap<usize, String>);

impl Agenda {
    fn add<'a>(&mut self, steps: impl IntoIterator<Item = &'a Step>) {
        self.0.extend(steps.into_iter().map(|step| (step.position, step.name.clone())));
    }

    fn next(&mut self) -> Option<String> {
        self.0.pop_first().map(|(_, name)| name)
    }
}

/// For each step, those that may come further when it changes: its dependents, and for a job and its hooks each other.
fn wakes(plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
    let mut wakes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in plan.order() {
        for needed in plan.needs(name) {
            wakes.entry(needed.clone()).or_default().insert(name.clone());
        }
    }
    for (name, hook) in plan.manifest().tree.iter().flat_map(|tree| &tree.hooks) {
        wakes.entry(hook.of.clone()).or_default().insert(name.clone());
        wakes.entry(name.clone()).or_default().insert(hook.of.clone());
    }
    wakes
}
