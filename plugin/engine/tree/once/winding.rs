//! What becomes of an attempt that has ended: its output is told, its result is written down, its job is stopped.

use super::{
    super::{
        attempt::{Output, tell_output},
        hook::TELLING_TRIES,
        memory::{Ended, HookOutcome, Memory},
        step::Out,
    },
    OnceStep, Phase,
    record::State,
};
use crate::{
    cluster::JobKey,
    engine::{Act, NodeState, Report, Time},
    manifest::OnHookFailure,
};

/// How much of a reason the record takes, in characters.
const LONGEST_REASON: usize = 2000;

impl OnceStep {
    /// An attempt is over: this is written once its output was read.
    pub(super) fn conclude(&mut self, state: State, output: Output, job: JobKey) {
        let is_next = matches!(state, State::Launching { .. });
        let attempt = self.attempt() + u32::from(is_next);
        self.acting.forget();
        self.phase = Phase::Telling(self.record(attempt, state), output, job);
    }

    /// Reads the output of an attempt that is over.
    pub(super) fn tell(&mut self, now: Time, out: &mut Out) -> Option<NodeState> {
        let Phase::Telling(record, output, key) = &mut self.phase else { return None };
        let Output::Of(alloc, task) = output else {
            self.write_end();
            return None;
        };
        if let Some(trouble) = self.acting.is_hopeless_after(TELLING_TRIES) {
            out.log(format!("{}: its output cannot be read: {trouble}", self.label));
            *output = Output::Read;
            return None;
        }
        let has_failed = matches!(record.state, State::Failed { .. });
        let act = Act::Tail { key: key.clone(), alloc: alloc.clone(), task: task.clone(), has_failed };
        out.actions.extend(self.acting.begin(now, &self.label, || act));
        let on = match &record.state {
            State::Failed { why, .. } => format!("has failed: {why}"),
            _ => "has ended, and its output is being read".to_owned(),
        };
        Some(NodeState::Working { on })
    }

    /// Takes what was read of its output.
    pub(super) fn told(&mut self, result: Result<Report, String>, out: &mut Out) {
        let Phase::Telling(record, output, _) = &mut self.phase else { return };
        *output = Output::Read;
        match result {
            Ok(Report::Tail(text)) => {
                if let (Some(words), State::Failed { why, .. }) =
                    (tell_output(&self.label, &text, out), &mut record.state)
                {
                    *why = format!("{why}; its last words: {words}");
                }
            }
            Ok(_) => {}
            Err(trouble) => out.log(format!("{}: its output cannot be read: {trouble}", self.label)),
        }
    }

    /// What was told of an attempt is to be written down.
    pub(super) fn write_end(&mut self) {
        let Phase::Telling(record, ..) = &mut self.phase else { return };
        let own = match &mut record.state {
            State::Done { job, how, exit_code } => {
                let outcome = HookOutcome { job: Some(job.clone()), exit_code: *exit_code };
                Some(Ended { is_good: true, how: how.clone(), job: None, outcome, may_come_late: false })
            }
            State::Failed { job, why, exit_code } => {
                *why = shortened(why);
                let outcome = HookOutcome { job: job.clone(), exit_code: *exit_code };
                Some(Ended::failed(why.clone(), outcome))
            }
            State::Launching { .. } | State::Running { .. } => None,
        };
        self.acting.forget();
        self.phase = Phase::Writing(record.clone(), own);
    }

    /// The end cannot be written down: then it is what this run has seen, and whoever comes next looks at the job.
    pub(super) fn unwritable(&mut self, now: Time, trouble: &str, out: &mut Out) {
        let Phase::Writing(_, Some(own)) = &self.phase else { return };
        let own = own.clone();
        out.log(format!(
            "{}: its result cannot be written down, so whoever comes next looks at its job: {trouble}",
            self.label
        ));
        self.end(now, own, out);
    }

    /// This is its result, for this run.
    pub(super) fn end(&mut self, now: Time, mut ended: Ended, out: &mut Out) {
        if !ended.is_good && self.hook.on_failure == OnHookFailure::Continue {
            ended.is_good = true;
            ended.how = format!("failed (on_failure = continue): {}", ended.how);
        }
        out.remember(now, &self.label, Memory::Ended(ended.clone()));
        self.acting.forget();
        self.phase = Phase::Ended(ended);
    }

    /// Once its result is written down, its job is stopped.
    pub(super) fn tidy(&mut self, now: Time, out: &mut Out) -> NodeState {
        let Phase::Ended(ended) = &mut self.phase else { return NodeState::Blocked { why: String::new() } };
        if let Some(key) = ended.job.clone() {
            if let Some(trouble) = self.acting.is_hopeless() {
                out.log(format!("{}: its job could not be stopped: {trouble}", self.label));
                ended.job = None;
            } else {
                let act = || Act::Retire { key, purge: false };
                out.actions.extend(self.acting.begin(now, &self.label, act));
            }
        }
        let how = ended.how.clone();
        if ended.is_good { NodeState::Satisfied { how } } else { NodeState::Failed { why: how } }
    }

    /// Its job is stopped, or cannot be.
    pub(super) fn tidied(&mut self, now: Time, result: Result<Report, String>, out: &mut Out) {
        let Phase::Ended(ended) = &mut self.phase else { return };
        if let Err(trouble) = result {
            out.log(format!("{}: its job could not be stopped: {trouble}", self.label));
        }
        ended.job = None;
        out.remember(now, &self.label, Memory::Ended(ended.clone()));
    }
}

/// As much of a reason as the record takes.
fn shortened(why: &str) -> String {
    match why.char_indices().nth(LONGEST_REASON) {
        Some((at, _)) => format!("{}…", why.get(..at).unwrap_or_default()),
        None => why.to_owned(),
    }
}
