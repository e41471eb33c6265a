//! What depends on what, as a picture.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value, json};

use super::svg::{self, Look};
use crate::plan::{Plan, circles};

/// In a larger graph what follows from others is drawn, too: to find it out takes the square of its size.
const MOST_REDUCED: usize = 4000;

/// The steps of a plan, and what each needs.
#[derive(Clone, Debug)]
pub struct Graph {
    title: String,
    /// In the order of the plan: its name, what it is, what it needs.
    nodes: Vec<Node>,
    /// Those that depend on each other, each path with its first name again at its end.
    circles: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Node {
    name: String,
    kind: Kind,
    needs: Vec<String>,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A job.
    Job,
    /// A hook of a tree.
    Hook,
    /// Something that is awaited and is no job of the graph.
    Wait,
    /// A job that is not there.
    Absent,
}

impl Graph {
    /// The graph of `plan`, under this title. A need that follows from others is left out of the picture, as far as that
    /// is found out soon.
    pub fn of(title: &str, plan: &Plan) -> Self {
        let manifest = plan.manifest();
        let kind = |name: &str| match &manifest.tree {
            Some(tree) if tree.jobs.contains_key(name) => Kind::Job,
            Some(tree) if tree.hooks.contains_key(name) => Kind::Hook,
            _ => Kind::Wait,
        };
        let numbers: BTreeMap<&str, usize> =
            plan.order().iter().enumerate().map(|(n, name)| (name.as_str(), n)).collect();
        let is_reduced = plan.order().len() <= MOST_REDUCED;
        // By node: all that it needs, directly or through others.
        let mut above: Vec<Set> = Vec::new();
        let mut nodes = Vec::new();
        for name in plan.order() {
            let needs = plan.needs_of(name);
            let needed = || needs.iter().filter_map(|needed| numbers.get(needed).copied());
            let mut all = Set::default();
            needed().filter_map(|n| above.get(n)).for_each(|set| all.unite(set));
            let is_direct = |needed: &&&str| !numbers.get(**needed).is_some_and(|n| all.has(*n));
            let direct = needs.iter().filter(is_direct).map(|needed| (*needed).to_owned()).collect();
            nodes.push(Node { name: name.clone(), kind: kind(name), needs: direct });
            if is_reduced {
                needed().for_each(|n| all.insert(n));
                above.push(all);
            }
        }
        Self { title: title.to_owned(), nodes, circles: Vec::new() }
    }

    /// A graph of these boxes, and of what each needs: circles are allowed, and marked.
    pub fn of_edges(
        title: &str,
        kinds: BTreeMap<String, Kind>,
        mut needs: BTreeMap<String, Vec<String>>,
    ) -> Self {
        for needs in needs.values_mut() {
            needs.retain(|needed| kinds.contains_key(needed));
        }
        let circles = circles(&needs);
        // What needs nothing that is left comes next; of a circle, the first by name.
        let (mut nodes, mut left) = (Vec::new(), kinds);
        while let Some(first) = left.keys().next().cloned() {
            let is_free = |name: &&String| {
                !needs
                    .get(*name)
                    .into_iter()
                    .flatten()
                    .any(|needed| left.contains_key(needed) && needed != *name)
            };
            let name = left.keys().find(is_free).cloned().unwrap_or(first);
            let kind = left.remove(&name).unwrap_or(Kind::Job);
            nodes.push(Node { needs: needs.remove(&name).unwrap_or_default(), name, kind });
        }
        Self { title: title.to_owned(), nodes, circles }
    }

    /// Whether an edge, from what is needed to what needs it, is part of a circle.
    fn is_in_circle(&self, needed: &str, name: &str) -> bool {
        let is_step = |pair: &[String]| matches!(pair, [first, second] if first == name && second == needed);
        self.circles.iter().any(|circle| circle.windows(2).any(is_step))
    }

    /// For programs: `title`; `nodes`, each with its `name`, its `kind` (job, hook, wait, absent) and what it `needs`; and
    /// `circles`, each a path with its first name again at its end.
    pub fn document(&self) -> Value {
        let word = |kind: Kind| match kind {
            Kind::Job => "job",
            Kind::Hook => "hook",
            Kind::Wait => "wait",
            Kind::Absent => "absent",
        };
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|it| json!({ "name": it.name, "kind": word(it.kind), "needs": it.needs }));
        json!({ "title": self.title, "nodes": nodes.collect::<Vec<_>>(), "circles": self.circles })
    }

