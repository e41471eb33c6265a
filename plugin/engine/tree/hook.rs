//! A hook of a tree: a batch job that must run to its end, once for each rollout of its job.
//!
//! ```text
//!             needed, room            launched            ended well        its result stands elsewhere
//!   Waiting ──────────────▶ Launching ────────▶ Running ────────────▶ Ended ───────────────────────▶ retired
//!      │ not needed             ▲                  │ failed, hung
//!      ▼                        │ retries          ▼
//!    Ended                      └────────────── Failing: read its output, retire it
//! ```
//!
//! # Once
//!
//! The ID under which a hook runs follows from the rollout it is for, and its result counts until it is *retired*: its
//! job is stopped, or purged. That is done only when the result stands elsewhere: a pre hook's in the registration of
//! its job, a post hook's in the record of its job. Whoever comes after a crash finds the one or the other.

use std::time::Duration;

use super::{
    about::about,
    around::Around,
    attempt::{Output, Running, tell_output},
    job::LOOKS_FIRST,
    memory::{Ended, HookOutcome, Memory, Try},
    step::{Acting, Out},
};
use crate::{
    cluster::{JobKey, Marks},
    engine::{Act, Action, NodeState, Report, Time, Trouble, scene, time::Spoken},
    manifest::{Hook, Launch, Moment, OnHookFailure, Retain},
    plan::{self, Blueprint},
};

/// How often the output of a hook that ended well is asked for: nothing depends on it.
const TELLING_TRIES: u32 = 3;
/// How long launching may be tried in vain.
const LAUNCH_LIMIT: Duration = Duration::from_mins(5);

/// A hook.
#[derive(Clone, Debug)]
pub(super) struct HookStep {
    pub(super) hook: Hook,
    pub(super) blueprint: Blueprint,
    pub(super) marks: Marks,
    phase: Phase,
    acting: Acting,
    /// Whether it has ended because it was not needed.
    is_needless: bool,
    launch_until: Option<Time>,
    /// Whether the job of the attempt that is being launched may be there already.
    may_be_there: bool,
    /// Whether a request to launch it may still be on its way, of a process before or of this one, which has had no
    /// answer: its job is then stopped, and not purged, so that it cannot come into being once more. Remembered with
    /// all that follows, for whoever retires the job in the end.
    may_come_late: bool,
    /// The stopped jobs of attempts that failed, where none is to stay.
    leftovers: Vec<JobKey>,
    /// What is still to be told of a hook that ended well. Another process does not tell it.
    output: Output,
}

/// Why a hook is not launched now.
enum NotNow {
    /// What it is for is not known yet.
    Waits,
    /// It is not needed: why.
    NotNeeded(String),
    /// It never will be.
    Skipped(NodeState),
}

#[derive(Clone, Debug)]
enum Phase {
    Waiting,
    Launching(Try),
    Running(Box<Running>),
    Failing {
        attempt: Try,
        job: JobKey,
        why: String,
        exit_code: Option<i32>,
        output: Output,
    },
    Ended(Ended),
    /// Stopped because the run was cancelled.
    Cancelled {
        job: Option<JobKey>,
        why: String,
    },
}

impl HookStep {
    pub(super) fn new(
        now: Time,
        hook: &Hook,
        blueprint: Blueprint,
        marks: Marks,
        memory: Option<Memory>,
    ) -> Self {
        let may_come_late = match &memory {
            Some(Memory::Launching(_)) => true,
            Some(Memory::Running { attempt, .. } | Memory::Failing { attempt, .. }) => attempt.may_come_late,
            Some(Memory::Ended(ended)) => ended.may_come_late,
            _ => false,
        };
        let phase = match memory {
            Some(Memory::Launching(attempt)) => Phase::Launching(attempt),
            Some(Memory::Running { attempt, job, deadline }) => {
                Phase::Running(Box::new(Running::again(now, hook, attempt, job, deadline)))
            }
            Some(Memory::Failing { attempt, job, why, exit_code }) => {
                Phase::Failing { attempt, job, why, exit_code, output: Output::Read }
            }
            Some(Memory::Ended(ended)) => Phase::Ended(ended),
            _ => Phase::Waiting,
        };
        Self {
            hook: hook.clone(),
            blueprint,
            marks,
            phase,
            acting: Acting::default(),
            is_needless: false,
            launch_until: None,
            may_be_there: true,
            may_come_late,
            leftovers: Vec::new(),
            output: Output::Read,
        }
    }

