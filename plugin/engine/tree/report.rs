//! What a run of a tree says of itself: its events, its status, its ending.

use super::{
    Tree,
    memory::Cause,
    step::{Step, Work},
};
use crate::{
    cluster::Sight,
    engine::{Action, NodeState, NodeStatus, Status, Time, scene, time::Spoken},
    manifest::{Launch, Moment},
};

/// How many steps an event names; the status has all of them.
const NAMED: usize = 4;

impl Tree {
    pub(in crate::engine) fn status(&self, now: Time) -> Status {
        let nodes = self.in_order().map(|step| NodeStatus {
            name: step.name.clone(),
            wanted: self.wanted(step),
            state: step.state.word(),
            detail: step.state.detail(),
            seen: self.observed(step),
            since: step.since,
            gives_up: (!step.state.is_satisfied() && !step.state.is_lost())
                .then(|| step.gives_up())
                .flatten(),
            on_timeout: "fail",
            depends_on: self.shown_needs(step),
            hint: self.hint(step),
        });
        Status {
            now,
            began: self.began,
            run: self.run.clone(),
            task: crate::engine::spoken_task(&self.scene.place),
            alloc: self.scene.place.alloc.short().to_owned(),
            nodes: nodes.collect(),
            notes: self.notes(),
            ending: self.ending.clone(),
        }
    }

    /// A task event, when one is due.
    pub(super) fn announce(&mut self, now: Time) -> Option<Action> {
        let topic = self.topic();
        if now < self.announcer.due(&topic, !self.has_looked)? {
            return None;
        }
        self.announcer.tell(now, topic);
        let mut message = self.progress(now);
        for note in self.notes() {
            message = format!("{message} · {note}");
        }
        Some(Action::Announce(message))
    }

    /// What an event would be about: it differs when any step is in another state.
    pub(super) fn topic(&self) -> String {
        let mut parts = vec![self.n_changes.to_string()];
        parts.extend(self.notes());
        parts.join("\n")
    }

    /// How far it has come, and what is under way, in one line.
    fn progress(&self, now: Time) -> String {
        let mut parts = vec![self.tally()];
        let open = || {
            self.in_order().filter(|step| {
                matches!(
                    step.state,
                    NodeState::Working { .. } | NodeState::Gated { .. } | NodeState::Failed { .. }
                )
            })
        };
        for step in open().take(NAMED) {
            let end = match step.gives_up().filter(|_| !step.state.is_lost()) {
                Some(at) => format!("; gives up in {}", Spoken(at.since(now))),
                None => String::new(),
            };
            parts.push(format!("{}: {}{end}", step.name, step.state.detail()));
        }
        let more = open().count().saturating_sub(NAMED);
        if more > 0 {
            parts.push(format!("and {more} more"));
        }
        if open().next().is_none()
            && let Some(step) = self.in_order().find(|step| matches!(step.state, NodeState::Blocked { .. }))
        {
            parts.push(format!("{}: {}", step.name, step.state.detail()));
        }
        parts.join(" · ")
    }

    /// What a run that ended well has done.
    pub(super) fn success(&self, now: Time) -> String {
        if self.plan.is_stop() {
            return self.stop_success(now);
        }
        let mut created: Vec<&str> = Vec::new();
        let mut changed: Vec<&str> = Vec::new();
        let (mut unchanged, mut hooks) = (0_usize, 0_usize);
        for step in self.in_order() {
            match &step.work {
                Work::Job(job) => match job.cause() {
                    Some(Cause::Created) => created.push(&step.name),
                    Some(Cause::Updated | Cause::Restarted | Cause::Adopted) => changed.push(&step.name),
                    None => unchanged += 1,
                },
                Work::Hook(hook) if hook.outcome().is_some() => hooks += 1,
                Work::Hook(_) | Work::Wait(_) | Work::Stop(_) | Work::Release(_) | Work::Unprepared => {}
            }
        }
        let mut parts = Vec::new();
        if !created.is_empty() {
            parts.push(format!("created {}", listed(&created)));
        }
        if !changed.is_empty() {
            parts.push(format!("updated {}", listed(&changed)));
        }
        if unchanged > 0 {
            parts.push(format!("{unchanged} unchanged"));
        }
        if hooks > 0 {
            parts.push(format!("{hooks} {} run", if hooks == 1 { "hook" } else { "hooks" }));
        }
        format!("done after {}: {}", Spoken(now.since(self.began)), parts.join(", "))
    }

