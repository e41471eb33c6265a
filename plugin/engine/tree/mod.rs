//! One run of a tree: jobs are submitted and hooks are run in the order of the plan.
//!
//! ```text
//!   Lead ──▶ Led ──▶ Prepare ──▶ Prepared ──▶ steps ──▶ look at all jobs ──▶ begin what may begin ──▶ … ──▶ Finish
//! ```
//!
//! # Invariants
//!
//! * Nothing is done before the run leads its tree, and nothing after it has lost the lead.
//! * Nothing is written before every jobspec is prepared and every job was looked at once.
//! * A step begins only while all that it needs is satisfied, and while there is room for it.
//! * A step has at most one act under way, and an intent is remembered before its act.
//! * The run ends when no step can come any further and no act is under way. It ends well only if everything is
//!   satisfied at that instant.

mod about;
mod agenda;
mod around;
mod attempt;
mod conclusion;
mod ending;
mod fill;
mod held;
mod hook;
mod job;
mod leaving;
mod memory;
mod once;
mod release;
mod report;
mod selection;
mod setup;
mod soonest;
mod step;
mod stop;
mod stopped;
mod wait;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    mem,
    time::Duration,
};

pub use memory::{Approved, Cause, Doomed, Due, Ended, Entry, HookOutcome, Memory, Stopped, Submitted, Try};

use self::{
    agenda::{Agenda, wakes},
    around::Around,
    conclusion::Conclusion,
    ending::Halt,
    selection::Choice,
    soonest::Soonest,
    step::{Acting, Out, Step, Work},
};
use super::{
    Action, Event, Line, NodeState, Outcome, Report, Time, Trouble, announce::Announcer, scene::Scene,
};
use crate::{
    cluster::{JobKey, Place, RunId, Sight, TreeName},
    manifest,
    plan::{Blueprint, Plan},
};

/// How long preparing may be tried in vain.
const PREPARE_LIMIT: Duration = Duration::from_mins(5);
/// How long a new process may look before a time limit of the one before counts: what happened in between is seen first.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How long a stopped run may take to stop its hooks: Nomad gives a task five seconds.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// How long of that it looks whether its job was stopped, too: Nomad's word to the task may come before the stream shows it.
const PARTING_LOOK: Duration = Duration::from_secs(1);

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
    /// What is prepared for the hooks after the run.
    after: BTreeMap<String, Blueprint>,
    /// What the run came to, when only its last hooks are left.
    conclusion: Option<Conclusion>,
    /// What the user should know about the lead.
    lead_note: Option<String>,
    steps: BTreeMap<String, Step>,
    /// The steps to bring up to date when a step has changed.
    wakes: BTreeMap<String, BTreeSet<String>>,
    /// The steps that a job is shown to.
    watchers: BTreeMap<JobKey, BTreeSet<String>>,
    /// Whether every job was looked at once.
    has_looked: bool,
    /// In a stop: what is stopped and what is left, once every job was looked at.
    selection: BTreeMap<String, Choice>,
    halt: Option<Halt>,
    /// Why nothing can be written down.
    hindered: Option<String>,
    announcer: Announcer,
    /// How many steps take one of the places of `max_parallel`, without the one that is being brought up to date.
    /// Counted when it is asked for while steps are brought up to date, and kept until that is over.
    n_busy: Cell<Option<usize>>,
    /// A step that was found not to be settled, when that was asked last: it is asked first.
    unsettled: String,
    /// Known between two events.
    soonest: Soonest,
    /// How often a step has come into another state.
    n_changes: u64,
    ending: Option<String>,
}

#[derive(Clone, Debug)]
enum Phase {
    Leading(Acting, Time),
    Preparing(Acting, Time),
    Running,
    /// All is done but for the hooks after the run.
    Concluding,
    /// Nomad stops the task, while hooks run that are to be stopped if its job was. Until when it looks, and until when
    /// all must be over.
    Parting(Time, Time),
    /// Nomad stops the task, and the hooks of a stopped job are being stopped.
    Stopping(Time),
}