    /// Brings the step up to date.
    pub(super) fn advance(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        self.acting.unasked();
        loop {
            match &mut self.phase {
                Phase::Waiting => {
                    if let Some(state) = self.begin(now, name, around, out) {
                        return state;
                    }
                }
                Phase::Launching(attempt) => {
                    let key = JobKey {
                        namespace: self.blueprint.key.namespace.clone(),
                        job: plan::hook_job(name, &self.marks.tree, &attempt.rollout, attempt.number),
                    };
                    if !self.acting.is_under_way()
                        && let Some(why) = around.cancelled()
                    {
                        // A child of a dispatch has a name that only Nomad's answer tells; the next run finds it.
                        let is_known = matches!(self.hook.launch, Launch::Jobspec { .. });
                        if !is_known && self.may_be_there {
                            out.log(format!(
                                "{name}: it may have been dispatched without an answer, and then it runs on; \
                                 look with `nomad job status {}{}`",
                                scene::in_namespace(&self.blueprint.key),
                                self.blueprint.key.job
                            ));
                        }
                        self.acting.forget();
                        self.phase =
                            Phase::Cancelled { job: (is_known && self.may_be_there).then_some(key), why };
                        continue;
                    }
                    let until = *self.launch_until.get_or_insert(now + LAUNCH_LIMIT);
                    if until <= now && !self.acting.is_under_way() {
                        let what = format!("it could not be launched within {}", Spoken(LAUNCH_LIMIT));
                        let why = self.acting.describe_end(&what);
                        self.end(now, name, Ended::failed(why, HookOutcome::default()), out);
                        continue;
                    }
                    let dispatch = match self.hook.launch {
                        Launch::Dispatch { .. } => Some(self.blueprint.key.clone()),
                        Launch::Jobspec { .. } => None,
                    };
                    if self.acting.begins(now) {
                        let (marks, about) = (self.marks.clone(), about(self, around));
                        let act = Act::Launch { key, marks, dispatch, about };
                        out.actions.push(Action::Act(name.to_owned(), act));
                    }
                    self.may_be_there = true;
                    return NodeState::Working { on: self.acting.describe("is being launched") };
                }
                Phase::Running(running) => {
                    if let Some(why) = around.cancelled() {
                        self.phase = Phase::Cancelled { job: Some(running.job.clone()), why };
                        continue;
                    }
                    match running.judge(now, around) {
                        NodeState::Satisfied { how } => {
                            let (job, how) = (running.job.clone(), format!("{}: {how}", running.job.job));
                            let exit_code = running.exit_code(around);
                            if self.hook.moment == Moment::Alone {
                                self.output = running.output(around);
                            }
                            let outcome = HookOutcome { job: Some(job.clone()), exit_code };
                            let ended =
                                Ended { is_good: true, how, job: Some(job), outcome, may_come_late: false };
                            self.end(now, name, ended, out);
                        }
                        NodeState::Failed { why } => {
                            let (attempt, job) = (running.attempt.clone(), running.job.clone());
                            let (output, exit_code) = (running.output(around), running.exit_code(around));
                            let memory = Memory::Failing {
                                attempt: attempt.clone(),
                                job: job.clone(),
                                why: why.clone(),
                                exit_code,
                            };
                            out.remember(now, name, memory);
                            self.phase = Phase::Failing { attempt, job, why, exit_code, output };
                        }
                        state => return state,
                    }
                }
                Phase::Failing { .. } => {
                    if let Some(state) = self.wind_up(now, name, out) {
                        return state;
                    }
                }
                Phase::Ended(_) => return self.ended(now, name, around, out),
                Phase::Cancelled { job, why } => {
                    let state = NodeState::Skipped { why: why.clone(), root: None };
                    let Some(key) = job.clone() else { return state };
                    if self.acting.is_hopeless().is_some() {
                        *job = None;
                        return state;
                    }
                    let act = || Act::Retire { key, purge: false };
                    out.actions.extend(self.acting.begin(now, name, act));
                    return state;
                }
            }
        }
    }

