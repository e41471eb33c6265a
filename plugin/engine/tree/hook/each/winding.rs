//! What becomes of a hook's job when it has ended: its output is told, its result is remembered, it is retired.

use super::{super::TELLING_TRIES, EachStep, Phase};
use crate::{
    engine::{
        Act, NodeState, Time,
        tree::{
            around::Around,
            attempt::Output,
            memory::{Ended, HookOutcome, Memory, Try},
            step::Out,
        },
    },
    manifest::{OnHookFailure, Retain},
};

impl EachStep {
    /// After a failure: first its output, then its job goes, then the next attempt or the end.
    pub(super) fn wind_up(&mut self, now: Time, name: &str, out: &mut Out) -> Option<NodeState> {
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
            Output::Of(alloc, task) => {
                Act::Tail { key, alloc: alloc.clone(), task: task.clone(), has_failed: true }
            }
            Output::Read => Act::Retire { key, purge },
        };
        out.actions.extend(self.acting.begin(now, name, || act));
        Some(state)
    }

    pub(super) fn attempt_is_over(&mut self, now: Time, name: &str, out: &mut Out) {
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

    pub(super) fn end(&mut self, now: Time, name: &str, mut ended: Ended, out: &mut Out) {
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
    pub(super) fn ended(&mut self, now: Time, name: &str, around: &Around<'_>, out: &mut Out) -> NodeState {
        let stands = self.result_stands(around);
        let Phase::Ended(ended) = &mut self.phase else { return NodeState::Blocked { why: String::new() } };
        if let (Output::Of(alloc, task), Some(key)) = (&self.output, &ended.outcome.job) {
            if let Some(trouble) = self.acting.is_hopeless_after(TELLING_TRIES) {
                out.log(format!("{name}: its output cannot be read: {trouble}"));
                self.output = Output::Read;
            } else {
                let act = || Act::Tail {
                    key: key.clone(),
                    alloc: alloc.clone(),
                    task: task.clone(),
                    has_failed: false,
                };
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

    /// Stops what runs, because the run is cancelled.
    pub(super) fn give_up(&mut self, now: Time, name: &str, out: &mut Out) -> NodeState {
        let Phase::Cancelled { job, why } = &mut self.phase else {
            return NodeState::Blocked { why: String::new() };
        };
        let state = NodeState::Skipped { why: why.clone(), root: None };
        let Some(key) = job.clone() else { return state };
        if self.acting.is_hopeless().is_some() {
            *job = None;
            return state;
        }
        let act = || Act::Retire { key, purge: false };
        out.actions.extend(self.acting.begin(now, name, act));
        state
    }
}
