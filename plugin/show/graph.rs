//! What depends on what, as a picture.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::plan::Plan;

/// In a larger graph what follows from others is drawn, too: to find it out takes the square of its size.
const MOST_REDUCED: usize = 2000;

/// The steps of a plan, and what each needs.
#[derive(Clone, Debug)]
pub struct Graph {
    title: String,
    /// In the order of the plan: its name, what it is, what it needs.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    name: String,
    kind: Kind,
    needs: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Job,
    Hook,
    Wait,
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
        let is_reduced = plan.order().len() <= MOST_REDUCED;
        let mut above: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut nodes = Vec::new();
        for name in plan.order() {
            let needs = plan.needs_of(name);
            let all: BTreeSet<&str> =
                needs.iter().flat_map(|needed| above.get(needed).into_iter().flatten()).copied().collect();
            let direct =
                needs.iter().filter(|needed| !all.contains(*needed)).map(|needed| (*needed).to_owned());
            nodes.push(Node { name: name.clone(), kind: kind(name), needs: direct.collect() });
            if is_reduced {
                above.insert(name, all.into_iter().chain(needs).collect());
            }
        }
        Self { title: title.to_owned(), nodes }
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
                };
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{number}  {}{what}{after}", node.name);
            }
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
            };
            let _ = writeln!(text, "  {}{shape}", quoted(&node.name));
        }
        for (needed, name) in self.edges() {
            let _ = writeln!(text, "  {} -> {}", quoted(needed), quoted(name));
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
            };
            let _ = writeln!(text, "    n{}{open}\"{name}\"{close}", id(&node.name));
        }
        for (needed, name) in self.edges() {
            let _ = writeln!(text, "    n{} --> n{}", id(needed), id(name));
        }
        text
    }

    fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nodes
            .iter()
            .flat_map(|node| node.needs.iter().map(move |needed| (needed.as_str(), node.name.as_str())))
    }
}

/// As Graphviz quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