    /// Takes what came of the step's act.
    pub(super) fn acted(&mut self, now: Time, name: &str, result: Result<Report, Trouble>, out: &mut Out) {
        let Some(result) = self.acting.end(now, result) else {
            self.may_come_late |= matches!(self.phase, Phase::Launching(_));
            return;
        };
        match (&mut self.phase, result) {
            (Phase::Launching(attempt), Ok(Report::Launched(job))) => {
                let attempt = Try { may_come_late: self.may_come_late, ..attempt.clone() };
                let deadline = now + self.hook.timeout;
                let memory = Memory::Running { attempt: attempt.clone(), job: job.clone(), deadline };
                out.remember(now, name, memory);
                out.actions.push(Action::Watch([job.clone()].into()));
                self.phase = Phase::Running(Box::new(Running::new(now, &self.hook, attempt, job, deadline)));
            }
            (Phase::Launching(attempt), Ok(Report::Spent)) => {
                let next =
                    Try { number: attempt.number + 1, may_come_late: self.may_come_late, ..attempt.clone() };
                out.remember(now, name, Memory::Launching(next.clone()));
                self.may_be_there = false;
                self.phase = Phase::Launching(next);
            }
            (Phase::Launching(_), Err(why)) => {
                self.end(now, name, Ended::failed(why, HookOutcome::default()), out);
            }
            (Phase::Failing { why, output, .. }, result) if *output != Output::Read => {
                *output = Output::Read;
                match result {
                    Ok(Report::Tail(text)) => {
                        if let Some(words) = tell_output(name, &text, out) {
                            *why = format!("{why}; its last words: {words}");
                        }
                    }
                    Ok(_) => {}
                    Err(trouble) => *why = format!("{why}; its output cannot be read: {trouble}"),
                }
            }
            (Phase::Failing { .. }, result) => {
                if let Err(trouble) = result {
                    out.log(format!("{name}: its job could not be retired: {trouble}"));
                }
                self.attempt_is_over(now, name, out);
            }
            (Phase::Ended(_), result) if self.output != Output::Read => {
                self.output = Output::Read;
                match result {
                    Ok(Report::Tail(text)) => {
                        tell_output(name, &text, out);
                    }
                    Ok(_) => {}
                    Err(trouble) => out.log(format!("{name}: its output cannot be read: {trouble}")),
                }
            }
            (Phase::Ended(ended), result) => {
                if let Err(trouble) = result {
                    out.log(format!("{name}: its job could not be retired: {trouble}"));
                }
                if ended.job.take().is_some() {
                    out.remember(now, name, Memory::Ended(ended.clone()));
                } else {
                    self.leftovers.pop();
                }
            }
            (Phase::Cancelled { job, .. }, _) => *job = None,
            // Nothing else is asked for in these phases.
            _ => {}
        }
    }