    /// What failed and why, what was skipped because of what, and what runs.
    pub(super) fn failure(&self, now: Time) -> String {
        let mut parts = Vec::new();
        for step in self.in_order() {
            if let NodeState::Failed { why } = &step.state {
                let hint = self.hint(step).map_or_else(String::new, |hint| format!("; {hint}"));
                parts.push(format!("{}: wanted {}, but {why}{hint}", step.name, self.wanted(step)));
            }
        }
        if parts.is_empty() {
            parts.extend(self.halt.as_ref().map(|halt| halt.why.clone()));
        }
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        let is_whole = |step: &&Step| !self.is_spared(step) && !self.plan.is_part(&step.name);
        for step in self.in_order().filter(is_whole) {
            if let NodeState::Skipped { why, .. } = &step.state {
                match reasons.iter_mut().find(|(reason, _)| reason == why) {
                    Some((_, names)) => names.push(&step.name),
                    None => reasons.push((why, vec![&step.name])),
                }
            }
        }
        parts.extend(reasons.iter().map(|(why, names)| {
            let skipped = if why.starts_with("because ") { "skipped " } else { "" };
            format!("{skipped}{why}: {}", listed(names))
        }));
        let good: Vec<&str> = self
            .in_order()
            .filter(|step| matches!(step.work, Work::Job(_)) && step.state.is_satisfied())
            .map(|step| step.name.as_str())
            .collect();
        if !good.is_empty() {
            parts.push(format!("ready: {}", listed(&good)));
        }
        parts.extend(self.has_stopped());
        parts.extend(self.kept());
        let is_broken_off = self.halt.as_ref().is_some_and(|halt| halt.is_interruption);
        let how = if is_broken_off { "broken off" } else { "failed" };
        format!("{how} after {}: {}", Spoken(now.since(self.began)), parts.join(" · "))
    }

    pub(super) fn stopped_message(&self, now: Time) -> String {
        let has_hooks = self.steps.values().any(|step| match &step.work {
            Work::Hook(hook) => hook.is_busy(),
            Work::Unprepared | Work::Wait(_) | Work::Job(_) | Work::Stop(_) | Work::Release(_) => false,
        });
        let of_hooks = match self.phase {
            super::Phase::Stopping(_) => Some("its hooks were stopped"),
            super::Phase::Leading(..)
            | super::Phase::Preparing(..)
            | super::Phase::Running
            | super::Phase::Concluding
            | super::Phase::Parting(..) => {
                (has_hooks && !self.has_jobs()).then_some("what it has launched runs on")
            }
        };
        let of_jobs = self.has_jobs().then_some("the jobs are left as they are");
        let left: Vec<&str> = of_hooks.into_iter().chain(of_jobs).collect();
        let left = if left.is_empty() { String::new() } else { format!("; {}", left.join(", ")) };
        let after = Spoken(now.since(self.began));
        format!("stopped; {} after {after}{left}", self.tally())
    }

    /// How many steps are satisfied, of all that count by themselves.
    fn tally(&self) -> String {
        let whole = || self.steps.values().filter(|step| !self.plan.is_part(&step.name));
        let done = whole().filter(|step| step.state.is_satisfied()).count();
        format!("{done} of {} satisfied", whole().count())
    }

    fn notes(&self) -> Vec<String> {
        let hindered = self.hindered_note().into_iter();
        let trouble = match &self.phase {
            super::Phase::Leading(acting, _) | super::Phase::Preparing(acting, _) => acting.trouble.clone(),
            super::Phase::Running
            | super::Phase::Concluding
            | super::Phase::Parting(..)
            | super::Phase::Stopping(_) => None,
        };
        let halt = self.halt.iter().map(|halt| format!("nothing new is begun: {}", halt.why));
        self.lead_note.clone().into_iter().chain(hindered).chain(trouble).chain(halt).collect()
    }

