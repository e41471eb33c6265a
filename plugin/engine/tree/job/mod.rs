//! A job of a tree: from the first look to ready, and to the record that its post hooks have run.
//!
//! ```text
//!             needs satisfied           pre hooks, room         registered
//!   Waiting ──────────────────▶ Due ──────────────────▶ Submitting ─────▶ Submitted ──▶ ready
//!      │ it is so already                                                    ▲
//!      └─────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A ready job whose condition is lost goes back to *gated*, with its whole time limit to come back: what depends on it
//! and was not begun waits, and the run does not end well before it is ready again.

mod hold;
mod look;

use std::{collections::BTreeMap, time::Duration};

use super::{
    around::Around,
    fill::Fill,
    held::{Held, Record},
    memory::{Cause, Due, HookOutcome, Memory, Submitted},
    step::{Acting, Out},
};
use crate::{
    cluster::{JobVersion, Marks, SpecHash},
    condition,
    engine::{Act, NodeState, Report, Submission, Time, time::Spoken},
    manifest::{JobNode, Subject, Wait},
    plan::Blueprint,
};

/// How long a job that must be looked at may stay out of sight before its step fails.
pub(super) const LOOK_LIMIT: Duration = Duration::from_mins(5);
/// What is in the way before every job was seen.
pub(super) const LOOKS_FIRST: &str = "looks at all jobs of the tree first";
/// What a job may take longer than its own progress deadline: Nomad tells of a failure with a delay.
const GRACE: Duration = Duration::from_secs(30);
/// Nomad's own progress deadline where there is none to read.
const USUAL_PROGRESS: Duration = Duration::from_mins(10);

/// How long a job may take to become ready where its author does not say.
fn limit_of(blueprint: &Blueprint) -> Duration {
    blueprint.progress_deadline.unwrap_or(USUAL_PROGRESS) + GRACE
}

/// A job.
#[derive(Clone, Debug)]
pub(super) struct JobStep {
    pub(super) blueprint: Blueprint,
    pub(super) marks: Marks,
    pub(super) exclusive: Option<String>,
    /// When it counts as ready.
    pub(super) wait: Wait,
    may_adopt: bool,
    stable_for: Duration,
    /// The time limit that its author gave.
    own_limit: Option<Duration>,
    limit: Duration,
    phase: Phase,
    acting: Acting,
    fill: Fill,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Waits for what it depends on; and until when it may be out of sight.
    Waiting {
        look_until: Option<Time>,
    },
    Due(Due),
    Submitting {
        due: Due,
        deadline: Time,
    },
    Submitted(Box<Held>),
    Failed {
        why: String,
    },
}

impl JobStep {
    pub(super) fn new(
        now: Time,
        node: &JobNode,
        mut blueprint: Blueprint,
        mut marks: Marks,
        fill: Fill,
        memory: Option<Memory>,
    ) -> Self {
        let filled = match &memory {
            Some(Memory::Due(due) | Memory::Submitting { due, .. }) => due.spec.as_ref(),
            Some(Memory::Submitted(submitted)) => submitted.spec.as_ref(),
            _ => None,
        };
        if let Some(spec) = filled {
            (blueprint.spec, marks.spec) = (spec.clone(), spec.clone());
        }
        let ready = &node.ready;
        let limit = ready.timeout.unwrap_or_else(|| limit_of(&blueprint));
        let wait = Wait {
            until: ready.until,
            at_least: ready.at_least,
            timeout: limit,
            on_blocked: ready.on_blocked,
            ..Wait::new(Subject::of_job(&blueprint.key, ready.group.clone()))
        };
        let phase = match memory {
            Some(Memory::Due(due)) => Phase::Due(due),
            Some(Memory::Submitting { due, deadline }) => Phase::Submitting { due, deadline },
            Some(Memory::Submitted(memory)) => Phase::Submitted(Box::new(Held::again(now, limit, memory))),
            Some(Memory::Failed { why }) => Phase::Failed { why },
            _ => Phase::Waiting { look_until: None },
        };
        Self {
            blueprint,
            marks,
            exclusive: node.exclusive.clone(),
            wait,
            may_adopt: node.adopt,
            stable_for: ready.stable_for,
            own_limit: ready.timeout,
            limit,
            phase,
            acting: Acting::default(),
            fill,
        }
    }

