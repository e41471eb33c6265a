//! A hook that runs once for each rollout of its job, or for each run.
//!
//! ```text
//!             needed, room            launched            ended well        its result stands elsewhere
//!   Waiting ──────────────▶ Launching ────────▶ Running ────────────▶ Ended ───────────────────────▶ retired
//!      │ not needed             ▲                  │ failed, hung
//!      ▼                        │ retries          ▼
//!    Ended                      └────────────── Failing: read its output, retire it
//! ```
//!
//! The ID under which a hook runs follows from the rollout it is for, and its result counts until it is *retired*: its
//! job is stopped, or purged. That is done only when the result stands elsewhere: a pre hook's in the registration of
//! its job, a post hook's in the record of its job. Whoever comes after a crash finds the one or the other.

mod purpose;
mod winding;

use self::purpose::NotNow;
use super::LAUNCH_LIMIT;
use crate::{
    cluster::{JobKey, Marks},
    engine::{
        Act, Action, NodeState, Report, Time, Trouble, scene,
        time::Spoken,
        tree::{
            about::about,
            around::Around,
            attempt::{Output, Running, tell_output},
            fill::Fill,
            memory::{Ended, HookOutcome, Memory, Try},
            step::{Acting, Out},
        },
    },
    manifest::{Hook, Launch, Moment},
    plan::{self, Blueprint},
};

/// A hook that runs in each run or rollout that it is for.
#[derive(Clone, Debug)]
pub(super) struct EachStep {
    pub(super) hook: Hook,
    pub(super) blueprint: Blueprint,
    pub(super) marks: Marks,
    phase: Phase,
    acting: Acting,
    fill: Fill,
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

impl EachStep {
    pub(super) fn new(
        now: Time,
        hook: &Hook,
        blueprint: Blueprint,
        marks: Marks,
        fill: Fill,
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
            Some(Memory::Running { attempt, job, deadline, is_given_up }) => {
                let running = Running::again(now, hook, attempt, job, deadline);
                Phase::Running(Box::new(Running { is_given_up, ..running }))
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
            fill,
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
        self.fill.unasked();
        loop {
            match &mut self.phase {
                Phase::Waiting => {
                    if let Some(state) = self.begin(now, name, around, out) {
                        return state;
                    }
                }
                Phase::Launching(_) => {
                    if let Some(state) = self.launch(now, name, around, out) {
                        return state;
                    }
                }
                Phase::Running(_) => {
                    if let Some(state) = self.follow(now, name, around, out) {
                        return state;
                    }
                }
                Phase::Failing { .. } => {
                    if let Some(state) = self.wind_up(now, name, out) {
                        return state;
                    }
                }
                Phase::Ended(_) => return self.ended(now, name, around, out),
                Phase::Cancelled { .. } => return self.give_up(now, name, out),
            }
        }
    }

    /// Has it launched. `None` when the step has moved on.
    fn launch(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> Option<NodeState> {
        let Phase::Launching(attempt) = &mut self.phase else { return None };
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
                out.log(self.may_run_on(name));
            }
            self.acting.forget();
            self.phase = Phase::Cancelled { job: (is_known && self.may_be_there).then_some(key), why };
            return None;
        }
        if let Some(state) = self.read(now, name, around, out) {
            return Some(state);
        }
        if !self.fill.is_done() {
            return None;
        }
        let until = *self.launch_until.get_or_insert(now + LAUNCH_LIMIT);
        if until <= now && !self.acting.is_under_way() {
            let what = format!("it could not be launched within {}", Spoken(LAUNCH_LIMIT));
            let why = self.acting.describe_end(&what);
            self.end(now, name, Ended::failed(why, HookOutcome::default()), out);
            return None;
        }
        let dispatch = match self.hook.launch {
            Launch::Dispatch { .. } => Some(self.blueprint.key.clone()),
            Launch::Jobspec { .. } => None,
        };
        if self.acting.begins(now) {
            let (marks, about) = (self.marks.clone(), about(&self.hook, around));
            let act = Act::Launch { key, marks, dispatch, about };
            out.actions.push(Action::Act(name.to_owned(), act));
        }
        self.may_be_there = true;
        Some(NodeState::Working { on: self.acting.describe("is being launched") })
    }

