//! How a run ends: policies, limits, a stop, and the last word.

use super::{
    Entry, PARTING_LOOK, PREPARE_LIMIT, Phase, STOP_LIMIT, Tree,
    agenda::Agenda,
    around::Around,
    job::JobStep,
    step::{Step, Work},
};
use crate::{
    cluster::Sight,
    engine::{Action, Outcome, Time, time::Spoken},
    manifest::{Moment, OnFailure},
};

/// Why nothing new is begun.
#[derive(Clone, Debug)]
pub(super) struct Halt {
    pub(super) why: String,
    /// Whether what is under way is given up too.
    pub(super) is_cancel: bool,
    /// Whether the run did not come to this by itself: its task was stopped, and another goes on with it.
    pub(super) is_interruption: bool,
}

impl Tree {
    /// The run's own time limit.
    pub(super) fn check_time(&mut self, now: Time, agenda: &mut Agenda) {
        let Some(tree) = self.blocks().filter(|_| matches!(self.phase, Phase::Running)) else { return };
        if self.deadline.is_some_and(|at| at <= now) && self.halt.as_ref().is_none_or(|halt| !halt.is_cancel)
        {
            let limit = Spoken(tree.timeout.unwrap_or_default());
            let why = format!("the run was not done within {limit}");
            self.halt = Some(Halt { why, is_cancel: true, is_interruption: false });
            agenda.add(self.steps.values());
        }
    }

    /// Applies the policy to the failure of step `failed`, unless it was applied before. Whether that changed anything.
    pub(super) fn halt_after(&mut self, failed: &str) -> bool {
        if self.halt.is_some() {
            return false;
        }
        let policy = self.blocks().map_or(OnFailure::Finish, |tree| tree.on_failure);
        let is_cancel = match policy {
            OnFailure::Continue => return false,
            OnFailure::Finish => false,
            OnFailure::Cancel => true,
        };
        let why = format!("{failed} failed (on_failure = {policy})");
        self.halt = Some(Halt { why, is_cancel, is_interruption: false });
        true
    }

    /// Nomad stops the task. What is under way in the cluster stays, for whoever comes next; only if the tree's own job
    /// was stopped, its hooks are stopped too.
    pub(super) fn stop(&mut self, now: Time) -> Option<Vec<Action>> {
        if matches!(self.phase, Phase::Parting(..) | Phase::Stopping(_)) {
            return None;
        }
        let has_hooks = self.steps.values().any(|step| match &step.work {
            Work::Hook(hook) => hook.is_busy() && hook.farewell().is_none(),
            Work::Unprepared | Work::Wait(_) | Work::Job(_) | Work::Stop(_) | Work::Release(_) => false,
        });
        if has_hooks && !matches!(self.scene.own_sight().as_ref(), Sight::Unseen(_)) {
            self.phase = Phase::Parting(now + PARTING_LOOK, now + STOP_LIMIT);
            let why = "the task is being stopped".to_owned();
            self.halt = Some(Halt { why, is_cancel: false, is_interruption: true });
            return None;
        }
        Some(self.leave(now))
    }

    /// Gives up what runs, once it is seen that not only the task is being stopped but also its job.
    pub(super) fn part(&mut self, agenda: &mut Agenda) {
        let Phase::Parting(_, deadline) = self.phase else { return };
        let is_own_job_stopped = match self.scene.own_sight().as_ref() {
            Sight::Present(sight) => sight.job.is_stopped,
            // It was purged.
            Sight::Absent { .. } => true,
            Sight::Unseen(_) => false,
        };
        if is_own_job_stopped {
            self.phase = Phase::Stopping(deadline);
            let why = "the tree's job was stopped".to_owned();
            self.halt = Some(Halt { why, is_cancel: true, is_interruption: true });
            agenda.add(self.steps.values());
        }
    }

    /// A user wants an end: nothing new is begun. What runs last is not held back by that, for the run is over then.
    pub(super) fn drain(&mut self, now: Time) -> Option<Vec<Action>> {
        match self.phase {
            // Nothing was begun.
            Phase::Leading(..) | Phase::Preparing(..) => return Some(self.leave(now)),
            Phase::Running => {}
            Phase::Concluding | Phase::Parting(..) | Phase::Stopping(_) => return None,
        }
        self.halt.get_or_insert_with(|| Halt {
            why: "the user wants an end".to_owned(),
            is_cancel: false,
            is_interruption: true,
        });
        None
    }

