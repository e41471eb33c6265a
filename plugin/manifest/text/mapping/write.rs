//! The tree as text.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use super::{
    At, Mapping, Part,
    graph::Order,
    in_one_line,
    values::{Outputs, Resolver, label},
    without_equivalent,
};
use crate::manifest::{
    Problem, Verb,
    text::{Jobspecs, Located, quoted},
};

/// Keys of a component that are no properties, and of which nothing has to be said.
const SILENT: [&str; 6] = ["_component_id", "_component", "_action", "_state", "service", "components"];

/// What the blocks say.
pub(super) struct Drawn {
    blocks: BTreeMap<String, Block>,
    outputs: Outputs,
    /// Whether the jobspecs were looked at.
    knows_variables: bool,
}

#[derive(Default)]
struct Block {
    jobspec: String,
    /// The ID of the job that is waited for.
    job: String,
    vars: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Mapping<'_> {
    /// What each block says; what cannot be said is told.
    pub(super) fn draw(
        &mut self,
        order: &Order,
        chosen: &BTreeSet<String>,
        jobspecs: Option<&Jobspecs>,
    ) -> Drawn {
        let mut found: Vec<Located> = Vec::new();
        let mut resolver = Resolver::new(self);
        let mut blocks = BTreeMap::new();
        // The jobspecs whose job has one ID whatever is filled in, and who has them.
        let mut fixed: BTreeMap<String, &str> = BTreeMap::new();
        let parts = self
            .components
            .iter()
            .filter(|(id, component)| chosen.contains(*id) && component.part != Part::Nothing);
        for (id, component) in parts {
            let mut block = Block { notes: component.notes.clone(), ..Block::default() };
            let name = id.split_once("::").map_or(id.as_str(), |(_, name)| name);
            let stems = [id.replace("::", "-"), component.kind.clone()];
            let stems: Vec<&str> = stems.iter().map(String::as_str).collect();
            let jobspec = jobspecs.and_then(|jobspecs| jobspecs.find(&stems));
            block.job = jobspec.and_then(|(_, jobspec)| jobspec.id.clone()).unwrap_or_else(|| label(name));
            block.jobspec = match (jobspec, jobspecs) {
                (Some((file, _)), _) => format!("local/{file}"),
                (None, Some(_)) if component.part != Part::Wait => {
                    let names: Vec<String> = stems.iter().map(|stem| format!("{stem}.nomad.hcl")).collect();
                    let text = format!("the directory of jobspecs has none called {}", names.join(" or "));
                    let problem = Problem::new(id.as_str(), text).with_help(format!(
                        "{}.nomad.hcl would be that of all components of its type",
                        component.kind
                    ));
                    found.push(Located { problem, span: self.span(&component.at) });
                    String::new()
                }
                (None, _) => format!("local/{}.nomad.hcl", component.kind),
            };
            if let (Some((file, jobspec)), Part::Job { .. }) = (jobspec, component.part)
                && !jobspec.is_template
                && let Some(other) = fixed.insert(file.to_owned(), id)
            {
                block.notes.push(format!(
                    "{other} has the same jobspec: give its job an `id` with a variable in it, or this one a jobspec {}.nomad.hcl",
                    id.replace("::", "-")
                ));
            }
            let declared = jobspec.and_then(|(_, jobspec)| jobspec.variables.as_ref());
            let is_job = matches!(component.part, Part::Job { .. });
            for (key, at, value) in self.properties(&component.at) {
                if SILENT.contains(&key.as_str()) {
                    continue;
                }
                let value = match resolver.value(&at, value) {
                    Ok(value) => value,
                    Err(without) => {
                        let problem = without.problem(id, &key);
                        found.push(Located { problem, span: self.span(&at) });
                        continue;
                    }
                };
                let bare = key.trim_start_matches('_');
                let variable = [key.as_str(), bare].into_iter().find(|name| match declared {
                    Some(declared) => declared.contains(*name),
                    None => !key.starts_with('_') && is_identifier(name),
                });
                match variable {
                    Some(_) if value.is_null() => {
                        block.notes.push(format!("{key} = null: the variable's own default counts"));
                    }
                    Some(name) if is_job => {
                        block.vars.insert(name.to_owned(), as_text(&value));
                    }
                    Some(_) | None => block.notes.push(without_equivalent(&key, &value)),
                }
            }
            let own = [("component_id", id.as_str()), ("component", component.kind.as_str()), ("name", name)];
            for (variable, value) in own {
                if is_job && declared.is_some_and(|declared| declared.contains(variable)) {
                    block.vars.entry(variable.to_owned()).or_insert_with(|| value.to_owned());
                }
            }
            blocks.insert(id.clone(), block);
        }
        let outputs = resolver.outputs;
        self.problems.append(&mut found);
        self.circle(order, &blocks, &outputs);
        Drawn { blocks, outputs, knows_variables: jobspecs.is_some() }
    }