    /// For a terminal: what can begin together stands together.
    pub fn text(&self) -> String {
        let mut levels: BTreeMap<&str, usize> = BTreeMap::new();
        let mut rows: BTreeMap<usize, Vec<&Node>> = BTreeMap::new();
        for node in &self.nodes {
            let level =
                node.needs.iter().filter_map(|needed| levels.get(needed.as_str())).max().map_or(1, |n| n + 1);
            levels.insert(&node.name, level);
            rows.entry(level).or_default().push(node);
        }
        let mut text = format!("{}\n", self.title);
        for (level, nodes) in rows {
            for (n, node) in nodes.into_iter().enumerate() {
                let number = if n == 0 { format!("{level:>4}") } else { "    ".to_owned() };
                let after = if node.needs.is_empty() {
                    String::new()
                } else {
                    format!("  after {}", node.needs.join(", "))
                };
                let what = match node.kind {
                    Kind::Job => "",
                    Kind::Hook => " (hook)",
                    Kind::Wait => " (wait)",
                    Kind::Absent => " (not there)",
                };
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{number}  {}{what}{after}", node.name);
            }
        }
        for circle in &self.circles {
            let _ = writeln!(text, "circle: {}", circle.join(" → "));
        }
        text
    }

    /// For Graphviz.
    pub fn dot(&self) -> String {
        let mut text = format!("digraph {} {{\n  rankdir = LR\n  node [shape = box]\n", quoted(&self.title));
        for node in &self.nodes {
            let shape = match node.kind {
                Kind::Job => "",
                Kind::Hook => " [style = dashed]",
                Kind::Wait => " [shape = oval]",
                Kind::Absent => " [style = dotted]",
            };
            let _ = writeln!(text, "  {}{shape}", quoted(&node.name));
        }
        for (needed, name) in self.edges() {
            let mark = if self.is_in_circle(needed, name) { " [color = red]" } else { "" };
            let _ = writeln!(text, "  {} -> {}{mark}", quoted(needed), quoted(name));
        }
        text.push_str("}\n");
        text
    }

    /// For Markdown.
    pub fn mermaid(&self) -> String {
        let ids: BTreeMap<&str, usize> =
            self.nodes.iter().enumerate().map(|(n, node)| (node.name.as_str(), n)).collect();
        let id = |name: &str| ids.get(name).copied().unwrap_or_default();
        let mut text = "flowchart LR\n".to_owned();
        for node in &self.nodes {
            let name = node.name.replace('"', "#quot;");
            let (open, close) = match node.kind {
                Kind::Job => ("[", "]"),
                Kind::Hook => ("[/", "/]"),
                Kind::Wait => ("([", "])"),
                Kind::Absent => ("[[", "]]"),
            };
            let _ = writeln!(text, "    n{}{open}\"{name}\"{close}", id(&node.name));
        }
        for (needed, name) in self.edges() {
            let arrow = if self.is_in_circle(needed, name) { "-- circle -->" } else { "-->" };
            let _ = writeln!(text, "    n{} {arrow} n{}", id(needed), id(name));
        }
        text
    }

    /// For a browser, or a page: a picture in one file.
    pub fn svg(&self) -> String {
        let numbers: BTreeMap<&str, usize> =
            self.nodes.iter().enumerate().map(|(n, node)| (node.name.as_str(), n)).collect();
        let boxes: Vec<svg::Node<'_>> = self
            .nodes
            .iter()
            .map(|node| svg::Node {
                name: &node.name,
                look: node.kind.look(),
                is_marked: self.circles.iter().any(|circle| circle.contains(&node.name)),
            })
            .collect();
        let arrows = self.edges().filter_map(|(needed, name)| {
            let ends = (numbers.get(needed).copied()?, numbers.get(name).copied()?);
            Some((ends.0, ends.1, self.is_in_circle(needed, name)))
        });
        svg::draw(&self.title, &boxes, &arrows.collect::<Vec<_>>())
    }

    fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nodes
            .iter()
            .flat_map(|node| node.needs.iter().map(move |needed| (needed.as_str(), node.name.as_str())))
    }
}

impl Kind {
    fn look(self) -> Look {
        match self {
            Self::Job => Look::Job,
            Self::Hook => Look::Hook,
            Self::Wait => Look::Wait,
            Self::Absent => Look::Absent,
        }
    }
}

/// Numbers, a bit for each.
#[derive(Default)]
struct Set(Vec<u64>);

impl Set {
    fn insert(&mut self, n: usize) {
        if self.0.len() <= n / 64 {
            self.0.resize(n / 64 + 1, 0);
        }
        if let Some(word) = self.0.get_mut(n / 64) {
            *word |= 1 << (n % 64);
        }
    }

    fn has(&self, n: usize) -> bool {
        self.0.get(n / 64).is_some_and(|word| word & (1 << (n % 64)) != 0)
    }

    fn unite(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }
}

/// As Graphviz quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