    /// Ends because Nomad stops the task, or the user leaves.
    pub(super) fn leave(&mut self, now: Time) -> Vec<Action> {
        let message = self.stopped_message(now);
        let mut actions: Vec<Action> =
            self.steps.values().filter_map(Step::farewell).map(|text| Action::Log(text.into())).collect();
        actions.extend(self.close(Outcome::Stopped, message));
        actions
    }

    /// The ending, if this is it.
    pub(super) fn end(&mut self, now: Time) -> Option<Vec<Action>> {
        let is_settled = self.is_set_up() && self.is_all_settled();
        match &self.phase {
            Phase::Preparing(acting, deadline) if *deadline <= now && !acting.is_under_way() => {
                let what = format!("the jobspecs could not be prepared within {}", Spoken(PREPARE_LIMIT));
                let message = format!("{}: {}", self.came_to_nothing(), acting.describe_end(&what));
                Some(self.finish(now, Outcome::Failed(message.clone()), message))
            }
            Phase::Leading(acting, deadline) if *deadline <= now && !acting.is_under_way() => {
                let what =
                    format!("the lead of the tree could not be taken within {}", Spoken(PREPARE_LIMIT));
                let message = format!("nothing was begun: {}", acting.describe_end(&what));
                Some(self.close(Outcome::Failed(message.clone()), message))
            }
            Phase::Stopping(deadline) if is_settled || *deadline <= now => {
                let message = self.stopped_message(now);
                Some(self.close(Outcome::Stopped, message))
            }
            Phase::Parting(deadline, _) if *deadline <= now => Some(self.leave(now)),
            Phase::Leading(..) | Phase::Preparing(..) | Phase::Parting(..) | Phase::Stopping(_) => None,
            Phase::Concluding => self.concluded(now),
            Phase::Running if !is_settled => None,
            Phase::Running => {
                let is_good = self.is_all_good();
                let message = if is_good { self.success(now) } else { self.failure(now) };
                let outcome = if is_good { Outcome::Done } else { Outcome::Failed(message.clone()) };
                Some(self.finish(now, outcome, message))
            }
        }
    }

    pub(super) fn is_settled(&self, step: &Step) -> bool {
        let around = Around { tree: self, scene: &self.scene, halt: self.halt.as_ref(), has_looked: true };
        let is_part = self.plan.is_part(&step.name) && !self.plan.is_stop();
        (step.state.is_satisfied() || step.state.is_lost() || is_part)
            && match &step.work {
                Work::Unprepared => false,
                Work::Wait(wait) => !wait.has_chores(&around),
                Work::Stop(job) => !job.has_chores(&step.name, &around),
                Work::Release(wait) => !wait.has_chores(),
                Work::Job(job) => !job.has_chores() && !self.owes_record(job, &step.name),
                Work::Hook(hook) => !hook.has_chores(&around),
            }
    }

    /// Whether a job with post hooks still has to be asked for its rollout, or to be attested.
    pub(super) fn owes_record(&self, job: &JobStep, name: &str) -> bool {
        let around = Around { tree: self, scene: &self.scene, halt: self.halt.as_ref(), has_looked: true };
        self.halt.is_none()
            && job.is_submitted()
            && !job.is_record_settled()
            && around.has_hooks(name, Moment::Post)
            && (job.rollout().is_none() || around.have_ended_well(name, Moment::Post))
    }

    pub(super) fn finish(&mut self, now: Time, outcome: Outcome, message: String) -> Vec<Action> {
        let is_good = outcome == Outcome::Done;
        let ended = Entry::Ended { at: now, is_good, message: message.clone() };
        let mut actions = vec![Action::Remember(ended)];
        actions.extend(self.notice(now, is_good, &message));
        actions.extend(self.close(outcome, message));
        actions
    }

    /// Ends without a memory of it: an unfinished run is continued by whoever comes next.
    pub(super) fn close(&mut self, outcome: Outcome, message: String) -> Vec<Action> {
        self.ending = Some(message.clone());
        self.scene.close();
        vec![Action::Log(message.clone().into()), Action::Announce(message), Action::Finish(outcome)]
    }
}
