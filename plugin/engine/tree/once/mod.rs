//! A hook that runs at most once for its key, whoever wants it to run: everyone follows one record.
//!
//! ```text
//!   Waiting ─▶ Reading ─▶ no record, or nobody at it: Writing "launching, by me" ─▶ Clearing ─▶ Launching ─┐
//!                │  ▲                                                                                     │
//!                │  └── something else is there ── Writing "running" ◀────────────────────────────────────┘
//!                ├─▶ running: Running ─▶ Telling ─▶ Writing "done", "failed", or another attempt
//!                └─▶ done or failed: Ended
//! ```
//!
//! # Invariants
//!
//! * Nothing is launched but by whoever the record names as the one who launches, under an ID that follows from hook,
//!   key and attempt: who takes over finds what the one before may have launched.
//! * A job is never purged: what the one before asked of Nomad may arrive late, and must find the job there.
//! * Another attempt is begun only when the record says that the one before has failed, and its job is stopped.
//! * The result is what the record says. What this run saw itself counts only where the record cannot be written.

mod follow;
mod record;
mod winding;

use self::record::{Record, Runs, State};
use super::{
    around::Around,
    attempt::{Output, Running},
    hook::{LAUNCH_LIMIT, TELLING_TRIES},
    memory::{Ended, HookOutcome, Memory},
    step::{Acting, Out},
};
use crate::{
    cluster::{JobKey, Marks, Namespace, Place, RaftIndex, Sight, TreeName, digest},
    engine::{Act, NodeState, Report, Time, Trouble, scene, time::Spoken},
    manifest::{Hook, Launch},
    plan::{self, Blueprint},
};

/// A hook with `once`.
#[derive(Clone, Debug)]
pub(super) struct OnceStep {
    pub(super) hook: Hook,
    label: String,
    key: String,
    path: String,
    /// The task's namespace: that of the record.
    namespace: Namespace,
    runs: Runs,
    /// Who this is.
    me: String,
    /// The part of the job's ID that follows from hook and key.
    run: String,
    marks: Marks,
    phase: Phase,
    acting: Acting,
    /// The record as it was last read or written.
    known: Option<(RaftIndex, Record)>,
    /// Whether there was a record at any time of this run.
    was_there: bool,
    /// Whether it was not over when this run came to it.
    has_followed: bool,
    /// Whether this run made the record where there was none, and every answer to what it launched has come.
    is_fresh: bool,
    /// Since when the record has stood still, and how often it was read since.
    still: Option<(RaftIndex, Time, u32)>,
    /// How long it may take until it runs.
    until: Option<Time>,
    /// When the time of this attempt is over.
    deadline: Option<(u32, Time)>,
}

#[derive(Clone, Debug)]
enum Phase {
    Waiting,
    /// The record is read, when it is time.
    Reading(Time),
    /// The record is written; how it ended if this cannot be, where it has ended.
    Writing(Record, Option<Ended>),
    /// The job of the attempt before is being stopped.
    Clearing(JobKey),
    Launching,
    Running(Box<Running>),
    /// An attempt is over, and its output is being read: what is to be written then.
    Telling(Record, Output, JobKey),
    /// It could not be launched, why; and others may try.
    Releasing(String),
    Ended(Ended),
    /// It runs on without us.
    Left(String),
}

impl OnceStep {
    /// The hook `label` of a task at `place`; `None` where it has no key.
    pub(super) fn new(
        label: &str,
        hook: &Hook,
        blueprint: &Blueprint,
        place: &Place,
        memory: Option<&Memory>,
    ) -> Option<Self> {
        let key = hook.once.clone()?;
        let runs = match hook.launch {
            Launch::Dispatch { .. } => Runs::Dispatch(blueprint.key.clone()),
            Launch::Jobspec { .. } => Runs::Jobspec(blueprint.key.clone()),
        };
        let namespace = place.job.namespace.clone();
        // The same for everybody, whatever else their jobspecs say.
        let marks = Marks {
            tree: TreeName::from(format!("{namespace}/~once")),
            node: label.to_owned(),
            spec: digest([label, &key, &runs.spoken()]).into(),
        };
        let phase = match memory {
            Some(Memory::Ended(ended)) => Phase::Ended(ended.clone()),
            _ => Phase::Waiting,
        };
        let deadline = match memory {
            Some(Memory::Running { attempt, deadline, .. }) => Some((attempt.number, *deadline)),
            _ => None,
        };
        Some(Self {
            hook: hook.clone(),
            label: label.to_owned(),
            path: plan::once_path(label, &key),
            run: plan::run_of_once(&namespace, label, &key),
            key,
            namespace,
            runs,
            me: format!("{}/{}", place.alloc, place.task),
            marks,
            phase,
            acting: Acting::default(),
            known: None,
            was_there: memory.is_some(),
            has_followed: memory.is_some(),
            is_fresh: false,
            still: None,
            until: None,
            deadline,
        })
    }

