//! What a run makes of the record: claims it, follows it, and writes into it what it has seen.

use std::time::Duration;

use super::{
    super::{
        attempt::Running,
        hook::LAUNCH_LIMIT,
        memory::{Ended, HookOutcome, Memory, Try},
        step::Out,
    },
    OnceStep, Phase,
    record::{Record, State},
};
use crate::{
    cluster::JobKey,
    engine::{Action, Kept, Time},
};

/// How long the record must stand still while we look, until whoever launches is taken for gone. Longer than any of
/// dtree's requests takes.
const GONE_AFTER: Duration = Duration::from_secs(15);
/// How long to wait between two looks at a record in which somebody launches: at first, and at most.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

impl OnceStep {
    /// Takes what was read.
    pub(super) fn read(&mut self, now: Time, kept: Option<Kept>, out: &mut Out) {
        let Some(Kept { index, items }) = kept else {
            if self.was_there {
                let why = format!(
                    "its record, the variable {}, was taken away while it was launched or ran, so nobody knows what has run; \
                     nothing is launched again before the task is started again",
                    self.path
                );
                self.fail(now, why, out);
            } else {
                self.claim(1, None);
            }
            return;
        };
        let record = match Record::read(&items, &self.label, &self.key) {
            Ok(record) => record,
            Err(why) => {
                let why = format!(
                    "its record, the variable {}, is not understood, so nothing is launched: {why}; {}",
                    self.path,
                    self.again()
                );
                return self.fail(now, why, out);
            }
        };
        if record.runs != self.runs {
            let why = format!(
                "with once = {:?} it was {}, and this is {}: nothing is launched; give one of them another label or key",
                self.key,
                record.runs.spoken(),
                self.runs.spoken()
            );
            return self.fail(now, why, out);
        }
        self.known = Some((index, record));
        self.take(now, false, out);
    }

    /// Goes on as the record says; `is_own` says whether this run has just written it.
    pub(super) fn take(&mut self, now: Time, is_own: bool, out: &mut Out) {
        let Some((index, record)) = self.known.clone() else { return };
        let attempt = Try {
            rollout: self.run.clone(),
            number: record.attempt,
            before: record.before(),
            may_come_late: false,
        };
        match record.state {
            State::Launching { by: Some(by), over } if by == self.me => {
                self.follow(now, Memory::Launching(attempt), out);
                self.phase = over.map_or(Phase::Launching, Phase::Clearing);
            }
            State::Launching { by: None, over } => self.claim(record.attempt, over),
            State::Launching { by: Some(_), over } => {
                self.follow(now, Memory::Launching(attempt), out);
                let (since, n) = match self.still {
                    Some((at, since, n)) if at == index => (since, n + 1),
                    _ => (now, 0),
                };
                self.still = Some((index, since, n));
                if now.since(since) >= GONE_AFTER {
                    self.claim(record.attempt, over);
                } else {
                    let pause = (PAUSE + PAUSE / 2 * n).min(LONGEST_PAUSE);
                    self.phase = Phase::Reading(now + pause);
                }
            }
            State::Running { job, .. } => {
                let remembered = self.deadline.filter(|(number, _)| *number == attempt.number);
                let deadline = remembered.map_or(now + self.hook.timeout, |(_, deadline)| deadline);
                self.deadline = Some((attempt.number, deadline));
                let memory = Memory::Running {
                    attempt: attempt.clone(),
                    job: job.clone(),
                    deadline,
                    is_given_up: false,
                };
                self.follow(now, memory, out);
                out.actions.push(Action::Watch([job.clone()].into()));
                let running = if remembered.is_some() {
                    Running::again(now, &self.hook, attempt, job, deadline)
                } else {
                    Running::new(now, &self.hook, attempt, job, deadline)
                };
                // Another attempt has its own time to be launched.
                self.until = Some(deadline + LAUNCH_LIMIT);
                self.phase = Phase::Running(Box::new(running));
            }
            State::Done { job, how, exit_code } => {
                let how = if self.has_followed { how } else { format!("ran before for the same key: {how}") };
                let outcome = HookOutcome { job: Some(job.clone()), exit_code };
                self.end(
                    now,
                    Ended { is_good: true, how, job: is_own.then_some(job), outcome, may_come_late: false },
                    out,
                );
            }
            State::Failed { job, why, exit_code } => {
                let why = format!("{why}; this is the result for everybody: {}", self.again());
                let outcome = HookOutcome { job: job.clone(), exit_code };
                let job = job.filter(|_| is_own);
                self.end(now, Ended { is_good: false, how: why, job, outcome, may_come_late: false }, out);
            }
        }
    }

    /// It is under way, whoever is at it.
    fn follow(&mut self, now: Time, memory: Memory, out: &mut Out) {
        self.was_there = true;
        self.has_followed = true;
        out.remember(now, &self.label, memory);
    }

    /// This run is to be the one who launches.
    fn claim(&mut self, attempt: u32, over: Option<JobKey>) {
        self.still = None;
        let state = State::Launching { by: Some(self.me.clone()), over };
        self.phase = Phase::Writing(self.record(attempt, state), None);
    }

    /// The record is to say this of the attempt under way.
    pub(super) fn write(&mut self, state: State) {
        self.phase = Phase::Writing(self.record(self.attempt(), state), None);
    }

    /// It cannot be launched by this run.
    pub(super) fn give_up(&mut self, now: Time, why: String, out: &mut Out) {
        self.acting.forget();
        let is_mine = matches!(
            &self.known,
            Some((_, Record { state: State::Launching { by: Some(by), .. }, .. })) if *by == self.me
        );
        if is_mine {
            self.phase = Phase::Releasing(why);
        } else {
            self.fail(now, why, out);
        }
    }

    /// The record as it is when this run has nothing to do with it any more.
    pub(super) fn released(&self) -> Record {
        let over = match &self.known {
            Some((_, Record { state: State::Launching { over, .. }, .. })) => over.clone(),
            _ => None,
        };
        let state = State::Launching { by: None, over };
        self.record(self.attempt(), state)
    }

    pub(super) fn fail(&mut self, now: Time, why: String, out: &mut Out) {
        self.end(now, Ended::failed(why, HookOutcome::default()), out);
    }
}
