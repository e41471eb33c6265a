//! What a hook is for: which rollout, which stop, which run; and whether it is needed.

use super::EachStep;
use crate::{
    engine::{
        NodeState,
        tree::{around::Around, job::LOOKS_FIRST, selection::Choice, stop::StopStep},
    },
    manifest::Moment,
    plan,
};

/// Why a hook is not launched now.
pub(super) enum NotNow {
    /// What it is for is not known yet.
    Waits,
    /// It is not needed: why.
    NotNeeded(String),
    /// It never will be.
    Skipped(NodeState),
}

impl EachStep {
    /// What it is for, as a part of its job's ID, if it is needed.
    pub(super) fn rollout(&self, around: &Around<'_>) -> Result<String, NotNow> {
        let Some(of) = &self.hook.of else {
            let run = around.tree.run.as_ref().ok_or(NotNow::Waits)?;
            return Ok(plan::run_of_hook(&self.marks.tree, &self.marks, run));
        };
        if let Some(job) = around.stop(of) {
            let rollout = self.around_stop(of, job, around)?;
            return Ok(plan::rollout(&self.marks.tree, &self.marks, &job.blueprint.key, rollout));
        }
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

    /// Of which stop it is, if it is needed.
    pub(super) fn around_stop(
        &self,
        of: &str,
        job: &StopStep,
        around: &Around<'_>,
    ) -> Result<plan::Rollout<'static>, NotNow> {
        if let Some(skipped) = around.lost(of) {
            return Err(NotNow::Skipped(skipped));
        }
        if let Some(Choice::Spare(_)) = around.choice(of) {
            return Err(NotNow::NotNeeded(format!("not needed: {of} is not stopped")));
        }
        if job.was_stopped_before() {
            return Err(NotNow::NotNeeded(format!("not needed: {of} was not running")));
        }
        match (self.hook.moment, job.is_doomed(), job.was_doomed()) {
            (Moment::PreStop, Some(doomed), _) => {
                Ok(plan::Rollout::BeforeStop(doomed.create_index, doomed.version))
            }
            (Moment::PreStop, None, Some(_)) => {
                Err(NotNow::NotNeeded(format!("not needed: {of} is stopped already")))
            }
            (Moment::PostStop, _, Some(doomed)) => {
                Ok(plan::Rollout::AfterStop(doomed.create_index, doomed.version))
            }
            _ => Err(NotNow::Waits),
        }
    }

    /// What it waits for before it can be told what it is for.
    pub(super) fn waits(&self, name: &str, around: &Around<'_>) -> NodeState {
        around.blocked(name, |_| true).unwrap_or_else(|| NodeState::Blocked {
            why: match &self.hook.of {
                Some(of) => format!("waits for {of}"),
                None if around.has_jobs() => LOOKS_FIRST.to_owned(),
                None => "is about to begin".to_owned(),
            },
        })
    }

    /// Whether the result of the hook can be told without its job.
    pub(super) fn result_stands(&self, around: &Around<'_>) -> bool {
        // One that belongs to no job is for this run, which remembers its result.
        let Some(of) = &self.hook.of else { return true };
        match (self.hook.moment, around.stop(of)) {
            (Moment::PreStop, stop) => return stop.is_some_and(|job| job.was_doomed().is_some()),
            // Only a run that remembers to have stopped its job asks for it, and remembers its result.
            (Moment::PostStop, _) => return true,
            _ => {}
        }
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
}
