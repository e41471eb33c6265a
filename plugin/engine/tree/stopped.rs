//! What the stop of a tree says of itself at its end.

use super::{
    Tree,
    report::listed,
    step::{Step, Work},
    stop::StopStep,
};
use crate::engine::{NodeState, Time, time::Spoken};

impl Tree {
    /// What a stop that ended well has done.
    pub(super) fn stop_success(&self, now: Time) -> String {
        let (mut already, mut purged, mut absent, mut hooks) = (0_usize, 0_usize, 0_usize, 0_usize);
        for step in self.in_order() {
            match &step.work {
                Work::Stop(job) if job.is_absent() => absent += 1,
                Work::Stop(job) if job.was_stopped_before() && job.is_purged() => purged += 1,
                Work::Stop(job) if job.was_stopped_before() => already += 1,
                Work::Hook(hook) if hook.outcome().is_some() => hooks += 1,
                _ => {}
            }
        }
        let mut parts = Vec::new();
        parts.extend(self.has_stopped());
        let were = |n: usize| if n == 1 { "was" } else { "were" };
        if already > 0 {
            parts.push(format!("{already} {} stopped already", were(already)));
        }
        if purged > 0 {
            parts.push(format!("{purged} {} stopped already, and purged", were(purged)));
        }
        if absent > 0 {
            parts.push(format!("{absent} {} not there", were(absent)));
        }
        if hooks > 0 {
            parts.push(format!("{hooks} {} run", if hooks == 1 { "hook" } else { "hooks" }));
        }
        parts.extend(self.kept());
        format!("done after {}: {}", Spoken(now.since(self.began)), parts.join("; "))
    }

    /// What this run has stopped.
    pub(super) fn has_stopped(&self) -> Option<String> {
        let stopped: Vec<(&str, &StopStep)> = self
            .in_order()
            .filter(|step| step.state.is_satisfied())
            .filter_map(|step| match &step.work {
                Work::Stop(job) if job.was_doomed().is_some() => Some((step.name.as_str(), &**job)),
                _ => None,
            })
            .collect();
        let is_purged = !stopped.is_empty() && stopped.iter().all(|(_, job)| job.is_purged());
        let names: Vec<&str> = stopped.iter().map(|(name, _)| *name).collect();
        let word = if is_purged { "stopped and purged" } else { "stopped" };
        (!names.is_empty()).then(|| format!("{word} {}", listed(&names)))
    }

    /// What is left as it is, by reason.
    pub(super) fn kept(&self) -> Vec<String> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for step in self.in_order().filter(|step| self.is_spared_job(step)) {
            if let NodeState::Skipped { why, .. } = &step.state {
                match reasons.iter_mut().find(|(reason, _)| reason == why) {
                    Some((_, names)) => names.push(&step.name),
                    None => reasons.push((why, vec![&step.name])),
                }
            }
        }
        reasons.iter().map(|(why, names)| format!("kept {}: {why}", listed(names))).collect()
    }

    fn is_spared_job(&self, step: &Step) -> bool {
        matches!(step.work, Work::Stop(_)) && self.is_spared(step)
    }
}
