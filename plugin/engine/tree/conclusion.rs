//! The last hooks of a run: `after_success`, `after_failure`.
//!
//! What the run came to is remembered before they are launched, and nothing that happens to its jobs afterwards changes
//! it: whoever goes on after a crash does not look at them again.

use super::{
    Entry, Memory, Phase, Tree,
    agenda::Agenda,
    fill::Fill,
    hook::HookStep,
    soonest::Soonest,
    step::{Out, Step, Work},
};
use crate::{
    cluster::Marks,
    engine::{Action, NodeState, Notice, Outcome, Time, spoken_task},
    manifest::Moment,
};

/// What a run came to, but for its last hooks.
#[derive(Clone, Debug)]
pub(super) struct Conclusion {
    pub(super) is_good: bool,
    pub(super) message: String,
}

impl Conclusion {
    fn moment(&self) -> Moment {
        if self.is_good { Moment::AfterSuccess } else { Moment::AfterFailure }
    }
}

impl Tree {
    /// When all steps have come as far as they can: begins the last hooks, if there are any for this outcome. A run that
    /// changed nothing has no success to tell.
    pub(super) fn conclude(&mut self, now: Time, out: &mut Out) {
        if !matches!(self.phase, Phase::Running) || !self.is_all_settled() {
            return;
        }
        let is_good = self.is_all_good();
        let message = if is_good { self.success(now) } else { self.failure(now) };
        let conclusion = Conclusion { is_good, message };
        if self.last_hooks(conclusion.moment()).is_empty() || is_good && !self.has_changed_anything() {
            return;
        }
        let Conclusion { is_good, message } = conclusion.clone();
        out.actions.push(Action::Remember(Entry::Concluded { at: now, is_good, message }));
        self.begin_last_hooks(now, conclusion, out);
        let mut agenda = Agenda::default();
        agenda.add(self.steps.values());
        self.advance(now, agenda, out);
    }

    /// Goes on with the last hooks after a crash.
    pub(super) fn conclude_again(&mut self, now: Time, out: &mut Out) {
        if let Some(conclusion) = self.conclusion.take() {
            self.begin_last_hooks(now, conclusion, out);
        }
    }

    fn begin_last_hooks(&mut self, now: Time, conclusion: Conclusion, out: &mut Out) {
        let first = self.steps.len();
        for (n, name) in self.last_hooks(conclusion.moment()).into_iter().enumerate() {
            let Some(hook) = self.blocks().and_then(|tree| tree.hooks.get(&name)).cloned() else { continue };
            let Some(blueprint) = self.after.remove(&name) else { continue };
            let memory = self.remembered.remove(&name).map(|(_, memory)| memory);
            let marks = Marks { tree: self.name.clone(), node: name.clone(), spec: blueprint.spec.clone() };
            let fill = Fill::new(self.plan.references(&name));
            let hook = HookStep::new(now, &hook, blueprint, marks, fill, &self.scene.place, memory);
            if let Some(job) = hook.running().cloned() {
                self.watchers.entry(job.clone()).or_default().insert(name.clone());
                out.actions.push(Action::Watch([job].into()));
            }
            let state = NodeState::Blocked { why: "waits for its turn".to_owned() };
            let work = Work::Hook(Box::new(hook));
            self.steps.insert(name.clone(), Step { name, position: first + n, state, since: now, work });
        }
        // Why the run failed does not hold back who is to tell of it.
        self.halt = None;
        self.has_looked = true;
        self.conclusion = Some(conclusion);
        self.phase = Phase::Concluding;
        self.soonest = Soonest::Unknown;
    }

