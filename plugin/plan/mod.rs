//! Compiles a manifest into a graph of steps.
//!
//! ```text
//!   a gate:   wait ──▶ wait            an edge says which must hold before the next is looked at
//!
//!   a tree:   db ──▶ db's post hooks ──▶ api's pre hooks ──▶ api ──▶ …
//!              └──────────────────────────────────────────────▲
//! ```
//!
//! In a tree `depends_on = ["db"]` means the job and its post hooks, and whoever has pre hooks hands what it depends
//! on down to them. petgraph stays inside this room.
//!
//! # Invariants
//!
//! * A compiled plan has no cycle, no dangling name and no self-reference: all of these are problems, reported
//!   together with the ones the manifest already has.
//! * Whoever refers to an output depends on the block that has it, as if `depends_on` named it.
//! * [`Plan::order`] is topological and the same in every run.

mod blueprint;
mod naming;
mod parts;
mod references;
mod stopping;

use std::collections::{BTreeMap, BTreeSet};

pub use blueprint::Blueprint;
pub use naming::{Rollout, hook_job, once_job, once_path, rollout, run_of_hook, run_of_once};
use petgraph::{
    algo::{kosaraju_scc, toposort},
    graphmap::DiGraphMap,
};

use self::stopping::{Footing, Stopping};
use crate::{
    cluster::{JobKey, Place, nearest},
    manifest::{Hook, JobNode, Manifest, Moment, Problem, Problems, Reference, Tree, Verb},
};

/// A manifest that can be carried out, and the order of its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    manifest: Manifest,
    order: Vec<String>,
    /// Only for a tree; a gate's waits name what they need themselves.
    needs: BTreeMap<String, Vec<String>>,
    /// Only for a stop.
    footing: Footing,
    /// The waits that count only through the `when` of another.
    parts: BTreeSet<String>,
}

impl Plan {
    /// Compiles `manifest`, of which `problems` are known already.
    ///
    /// # Errors
    ///
    /// All problems, those known and those of the graph: names that no block has, blocks that depend on themselves
    /// or on each other in a circle.
    pub fn compile(manifest: Manifest, mut problems: Problems) -> Result<Self, Problems> {
        let parts = parts::of(&manifest);
        dangling(&manifest, &mut problems);
        parts::check(&manifest, &parts, &mut problems);
        references::check(&manifest, &mut problems);
        let needs = needs(&manifest);
        let after = parts::after(&manifest, &parts, &needs);
        let graph = graph(&after);
        let order = toposort(&graph, None);
        if order.is_err() {
            tell_cycles(&graph, &manifest, parts.is_empty(), &mut problems);
        }
        match order {
            Ok(_) if problems.is_empty() && is_stop(&manifest) => {
                let Stopping { order, needs, footing } = Stopping::of(&manifest, &needs);
                Ok(Self { manifest, order, needs, footing, parts })
            }
            Ok(order) if problems.is_empty() => {
                let order = order.into_iter().filter(|name| is_block(&manifest, name)).map(str::to_owned);
                let order: Vec<String> = order.collect();
                let needs = if manifest.tree.is_some() { needs } else { BTreeMap::new() };
                Ok(Self { manifest, order, needs, footing: Footing::default(), parts })
            }
            Ok(_) | Err(_) => Err(problems),
        }
    }

    /// What the user wrote.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The names of the steps: each after all that it depends on, else by name. Of a run, hooks around a stop and after a
    /// run are none of them; of a stop only its jobs, its waits, and the hooks around it are.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// In a tree: the names of the steps that must be satisfied before step `name` begins. A job's own pre hooks are
    /// among them. For a hook around a stop or after a run: the others that come before it.
    pub fn needs(&self, name: &str) -> &[String] {
        self.needs.get(name).map_or(&[], Vec::as_slice)
    }

    /// The steps that step `name` waits for, of a gate's plan or of a tree's.
    pub fn needs_of(&self, name: &str) -> Vec<&str> {
        match self.manifest.waits.get(name) {
            Some(wait) if self.manifest.tree.is_none() => {
                wait.depends_on.iter().map(String::as_str).collect()
            }
            _ => self.needs(name).iter().map(String::as_str).collect(),
        }
    }

    /// What the texts of step `name` take from other blocks, each once. Values of the context are none of it.
    pub fn references(&self, name: &str) -> BTreeSet<Reference> {
        let Some(tree) = &self.manifest.tree else { return BTreeSet::new() };
        match (tree.jobs.get(name), tree.hooks.get(name)) {
            (Some(job), _) => references::of(job.texts()),
            (None, Some(hook)) => references::of(hook.texts()),
            (None, None) => BTreeSet::new(),
        }
    }

    /// Whether it is a wait that counts only through the `when` of another.
    pub fn is_part(&self, name: &str) -> bool {
        self.parts.contains(name)
    }

    /// Whether it is the stop of a tree.
    pub fn is_stop(&self) -> bool {
        is_stop(&self.manifest)
    }

