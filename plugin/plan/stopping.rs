//! The order of a stop: that of a run backwards.
//!
//! ```text
//!   a run:    db ──▶ migrate ──▶ api ──▶ web          migrate is a hook of none, or a wait
//!
//!   a stop:   web ──▶ web's post_stop ──▶ api's pre_stop ──▶ api ──▶ … ──▶ db
//! ```
//!
//! What stands between two jobs is no step of a stop, but what needs it needs what it needs. A wait is one all the same: it
//! is let go when nothing that needs it is left.

use std::collections::{BTreeMap, BTreeSet};

use super::{Around, graph, may_need, toposort};
use crate::manifest::{Manifest, Moment};

/// What the steps of a stop need, from what those of a run need.
pub(super) struct Stopping {
    /// The steps in order.
    pub(super) order: Vec<String>,
    /// For each step those that come before it.
    pub(super) needs: BTreeMap<String, Vec<String>>,
    pub(super) footing: Footing,
}

/// What stands on what in a stop, and what of it is to go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Footing {
    /// What the steps of a run need.
    run: BTreeMap<String, Vec<String>>,
    /// The jobs that the `stop` block speaks of.
    selected: BTreeSet<String>,
}

impl Footing {
    fn of(manifest: &Manifest, run: &BTreeMap<String, Vec<String>>) -> Self {
        let Some(tree) = manifest.tree.as_deref() else { return Self::default() };
        let stop = &tree.stop;
        let found: BTreeSet<&str> = match &stop.target {
            None => tree.jobs.keys().map(String::as_str).collect(),
            Some(target) if stop.with_dependencies => reach(run, [target.as_str()], |_| true),
            Some(_) => BTreeSet::new(),
        };
        let all = found.into_iter().chain(stop.target.as_deref());
        let is_selected =
            |name: &&str| tree.jobs.contains_key(*name) && !stop.exclude.iter().any(|other| other == name);
        Self { run: run.clone(), selected: all.filter(is_selected).map(str::to_owned).collect() }
    }

    /// All that these need, directly or through others.
    pub(super) fn beneath<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> BTreeSet<&str> {
        reach(&self.run, names, |_| true)
    }

    pub(super) fn is_selected(&self, job: &str) -> bool {
        self.selected.contains(job)
    }
}

impl Stopping {
    /// `run` is without circles.
    pub(super) fn of(manifest: &Manifest, run: &BTreeMap<String, Vec<String>>) -> Self {
        let tree = manifest.tree.as_deref();
        let around = Around::of(tree);
        let is_job = |name: &str| tree.is_some_and(|tree| tree.jobs.contains_key(name));
        let is_step = |name: &str| is_job(name) || manifest.waits.contains_key(name);
        let jobs = || tree.into_iter().flat_map(|tree| tree.jobs.keys());
        let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut before: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for job in jobs() {
            for needed in
                reach(run, [job.as_str()], |name| !is_job(name)).into_iter().filter(|name| is_step(name))
            {
                before.entry(needed).or_default().insert(job);
            }
        }
        let after = |name: &str| {
            let mut all: BTreeSet<String> = BTreeSet::new();
            // A wait that nothing needs is kept up for the tree as a whole.
            let for_all = manifest.waits.contains_key(name) && !before.contains_key(name);
            let everyone = jobs().map(String::as_str).filter(|_| for_all);
            for job in before.get(name).into_iter().flatten().copied().chain(everyone) {
                all.insert(job.to_owned());
                all.extend(around.hooks(job, Moment::PostStop).map(str::to_owned));
            }
            all
        };
        for name in manifest.waits.keys() {
            needs.insert(name.clone(), after(name).into_iter().collect());
        }
        for job in jobs() {
            let mut all = after(job);
            all.extend(around.hooks(job, Moment::PreStop).map(str::to_owned));
            needs.insert(job.clone(), all.into_iter().collect());
        }
        for (name, hook) in tree.into_iter().flat_map(|tree| &tree.hooks) {
            let others = hook.depends_on.iter().filter(|needed| may_need(manifest, hook, needed)).cloned();
            let mut all: BTreeSet<String> = others.collect();
            match (hook.moment, &hook.of) {
                (Moment::PreStop, Some(of)) => all.extend(after(of)),
                (Moment::PostStop, Some(of)) => _ = all.insert(of.clone()),
                // Those that end a run end a stop, too.
                (Moment::AfterSuccess | Moment::AfterFailure, _) => {}
                _ => continue,
            }
            needs.insert(name.clone(), all.into_iter().collect());
        }
        let is_around = |name: &str| {
            let hook = tree.and_then(|tree| tree.hooks.get(name));
            hook.is_some_and(|hook| hook.moment.is_of_stop())
        };
        let order = toposort(&graph(&needs), None).unwrap_or_default();
        let order = order.into_iter().filter(|name| is_step(name) || is_around(name));
        let order = order.map(str::to_owned).collect();
        Self { order, needs, footing: Footing::of(manifest, run) }
    }
}

/// All that `from` need, and what that needs where it is `through`.
fn reach<'a, 'b>(
    run: &'a BTreeMap<String, Vec<String>>,
    from: impl IntoIterator<Item = &'b str>,
    through: impl Fn(&str) -> bool,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let first = from.into_iter().filter_map(|name| run.get(name));
    let mut open: Vec<&str> = first.flatten().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if found.insert(name) && through(name) {
            open.extend(run.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    found
}
