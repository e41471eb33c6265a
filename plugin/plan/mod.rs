//! Compiles a manifest into a graph of steps.
//!
//! A gate's graph has one step for each `wait`; an edge says which wait must hold before the next is looked at.
//! petgraph stays inside this room.
//!
//! # Invariants
//!
//! * A compiled plan has no cycle, no dangling name and no self-reference: all of these are problems, reported
//!   together with the ones the manifest already has.
//! * [`Plan::order`] is topological and the same in every run.

mod blueprint;

use std::collections::BTreeSet;

pub use blueprint::Blueprint;
use petgraph::{
    algo::{kosaraju_scc, toposort},
    graphmap::DiGraphMap,
};

use crate::{
    cluster::{JobKey, Place, nearest},
    manifest::{Manifest, Problem, Problems},
};

/// A manifest that can be carried out, and the order of its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    manifest: Manifest,
    order: Vec<String>,
}

impl Plan {
    /// Compiles `manifest`, of which `problems` are known already.
    ///
    /// # Errors
    ///
    /// All problems, those known and those of the graph: names that no block has, blocks that depend on themselves
    /// or on each other in a circle.
    pub fn compile(manifest: Manifest, mut problems: Problems) -> Result<Self, Problems> {
        dangling(&manifest, &mut problems);
        let graph = graph(&manifest);
        for cycle in cycles(&graph) {
            problems.push(
                Problem::new("config", format!("these waits depend on each other: {}", cycle.join(" → ")))
                    .with_help("take one of the depends_on away"),
            );
        }
        match toposort(&graph, None) {
            Ok(order) if problems.is_empty() => {
                let order = order.into_iter().map(str::to_owned).collect();
                Ok(Self { manifest, order })
            }
            Ok(_) | Err(_) => Err(problems),
        }
    }

    /// What the user wrote.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The names of the steps: each after all that it depends on, else by name.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// The jobs to look at for a task at `place`: its own, and those that are waited for.
    pub fn subjects(&self, place: &Place) -> BTreeSet<JobKey> {
        let awaited = self.manifest.waits.values().filter_map(|wait| wait.subject.job(place));
        awaited.chain([place.job.clone()]).collect()
    }
}

/// Edges lead from what is needed to what needs it. Names that no block has are left out.
///
/// Nodes go in backwards: among those that do not depend on each other, petgraph's order is the reverse of that.
fn graph(manifest: &Manifest) -> DiGraphMap<&str, ()> {
    let mut graph = DiGraphMap::new();
    for name in manifest.waits.keys().rev() {
        graph.add_node(name.as_str());
    }
    for (name, wait) in &manifest.waits {
        for needed in &wait.depends_on {
            if let Some((needed, _)) = manifest.waits.get_key_value(needed) {
                graph.add_edge(needed.as_str(), name.as_str(), ());
            }
        }
    }
    graph
}

fn dangling(manifest: &Manifest, problems: &mut Problems) {
    for (name, wait) in &manifest.waits {
        for needed in &wait.depends_on {
            if manifest.waits.contains_key(needed) {
                continue;
            }
            let problem = Problem::new(
                format!("wait {name:?}"),
                format!("depends_on names {needed:?}, which is no block of this task"),
            );
            problems.push(match nearest(needed, manifest.waits.keys().map(String::as_str)) {
                Some(near) => problem.with_help(format!("did you mean {near:?}?")),
                None => problem,
            });
        }
    }
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
