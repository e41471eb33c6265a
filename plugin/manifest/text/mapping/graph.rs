//! What comes after what: edges, without the ends of the graph and without what is left out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{At, Mapping, Part};
use crate::{
    cluster::nearest,
    manifest::{Problem, Verb},
};

/// The ends of the older tool's graphs, which are no components.
const ENDS: [&str; 2] = ["start", "end"];

/// What each component depends on, directly.
#[derive(Default)]
pub(super) struct Order {
    needs: BTreeMap<String, BTreeSet<String>>,
}

impl Order {
    /// Reads the edges; what is wrong with them is told to the mapping.
    pub(super) fn of(mapping: &mut Mapping<'_>) -> Self {
        let mut order = Self::default();
        let list = At::Key("edges".to_owned());
        let edges = match mapping.document.get("edges") {
            Some(Value::Array(edges)) => edges.clone(),
            None | Some(Value::Null) => Vec::new(),
            Some(_) => {
                mapping.problem(&[list], Problem::new("file", "edges is no list"));
                return order;
            }
        };
        let mut has_edges: BTreeSet<String> = BTreeSet::new();
        for (index, edge) in edges.iter().enumerate() {
            let at = [list.clone(), At::Index(index)];
            let end = |key: &str| edge.get(key).and_then(Value::as_str);
            let (Some(source), Some(destination)) = (end("source"), end("destination")) else {
                let problem = Problem::new(format!("edges.{index}"), "has no source and destination");
                mapping.problem(&at, problem);
                continue;
            };
            let unknown: Vec<(&str, &str)> = [("source", source), ("destination", destination)]
                .into_iter()
                .filter(|(_, id)| !ENDS.contains(id) && !mapping.components.contains_key(*id))
                .collect();
            for (key, id) in &unknown {
                let text =
                    format!("the edge from {source} to {destination} names {id}, which is no component");
                let problem = Problem::new("edges", text);
                let problem = match nearest(id, mapping.components.keys().map(String::as_str)) {
                    Some(near) => problem.with_help(format!("did you mean {near:?}?")),
                    None => problem.with_help("add it to the changes, or take the edge away"),
                };
                let [list, index] = at.clone();
                mapping.problem(&[list, index, At::Key((*key).to_owned())], problem);
            }
            if !unknown.is_empty() {
                continue;
            }
            // A root has an edge from the start: that makes it one, and orders nothing.
            has_edges.insert(destination.to_owned());
            if ENDS.contains(&source) || ENDS.contains(&destination) {
                continue;
            }
            // Of what is deleted the source goes first: it is what depends on the other.
            let (needed, name) = match mapping.verb {
                Verb::Run => (source, destination),
                Verb::Stop => (destination, source),
            };
            has_edges.insert(source.to_owned());
            order.needs.entry(name.to_owned()).or_default().insert(needed.to_owned());
        }
        for (id, component) in &mut mapping.components {
            let is_change = component.at.first() == Some(&At::Key("changes".to_owned()));
            if is_change && !has_edges.contains(id) && matches!(component.part, Part::Job { .. }) {
                component
                    .notes
                    .push("no edge leads to it: the older tool never began it, here it is a root".to_owned());
            }
            // What is only there matters where something is ordered by it.
            if !is_change && !has_edges.contains(id) {
                component.part = Part::Nothing;
                component.notes.clear();
            }
        }
        order
    }

    /// What a component depends on, through what is left out.
    pub(super) fn needs_of<'o>(&'o self, mapping: &Mapping<'_>, id: &str) -> BTreeSet<&'o str> {
        let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
        let mut next: Vec<&str> = self.direct(id).collect();
        while let Some(needed) = next.pop() {
            if !seen.insert(needed) {
                continue;
            }
            match mapping.components.get(needed).map(|component| component.part) {
                Some(Part::Nothing) | None => next.extend(self.direct(needed)),
                Some(Part::Job { .. } | Part::Wait) => {
                    found.insert(needed);
                }
            }
        }
        found
    }

    /// Adds what follows from a value that one takes from another.
    pub(super) fn add(&mut self, id: &str, needed: &str) {
        self.needs.entry(id.to_owned()).or_default().insert(needed.to_owned());
    }

    fn direct(&self, id: &str) -> impl Iterator<Item = &str> {
        self.needs.get(id).into_iter().flatten().map(String::as_str)
    }

    /// Components that depend on each other, in their order, the first one again at the end.
    pub(super) fn circle(&self) -> Option<Vec<&str>> {
        // What needs nothing that is left cannot be in a circle.
        let mut left: BTreeSet<&str> = self.needs.keys().map(String::as_str).collect();
        while let Some(id) =
            left.iter().copied().find(|id| !self.direct(id).any(|needed| left.contains(needed)))
        {
            left.remove(id);
        }
        let mut path: Vec<&str> = left.first().copied().into_iter().collect();
        loop {
            let last = path.last()?;
            let next = self.direct(last).find(|needed| left.contains(needed))?;
            if let Some(at) = path.iter().position(|id| *id == next) {
                let mut circle = path.split_off(at);
                circle.push(next);
                return Some(circle);
            }
            path.push(next);
        }
    }
}

impl Mapping<'_> {
    /// The target and all that it depends on; without a target, everything.
    pub(super) fn chosen(&mut self, order: &Order, target: Option<&str>) -> BTreeSet<String> {
        let Some(target) = target else { return self.components.keys().cloned().collect() };
        if !self.components.contains_key(target) {
            let problem = Problem::new("file", format!("has no component {target}"));
            let problem = match nearest(target, self.components.keys().map(String::as_str)) {
                Some(meant) => problem.with_help(format!("did you mean `{meant}`?")),
                None => problem,
            };
            self.problem(&[], problem);
        }
        let mut chosen = BTreeSet::new();
        let mut next = vec![target];
        while let Some(id) = next.pop() {
            if chosen.insert(id.to_owned()) {
                next.extend(order.direct(id));
            }
        }
        chosen
    }
}