    /// Judges what runs. `None` when the step has moved on.
    fn follow(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> Option<NodeState> {
        let Phase::Running(running) = &mut self.phase else { return None };
        if let Some(why) = around.cancelled() {
            if around.is_interrupted() {
                // Whoever goes on looks whether it has ended well before it was stopped, or else begins the next attempt.
                running.is_given_up = true;
                out.remember(now, name, running.memory());
            }
            self.phase = Phase::Cancelled { job: Some(running.job.clone()), why };
            return None;
        }
        match running.judge(now, around) {
            NodeState::Satisfied { how } => {
                let (job, how) = (running.job.clone(), format!("{}: {how}", running.job.job));
                let exit_code = running.exit_code(around);
                if self.hook.moment == Moment::Alone {
                    self.output = running.output(around);
                }
                let outcome = HookOutcome { job: Some(job.clone()), exit_code };
                let ended = Ended { is_good: true, how, job: Some(job), outcome, may_come_late: false };
                self.end(now, name, ended, out);
            }
            NodeState::Failed { .. } if running.was_given_up(around) => {
                let attempt = running.attempt.clone();
                self.launch_next(now, name, &attempt, out);
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
            state => return Some(state),
        }
        None
    }

    /// The next attempt, in the place of one that does not count: the job of that one was used up.
    fn launch_next(&mut self, now: Time, name: &str, attempt: &Try, out: &mut Out) {
        let next = Try { number: attempt.number + 1, may_come_late: self.may_come_late, ..attempt.clone() };
        out.remember(now, name, Memory::Launching(next.clone()));
        self.may_be_there = false;
        self.phase = Phase::Launching(next);
    }

    /// What is said of a dispatch whose answer is not known.
    fn may_run_on(&self, name: &str) -> String {
        let JobKey { job, .. } = &self.blueprint.key;
        let namespace = scene::in_namespace(&self.blueprint.key);
        format!(
            "{name}: it may have been dispatched without an answer, and then it runs on; look with `nomad job status \
             {namespace}{job}`"
        )
    }

    /// Takes what came of the step's act.
    pub(super) fn acted(&mut self, now: Time, name: &str, result: Result<Report, Trouble>, out: &mut Out) {
        let Some(result) = self.acting.end(now, result) else {
            self.may_come_late |= matches!(self.phase, Phase::Launching(_)) && self.fill.is_done();
            return;
        };
        match (&mut self.phase, result) {
            // Its hash stays: what it is for does not follow from what others put out.
            (_, Ok(Report::Filled(_))) => self.fill.done(),
            (Phase::Launching(attempt), Ok(Report::Launched(job))) => {
                let attempt = Try { may_come_late: self.may_come_late, ..attempt.clone() };
                let running = Running::new(now, &self.hook, attempt, job, now + self.hook.timeout);
                out.remember(now, name, running.memory());
                out.actions.push(Action::Watch([running.job.clone()].into()));
                self.phase = Phase::Running(Box::new(running));
            }
            (Phase::Launching(attempt), Ok(Report::Spent)) => {
                let attempt = attempt.clone();
                self.launch_next(now, name, &attempt, out);
            }
            (Phase::Waiting | Phase::Launching(_), Err(why)) => {
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
        if let Some(blocked) = around.blocked(name, |_| true) {
            return Some(blocked);
        }
        if let Some(reading) = self.read(now, name, around, out) {
            return Some(reading);
        }
        if !self.fill.is_done() {
            return None;
        }
        if let Some(full) = around.no_room() {
            return Some(full);
        }
        let attempt = Try { rollout, number: 1, before: 0, may_come_late: false };
        self.may_be_there = false;
        out.remember(now, name, Memory::Launching(attempt.clone()));
        self.phase = Phase::Launching(attempt);
        None
    }

    /// Has read what it takes from others. `None` when it is read, or the step has moved on because that cannot be.
    fn read(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> Option<NodeState> {
        if self.fill.is_done() {
            return None;
        }
        // A process before this one may have read it, and have gone further.
        if let Some(state) = around.held_up(name, "it may have been launched, and is not waited for") {
            return Some(state);
        }
        match self.fill.advance(now, name, around, &mut self.acting, out) {
            Ok(reading) => reading,
            Err(why) => {
                self.end(now, name, Ended::failed(why, HookOutcome::default()), out);
                None
            }
        }
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
            Phase::Waiting => self.fill.gives_up().filter(|_| !self.acting.is_under_way()),
            Phase::Launching(_) => {
                self.launch_until.or_else(|| self.fill.gives_up()).filter(|_| !self.acting.is_under_way())
            }
            Phase::Failing { .. } | Phase::Ended(_) | Phase::Cancelled { .. } => None,
        };
        [own, self.acting.next_timeout()].into_iter().flatten().min()
    }

    pub(super) fn gives_up(&self) -> Option<Time> {
        match &self.phase {
            Phase::Running(running) => Some(running.node.deadline),
            Phase::Waiting => self.fill.gives_up(),
            Phase::Launching(_) => self.launch_until.or_else(|| self.fill.gives_up()),
            Phase::Failing { .. } | Phase::Ended(_) | Phase::Cancelled { .. } => None,
        }
    }
}