impl Tree {
    pub(super) fn new(plan: Plan, place: Place, name: TreeName, now: Time) -> Self {
        let steps = plan.order().iter().enumerate().map(|(position, name)| {
            let state = NodeState::Blocked { why: "the tree's lead is being taken".to_owned() };
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
            began: now,
            has_begun: false,
            deadline: timeout.map(|timeout| now + timeout),
            phase: Phase::Leading(Acting::default(), now + PREPARE_LIMIT),
            remembered: BTreeMap::new(),
            after: BTreeMap::new(),
            conclusion: None,
            lead_note: None,
            steps,
            watchers: BTreeMap::new(),
            has_looked: false,
            selection: BTreeMap::new(),
            halt: None,
            hindered: None,
            announcer: Announcer::new(now),
            n_busy: Cell::new(None),
            unsettled: String::new(),
            soonest: Soonest::Unknown,
            n_changes: 0,
            ending: None,
        }
    }

    pub(super) fn step(&mut self, now: Time, event: Event) -> Vec<Action> {
        if self.ending.is_some() {
            return Vec::new();
        }
        let actions = self.react(now, event);
        let mut soonest = mem::take(&mut self.soonest);
        soonest.find(self.timeouts());
        self.soonest = soonest;
        actions
    }

    fn react(&mut self, now: Time, event: Event) -> Vec<Action> {
        let mut out = Out::default();
        let mut agenda = Agenda::default();
        match event {
            Event::Started => {}
            Event::Led(result) => {
                if let Some(actions) = self.led(now, result, &mut out) {
                    return actions;
                }
            }
            Event::Lost(why) => return self.close(Outcome::Failed(why.clone()), why),
            Event::Seen(job, sight) => {
                self.scene.see(job.clone(), sight);
                let concerned = self.watchers.get(&job).into_iter().flatten();
                agenda.add(concerned.filter_map(|name| self.steps.get(name)));
            }
            Event::Told(question, told) => {
                self.scene.hear(question, told);
                agenda.add(self.steps.values());
            }
            Event::Prepared { blueprints, is_same, run } => {
                self.run.get_or_insert(run);
                self.set_up(now, blueprints, is_same, &mut out);
                agenda.add(self.steps.values());
            }
            Event::Unprepared(trouble) => {
                if let Some(actions) = self.unprepared(now, trouble, &mut out) {
                    return actions;
                }
            }
            Event::Acted(name, result) => self.acted(now, &name, result, &mut out, &mut agenda),
            Event::Hindered(why) => {
                self.hindered = why;
                out.log(match self.hindered_note() {
                    Some(note) => note,
                    None => "the run's record can be written again".to_owned(),
                });
            }
            Event::Approved { name, by } => {
                self.approve(now, &name, by, &mut out);
                agenda.add(self.steps.get(&name));
            }
            Event::Opened { .. } => out.log("a tree cannot be opened by hand".to_owned()),
            Event::Stopped => {
                if let Some(actions) = self.stop(now) {
                    return actions;
                }
                agenda.add(self.steps.values());
            }
            Event::Drained => {
                if let Some(actions) = self.drain(now) {
                    return actions;
                }
                agenda.add(self.steps.values());
            }
            Event::Left => return self.leave(now),
            Event::Tick => agenda.add(self.steps.values()),
        }
        self.part(&mut agenda);
        self.check_time(now, &mut agenda);
        self.advance(now, agenda, &mut out);
        if !self.has_looked && self.is_set_up() && self.has_seen_all() {
            // Only now, when each has said how it stands: a job that is not the tree's, or a step that failed in an
            // earlier process, comes before anything that could be begun.
            self.has_looked = true;
            self.select();
            let mut agenda = Agenda::default();
            agenda.add(self.steps.values());
            self.advance(now, agenda, &mut out);
        }
        self.conclude(now, &mut out);
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
        debug_assert_eq!(self.soonest.time(), self.timeouts().map(|(_, at)| at).min());
        let phase = match &self.phase {
            Phase::Leading(acting, _) | Phase::Preparing(acting, _) if acting.is_under_way() => [None, None],
            Phase::Leading(acting, deadline) | Phase::Preparing(acting, deadline) => {
                [acting.next_timeout(), Some(*deadline)]
            }
            Phase::Running | Phase::Concluding => [None, None],
            Phase::Parting(deadline, _) | Phase::Stopping(deadline) => [Some(*deadline), None],
        };
        let is_cancelled = self.halt.as_ref().is_some_and(|halt| halt.is_cancel);
        let deadline = self.deadline.filter(|_| matches!(self.phase, Phase::Running) && !is_cancelled);
        phase
            .into_iter()
            .flatten()
            .chain(self.soonest.time())
            .chain(deadline)
            .chain(self.announcer.due(&self.topic(), !self.has_looked))
            .min()
    }

    /// The timeouts of all steps that have any.
    fn timeouts(&self) -> impl Iterator<Item = (&str, Time)> {
        let counted = self.steps.values().filter(|step| !self.is_frozen(&step.name));
        counted.filter_map(|step| Some((step.name.as_str(), step.next_timeout()?)))
    }

    pub(super) fn said_at_end(&self) -> Option<&str> {
        self.ending.as_deref()
    }

    pub(super) fn approvals(&self) -> Vec<String> {
        let open = self.steps.values().filter(|step| match &step.work {
            Work::Wait(wait) => wait.may_be_approved() && self.scene.approval(&step.name).is_none(),
            _ => false,
        });
        open.map(|step| step.name.clone()).filter(|_| self.ending.is_none()).collect()
    }

    /// Keeps a user's word, and remembers it.
    fn approve(&mut self, now: Time, name: &str, by: Option<String>, out: &mut Out) {
        if !self.approvals().iter().any(|open| open == name) {
            return;
        }
        self.scene.approve(name.to_owned(), by);
        let approved = self.scene.approval(name).cloned().map(|by| Approved { by });
        if let Some(Step { work: Work::Wait(wait), .. }) = self.steps.get(name) {
            out.remember(now, name, wait.memory(approved));
        }
    }

    /// Whether every job whose turn is still to come was seen, or will not be waited for; and the rest was looked for.
    fn has_seen_all(&self) -> bool {
        self.watchers.keys().all(|job| !self.scene.is_looking_at(job))
            && self.steps.values().all(|step| match &step.work {
                Work::Job(job) if job.is_undecided() && !step.state.is_lost() => {
                    !matches!(*self.scene.sight_of(&job.blueprint.key), Sight::Unseen(_))
                }
                Work::Stop(job) if job.is_undecided() && !step.state.is_lost() => {
                    job.has_seen(&step.name, &self.around())
                }
                Work::Job(_)
                | Work::Hook(_)
                | Work::Wait(_)
                | Work::Stop(_)
                | Work::Release(_)
                | Work::Unprepared => true,
            })
    }

    /// How many steps take one of the places of `max_parallel`.
    fn n_busy(&self) -> usize {
        let n =
            self.n_busy.get().unwrap_or_else(|| self.steps.values().filter(|step| step.is_busy()).count());
        self.n_busy.set(Some(n));
        n
    }

    /// The run as a step sees it once every job was looked at.
    fn around(&self) -> Around<'_> {
        Around { tree: self, scene: &self.scene, halt: self.halt.as_ref(), has_looked: true }
    }