    /// Brings the step up to date.
    pub(super) fn advance(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        self.acting.unasked();
        loop {
            if self.is_busy()
                && let Some(why) = around.cancelled()
            {
                out.log(self.farewell());
                self.acting.forget();
                self.phase = Phase::Left(why);
            }
            if self.is_late(now) {
                let what = format!("it could not be launched within {}", Spoken(LAUNCH_LIMIT));
                let why = self.acting.describe_end(&what);
                self.give_up(now, why, out);
            }
            let state = match &self.phase {
                Phase::Waiting => self.begin(now, name, around),
                Phase::Reading(_) | Phase::Clearing(_) | Phase::Launching => Some(self.ask(now, out)),
                Phase::Writing(..) => self.write_down(now, out),
                Phase::Running(_) => self.look(now, around, out),
                Phase::Telling(..) => self.tell(now, out),
                Phase::Releasing(_) => self.release(now, out),
                Phase::Ended(_) => Some(self.tidy(now, out)),
                Phase::Left(why) => Some(NodeState::Skipped { why: why.clone(), root: None }),
            };
            if let Some(state) = state {
                return state;
            }
        }
    }

    /// Its turn. This and the steps that follow give `None` when they have moved on.
    fn begin(&mut self, now: Time, name: &str, around: &Around<'_>) -> Option<NodeState> {
        let begins = || {
            let why = "is about to begin".to_owned();
            (!around.has_looked).then_some(NodeState::Blocked { why })
        };
        let blocked = || around.blocked(name, |_| true).or_else(begins).or_else(|| around.no_room());
        if let Some(state) = around.halted(name).or_else(blocked) {
            return Some(state);
        }
        self.until = Some(now + LAUNCH_LIMIT);
        self.phase = Phase::Reading(now);
        None
    }

    /// Reads the record, or has something done until it runs.
    fn ask(&mut self, now: Time, out: &mut Out) -> NodeState {
        let act = match &self.phase {
            Phase::Reading(at) => (*at <= now).then(|| Act::ReadOnce { path: self.path.clone() }),
            Phase::Clearing(job) => Some(Act::Retire { key: job.clone(), purge: false }),
            _ => Some(self.launch()),
        };
        if let Some(act) = act {
            out.actions.extend(self.acting.begin(now, &self.label, || act));
        }
        match (&self.phase, &self.known) {
            (Phase::Reading(_), Some((_, Record { state: State::Launching { by: Some(by), .. }, .. })))
                if *by != self.me =>
            {
                let alloc: String = by.chars().take_while(|c| *c != '-' && *c != '/').collect();
                let why = self.acting.describe(&format!("is being launched by allocation {alloc}"));
                NodeState::Gated { why }
            }
            (Phase::Reading(_), _) => {
                NodeState::Working { on: self.acting.describe("looks whether it ran before") }
            }
            _ => NodeState::Working { on: self.acting.describe("is being launched") },
        }
    }

    fn write_down(&mut self, now: Time, out: &mut Out) -> Option<NodeState> {
        let Phase::Writing(record, own) = &self.phase else { return None };
        let record = record.clone();
        if own.is_some()
            && let Some(trouble) = self.acting.is_hopeless()
        {
            self.unwritable(now, &trouble, out);
            return None;
        }
        self.put(now, &record, out);
        let on = match record.state {
            State::Launching { .. } | State::Running { .. } => "is being launched",
            State::Done { .. } | State::Failed { .. } => "its result is being written down",
        };
        Some(NodeState::Working { on: self.acting.describe(on) })
    }

