//! Which steps must be brought up to date.

use std::collections::{BTreeMap, BTreeSet};

use super::step::Step;
use crate::plan::Plan;

/// The steps that must be brought up to date, each once, in the plan's order.
#[derive(Debug, Default)]
pub(super) struct Agenda(BTreeMap<usize, String>);

impl Agenda {
    pub(super) fn add<'a>(&mut self, steps: impl IntoIterator<Item = &'a Step>) {
        self.0.extend(steps.into_iter().map(|step| (step.position, step.name.clone())));
    }

    pub(super) fn next(&mut self) -> Option<String> {
        self.0.pop_first().map(|(_, name)| name)
    }
}

/// For each step, those that may come further when it changes: its dependents, the waits that name it in a `when`, and for
/// a job and its hooks each other.
pub(super) fn wakes(plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
    let mut wakes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in plan.order() {
        for needed in plan.needs(name) {
            wakes.entry(needed.clone()).or_default().insert(name.clone());
        }
    }
    for (name, wait) in &plan.manifest().waits {
        for part in wait.subject.parts() {
            wakes.entry(part.to_owned()).or_default().insert(name.clone());
        }
    }
    for (name, hook) in plan.manifest().tree.iter().flat_map(|tree| &tree.hooks) {
        let Some(of) = &hook.of else { continue };
        wakes.entry(of.clone()).or_default().insert(name.clone());
        wakes.entry(name.clone()).or_default().insert(of.clone());
    }
    wakes
}
