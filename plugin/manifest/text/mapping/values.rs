//! What a component's properties come to: values, and outputs of other components.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    At, Mapping, Part,
    query::{Found, Query},
};
use crate::manifest::{JobNode, Problem};

/// An output that a component must have: what it is called, and the key that it was.
pub(super) type Outputs = BTreeMap<String, BTreeMap<String, String>>;

/// Why a property has no value.
pub(super) enum Without {
    /// The path that leads nowhere, and what may have been meant.
    Nothing { path: String, help: String },
    /// The places that lead around to themselves.
    Circle(Vec<String>),
    /// A `$(` without an end, or with no path in it.
    NoPath(String),
}

/// Finds values; notes what has to become an output.
pub(super) struct Resolver<'m, 't> {
    mapping: &'m Mapping<'t>,
    /// By component.
    pub(super) outputs: Outputs,
    /// Where the values come from that are being looked for, outermost first.
    way: Vec<Vec<At>>,
}

impl<'m, 't> Resolver<'m, 't> {
    pub(super) fn new(mapping: &'m Mapping<'t>) -> Self {
        Self { mapping, outputs: Outputs::new(), way: Vec::new() }
    }

    /// The value that stands at `at`, with all its templates filled in. What is only known when another component is
    /// there is `$(component.output)`.
    pub(super) fn value(&mut self, at: &[At], value: &Value) -> Result<Value, Without> {
        if let Some(begin) = self.way.iter().position(|other| other == at) {
            let around = self.way.iter().skip(begin).chain(self.way.get(begin));
            return Err(Without::Circle(around.map(|at| self.called(at)).collect()));
        }
        self.way.push(at.to_vec());
        let found = match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| self.value(&deeper(at, At::Index(index)), item)).collect()
            }
            Value::Object(members) => members
                .iter()
                .map(|(key, member)| {
                    let member = self.value(&deeper(at, At::Key(key.clone())), member)?;
                    Ok((key.clone(), member))
                })
                .collect::<Result<serde_json::Map<_, _>, _>>()
                .map(Value::Object),
            other => Ok(other.clone()),
        };
        self.way.pop();
        found
    }

    /// A text: what stands alone keeps its kind, what stands among other words becomes one.
    fn text(&mut self, text: &str) -> Result<Value, Without> {
        if let Some(path) = text.strip_prefix("$(").and_then(|rest| rest.strip_suffix(')'))
            && !path.contains("$(")
        {
            return self.path(path);
        }
        let (mut made, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("$(") {
            made.push_str(before);
            let end = end(after).ok_or_else(|| Without::NoPath(text.to_owned()))?;
            let (path, after) = after.split_at_checked(end).unwrap_or((after, ""));
            match self.path(path)? {
                Value::String(value) => made.push_str(&value),
                value => made.push_str(&value.to_string()),
            }
            rest = after.get(1..).unwrap_or_default();
        }
        made.push_str(rest);
        Ok(Value::String(made))
    }

    fn path(&mut self, path: &str) -> Result<Value, Without> {
        let query = Query::read(path).ok_or_else(|| Without::NoPath(format!("$({path})")))?;
        if let Some(found) = self.follow(&query) {
            return found;
        }
        let nothing = |help: String| Without::Nothing { path: path.to_owned(), help };
        let Some((list, wanted)) = query.of_component() else {
            return Err(nothing("nothing of the mapping has this path".to_owned()));
        };
        // It is there when the component is: as it was to be, or as it came to be.
        if let Some(found) = self.follow(&query.in_changes()) {
            return found;
        }
        let ids = [list.clone(), list.in_changes()];
        let id = ids.iter().find_map(|list| match list.find(&self.mapping.document) {
            Some(Found::There(_, component)) => component.get("_component_id")?.as_str().map(str::to_owned),
            Some(Found::Made(_)) | None => None,
        });
        let id = id.or_else(|| list.id().map(str::to_owned));
        let Some(id) = id else { return Err(nothing("no component is there".to_owned())) };
        match self.mapping.components.get(&id).map(|component| component.part) {
            Some(Part::Job { .. }) => {
                let output = output(&wanted);
                if !JobNode::OUTPUTS.contains(&output.as_str()) {
                    self.outputs.entry(id.clone()).or_default().insert(output.clone(), wanted);
                }
                Ok(Value::String(format!("$({}.{output})", label(&id))))
            }
            Some(Part::Wait | Part::Nothing) => Err(nothing(format!(
                "{id} is submitted by none, so that {wanted} cannot come from it: write its value into the mapping"
            ))),
            None => Err(nothing(format!("{id} is no component"))),
        }
    }

    /// The value that a path leads to, with its own templates filled in.
    fn follow(&mut self, query: &Query) -> Option<Result<Value, Without>> {
        let mapping = self.mapping;
        match query.find(&mapping.document)? {
            // What has no value yet is as if it were not there: the older tool left the path standing.
            Found::There(_, Value::Null) => None,
            Found::There(_, Value::String(text)) if text.is_empty() => None,
            Found::There(at, value) => Some(self.value(&at, value)),
            Found::Made(value) => Some(self.value(&[], &value)),
        }
    }

    /// A place as people call it: the component, and what of it.
    fn called(&self, at: &[At]) -> String {
        let component = self.mapping.components.iter().find(|(_, component)| at.starts_with(&component.at));
        let (begin, rest) = match component {
            Some((id, component)) => (id.as_str(), at.get(component.at.len()..).unwrap_or_default()),
            None => ("file", at),
        };
        let rest = rest.iter().map(|step| match step {
            At::Key(key) => key.clone(),
            At::Index(index) => index.to_string(),
        });
        format!("{begin} {}", rest.collect::<Vec<_>>().join("."))
    }
}

impl Without {
    /// The problem that it is for the property `key` of `id`.
    pub(super) fn problem(self, id: &str, key: &str) -> Problem {
        match self {
            Self::Nothing { path, help } => {
                Problem::new(id, format!("{key} has `$({path})`, which has no value")).with_help(help)
            }
            Self::Circle(around) => {
                Problem::new(id, format!("{key} takes its value from itself: {}", around.join(" → ")))
            }
            Self::NoPath(text) => {
                Problem::new(id, format!("{key} has `{text}`, in which a path is not closed, or none"))
                    .with_help("write it like `$(components.#[_component_id=\"db::a\"].url)`")
            }
        }
    }
}

/// Where the path ends of which `text` is the begin: at the `)` that belongs to none of its own.
fn end(text: &str) -> Option<usize> {
    let (mut depth, mut is_quoted) = (0, false);
    text.char_indices().find_map(|(at, letter)| {
        match letter {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted && depth == 0 => return Some(at),
            ')' if !is_quoted => depth -= 1,
            _ => {}
        }
        None
    })
}

fn deeper(at: &[At], step: At) -> Vec<At> {
    let mut at = at.to_vec();
    at.push(step);
    at
}

/// What an output is called whose key was `key`.
fn output(key: &str) -> String {
    key.chars().map(|c| if c.is_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

/// What a block is called for the component `id`: references name it, so that some letters cannot stand in it.
pub(super) fn label(id: &str) -> String {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '$' | '(' | ')');
    id.chars().map(|c| if is_bad(c) { '_' } else { c }).collect()
}