    /// In a stop: all that these jobs need to be up, directly or through others.
    pub fn foundations<'a>(&self, jobs: impl IntoIterator<Item = &'a str>) -> BTreeSet<&str> {
        self.footing.beneath(jobs)
    }

    /// In a stop: whether the `stop` block speaks of this job.
    pub fn is_selected(&self, job: &str) -> bool {
        self.footing.is_selected(job)
    }

    /// The jobs to look at for a task at `place`: its own, and those that are waited for.
    pub fn subjects(&self, place: &Place) -> BTreeSet<JobKey> {
        let awaited = self.manifest.waits.values().filter_map(|wait| wait.subject.job(place));
        awaited.chain((!place.is_outside()).then(|| place.job.clone())).collect()
    }

    /// Those of the awaited jobs whose own checks are asked, beside what Nomad says of their health.
    pub fn asked(&self, place: &Place) -> BTreeSet<JobKey> {
        let asking = self.manifest.waits.values().filter(|wait| wait.asks_checks());
        asking.filter_map(|wait| wait.subject.job(place)).collect()
    }

    /// Whether the jobs that it submits are asked, too.
    pub fn asks_its_own(&self) -> bool {
        self.manifest.tree.is_some() && !is_stop(&self.manifest)
    }
}

fn is_stop(manifest: &Manifest) -> bool {
    manifest.tree.as_ref().is_some_and(|tree| tree.verb == Verb::Stop)
}

/// The steps that each step needs. Names that no block has are left out.
fn needs(manifest: &Manifest) -> BTreeMap<String, Vec<String>> {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let tree = manifest.tree.as_deref();
    let around = Around::of(tree);
    for (name, wait) in &manifest.waits {
        needs.insert(name.clone(), around.expand(manifest, &wait.depends_on));
    }
    for (name, job) in tree.iter().flat_map(|tree| &tree.jobs) {
        let mut all = around.expand(manifest, &before_job(tree, name, job));
        all.extend(around.hooks(name, Moment::Pre).map(str::to_owned));
        needs.insert(name.clone(), all);
    }
    for (name, hook) in tree.iter().flat_map(|tree| &tree.hooks) {
        let own_job = hook.of.as_ref().and_then(|of| tree?.jobs.get_key_value(of));
        let mut all = match hook.moment {
            Moment::Pre => {
                own_job.map_or_else(Vec::new, |(of, job)| around.expand(manifest, &before_job(tree, of, job)))
            }
            Moment::Post => hook.of.iter().cloned().collect(),
            Moment::Alone => Vec::new(),
            Moment::PreStop | Moment::PostStop | Moment::AfterSuccess | Moment::AfterFailure => {
                let others = hook.depends_on.iter().filter(|needed| may_need(manifest, hook, needed));
                needs.insert(name.clone(), others.cloned().collect());
                continue;
            }
        };
        // A hook that names its own job means the job, and not the hooks around it.
        let named = hook.depends_on.iter().cloned().chain(references::nodes(tree, name, hook.texts()));
        let (own, others): (Vec<_>, Vec<_>) = named.partition(|needed| hook.of.as_ref() == Some(needed));
        all.extend(own);
        all.extend(around.expand(manifest, &others));
        needs.insert(name.clone(), all);
    }
    for all in needs.values_mut() {
        all.sort();
        all.dedup();
    }
    needs
}

/// The blocks that a job depends on: those it names, and those whose outputs it takes.
fn before_job(tree: Option<&Tree>, name: &str, job: &JobNode) -> Vec<String> {
    job.depends_on.iter().cloned().chain(references::nodes(tree, name, job.texts())).collect()
}

/// The hooks of each job, by its name.
struct Around<'a>(BTreeMap<&'a str, Vec<(&'a str, Moment)>>);

impl<'a> Around<'a> {
    fn of(tree: Option<&'a Tree>) -> Self {
        let mut hooks: BTreeMap<&str, Vec<(&str, Moment)>> = BTreeMap::new();
        for (name, hook) in tree.into_iter().flat_map(|tree| &tree.hooks) {
            if let Some(of) = &hook.of {
                hooks.entry(of).or_default().push((name, hook.moment));
            }
        }
        Self(hooks)
    }

    /// The hooks of one job and moment, in the order of their names.
    fn hooks(&self, job: &str, moment: Moment) -> impl Iterator<Item = &'a str> {
        let hooks = self.0.get(job).into_iter().flatten();
        hooks.filter(move |(_, at)| *at == moment).map(|(name, _)| *name)
    }

    /// `names` that are blocks, each job with its post hooks.
    fn expand(&self, manifest: &Manifest, names: &[String]) -> Vec<String> {
        let mut all = Vec::with_capacity(names.len());
        for name in names.iter().filter(|name| is_block(manifest, name)) {
            all.push(name.clone());
            all.extend(self.hooks(name, Moment::Post).map(str::to_owned));
        }
        all
    }
}

/// Whether it is a block that is a step of a run.
fn is_block(manifest: &Manifest, name: &str) -> bool {
    manifest.waits.contains_key(name)
        || manifest.tree.as_ref().is_some_and(|tree| {
            tree.jobs.contains_key(name) || tree.hooks.get(name).is_some_and(|hook| hook.moment.is_of_run())
        })
}

