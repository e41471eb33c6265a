//! From a manifest to steps: preparing, and what an earlier process remembered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Entry, PREPARE_LIMIT, Phase, Tree,
    conclusion::{Conclusion, as_remembered},
    fill::Fill,
    hook::HookStep,
    job::JobStep,
    memory::Memory,
    release::ReleaseStep,
    soonest::Soonest,
    step::{Acting, Out, Work},
    stop::StopStep,
    wait::WaitStep,
};
use crate::{
    cluster::{JobKey, Marks, Place},
    engine::{Action, Lead, NodeState, Outcome, Time, Trouble},
    manifest::{Subject, Until, Wait},
    plan::Blueprint,
};

/// How soon the lead is asked for again while another has it: its lock may be let go at any moment.
const LEAD_AGAIN: Duration = Duration::from_secs(1);

/// The job of which it is written down that the tree waits for it: not for jobs of its own, nor for the end of one.
fn recorded(wait: &Wait, place: &Place, own: &BTreeSet<JobKey>) -> Option<JobKey> {
    match wait.until {
        Some(Until::Failed | Until::Stopped | Until::Absent) => return None,
        None | Some(Until::Running | Until::Healthy | Until::Complete | Until::Finished) => {}
    }
    wait.subject.job(place).filter(|key| !own.contains(key) && *key != place.job)
}

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
            self.conclusion = None;
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
        let fill = |name: &str| Fill::new(self.plan.references(name));
        let is_stop = self.plan.is_stop();
        let own: BTreeSet<JobKey> = tree
            .jobs
            .keys()
            .filter_map(|name| blueprints.get(name))
            .map(|blueprint| blueprint.key.clone())
            .collect();
        self.soonest = Soonest::Unknown;
        for (name, step) in &mut self.steps {
            let memory = self.remembered.remove(name);
            if let Some((at, _)) = &memory {
                step.since = *at;
            }
            let memory = memory.map(|(_, memory)| memory);
            if self.conclusion.is_some() {
                step.state = as_remembered(memory.as_ref());
            }
            let marks = |blueprint: &Blueprint| Marks {
                tree: self.name.clone(),
                node: name.clone(),
                spec: blueprint.spec.clone(),
            };
            let mut shown = BTreeSet::new();
            if let Some(wait) = self.plan.manifest().waits.get(name).filter(|_| is_stop) {
                let job = recorded(wait, &self.scene.place, &own);
                step.work = Work::Release(Box::new(ReleaseStep::new((**wait).clone(), job)));
            } else if let Some(wait) = self.plan.manifest().waits.get(name) {
                shown.extend(wait.subject.job(&self.scene.place));
                if wait.subject.is_local() || matches!(wait.subject, Subject::Task { .. }) {
                    shown.insert(self.scene.place.job.clone());
                }
                // Nobody knows whether the tree waits for a part to be so, or not to be so.
                let is_part = self.plan.is_part(name);
                let may_hold = !tree.jobs.is_empty() && !is_part;
                let held = may_hold.then(|| recorded(wait, &self.scene.place, &own)).flatten();
                if let Some(Memory::Wait { approved: Some(approved), .. }) = &memory {
                    self.scene.approve(name.clone(), approved.by.clone());
                }
                let wait = WaitStep::new((**wait).clone(), held, is_part, memory.as_ref());
                step.work = Work::Wait(Box::new(wait));
            } else if let Some(blueprint) = blueprints.remove(name) {
                let marks = marks(&blueprint);
                if tree.jobs.contains_key(name) && is_stop {
                    shown.insert(blueprint.key.clone());
                    let stop = StopStep::new(now, &tree.stop, blueprint, marks.tree, memory);
                    step.work = Work::Stop(Box::new(stop));
                } else if let Some(node) = tree.jobs.get(name) {
                    shown.insert(blueprint.key.clone());
                    step.work =
                        Work::Job(Box::new(JobStep::new(now, node, blueprint, marks, fill(name), memory)));
                } else if let Some(hook) = tree.hooks.get(name) {
                    let hook =
                        HookStep::new(now, hook, blueprint, marks, fill(name), &self.scene.place, memory);
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
        self.after = blueprints;
        self.conclude_again(now, out);
    }

    /// What cannot be prepared ends the run, unless trying again may help.
    pub(super) fn unprepared(&mut self, now: Time, trouble: Trouble, out: &mut Out) -> Option<Vec<Action>> {
        let Phase::Preparing(acting, _) = &mut self.phase else { return None };
        if trouble.is_transient && acting.trouble.as_ref() != Some(&trouble.why) {
            out.log(trouble.why.clone());
        }
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

    /// Takes up what was remembered, or that somebody else leads. What this comes to if it is the end.
    pub(super) fn led(
        &mut self,
        now: Time,
        result: Result<Lead, Trouble>,
        out: &mut Out,
    ) -> Option<Vec<Action>> {
        let Phase::Leading(acting, _) = &mut self.phase else { return None };
        let lead = match result {
            Ok(lead) => lead,
            Err(Trouble { why, is_transient: false }) => {
                let message = format!("nothing was begun: {why}");
                return Some(self.close(Outcome::Failed(message.clone()), message));
            }
            Err(trouble) => {
                if acting.trouble.as_ref() != Some(&trouble.why) {
                    out.log(trouble.why.clone());
                }
                acting.end(now, Err(trouble));
                acting.retry_by(now + LEAD_AGAIN);
                return None;
            }
        };
        if let Some(note) = &lead.note {
            out.log(note.clone());
        }
        self.lead_note = lead.note;
        self.phase = Phase::Preparing(Acting::default(), now + PREPARE_LIMIT);
        for step in self.steps.values_mut() {
            step.state = NodeState::Blocked { why: "its jobspec is being prepared".to_owned() };
        }
        for entry in lead.entries {
            match entry {
                Entry::Began { at } => {
                    (self.began, self.has_begun) = (at, true);
                    self.deadline = self.blocks().and_then(|tree| tree.timeout).map(|timeout| at + timeout);
                }
                Entry::Step { name, at, memory } => {
                    self.remembered.insert(name, (at, memory));
                }
                Entry::Concluded { is_good, message, .. } => {
                    self.conclusion = Some(Conclusion { is_good, message });
                }
                // Its last words were not heard.
                Entry::Ended { is_good, message, .. } => {
                    let outcome = if is_good { Outcome::Done } else { Outcome::Failed(message.clone()) };
                    return Some(self.close(outcome, message));
                }
            }
        }
        None
    }

    /// Has the lead taken, then the jobspecs prepared, while that is not done.
    pub(super) fn prepare(&mut self, now: Time, out: &mut Out) {
        let (acting, action) = match &mut self.phase {
            Phase::Leading(acting, _) => (acting, Action::Lead),
            Phase::Preparing(acting, _) => (acting, Action::Prepare),
            Phase::Running | Phase::Concluding | Phase::Parting(..) | Phase::Stopping(_) => return,
        };
        if acting.begins(now) {
            out.actions.push(action);
        }
    }
}