    /// How the job fares that runs.
    fn look(&mut self, now: Time, around: &Around<'_>, out: &mut Out) -> Option<NodeState> {
        let Phase::Running(running) = &mut self.phase else { return None };
        let judged = running.judge(now, around);
        let (job, exit_code) = (running.job.clone(), running.exit_code(around));
        let (output, before) = (running.output(around), running.attempt.before);
        match judged {
            NodeState::Satisfied { how } => {
                let how = format!("{}: {how}", job.job);
                self.conclude(State::Done { job: job.clone(), how, exit_code }, output, job);
                None
            }
            NodeState::Failed { why } => {
                let why = format!("{}: {why}", job.job);
                // Of a job that is gone nobody knows how it ended: it may have done its work.
                let is_gone = matches!(*around.scene.sight_of(&job), Sight::Absent { .. });
                let state = if !is_gone && before < self.hook.retries {
                    out.log(format!("{}: attempt {} failed: {why}", self.label, before + 1));
                    State::Launching { by: Some(self.me.clone()), over: Some(job.clone()) }
                } else {
                    State::Failed { job: Some(job.clone()), why, exit_code }
                };
                self.conclude(state, output, job);
                None
            }
            state => Some(state),
        }
    }

    /// Lets others launch what this run cannot.
    fn release(&mut self, now: Time, out: &mut Out) -> Option<NodeState> {
        let Phase::Releasing(why) = &self.phase else { return None };
        let why = why.clone();
        if self.acting.is_hopeless_after(TELLING_TRIES).is_some() {
            self.fail(now, why, out);
            return None;
        }
        let record = self.released();
        self.put(now, &record, out);
        Some(NodeState::Working { on: format!("cannot be launched: {why}") })
    }

    /// Takes what came of the step's act.
    pub(super) fn acted(&mut self, now: Time, result: Result<Report, Trouble>, out: &mut Out) {
        let Some(result) = self.acting.end(now, result) else {
            self.is_fresh &= !matches!(self.phase, Phase::Launching);
            return;
        };
        match (&mut self.phase, result) {
            (Phase::Reading(_), Ok(Report::Record(kept))) => self.read(now, kept, out),
            (Phase::Writing(record, _), Ok(Report::Written(Some(index)))) => {
                self.is_fresh |= self.known.is_none();
                self.known = Some((index, record.clone()));
                self.take(now, true, out);
            }
            // Somebody was quicker; or it was this write, whose first answer was lost.
            (Phase::Writing(..), Ok(_)) => self.phase = Phase::Reading(now),
            (Phase::Writing(_, Some(_)), Err(why)) => self.unwritable(now, &why, out),
            (Phase::Reading(_) | Phase::Writing(_, None), Err(why)) => self.fail(now, why, out),
            (Phase::Clearing(_), Ok(_)) => self.phase = Phase::Launching,
            (Phase::Clearing(_) | Phase::Launching, Err(why)) => self.give_up(now, why, out),
            (Phase::Launching, Ok(Report::Launched(job))) => {
                let by = self.me.clone();
                self.write(State::Running { by, job });
            }
            // It was launched before there was this record: somebody has purged the one before, to have it run again.
            (Phase::Launching, Ok(Report::Spent)) if self.is_fresh => {
                let (first, attempt) = (self.attempt() + 1, self.attempt() + 1);
                let state = State::Launching { by: Some(self.me.clone()), over: None };
                self.phase = Phase::Writing(Record { runs: self.runs.clone(), first, attempt, state }, None);
            }
            (Phase::Launching, Ok(_)) => {
                let job = self.job();
                let why = format!("{}: it was stopped by someone else before its end was seen", job.job);
                self.conclude(State::Failed { job: None, why, exit_code: None }, Output::Read, job);
            }
            (Phase::Telling(..), result) => self.told(result, out),
            (Phase::Releasing(why), _) => {
                let why = why.clone();
                self.fail(now, why, out);
            }
            (Phase::Ended(_), result) => self.tidied(now, result, out),
            // Nothing else is asked for in these phases.
            _ => {}
        }
    }

    fn launch(&self) -> Act {
        let dispatch = match &self.runs {
            Runs::Dispatch(parent) => Some(parent.clone()),
            Runs::Jobspec(_) => None,
        };
        Act::Launch {
            key: self.job(),
            marks: self.marks.clone(),
            dispatch,
            about: std::collections::BTreeMap::default(),
        }
    }