    /// Why nothing can be written down, if that is so.
    pub(super) fn hindered_note(&self) -> Option<String> {
        let why = self.hindered.as_ref()?;
        Some(format!("the run's record cannot be written, and nothing is begun before it can: {why}"))
    }

    pub(super) fn in_order(&self) -> impl Iterator<Item = &Step> {
        let hooks = self.blocks().into_iter().flat_map(|tree| tree.hooks.iter());
        let last =
            hooks.filter(|(_, hook)| matches!(hook.moment, Moment::AfterSuccess | Moment::AfterFailure));
        let last = last.map(|(name, _)| name);
        self.plan.order().iter().chain(last).filter_map(|name| self.steps.get(name))
    }

    /// What a step depends on, each after what it depends on itself.
    fn shown_needs(&self, step: &Step) -> Vec<String> {
        let mut needs = self.plan.needs(&step.name).to_vec();
        if let Work::Wait(wait) = &step.work {
            needs.extend(wait.wait.subject.parts().map(str::to_owned));
        }
        needs.sort_by_key(|name| self.steps.get(name).map(|step| step.position));
        needs
    }

    /// What is awaited, for people.
    fn wanted(&self, step: &Step) -> String {
        match &step.work {
            Work::Unprepared => "its jobspec".to_owned(),
            Work::Wait(wait) => self.scene.wanted(&wait.wait),
            Work::Job(job) => self.scene.wanted(&job.wait),
            Work::Stop(job) => self.scene.wanted(&job.wait),
            Work::Release(wait) => format!("{} no longer waited for", self.scene.subject(&wait.wait)),
            Work::Hook(hook) => {
                let what = match &hook.hook().launch {
                    Launch::Jobspec { jobspec, .. } => format!("hook {jobspec}"),
                    Launch::Dispatch { job, .. } => format!("hook {job}, dispatched,"),
                };
                format!("{what} complete")
            }
        }
    }

    /// What is seen of the job that a step waits for.
    fn observed(&self, step: &Step) -> Vec<String> {
        let wait = match &step.work {
            Work::Wait(wait) => &wait.wait,
            Work::Job(job) if job.is_known() => &job.wait,
            Work::Stop(job) => &job.wait,
            Work::Unprepared | Work::Job(_) | Work::Release(_) | Work::Hook(_) => return Vec::new(),
        };
        match &step.state {
            NodeState::Gated { .. } | NodeState::Failed { .. } => self.scene.observed(wait),
            NodeState::Blocked { .. }
            | NodeState::Working { .. }
            | NodeState::Satisfied { .. }
            | NodeState::Skipped { .. } => Vec::new(),
        }
    }

    fn hint(&self, step: &Step) -> Option<String> {
        match &step.work {
            Work::Wait(wait) => self.scene.hint(&wait.wait),
            Work::Job(job) if job.is_known() => match *self.scene.sight_of(&job.blueprint.key) {
                Sight::Absent { .. } => {
                    Some("start the tree's task again, and it is submitted anew".to_owned())
                }
                Sight::Unseen(_) | Sight::Present(_) => self.scene.hint(&job.wait),
            },
            Work::Stop(job) => match *self.scene.sight_of(&job.blueprint.key) {
                Sight::Present(_) => self.scene.hint(&job.wait),
                Sight::Absent { .. } | Sight::Unseen(_) => None,
            },
            Work::Unprepared | Work::Job(_) | Work::Release(_) => None,
            Work::Hook(hook) => hook
                .running()
                .map(|job| format!("look with `nomad job status {}{}`", scene::in_namespace(job), job.job)),
        }
    }
}

/// Some names, and how many more.
pub(super) fn listed(names: &[&str]) -> String {
    const MOST: usize = 12;
    let shown = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