    /// The properties of a component, with the place of each.
    fn properties(&self, at: &[At]) -> Vec<(String, Vec<At>, &Value)> {
        let component = at.iter().try_fold(&self.document, |value, step| match step {
            At::Key(key) => value.get(key),
            At::Index(index) => value.get(index),
        });
        let members = component.and_then(Value::as_object).into_iter().flatten();
        members
            .map(|(key, value)| {
                let mut at = at.to_vec();
                at.push(At::Key(key.clone()));
                (key.clone(), at, value)
            })
            .collect()
    }

    /// Tells of a circle of edges and values.
    fn circle(&mut self, order: &Order, blocks: &BTreeMap<String, Block>, outputs: &Outputs) {
        let mut all = Order::default();
        for id in self.components.keys() {
            for needed in order.needs_of(self, id) {
                all.add(id, needed);
            }
        }
        for (id, block) in blocks {
            for from in outputs.keys() {
                let reference = format!("$({}.", label(from));
                if from != id && block.vars.values().any(|value| value.contains(&reference)) {
                    all.add(id, from);
                }
            }
        }
        let circle = all.circle().map(|circle| circle.into_iter().map(str::to_owned).collect::<Vec<_>>());
        if let Some(circle) = circle {
            let at =
                circle.first().and_then(|id| self.components.get(id)).map(|component| component.at.clone());
            let text = format!("these depend on each other: {}", circle.join(" → "));
            self.problem(&at.unwrap_or_default(), Problem::new("file", text));
        }
    }

    /// The whole file.
    pub(super) fn write(
        &self,
        tree: &str,
        drawn: &Drawn,
        order: &Order,
        chosen: &BTreeSet<String>,
    ) -> String {
        let mut hcl = "# What ernest's mapping says, as a tree.\n".to_owned();
        let left = self.components.iter().filter(|(id, component)| {
            chosen.contains(*id) && component.part == Part::Nothing && !component.notes.is_empty()
        });
        let left = left.flat_map(|(id, component)| {
            component.notes.iter().map(move |note| in_one_line(&format!("{id} is left out: {note}")))
        });
        for note in self.notes.iter().cloned().chain(left) {
            // Writing into a string cannot fail.
            let _ = writeln!(hcl, "# {note}");
        }
        if !drawn.knows_variables && drawn.blocks.values().any(|block| !block.vars.is_empty()) {
            hcl.push_str("# Each jobspec must declare the variables of its `vars`; with --jobspecs only those that it has are written.\n");
        }
        let _ = writeln!(hcl, "tree {} {{", quoted(tree));
        if self.verb == Verb::Stop {
            hcl.push_str("  verb = \"stop\"\n");
        }
        for (id, block) in &drawn.blocks {
            let part = self.components.get(id).map_or(Part::Nothing, |component| component.part);
            let word = if part == Part::Wait { "wait" } else { "job" };
            let _ = writeln!(hcl, "  {word} {} {{", quoted(&label(id)));
            for note in &block.notes {
                let _ = writeln!(hcl, "    # {}", in_one_line(note));
            }
            if part == Part::Wait {
                let _ = writeln!(hcl, "    job = {}", quoted(&block.job));
            } else {
                let _ = writeln!(hcl, "    jobspec = {}", quoted(&block.jobspec));
            }
            let needs = order.needs_of(self, id);
            let needs: Vec<String> = needs
                .into_iter()
                .filter(|needed| drawn.blocks.contains_key(*needed))
                .map(|needed| quoted(&label(needed)))
                .collect();
            if !needs.is_empty() {
                let _ = writeln!(hcl, "    depends_on = [{}]", needs.join(", "));
            }
            if part == (Part::Job { adopt: true }) {
                hcl.push_str("    adopt = true\n");
            }
            map(&mut hcl, "vars", block.vars.iter().map(|(name, value)| (name.as_str(), value.clone())));
            if let Some(outputs) = drawn.outputs.get(id) {
                hcl.push_str("    # The jobspec must set these in its meta; a service or a variable may give them as well.\n");
                map(
                    &mut hcl,
                    "outputs",
                    outputs.iter().map(|(name, key)| (name.as_str(), format!("meta:{key}"))),
                );
            }
            hcl.push_str("  }\n");
        }
        hcl.push_str("}\n");
        hcl
    }
}

/// An attribute that is a map; none where it is empty.
fn map<'a>(hcl: &mut String, attribute: &str, values: impl Iterator<Item = (&'a str, String)>) {
    let values: Vec<(&str, String)> = values.collect();
    if values.is_empty() {
        return;
    }
    let _ = writeln!(hcl, "    {attribute} = {{");
    for (name, value) in values {
        let name = if is_identifier(name) { name.to_owned() } else { quoted(name) };
        let _ = writeln!(hcl, "      {name} = {}", quoted(&value));
    }
    hcl.push_str("    }\n");
}

/// Whether it can be the name of a variable.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// The value of a variable, as a command line takes it.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
