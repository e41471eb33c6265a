//! From a manifest to steps: preparing, and what an earlier process remembered.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Entry, Phase, Tree,
    hook::HookStep,
    job::JobStep,
    step::{Out, Work},
    wait::WaitStep,
};
use crate::{
    cluster::Marks,
    engine::{Action, Outcome, Time, Trouble},
    plan::Blueprint,
};

impl Tree {
    /// Makes the steps' work from what is prepared, and from what an earlier process remembered.
    pub(super) fn set_up(
        &mut self,
        now: Time,
        mut blueprints: BTreeMap<String, Blueprint>,
        is_same: bool,
        out: &mut Out,
    ) {
        if self.is_set_up() {
            return;
        }
        if !is_same {
            self.remembered.clear();
            self.has_begun = false;
        }
        if !self.has_begun {
            self.began = now;
            self.has_begun = true;
            self.deadline = self.blocks().and_then(|tree| tree.timeout).map(|timeout| now + timeout);
            out.actions.push(Action::Remember(Entry::Began { at: now }));
        }
        let Some(tree) = self.plan.manifest().tree.clone() else { return };
        self.phase = Phase::Running;
        let mut jobs = BTreeSet::new();
        for (name, step) in &mut self.steps {
            let memory = self.remembered.remove(name);
            if let Some((at, _)) = &memory {
                step.since = *at;
            }
            let memory = memory.map(|(_, memory)| memory);
            let marks = |blueprint: &Blueprint| Marks {
                tree: self.name.clone(),
                node: name.clone(),
                spec: blueprint.spec.clone(),
            };
            let mut shown = BTreeSet::new();
            if let Some(wait) = self.plan.manifest().waits.get(name) {
                shown.extend(wait.subject.job(&self.scene.place));
                step.work = Work::Wait(Box::new(WaitStep::new((**wait).clone(), memory.as_ref())));
            } else if let Some(blueprint) = blueprints.remove(name) {
                let marks = marks(&blueprint);
                if let Some(node) = tree.jobs.get(name) {
                    shown.insert(blueprint.key.clone());
                    step.work = Work::Job(Box::new(JobStep::new(now, node, blueprint, marks, memory)));
                } else if let Some(hook) = tree.hooks.get(name) {
                    let hook = HookStep::new(now, hook, blueprint, marks, &self.scene.place, memory);
                    shown.extend(hook.running().cloned());
                    step.work = Work::Hook(Box::new(hook));
                }
            }
            for job in shown {
                self.watchers.entry(job.clone()).or_default().insert(name.clone());
                jobs.insert(job);
            }
        }
        out.actions.push(Action::Watch(jobs));
    }

    /// What cannot be prepared ends the run, unless trying again may help.
    pub(super) fn unprepared(&mut self, now: Time, trouble: Trouble) -> Option<Vec<Action>> {
        let Phase::Preparing(acting, _) = &mut self.phase else { return None };
        let why = trouble.why.clone();
        acting.end(now, Err(trouble))?.err()?;
        let message = format!("{}: {why}", self.came_to_nothing());
        Some(self.finish(now, Outcome::Failed(message.clone()), message))
    }

    /// What is said of a run whose jobspecs cannot be prepared.
    pub(super) fn came_to_nothing(&self) -> &'static str {
        if self.has_begun {
            "the run could not go on, and what it began is left as it is"
        } else {
            "nothing was begun"
        }
    }

    /// Has the jobspecs prepared while they are not.
    pub(super) fn prepare(&mut self, now: Time, out: &mut Out) {
        if let Phase::Preparing(acting, _) = &mut self.phase
            && acting.begins(now)
        {
            out.actions.push(Action::Prepare);
        }
    }
}