    /// Whether it has jobs, and not only hooks.
    fn has_jobs(&self) -> bool {
        self.blocks().is_some_and(|tree| !tree.jobs.is_empty())
    }

    fn is_set_up(&self) -> bool {
        !matches!(self.phase, Phase::Leading(..) | Phase::Preparing(..))
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
            Work::Stop(job) => job.acted(now, name, result, out),
            Work::Release(wait) => wait.acted(now, name, result, out),
            Work::Wait(wait) => wait.acted(now, name, result, out),
            Work::Unprepared => {}
        }
        let (is_free, has_failed) = (was_busy && !step.is_busy(), step.has_failed());
        agenda.add(self.steps.get(name));
        if has_failed && self.halt_after(name) {
            // Before anything else takes the place that has become free.
            agenda.add(self.steps.values());
        } else if is_free {
            agenda.add(self.waiting_for_room());
        }
        // Also without a change of state: a result that stands, a rollout that is known.
        let woken = self.wakes.get(name).into_iter().flatten();
        agenda.add(woken.filter_map(|name| self.steps.get(name)));
    }

    /// The steps that may be waiting for room: those that have all they need.
    fn waiting_for_room(&self) -> impl Iterator<Item = &Step> {
        let is_out_of_the_way =
            |name: &String| self.steps.get(name).is_some_and(|step| self.is_out_of_the_way(step));
        self.steps.values().filter(move |step| {
            matches!(step.state, NodeState::Blocked { .. })
                && self.plan.needs(&step.name).iter().all(is_out_of_the_way)
        })
    }

    /// Brings steps up to date until nothing changes any more.
    fn advance(&mut self, now: Time, mut agenda: Agenda, out: &mut Out) {
        if !self.is_set_up() {
            return;
        }
        self.n_busy.set(None);
        while let Some(name) = agenda.next() {
            if self.is_frozen(&name) {
                continue;
            }
            let Some(mut step) = self.steps.remove(&name) else { continue };
            let was_busy = step.is_busy();
            let truth = step.truth();
            self.n_busy.set(self.n_busy.get().map(|n| n - usize::from(was_busy)));
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
                Work::Stop(job) => job.advance(now, &name, &around, out),
                Work::Release(wait) => wait.advance(now, &name, &around, out),
            };
            let has_changed = state != step.state;
            let is_free = was_busy && !step.is_busy();
            let has_turned = truth != step.truth();
            if has_changed {
                if state.word() != step.state.word() {
                    self.n_changes += 1;
                    step.since = now;
                }
                step.state = state;
                let (state, detail) = (step.state.word(), step.state.detail());
                out.log(Line::Step { name: name.clone(), state, detail });
            }
            let has_failed = has_changed && matches!(step.state, NodeState::Failed { .. });
            self.n_busy.set(self.n_busy.get().map(|n| n + usize::from(step.is_busy())));
            self.soonest.note(&name, step.next_timeout());
            self.steps.insert(name.clone(), step);
            if has_failed && self.halt_after(&name) {
                agenda.add(self.steps.values());
                continue;
            }
            if is_free {
                agenda.add(self.waiting_for_room());
            }
            if has_changed || is_free || has_turned {
                let woken = self.wakes.get(&name).into_iter().flatten();
                agenda.add(woken.filter_map(|name| self.steps.get(name)));
            }
        }
    }
}