/// Whether `hook` may depend on the block `needed`.
fn may_need(manifest: &Manifest, hook: &Hook, needed: &str) -> bool {
    if hook.moment.is_of_run() {
        return is_block(manifest, needed);
    }
    let other = manifest.tree.as_ref().and_then(|tree| tree.hooks.get(needed));
    other.is_some_and(|other| other.moment == hook.moment && other.of == hook.of)
}

/// Edges lead from what is needed to what needs it.
///
/// Nodes go in backwards: among those that do not depend on each other, petgraph's order is the reverse of that.
fn graph(needs: &BTreeMap<String, Vec<String>>) -> DiGraphMap<&str, ()> {
    let mut graph = DiGraphMap::new();
    for name in needs.keys().rev() {
        graph.add_node(name.as_str());
    }
    for (name, all) in needs {
        for needed in all {
            graph.add_edge(needed.as_str(), name.as_str(), ());
        }
    }
    graph
}

fn dangling(manifest: &Manifest, problems: &mut Problems) {
    let tree = manifest.tree.as_deref();
    let waits = manifest.waits.iter().map(|(name, wait)| (format!("wait {name:?}"), &wait.depends_on));
    let jobs =
        tree.iter().flat_map(|tree| &tree.jobs).map(|(name, job)| (format!("job {name:?}"), &job.depends_on));
    let steps = waits.chain(jobs).flat_map(|(place, needs)| {
        let missing = needs.iter().filter(|needed| !is_block(manifest, needed));
        missing.map(move |needed| (place.clone(), needed))
    });
    let hooks = tree.iter().flat_map(|tree| &tree.hooks).flat_map(|(name, hook)| {
        let missing = hook.depends_on.iter().filter(|needed| !may_need(manifest, hook, needed));
        missing.map(|needed| (hook.place(name), needed))
    });
    let names: Vec<&str> = manifest
        .waits
        .keys()
        .chain(tree.iter().flat_map(|tree| tree.jobs.keys().chain(tree.hooks.keys())))
        .map(String::as_str)
        .collect();
    for (place, needed) in steps.chain(hooks) {
        if names.contains(&needed.as_str()) {
            let text = format!("depends_on names {needed:?}, which runs at another time");
            problems.push(Problem::new(place, text).with_help(
                "pre_stop, post_stop, after_success and after_failure have an order of their own: each kind for itself",
            ));
            continue;
        }
        let problem =
            Problem::new(place, format!("depends_on names {needed:?}, which is no block of this task"));
        problems.push(match nearest(needed, names.iter().copied()) {
            Some(near) => problem.with_help(format!("did you mean {near:?}?")),
            None => problem,
        });
    }
}

/// Names each circle of a graph that has one.
fn tell_cycles(
    graph: &DiGraphMap<&str, ()>,
    manifest: &Manifest,
    is_without_parts: bool,
    problems: &mut Problems,
) {
    let (what, help) = match (manifest.tree.is_some(), is_without_parts) {
        (true, true) => ("blocks", "take one of the depends_on or one of the references away"),
        (true, false) => (
            "blocks",
            "take one of the depends_on, one of the references or one of the names in a `when` away",
        ),
        (false, true) => ("waits", "take one of the depends_on away"),
        (false, false) => ("waits", "take one of the depends_on, or one of the names in a `when`, away"),
    };
    for cycle in cycles(graph) {
        let text = format!("these {what} depend on each other: {}", cycle.join(" → "));
        problems.push(Problem::new("config", text).with_help(help));
    }
}

/// The circles among what each name needs: paths in the direction of that, each with its first name again at its end.
pub fn circles(needs: &BTreeMap<String, Vec<String>>) -> Vec<Vec<String>> {
    cycles(&graph(needs))
}

/// One path around each circle, beginning and ending with the same name, in the direction of `depends_on`.
fn cycles(graph: &DiGraphMap<&str, ()>) -> Vec<Vec<String>> {
    let mut cycles: Vec<Vec<String>> = kosaraju_scc(graph)
        .into_iter()
        .filter(|members| match members.as_slice() {
            [single] => graph.contains_edge(*single, *single),
            _ => true,
        })
        .filter_map(|members| {
            let members: BTreeSet<&str> = members.into_iter().collect();
            let first = *members.first()?;
            Some(path_around(graph, &members, first))
        })
        .collect();
    cycles.sort();
    cycles
}

/// Walks from `first` along `depends_on` inside a strongly connected component until a name comes again.
fn path_around(graph: &DiGraphMap<&str, ()>, members: &BTreeSet<&str>, first: &str) -> Vec<String> {
    let mut path = vec![first.to_owned()];
    let mut at = first;
    loop {
        let next = graph
            .neighbors_directed(at, petgraph::Incoming)
            .filter(|needed| members.contains(needed))
            .min()
            .unwrap_or(first);
        if let Some(start) = path.iter().position(|name| name == next) {
            path.drain(..start);
            path.push(next.to_owned());
            return path;
        }
        path.push(next.to_owned());
        at = next;
    }
}

#[cfg(test)]
mod tests;
