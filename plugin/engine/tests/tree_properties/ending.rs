//! What a run says at its end is so.

use super::*;

impl Shell<'_> {
    /// At the end: what was said of it is so.
    pub(super) fn check_end(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.judge.finishes.len(), 1);
        prop_assert_eq!(self.engine.next_timeout(), None);
        prop_assert_eq!(self.engine.step(self.now, Event::Tick), Vec::new());
        prop_assert_eq!(self.engine.step(self.now, Event::Stopped), Vec::new());
        let mut status = self.engine.status(self.now);
        if self.judge.finishes[0] == Outcome::Stopped {
            return Ok(());
        }
        if self.has_ended_before {
            // The process before has done it all, and only its last words were not heard.
            status.nodes = Box::default();
        }
        let blueprints = blueprints(&self.plan, &self.changed);
        let is_good = self.judge.finishes[0] == Outcome::Done;
        let failed: Vec<&str> = status
            .nodes
            .iter()
            .filter(|node| node.state == "failed")
            .map(|node| node.name.as_str())
            .collect();
        for node in &status.nodes {
            if node.state == "skipped" {
                let names_it = failed.iter().any(|failed| node.detail.contains(&format!("{failed} failed")));
                prop_assert!(
                    names_it || node.detail.contains("the run was not done within"),
                    "{} names no root cause: {}",
                    node.name,
                    node.detail
                );
            }
            prop_assert!(
                matches!(node.state, "satisfied" | "failed" | "skipped"),
                "{}: {}",
                node.name,
                node.state
            );
        }
        if self.case.has_strangers {
            return Ok(());
        }
        if is_good {
            prop_assert!(failed.is_empty());
            self.check_success(&blueprints)?;
        }
        self.check_policy(&status, is_good)
    }

    /// A run that ended well: every job is as it should be, and was seen ready; every hook has run.
    fn check_success(&self, blueprints: &BTreeMap<String, Blueprint>) -> Result<(), TestCaseError> {
        for (name, blueprint) in blueprints {
            if self.is_hook(name) {
                continue;
            }
            let job = self.world.jobs.get(&blueprint.key);
            let spec = job.and_then(|job| job.marks()).map(|marks| &marks.spec);
            let wanted = self.filled(name).unwrap_or_else(|| blueprint.spec.clone());
            prop_assert_eq!(spec, Some(&wanted), "{} is not as it should be", name);
            let shown = self.shown.get(&blueprint.key).copied().flatten();
            prop_assert_eq!(shown, Some(Fate::Good), "{} is not ready", name);
        }
        for (name, hook) in &self.plan.manifest().tree.as_ref().unwrap().hooks {
            let was_touched = !self.is_untouched(hook.of.as_deref().unwrap_or_default());
            let is_optional = hook.on_failure == OnHookFailure::Continue;
            prop_assert!(
                !was_touched || is_optional || self.judge.ended_well.contains(name),
                "{name} has not run"
            );
        }
        Ok(())
    }

    /// What came up, and what did not, is what the policy says.
    fn check_policy(&self, status: &Status, is_good: bool) -> Result<(), TestCaseError> {
        let has_trouble = self.judge.errors > 4 || self.judge.n_steps > 1000;
        if !has_trouble && self.case.is_all_good() {
            prop_assert!(is_good, "it failed for nothing: {:?}", self.judge.finishes);
        }
        if self.case.policy == "continue"
            && !has_trouble
            && self.case.timeout.is_none()
            && self.judge.memories_lost == 0
        {
            for node in &status.nodes {
                let hook = self.plan.manifest().tree.as_ref().unwrap().hooks.get(&node.name);
                if hook.is_some_and(|hook| {
                    hook.moment == Moment::Pre
                        && !self.comes_up_but_for_itself(hook.of.as_deref().unwrap_or_default())
                }) {
                    continue; // It ran before its job was lost, or not.
                }
                let expected = self.comes_up(&node.name);
                prop_assert_eq!(
                    node.state == "satisfied",
                    expected,
                    "{}: {}, {}",
                    &node.name,
                    node.state,
                    &node.detail
                );
            }
        }
        if self.case.policy == "cancel" && !is_good && !has_trouble {
            for (name, keys) in self.judge.written.iter().filter(|(name, _)| self.is_hook(name)) {
                for key in keys {
                    let runs_on = self
                        .world
                        .jobs
                        .get(key)
                        .is_some_and(|job| job.fate == Fate::Pending && !job.is_stopped());
                    // Of a dispatch whose answer was lost nobody knows the name, until the next run.
                    let is_known = !self.case.hook(name).is_dispatch
                        || self.judge.n_crashes == 0 && self.judge.errors == 0;
                    prop_assert!(!runs_on || !is_known || self.judge.memories_lost > 0, "{name} runs on");
                }
            }
        }
        Ok(())
    }

    /// Whether all that a job needs comes up, and it is not someone else's.
    fn comes_up_but_for_itself(&self, of: &str) -> bool {
        self.case.node(of).is_none_or(|node| !node.is_foreign)
            && self.plan.needs(of).iter().all(|needed| self.comes_up(needed))
    }

    /// Whether a step comes up where everything goes on that does not depend on something failed.
    fn comes_up(&self, name: &str) -> bool {
        let needs = self.plan.needs(name).iter().all(|needed| self.comes_up(needed));
        let good = |becomes: &Becomes| matches!(becomes, Becomes::Good(_) | Becomes::Flaky(_));
        needs
            && if self.is_hook(name) {
                let hook = &self.plan.manifest().tree.as_ref().unwrap().hooks[name];
                let case = self.case.hook(name);
                let attempts = usize::try_from(case.retries).unwrap() + 1;
                let is_there = |of: &str| self.case.node(of).is_none_or(|node| !node.is_foreign);
                let has_success = (0..attempts).any(|n| good(&case.becomes[n.min(case.becomes.len() - 1)]));
                is_there(hook.of.as_deref().unwrap_or_default())
                    && (case.is_optional
                        || self.is_untouched(hook.of.as_deref().unwrap_or_default())
                        || has_success)
            } else {
                self.case.node(name).is_none_or(|node| {
                    !node.is_foreign && (good(&node.becomes) || self.is_untouched(name) && !node.is_wait)
                })
            }
    }
}
