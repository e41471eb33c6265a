//! What a step sees of the run around it.

use super::{
    HookOutcome, Tree,
    ending::Halt,
    job::JobStep,
    selection::Choice,
    step::{Step, Work},
    stop::StopStep,
};
use crate::{
    cluster::Place,
    condition::Truth,
    engine::{NodeState, node::waits_for, scene::Scene},
    manifest::Moment,
};

/// What a step sees of the run around it.
pub(super) struct Around<'a> {
    pub(super) tree: &'a Tree,
    pub(super) scene: &'a Scene,
    pub(super) halt: Option<&'a Halt>,
    pub(super) has_looked: bool,
}

impl Around<'_> {
    /// Whether the run is that of a tree with jobs, and not only of hooks.
    pub(super) fn has_jobs(&self) -> bool {
        self.tree.has_jobs()
    }

    /// The job step of this name.
    pub(super) fn job(&self, name: &str) -> Option<&JobStep> {
        match &self.tree.steps.get(name)?.work {
            Work::Job(job) => Some(job),
            Work::Unprepared | Work::Wait(_) | Work::Hook(_) | Work::Stop(_) | Work::Release(_) => None,
        }
    }

    /// What ran for the hook `name`, in this run or for the same rollout in an earlier one.
    pub(super) fn outcome(&self, name: &str) -> Option<HookOutcome> {
        let Work::Hook(hook) = &self.tree.steps.get(name)?.work else { return None };
        hook.outcome().or_else(|| self.job(hook.hook().of.as_ref()?)?.outcome_before(name))
    }

    /// How the wait `name` stands for a `when` that names it.
    pub(super) fn truth(&self, name: &str) -> Truth {
        self.tree.steps.get(name).map_or(Truth::Unknown, Step::truth)
    }

    /// Where the task stands.
    pub(super) fn place(&self) -> &Place {
        &self.scene.place
    }

    /// The step of this name that stops a job.
    pub(super) fn stop(&self, name: &str) -> Option<&StopStep> {
        match &self.tree.steps.get(name)?.work {
            Work::Stop(job) => Some(job),
            Work::Unprepared | Work::Wait(_) | Work::Hook(_) | Work::Job(_) | Work::Release(_) => None,
        }
    }

    /// What was chosen for a step of a stop, once that is done.
    pub(super) fn choice(&self, name: &str) -> Option<&Choice> {
        self.tree.selection.get(name)
    }

    /// Whether the `stop` block speaks of this job.
    pub(super) fn is_selected(&self, name: &str) -> bool {
        self.tree.plan.is_selected(name)
    }

    /// The state of the step `name` when it will not be begun, or not any more: something that it needs is lost, or
    /// nothing new is begun.
    pub(super) fn halted(&self, name: &str) -> Option<NodeState> {
        self.without(name).or_else(|| {
            let why = format!("not begun, because {}", self.halt?.why);
            Some(NodeState::Skipped { why, root: None })
        })
    }

    /// The state of the step `name` when something that it needs is lost.
    pub(super) fn without(&self, name: &str) -> Option<NodeState> {
        self.tree.plan.needs(name).iter().find_map(|needed| self.lost(needed))
    }

    /// The state of the step `name`, which a process before this one has begun, while it cannot go on: what it needs is not
    /// satisfied any more. It never will be when it is not begun for that; `then` says what becomes of the step.
    pub(super) fn held_up(&self, name: &str, then: &str) -> Option<NodeState> {
        let is_lost = |needed: &String| self.tree.steps.get(needed).is_some_and(|step| step.state.is_lost());
        let given_up = |halt: &Halt| NodeState::Skipped {
            why: format!("given up, because {}; {then}", halt.why),
            root: None,
        };
        self.without(name).or_else(|| {
            let blocked = self.blocked(name, |_| true)?;
            let halt = self.halt.filter(|_| self.tree.plan.needs(name).iter().any(is_lost));
            Some(halt.map_or(blocked, given_up))
        })
    }

    /// The state of a step of a stop that is left as it is. What it needs is awaited all the same: whoever it needs in turn
    /// waits for that, too.
    pub(super) fn spared(&self, name: &str, why: &str) -> NodeState {
        let waits = || self.blocked(name, |_| true).filter(|_| self.halt.is_none());
        let state = self.without(name).or_else(waits);
        state.unwrap_or_else(|| NodeState::Skipped { why: why.to_owned(), root: None })
    }

    /// The state of whoever needs the step `needed`, when that is lost. The root cause is handed down; why nothing new
    /// is begun each says for itself.
    pub(super) fn lost(&self, needed: &str) -> Option<NodeState> {
        let root = match &self.tree.steps.get(needed)?.state {
            NodeState::Failed { .. } => needed,
            NodeState::Skipped { root: Some(root), .. } => root,
            NodeState::Skipped { root: None, .. }
            | NodeState::Blocked { .. }
            | NodeState::Working { .. }
            | NodeState::Gated { .. }
            | NodeState::Satisfied { .. } => return None,
        };
        Some(NodeState::Skipped { why: format!("because {root} failed"), root: Some(root.to_owned()) })
    }

    /// Why what is under way is given up, if it is.
    pub(super) fn cancelled(&self) -> Option<String> {
        self.halt.filter(|halt| halt.is_cancel).map(|halt| format!("given up, because {}", halt.why))
    }

    /// Whether the run is given up for now only: another goes on with it.
    pub(super) fn is_interrupted(&self) -> bool {
        self.halt.is_some_and(|halt| halt.is_interruption)
    }

    /// The state of step `name` while something of what it needs is not satisfied, as far as `counts`.
    pub(super) fn blocked(&self, name: &str, counts: impl Fn(&str) -> bool) -> Option<NodeState> {
        let missing: Vec<String> = self
            .tree
            .plan
            .needs(name)
            .iter()
            .filter(|needed| counts(needed))
            .filter(|needed| {
                let step = self.tree.steps.get(*needed);
                step.is_none_or(|step| !self.tree.is_out_of_the_way(step))
            })
            .cloned()
            .collect();
        (!missing.is_empty()).then(|| NodeState::Blocked { why: waits_for(&missing) })
    }

    /// The state of a step that could begin if there were room.
    pub(super) fn no_room(&self) -> Option<NodeState> {
        let most = self.tree.blocks().map_or(1, |tree| tree.max_parallel);
        let is_full = usize::try_from(most).is_ok_and(|most| self.tree.n_busy() >= most);
        is_full.then(|| NodeState::Blocked { why: format!("waits for its turn (max_parallel = {most})") })
    }

    /// A job with this `exclusive` word that is being brought into service.
    pub(super) fn holder_of(&self, word: &str) -> Option<&str> {
        self.tree.steps.values().find_map(|step| match &step.work {
            Work::Job(job) if job.exclusive.as_deref() == Some(word) && step.is_busy() => {
                Some(step.name.as_str())
            }
            Work::Unprepared
            | Work::Wait(_)
            | Work::Job(_)
            | Work::Hook(_)
            | Work::Stop(_)
            | Work::Release(_) => None,
        })
    }

    /// Whether the step `hook` is a hook of job `of` at this moment.
    pub(super) fn is_hook_of(&self, hook: &str, of: &str, moment: Moment) -> bool {
        self.tree
            .blocks()
            .and_then(|tree| tree.hooks.get(hook))
            .is_some_and(|hook| hook.of.as_deref() == Some(of) && hook.moment == moment)
    }

    pub(super) fn hooks_of(&self, of: &str, moment: Moment) -> impl Iterator<Item = &str> {
        self.tree
            .blocks()
            .into_iter()
            .flat_map(|tree| &tree.hooks)
            .filter(move |(_, hook)| hook.of.as_deref() == Some(of) && hook.moment == moment)
            .map(|(name, _)| name.as_str())
    }

    /// Whether job `of` has hooks at this moment.
    pub(super) fn has_hooks(&self, of: &str, moment: Moment) -> bool {
        self.hooks_of(of, moment).next().is_some()
    }

    /// Whether all hooks of job `of` at this moment have ended well.
    pub(super) fn have_ended_well(&self, of: &str, moment: Moment) -> bool {
        self.hooks_of(of, moment)
            .all(|name| self.tree.steps.get(name).is_some_and(|step| step.state.is_satisfied()))
    }
}