    /// The ending, once the last hooks are over.
    pub(super) fn concluded(&mut self, now: Time) -> Option<Vec<Action>> {
        let Conclusion { is_good, message } = self.conclusion.clone()?;
        if !self.is_all_settled() {
            return None;
        }
        let failed: Vec<String> = self
            .steps
            .values()
            .filter(|step| !self.is_frozen(&step.name) && !step.state.is_satisfied())
            .map(|step| format!("{}: {}", step.name, step.state.detail()))
            .collect();
        let (is_good, message) = if failed.is_empty() {
            (is_good, message)
        } else {
            (false, format!("{message} · afterwards failed: {}", failed.join(" · ")))
        };
        let outcome = if is_good { Outcome::Done } else { Outcome::Failed(message.clone()) };
        Some(self.finish(now, outcome, message))
    }

    /// Whether step `name` counts no more, because the run is over but for its last hooks.
    pub(super) fn is_frozen(&self, name: &str) -> bool {
        let Some(conclusion) = &self.conclusion else { return false };
        matches!(self.phase, Phase::Concluding | Phase::Parting(..) | Phase::Stopping(_))
            && self
                .blocks()
                .and_then(|tree| tree.hooks.get(name))
                .is_none_or(|hook| hook.moment != conclusion.moment())
    }

    /// What those outside are told of the ending, if anybody wants to know.
    pub(super) fn notice(&self, now: Time, is_good: bool, message: &str) -> Option<Action> {
        let webhooks = &self.blocks()?.webhooks;
        let is_news = !is_good || self.has_changed_anything();
        if !is_news || webhooks.values().all(|webhook| !webhook.wants(is_good)) {
            return None;
        }
        Some(Action::Notify(Box::new(Notice {
            tree: self.name.clone(),
            run: self.run.clone(),
            task: spoken_task(&self.scene.place),
            alloc: self.scene.place.alloc.clone(),
            is_good,
            message: message.to_owned(),
            began: self.began,
            ended: now,
            steps: self.in_order().map(|step| (step.name.clone(), step.state.word())).collect(),
        })))
    }

    /// The names of the hooks of this moment, in their order.
    fn last_hooks(&self, moment: Moment) -> Vec<String> {
        let hooks = self.blocks().into_iter().flat_map(|tree| &tree.hooks);
        hooks.filter(|(_, hook)| hook.moment == moment).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn is_all_settled(&mut self) -> bool {
        let is_settled = |step: &Step| self.is_frozen(&step.name) || self.is_settled(step);
        if self.steps.get(&self.unsettled).is_some_and(|step| !is_settled(step)) {
            return false;
        }
        let unsettled = self.steps.values().find(|step| !is_settled(step)).map(|step| step.name.clone());
        let is_all = unsettled.is_none();
        self.unsettled = unsettled.unwrap_or_default();
        is_all
    }

    pub(super) fn is_all_good(&self) -> bool {
        let is_part = |step: &Step| self.plan.is_part(&step.name) && !self.plan.is_stop();
        self.steps.values().all(|step| is_part(step) || self.is_out_of_the_way(step))
    }

    fn has_changed_anything(&self) -> bool {
        self.steps.values().any(|step| match &step.work {
            Work::Job(job) => job.cause().is_some(),
            Work::Hook(hook) => hook.outcome().is_some(),
            Work::Stop(job) => job.was_doomed().is_some(),
            Work::Unprepared | Work::Wait(_) | Work::Release(_) => false,
        })
    }
}

/// How a step stood when the run was concluded, for the report of whoever goes on.
pub(super) fn as_remembered(memory: Option<&Memory>) -> NodeState {
    match memory {
        Some(Memory::Submitted(held)) if held.was_ready => {
            NodeState::Satisfied { how: format!("version {}", held.submission.version) }
        }
        Some(Memory::Wait { was_met: true, .. }) => NodeState::Satisfied { how: "it held".to_owned() },
        Some(Memory::Ended(ended)) if ended.is_good => NodeState::Satisfied { how: ended.how.clone() },
        Some(Memory::Ended(ended)) => NodeState::Failed { why: ended.how.clone() },
        Some(Memory::Failed { why }) => NodeState::Failed { why: why.clone() },
        _ => NodeState::Skipped { why: "the run was over before".to_owned(), root: None },
    }
}