    /// Whether it is needed, and its turn. `None` when the step has moved on.
    fn begin(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> Option<NodeState> {
        if let Some(skipped) = around.halted(name) {
            return Some(skipped);
        }
        if !around.has_looked {
            return Some(self.waits(name, around));
        }
        let rollout = match self.rollout(around) {
            Ok(rollout) => rollout,
            Err(NotNow::Skipped(state)) => return Some(state),
            Err(NotNow::Waits) => return Some(self.waits(name, around)),
            Err(NotNow::NotNeeded(how)) => {
                self.is_needless = true;
                let outcome = HookOutcome::default();
                let ended = Ended { is_good: true, how, job: None, outcome, may_come_late: false };
                self.phase = Phase::Ended(ended);
                return None;
            }
        };
        if let Some(blocked) = around.blocked(name, |_| true).or_else(|| around.no_room()) {
            return Some(blocked);
        }
        let attempt = Try { rollout, number: 1, before: 0, may_come_late: false };
        self.may_be_there = false;
        out.remember(now, name, Memory::Launching(attempt.clone()));
        self.phase = Phase::Launching(attempt);
        None
    }

    /// What it is for, as a part of its job's ID, if it is needed.
    fn rollout(&self, around: &Around<'_>) -> Result<String, NotNow> {
        let Some(of) = &self.hook.of else {
            let run = around.tree.run.as_ref().ok_or(NotNow::Waits)?;
            return Ok(plan::run_of_hook(&self.marks.tree, &self.marks, run));
        };
        let job = around.job(of).ok_or(NotNow::Waits)?;
        let rollout = match self.hook.moment {
            Moment::Pre => {
                // Not for a job that will not be submitted, whatever came in its way.
                if let Some(skipped) = around.lost(of) {
                    return Err(NotNow::Skipped(skipped));
                }
                if job.is_submitted() {
                    return Err(NotNow::NotNeeded(format!("not needed: {of} is as it should be")));
                }
                let due = job.due().ok_or(NotNow::Waits)?;
                plan::Rollout::Over(due.before, &job.blueprint.spec)
            }
            Moment::Post
            | Moment::PreStop
            | Moment::PostStop
            | Moment::Alone
            | Moment::AfterSuccess
            | Moment::AfterFailure => {
                let rollout = job.rollout().ok_or(NotNow::Waits)?;
                if rollout.is_done {
                    let how = format!("not needed: it ran for version {} before", rollout.version);
                    return Err(NotNow::NotNeeded(how));
                }
                plan::Rollout::Version(rollout.create_index, rollout.version)
            }
        };
        Ok(plan::rollout(&self.marks.tree, &self.marks, &job.blueprint.key, rollout))
    }

    /// What it waits for before it can be told what it is for.
    fn waits(&self, name: &str, around: &Around<'_>) -> NodeState {
        around.blocked(name, |_| true).unwrap_or_else(|| NodeState::Blocked {
            why: match &self.hook.of {
                Some(of) => format!("waits for {of}"),
                None if around.has_jobs() => LOOKS_FIRST.to_owned(),
                None => "is about to begin".to_owned(),
            },
        })
    }

    /// After a failure: first its output, then its job goes, then the next attempt or the end.
    fn wind_up(&mut self, now: Time, name: &str, out: &mut Out) -> Option<NodeState> {
        let Phase::Failing { attempt, job, why, output, .. } = &mut self.phase else { return None };
        if let Some(trouble) = self.acting.is_hopeless() {
            if *output == Output::Read {
                out.log(format!("{name}: its job could not be retired: {trouble}"));
                self.attempt_is_over(now, name, out);
                return None;
            }
            *output = Output::Read;
            *why = format!("{why}; its output cannot be read: {trouble}");
        }
        let state = NodeState::Working { on: self.acting.describe(&format!("has failed: {why}")) };
        let key = job.clone();
        // Not while another attempt follows: should that end well and this run lose its memory, the next run would find
        // no first attempt, and begin with it again.
        let is_last = attempt.before >= self.hook.retries;
        let purge = self.hook.retain == Retain::None && is_last && !self.may_come_late;
        let act = match output {
            Output::Of(alloc, task) => Act::Tail { key, alloc: alloc.clone(), task: task.clone() },
            Output::Read => Act::Retire { key, purge },
        };
        out.actions.extend(self.acting.begin(now, name, || act));
        Some(state)
    }

    fn attempt_is_over(&mut self, now: Time, name: &str, out: &mut Out) {
        let Phase::Failing { attempt, why, job, exit_code, .. } = &self.phase else { return };
        let outcome = HookOutcome { job: Some(job.clone()), exit_code: *exit_code };
        let (why, job) = (why.clone(), job.clone());
        if attempt.before < self.hook.retries {
            let next = Try {
                number: attempt.number + 1,
                before: attempt.before + 1,
                rollout: attempt.rollout.clone(),
                may_come_late: self.may_come_late,
            };
            out.log(format!("{name}: attempt {} failed: {why}", next.before));
            out.remember(now, name, Memory::Launching(next.clone()));
            self.launch_until = None;
            self.may_be_there = false;
            self.acting.forget();
            if self.hook.retain == Retain::None {
                self.leftovers.push(job);
            }
            self.phase = Phase::Launching(next);
        } else {
            let times = match attempt.before {
                0 => String::new(),
                before => format!(", {} times", before + 1),
            };
            self.end(now, name, Ended::failed(format!("{}{times}: {why}", job.job), outcome), out);
        }
    }

    fn end(&mut self, now: Time, name: &str, mut ended: Ended, out: &mut Out) {
        if !ended.is_good && self.hook.on_failure == OnHookFailure::Continue {
            ended.is_good = true;
            ended.how = format!("failed (on_failure = continue): {}", ended.how);
        }
        ended.may_come_late = self.may_come_late;
        out.remember(now, name, Memory::Ended(ended.clone()));
        self.acting.forget();
        self.phase = Phase::Ended(ended);
    }

    /// Once its result stands elsewhere, its job is retired.
    fn ended(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        let stands = self.result_stands(around);
        let Phase::Ended(ended) = &mut self.phase else { return NodeState::Blocked { why: String::new() } };
        if let (Output::Of(alloc, task), Some(key)) = (&self.output, &ended.outcome.job) {
            if let Some(trouble) = self.acting.is_hopeless_after(TELLING_TRIES) {
                out.log(format!("{name}: its output cannot be read: {trouble}"));
                self.output = Output::Read;
            } else {
                let act = || Act::Tail { key: key.clone(), alloc: alloc.clone(), task: task.clone() };
                out.actions.extend(self.acting.begin(now, name, act));
            }
        }
        if let Some(key) = ended.job.clone().filter(|_| stands && self.output == Output::Read) {
            if let Some(trouble) = self.acting.is_hopeless() {
                out.log(format!("{name}: its job could not be retired: {trouble}"));
                ended.job = None;
            } else {
                let purge = self.hook.retain != Retain::All && !self.may_come_late;
                let act = || Act::Retire { key, purge };
                out.actions.extend(self.acting.begin(now, name, act));
            }
        }
        if let Some(key) =
            self.leftovers.last().cloned().filter(|_| ended.job.is_none() && (stands || !ended.is_good))
        {
            if self.acting.is_hopeless().is_some() {
                self.leftovers.clear();
            } else {
                let purge = !self.may_come_late;
                let act = || Act::Retire { key, purge };
                out.actions.extend(self.acting.begin(now, name, act));
            }
        }
        let how = ended.how.clone();
        if ended.is_good { NodeState::Satisfied { how } } else { NodeState::Failed { why: how } }
    }

    /// Whether the result of the hook can be told without its job.
    fn result_stands(&self, around: &Around<'_>) -> bool {
        // One that belongs to no job is for this run, which remembers its result.
        let Some(of) = &self.hook.of else { return true };
        around.job(of).is_some_and(|job| match self.hook.moment {
            Moment::Pre => job.is_submitted(),
            Moment::Post
            | Moment::PreStop
            | Moment::PostStop
            | Moment::Alone
            | Moment::AfterSuccess
            | Moment::AfterFailure => job.is_attested(),
        })
    }

    /// The job it runs as at this moment.
    pub(super) fn running(&self) -> Option<&JobKey> {
        match &self.phase {
            Phase::Running(running) => Some(&running.job),
            Phase::Failing { job, .. } => Some(job),
            Phase::Waiting | Phase::Launching(_) | Phase::Ended(_) | Phase::Cancelled { .. } => None,
        }
    }

    /// Whether it has failed, in this process or in an earlier one.
    pub(super) fn has_failed(&self) -> bool {
        matches!(&self.phase, Phase::Ended(ended) if !ended.is_good)
    }

    /// Whether it takes one of the places of `max_parallel`.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Launching(_) | Phase::Running(_) | Phase::Failing { .. })
    }

