//! What all steps of a tree have in common: a state to show, and at most one act under way.

use super::{
    hook::HookStep, job::JobStep, memory::Memory, release::ReleaseStep, stop::StopStep, wait::WaitStep,
};
use crate::condition::Truth;
use crate::engine::{Act, Action, Entry, Line, NodeState, Report, Time, Trouble, event::backoff};

/// A step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// Its place in the plan's order.
    pub(super) position: usize,
    pub(super) state: NodeState,
    /// Since when it has been in a state of this name.
    pub(super) since: Time,
    pub(super) work: Work,
}

/// What a step is about.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// A jobspec that is not prepared yet.
    Unprepared,
    Wait(Box<WaitStep>),
    Job(Box<JobStep>),
    Hook(Box<HookStep>),
    Stop(Box<StopStep>),
    /// A wait that is let go.
    Release(Box<ReleaseStep>),
}

/// The act of a step: whether it is under way, and when to try again.
#[derive(Clone, Debug, Default)]
pub(super) struct Acting {
    is_under_way: bool,
    /// Whether the step asked for it when it was last brought up to date: otherwise there is nothing to try again.
    is_wanted: bool,
    tries: u32,
    retry_at: Option<Time>,
    /// Why the last try came to nothing.
    pub(super) trouble: Option<String>,
}

/// After so many tries in vain an act without a time limit of its own is given up: about a minute.
const ENOUGH: u32 = 10;

impl Acting {
    /// Whether something is being done at this moment.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// The step is about to be brought up to date, and has not asked for anything yet.
    pub(super) fn unasked(&mut self) {
        self.is_wanted = false;
    }

    /// The step has something else in mind: what was tried in vain does not count any more.
    pub(super) fn forget(&mut self) {
        if !self.is_under_way {
            *self = Self::default();
        }
    }

    /// Begins an act, unless one is under way or it is too early to try again.
    pub(super) fn begin(&mut self, now: Time, name: &str, act: impl FnOnce() -> Act) -> Option<Action> {
        self.begins(now).then(|| Action::Act(name.to_owned(), act()))
    }

    /// Whether it begins now: nothing is under way, and it is not too early to try again.
    pub(super) fn begins(&mut self, now: Time) -> bool {
        self.is_wanted = true;
        if self.is_under_way || self.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        self.is_under_way = true;
        self.retry_at = None;
        true
    }

    /// Takes what came of the act. `None` when it will be tried again.
    pub(super) fn end(
        &mut self,
        now: Time,
        result: Result<Report, Trouble>,
    ) -> Option<Result<Report, String>> {
        self.is_under_way = false;
        match result {
            Ok(report) => {
                *self = Self::default();
                Some(Ok(report))
            }
            Err(Trouble { why, is_transient: true }) => {
                self.tries += 1;
                self.retry_at = Some(now + backoff(self.tries));
                self.trouble = Some(why);
                None
            }
            Err(Trouble { why, is_transient: false }) => {
                *self = Self::default();
                Some(Err(why))
            }
        }
    }

    /// Tries again at this time, or earlier.
    pub(super) fn retry_by(&mut self, at: Time) {
        self.retry_at = self.retry_at.map(|retry_at| retry_at.min(at));
    }

    /// Whether it was tried often enough; then it is forgotten.
    pub(super) fn is_hopeless(&mut self) -> Option<String> {
        self.is_hopeless_after(ENOUGH)
    }

    /// Whether it was tried so often; then it is forgotten.
    pub(super) fn is_hopeless_after(&mut self, tries: u32) -> Option<String> {
        if self.tries < tries || self.is_under_way {
            return None;
        }
        std::mem::take(self).trouble
    }

    /// When it is to be tried again.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.retry_at.filter(|_| self.is_wanted)
    }

    /// What is being done, and what is in its way.
    pub(super) fn describe(&self, what: &str) -> String {
        match &self.trouble {
            Some(trouble) => format!("{what}; tries again: {trouble}"),
            None => what.to_owned(),
        }
    }

    /// What was tried until its time was over, and what was in its way.
    pub(super) fn describe_end(&self, what: &str) -> String {
        match &self.trouble {
            Some(trouble) => format!("{what}: {trouble}"),
            None => what.to_owned(),
        }
    }
}

/// What steps hand out while they advance.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) actions: Vec<Action>,
}

impl Out {
    pub(super) fn remember(&mut self, now: Time, name: &str, memory: Memory) {
        self.actions.push(Action::Remember(Entry::Step { name: name.to_owned(), at: now, memory }));
    }

    pub(super) fn log(&mut self, line: impl Into<Line>) {
        self.actions.push(Action::Log(line.into()));
    }
}

impl Step {
    /// When it is to be brought up to date if nothing happens before.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        if self.state.is_lost() {
            // Nothing is awaited any more, but something may have to be cleared away.
            return match &self.work {
                Work::Unprepared | Work::Wait(_) | Work::Release(_) => None,
                Work::Job(job) => job.retries_at(),
                Work::Hook(hook) => hook.retries_at(),
                Work::Stop(job) => job.retries_at(),
            };
        }
        match &self.work {
            Work::Unprepared => None,
            Work::Wait(wait) => wait.next_timeout(),
            Work::Job(job) => job.next_timeout(),
            Work::Hook(hook) => hook.next_timeout(),
            Work::Stop(job) => job.next_timeout(),
            Work::Release(wait) => wait.next_timeout(),
        }
    }

    /// How it stands for a `when` that names it.
    pub(super) fn truth(&self) -> Truth {
        match &self.work {
            Work::Wait(wait) => wait.truth(),
            Work::Unprepared | Work::Job(_) | Work::Hook(_) | Work::Stop(_) | Work::Release(_) => {
                Truth::Unknown
            }
        }
    }

    /// What is said of it when the task is stopped while it is under way.
    pub(super) fn farewell(&self) -> Option<String> {
        match &self.work {
            Work::Hook(hook) => hook.farewell(),
            Work::Unprepared | Work::Wait(_) | Work::Job(_) | Work::Stop(_) | Work::Release(_) => None,
        }
    }

    /// Whether it is remembered as failed.
    pub(super) fn has_failed(&self) -> bool {
        match &self.work {
            Work::Unprepared | Work::Wait(_) | Work::Release(_) => false,
            Work::Job(job) => job.has_failed(),
            Work::Hook(hook) => hook.has_failed(),
            Work::Stop(job) => job.has_failed(),
        }
    }

    /// When its time is over.
    pub(super) fn gives_up(&self) -> Option<Time> {
        match &self.work {
            Work::Unprepared | Work::Release(_) => None,
            Work::Wait(wait) => wait.gives_up(),
            Work::Job(job) => job.gives_up(),
            Work::Hook(hook) => hook.gives_up(),
            Work::Stop(job) => job.gives_up(),
        }
    }

    /// Whether it takes one of the places of `max_parallel`.
    pub(super) fn is_busy(&self) -> bool {
        match &self.work {
            Work::Unprepared | Work::Wait(_) | Work::Release(_) => false,
            Work::Stop(job) => job.is_busy() && !self.state.is_lost(),
            Work::Job(job) => job.is_busy() && !self.state.is_lost(),
            Work::Hook(hook) => hook.is_busy(),
        }
    }
}
