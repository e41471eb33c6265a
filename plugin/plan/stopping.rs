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

use super::{graph, hooks, may_need, toposort};
use crate::manifest::{Manifest, Moment};

/// What the steps of a stop need, from what those of a run need.
pub(super) struct Stopping {
    /// The steps in order.
    pub(super) order: Vec<String>,
    /// For each step those that come before it.
    pub(super) needs: BTreeMap<String, Vec<String>>,
    /// For each job all others that it needs, directly or through others; and the waits.
    pub(super) foundations: BTreeMap<String, BTreeSet<String>>,
}

impl Stopping {
    /// `run` is without circles.
    pub(super) fn of(manifest: &Manifest, run: &BTreeMap<String, Vec<String>>) -> Self {
        let tree = manifest.tree.as_deref();
        let is_job = |name: &str| tree.is_some_and(|tree| tree.jobs.contains_key(name));
        let is_step = |name: &str| is_job(name) || manifest.waits.contains_key(name);
        let jobs = || tree.into_iter().flat_map(|tree| tree.jobs.keys());
        let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut before: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for job in jobs() {
            for needed in reach(run, job, |name| !is_job(name)).into_iter().filter(|name| is_step(name)) {
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
                all.extend(hooks(tree, job, Moment::PostStop).map(str::to_owned));
            }
            all
        };
        for name in manifest.waits.keys() {
            needs.insert(name.clone(), after(name).into_iter().collect());
        }
        for job in jobs() {
            let mut all = after(job);
            all.extend(hooks(tree, job, Moment::PreStop).map(str::to_owned));
            needs.insert(job.clone(), all.into_iter().collect());
        }
        for (name, hook) in tree.into_iter().flat_map(|tree| &tree.hooks) {
            let Some(of) = hook.of.as_deref().filter(|_| hook.moment.is_of_stop()) else { continue };
            let others = hook.depends_on.iter().filter(|needed| may_need(manifest, hook, needed)).cloned();
            let mut all: BTreeSet<String> = others.collect();
            match hook.moment {
                Moment::PreStop => all.extend(after(of)),
                _ => _ = all.insert(of.to_owned()),
            }
            needs.insert(name.clone(), all.into_iter().collect());
        }
        let foundations = jobs().map(|job| {
            let all = reach(run, job, |_| true).into_iter().filter(|name| is_step(name));
            (job.clone(), all.map(str::to_owned).collect())
        });
        let foundations = foundations.collect();
        let order = toposort(&graph(&needs), None).unwrap_or_default();
        let order = order.into_iter().map(str::to_owned).collect();
        Self { order, needs, foundations }
    }
}

/// All that `from` needs, and what that needs where it is `through`.
fn reach<'a>(
    run: &'a BTreeMap<String, Vec<String>>,
    from: &str,
    through: impl Fn(&str) -> bool,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = run.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if found.insert(name) && through(name) {
            open.extend(run.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    found
}