    /// What ran, once it has ended and if it ran.
    pub(super) fn outcome(&self) -> Option<HookOutcome> {
        match &self.phase {
            Phase::Ended(ended) if !self.is_needless => Some(ended.outcome.clone()),
            _ => None,
        }
    }

    /// Whether something remains to be done for it although its state is final.
    pub(super) fn has_chores(&self, around: &Around<'_>) -> bool {
        self.acting.is_under_way()
            || match &self.phase {
                Phase::Ended(ended) => {
                    let stands = self.result_stands(around);
                    let has_leftovers = ended.job.is_none() && !self.leftovers.is_empty();
                    self.output != Output::Read
                        || ended.job.is_some() && stands
                        || has_leftovers && (stands || !ended.is_good)
                }
                Phase::Cancelled { job, .. } => job.is_some(),
                Phase::Waiting | Phase::Launching(_) | Phase::Running(_) | Phase::Failing { .. } => false,
            }
    }

    /// When its act is tried again.
    pub(super) fn retries_at(&self) -> Option<Time> {
        self.acting.next_timeout()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let own = match &self.phase {
            Phase::Running(running) => {
                [Some(running.node.deadline), running.node.believed_at()].into_iter().flatten().min()
            }
            Phase::Launching(_) => self.launch_until.filter(|_| !self.acting.is_under_way()),
            Phase::Waiting | Phase::Failing { .. } | Phase::Ended(_) | Phase::Cancelled { .. } => None,
        };
        [own, self.acting.next_timeout()].into_iter().flatten().min()
    }

    pub(super) fn gives_up(&self) -> Option<Time> {
        match &self.phase {
            Phase::Running(running) => Some(running.node.deadline),
            Phase::Launching(_) => self.launch_until,
            Phase::Waiting | Phase::Failing { .. } | Phase::Ended(_) | Phase::Cancelled { .. } => None,
        }
    }
}