    /// Brings the step up to date.
    pub(super) fn advance(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        self.acting.unasked();
        self.fill.unasked();
        loop {
            match &mut self.phase {
                Phase::Failed { why } => return NodeState::Failed { why: why.clone() },
                Phase::Waiting { .. } => {
                    if let Some(state) = self.look(now, name, around, out) {
                        return state;
                    }
                }
                Phase::Due(due) => {
                    let due = due.clone();
                    if let Some(skipped) = around.halted(name) {
                        return skipped;
                    }
                    if !around.has_looked {
                        return NodeState::Blocked { why: LOOKS_FIRST.to_owned() };
                    }
                    if let Some(blocked) = around.blocked(name, |_| true) {
                        return blocked;
                    }
                    if let Some(reading) = self.read(now, name, around, out) {
                        return reading;
                    }
                    if let Some(other) = self.exclusive.as_deref().and_then(|word| around.holder_of(word)) {
                        return NodeState::Blocked {
                            why: format!("waits until {other} is ready, which has the same `exclusive`"),
                        };
                    }
                    if let Some(full) = around.no_room() {
                        return full;
                    }
                    let deadline = now + self.limit;
                    out.remember(now, name, Memory::Submitting { due: due.clone(), deadline });
                    self.phase = Phase::Submitting { due, deadline };
                }
                Phase::Submitting { deadline, due } => {
                    let (deadline, is_new) = (*deadline, due.why == Cause::Created);
                    if !self.acting.is_under_way()
                        && let Some(why) = around.cancelled()
                    {
                        return NodeState::Skipped {
                            why: format!("{why}; it may have been submitted, and is not waited for"),
                            root: None,
                        };
                    }
                    if deadline <= now && !self.acting.is_under_way() {
                        let trouble = self.acting.describe_end("it could not be submitted");
                        let why = format!("not within {}: {trouble}", Spoken(self.limit));
                        self.fail(now, name, why, out);
                        continue;
                    }
                    // A process before this one had read what it takes from others.
                    if !self.fill.is_done()
                        && let Some(state) =
                            around.held_up(name, "it may have been submitted, and is not waited for")
                    {
                        return state;
                    }
                    if let Some(reading) = self.read(now, name, around, out) {
                        return reading;
                    }
                    let act = || Act::Submit {
                        key: self.blueprint.key.clone(),
                        marks: self.marks.clone(),
                        may_adopt: self.may_adopt,
                        is_new,
                    };
                    out.actions.extend(self.acting.begin(now, name, act));
                    return NodeState::Working { on: self.acting.describe("is being submitted") };
                }
                Phase::Submitted(_) => match self.hold(now, name, around, out) {
                    Ok(state) => return state,
                    Err(why) => self.fail(now, name, why, out),
                },
            }
        }
    }

    /// Takes what came of the step's act.
    pub(super) fn acted(
        &mut self,
        now: Time,
        name: &str,
        result: Result<Report, crate::engine::Trouble>,
        out: &mut Out,
    ) {
        let Some(result) = self.acting.end(now, result) else { return };
        match (&mut self.phase, result) {
            (_, Ok(Report::Filled(blueprint))) => self.filled(*blueprint),
            (Phase::Submitting { due, .. }, Ok(Report::Submitted(submission))) => {
                let (cause, before) = (Some(due.why), due.version);
                self.submitted(now, name, submission, cause, before, out);
            }
            (Phase::Submitted(held), Ok(Report::Recalled { versions, done, hooks })) => {
                match condition::rollout(&versions, done.as_ref(), &self.marks) {
                    Some(rollout) => {
                        if rollout.is_done {
                            held.record = Record::Done;
                            held.memory.hooks = hooks;
                        }
                        held.memory.rollout = Some(rollout);
                        out.remember(now, name, Memory::Submitted(held.memory.clone()));
                    }
                    None => self.fail(now, name, "it was changed by someone else".to_owned(), out),
                }
            }
            (Phase::Submitted(held), Ok(_)) if held.record == Record::UnderWay => held.record = Record::Done,
            (Phase::Submitted(held), Err(why)) if held.record == Record::UnderWay => {
                held.give_up_record(name, &why, out);
            }
            (
                Phase::Waiting { .. } | Phase::Due(_) | Phase::Submitting { .. } | Phase::Submitted(_),
                Err(why),
            ) => self.fail(now, name, why, out),
            // Nothing else is asked for in these phases.
            _ => {}
        }
    }

