//! A hook of a tree: a batch job that must run to its end, in each run or rollout that it is for, or once for a key.

mod each;

use std::time::Duration;

use self::each::EachStep;
use super::{
    around::Around,
    fill::Fill,
    memory::{HookOutcome, Memory},
    once::OnceStep,
    step::Out,
};
use crate::{
    cluster::{JobKey, Marks, Place},
    engine::{NodeState, Report, Time, Trouble},
    manifest::Hook,
    plan::Blueprint,
};

/// How often the output of a hook that ended well is asked for: nothing depends on it.
pub(super) const TELLING_TRIES: u32 = 3;
/// How long launching may be tried in vain.
pub(super) const LAUNCH_LIMIT: Duration = Duration::from_mins(5);

/// A hook.
#[derive(Clone, Debug)]
pub(super) struct HookStep(Way);

#[derive(Clone, Debug)]
enum Way {
    /// In each run or rollout that it is for.
    Each(Box<EachStep>),
    /// Once for its key, whoever asks.
    Once(Box<OnceStep>),
}

/// Asks whichever it is.
macro_rules! either {
    ($step:expr, $hook:ident => $answer:expr) => {
        match $step {
            Way::Each($hook) => $answer,
            Way::Once($hook) => $answer,
        }
    };
}

impl HookStep {
    pub(super) fn new(
        now: Time,
        hook: &Hook,
        blueprint: Blueprint,
        marks: Marks,
        fill: Fill,
        place: &Place,
        memory: Option<Memory>,
    ) -> Self {
        match OnceStep::new(&marks.node, hook, &blueprint, place, memory.as_ref()) {
            Some(once) => Self(Way::Once(Box::new(once))),
            None => Self(Way::Each(Box::new(EachStep::new(now, hook, blueprint, marks, fill, memory)))),
        }
    }

    /// What the user wrote.
    pub(super) fn hook(&self) -> &Hook {
        either!(&self.0, hook => &hook.hook)
    }

    /// Brings the step up to date.
    pub(super) fn advance(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        either!(&mut self.0, hook => hook.advance(now, name, around, out))
    }

    /// Takes what came of the step's act.
    pub(super) fn acted(&mut self, now: Time, name: &str, result: Result<Report, Trouble>, out: &mut Out) {
        match &mut self.0 {
            Way::Each(hook) => hook.acted(now, name, result, out),
            Way::Once(hook) => hook.acted(now, result, out),
        }
    }

    /// The job it runs as at this moment.
    pub(super) fn running(&self) -> Option<&JobKey> {
        either!(&self.0, hook => hook.running())
    }

    /// Whether it has failed, in this process or in an earlier one.
    pub(super) fn has_failed(&self) -> bool {
        either!(&self.0, hook => hook.has_failed())
    }

    /// Whether it takes one of the places of `max_parallel`.
    pub(super) fn is_busy(&self) -> bool {
        either!(&self.0, hook => hook.is_busy())
    }

    /// What ran, once it has ended and if it ran.
    pub(super) fn outcome(&self) -> Option<HookOutcome> {
        either!(&self.0, hook => hook.outcome())
    }

    /// Whether something remains to be done for it although its state is final.
    pub(super) fn has_chores(&self, around: &Around<'_>) -> bool {
        match &self.0 {
            Way::Each(hook) => hook.has_chores(around),
            Way::Once(hook) => hook.has_chores(),
        }
    }

    /// What is said of a hook that runs on although nobody here waits for it any more.
    pub(super) fn farewell(&self) -> Option<String> {
        match &self.0 {
            Way::Each(_) => None,
            Way::Once(hook) => hook.is_busy().then(|| hook.farewell()),
        }
    }

    /// When its act is tried again.
    pub(super) fn retries_at(&self) -> Option<Time> {
        either!(&self.0, hook => hook.retries_at())
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        either!(&self.0, hook => hook.next_timeout())
    }

    pub(super) fn gives_up(&self) -> Option<Time> {
        either!(&self.0, hook => hook.gives_up())
    }
}