    /// Writes the record over what was last read.
    fn put(&mut self, now: Time, record: &Record, out: &mut Out) {
        let act = || Act::WriteOnce {
            path: self.path.clone(),
            items: record.items(&self.label, &self.key),
            over: self.known.as_ref().map(|(index, _)| *index),
        };
        out.actions.extend(self.acting.begin(now, &self.label, act));
    }

    /// The job of the attempt under way; of a dispatch, its token.
    fn job(&self) -> JobKey {
        let (Runs::Dispatch(target) | Runs::Jobspec(target)) = &self.runs;
        let job = plan::once_job(&self.label, &self.run, self.attempt());
        JobKey { namespace: target.namespace.clone(), job }
    }

    fn attempt(&self) -> u32 {
        self.known.as_ref().map_or(1, |(_, record)| record.attempt)
    }

    /// The record with this of attempt `attempt`.
    fn record(&self, attempt: u32, state: State) -> Record {
        let first = self.known.as_ref().map_or(attempt, |(_, record)| record.first);
        Record { runs: self.runs.clone(), first, attempt, state }
    }

    /// Whether it has taken too long to be launched.
    fn is_late(&self, now: Time) -> bool {
        let is_early = match &self.phase {
            Phase::Reading(_) | Phase::Clearing(_) | Phase::Launching => true,
            Phase::Writing(_, own) => own.is_none(),
            Phase::Waiting
            | Phase::Running(_)
            | Phase::Telling(..)
            | Phase::Releasing(_)
            | Phase::Ended(_)
            | Phase::Left(_) => false,
        };
        is_early && !self.acting.is_under_way() && self.until.is_some_and(|until| until <= now)
    }

    /// How to have it run again.
    fn again(&self) -> String {
        let namespace = JobKey { namespace: self.namespace.clone(), job: "".into() };
        format!(
            "to have it run again, give it another key, or run `nomad var purge {}{}` and start the task again",
            scene::in_namespace(&namespace),
            self.path
        )
    }

    /// What is said of it when the run ends before it.
    pub(super) fn farewell(&self) -> String {
        format!(
            "{}: once = {:?}: it is left as it is, because others may wait for it; what has been launched runs on",
            self.label, self.key
        )
    }

    /// The job it runs as at this moment.
    pub(super) fn running(&self) -> Option<&JobKey> {
        match &self.phase {
            Phase::Running(running) => Some(&running.job),
            Phase::Telling(_, _, job) => Some(job),
            _ => None,
        }
    }

    /// What ran, once it has ended.
    pub(super) fn outcome(&self) -> Option<HookOutcome> {
        match &self.phase {
            Phase::Ended(ended) => Some(ended.outcome.clone()),
            _ => None,
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(&self.phase, Phase::Ended(ended) if !ended.is_good)
    }

    /// Whether it takes one of the places of `max_parallel`.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Waiting | Phase::Ended(_) | Phase::Left(_))
    }

    /// Whether something remains to be done for it although its state is final.
    pub(super) fn has_chores(&self) -> bool {
        self.acting.is_under_way() || matches!(&self.phase, Phase::Ended(ended) if ended.job.is_some())
    }

    /// When its act is tried again.
    pub(super) fn retries_at(&self) -> Option<Time> {
        self.acting.next_timeout()
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        let until = self.until.filter(|_| !self.acting.is_under_way());
        let own = match &self.phase {
            Phase::Running(running) => {
                [Some(running.node.deadline), running.node.believed_at()].into_iter().flatten().min()
            }
            Phase::Reading(at) if self.acting.trouble.is_none() => {
                Some(*at).filter(|_| !self.acting.is_under_way())
            }
            Phase::Reading(_) | Phase::Clearing(_) | Phase::Launching | Phase::Writing(_, None) => until,
            _ => None,
        };
        [own, self.acting.next_timeout()].into_iter().flatten().min()
    }

    pub(super) fn gives_up(&self) -> Option<Time> {
        match &self.phase {
            Phase::Running(running) => Some(running.node.deadline),
            Phase::Reading(_) | Phase::Writing(..) | Phase::Clearing(_) | Phase::Launching => self.until,
            _ => None,
        }
    }
}