    /// Has read what it takes from others; `None` when that is done. What cannot be read fails the step.
    fn read(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> Option<NodeState> {
        match self.fill.advance(now, name, around, &mut self.acting, out) {
            Ok(reading) => reading,
            Err(why) => {
                self.fail(now, name, why.clone(), out);
                Some(NodeState::Failed { why })
            }
        }
    }

    /// Takes what the job says of itself with all filled in. In an earlier process it may have been another: then it is
    /// submitted as it is now, and [`Act::Submit`] looks what is registered.
    fn filled(&mut self, blueprint: Blueprint) {
        let due = match &mut self.phase {
            Phase::Waiting { .. } => None,
            Phase::Due(due) | Phase::Submitting { due, .. } => Some(due),
            Phase::Submitted(_) | Phase::Failed { .. } => return,
        };
        if let Some(due) = due {
            due.spec = Some(blueprint.spec.clone());
        }
        self.fill.done();
        self.marks.spec = blueprint.spec.clone();
        self.limit = self.own_limit.unwrap_or_else(|| limit_of(&blueprint));
        self.blueprint = blueprint;
    }

    fn submitted(
        &mut self,
        now: Time,
        name: &str,
        submission: Submission,
        cause: Option<Cause>,
        before: Option<JobVersion>,
        out: &mut Out,
    ) {
        let memory = Submitted {
            submission,
            cause,
            before,
            deadline: now + self.limit,
            was_ready: false,
            rollout: None,
            spec: self.spec_of_values(),
            hooks: BTreeMap::new(),
        };
        out.remember(now, name, Memory::Submitted(memory.clone()));
        self.phase = Phase::Submitted(Box::new(Held::new(now, memory)));
    }

    /// The hash of what it submits, where that follows from what others put out.
    fn spec_of_values(&self) -> Option<SpecHash> {
        self.fill.is_of_use().then(|| self.marks.spec.clone())
    }

    fn fail(&mut self, now: Time, name: &str, why: String, out: &mut Out) {
        out.remember(now, name, Memory::Failed { why: why.clone() });
        self.acting.forget();
        self.phase = Phase::Failed { why };
    }

    /// What it will be, or was, submitted over; `None` while that is not decided, or when it is not submitted at all.
    pub(super) fn due(&self) -> Option<Due> {
        match &self.phase {
            Phase::Due(due) | Phase::Submitting { due, .. } => Some(due.clone()),
            Phase::Waiting { .. } | Phase::Submitted(_) | Phase::Failed { .. } => None,
        }
    }

    /// Whether it was not decided yet what is to be done about it.
    pub(super) fn is_undecided(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. })
    }

    /// Whether it has failed, in this process or in an earlier one.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.phase, Phase::Failed { .. })
    }

    /// Whether it is registered as the tree wants it.
    pub(super) fn is_submitted(&self) -> bool {
        matches!(self.phase, Phase::Submitted(_))
    }

    /// What this run does to it, in words for its hooks: why, and the versions before and after as far as they are
    /// known.
    pub(super) fn change(&self) -> (Option<Cause>, Option<JobVersion>, Option<JobVersion>) {
        match &self.phase {
            Phase::Due(due) | Phase::Submitting { due, .. } => (Some(due.why), due.version, None),
            Phase::Submitted(held) => {
                let Submitted { submission, cause, before, .. } = &held.memory;
                (*cause, *before, Some(submission.version))
            }
            Phase::Waiting { .. } | Phase::Failed { .. } => (None, None, None),
        }
    }

    /// Why this run submitted it, if it did.
    pub(super) fn cause(&self) -> Option<Cause> {
        match &self.phase {
            Phase::Submitted(held) => held.memory.cause,
            Phase::Waiting { .. } | Phase::Due(_) | Phase::Submitting { .. } | Phase::Failed { .. } => None,
        }
    }

    /// The rollout that its post hooks are for, once it is known.
    pub(super) fn rollout(&self) -> Option<&condition::Rollout> {
        match &self.phase {
            Phase::Submitted(held) => held.memory.rollout.as_ref(),
            Phase::Waiting { .. } | Phase::Due(_) | Phase::Submitting { .. } | Phase::Failed { .. } => None,
        }
    }

    /// What its post hook `name` came to when it ran for this rollout before.
    pub(super) fn outcome_before(&self, name: &str) -> Option<HookOutcome> {
        match &self.phase {
            Phase::Submitted(held) => held.memory.hooks.get(name).cloned(),
            Phase::Waiting { .. } | Phase::Due(_) | Phase::Submitting { .. } | Phase::Failed { .. } => None,
        }
    }

    /// Whether it is written down that its post hooks have run.
    pub(super) fn is_attested(&self) -> bool {
        matches!(&self.phase, Phase::Submitted(held) if held.record == Record::Done)
    }

    /// Whether it takes one of the places of `max_parallel`: it is being brought into service by this run.
    pub(super) fn is_busy(&self) -> bool {
        match &self.phase {
            Phase::Submitting { .. } => true,
            Phase::Submitted(held) => held.memory.cause.is_some() && !held.memory.was_ready,
            Phase::Waiting { .. } | Phase::Due(_) | Phase::Failed { .. } => false,
        }
    }

    /// Whether something remains to be done for it although its state is final.
    pub(super) fn has_chores(&self) -> bool {
        self.acting.is_under_way()
            || matches!(&self.phase, Phase::Submitted(held) if held.record == Record::UnderWay)
    }

    /// Whether anything is known of it beyond that it is wanted.
    pub(super) fn is_known(&self) -> bool {
        matches!(self.phase, Phase::Submitted(_) | Phase::Failed { .. })
    }

    /// Whether that is written down, or given up.
    pub(super) fn is_record_settled(&self) -> bool {
        matches!(&self.phase, Phase::Submitted(held) if matches!(held.record, Record::Done | Record::GivenUp))
    }

    /// When its act is tried again.
    pub(super) fn retries_at(&self) -> Option<Time> {
        self.acting.next_timeout()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let own = match &self.phase {
            Phase::Waiting { look_until } => look_until.or_else(|| self.fill_until()),
            Phase::Due(_) => self.fill_until(),
            Phase::Submitting { deadline, .. } => Some(*deadline).filter(|_| !self.acting.is_under_way()),
            Phase::Submitted(held) if !held.node.state.is_satisfied() => {
                let stable = held.node.stable_at(self.stable_for);
                [Some(held.node.deadline), held.node.believed_at(), stable].into_iter().flatten().min()
            }
            Phase::Submitted(_) | Phase::Failed { .. } => None,
        };
        [own, self.acting.next_timeout()].into_iter().flatten().min()
    }

    pub(super) fn gives_up(&self) -> Option<Time> {
        match &self.phase {
            Phase::Submitting { deadline, .. } => Some(*deadline),
            Phase::Submitted(held) => Some(held.node.deadline),
            Phase::Waiting { look_until } => look_until.or_else(|| self.fill.gives_up()),
            Phase::Due(_) => self.fill.gives_up(),
            Phase::Failed { .. } => None,
        }
    }

    /// When reading what it takes from others is given up.
    fn fill_until(&self) -> Option<Time> {
        self.fill.gives_up().filter(|_| !self.acting.is_under_way())
    }
}
