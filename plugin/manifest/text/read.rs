//! Entries to values, by the schema: what is not in it is said with its place.

use std::ops::Range;

use hcl_edit::{Span as _, expr::Expression};
use serde_json::{Map, Value};

use super::{
    Places, Unchecked,
    entry::{Block, Entry, Given, members},
};
use crate::{
    cluster::nearest,
    manifest::{
        JobNode, Problem, Problems,
        schema::{self, Attribute, Kind},
    },
};

/// The place of what stands in no block.
const TOP: &str = "config";

/// Reads one manifest.
pub(super) struct Reader<'a> {
    text: &'a str,
    pub(super) problems: Problems,
    pub(super) places: Places,
    pub(super) unchecked: Vec<Unchecked>,
}

/// Why there is no value.
enum NoValue {
    /// Only Nomad can tell.
    Unknown,
    /// It is of another kind.
    Wrong(&'static str),
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, head: Range<usize>) -> Self {
        let mut places = Places::default();
        places.block(TOP, head);
        Self { text, problems: Problems::default(), places, unchecked: Vec::new() }
    }

    /// The body of `config {}`.
    pub(super) fn manifest(&mut self, entries: &[Entry<'_>]) -> Value {
        Value::Object(self.body(entries, &schema::MANIFEST, TOP, None))
    }

    /// A body; `job` is the job block that it stands in.
    fn body(
        &mut self,
        entries: &[Entry<'_>],
        body: &schema::Body,
        place: &str,
        job: Option<&str>,
    ) -> Map<String, Value> {
        let mut values = Map::new();
        for entry in entries {
            let attribute = body.attributes.iter().find(|attribute| attribute.name == entry.name);
            let block = body.blocks.iter().find(|block| block.name == entry.name);
            match (&entry.given, attribute, block) {
                (Given::Value(value), Some(attribute), _) => {
                    self.attribute(entry, value, attribute, place, &mut values);
                }
                (Given::Block(given), Some(Attribute { kind: Kind::TextMap, .. }), _) => {
                    self.map_block(entry, given, place, &mut values);
                }
                (Given::Block(given), _, Some(block)) => {
                    self.block(entry, given, block, place, job, &mut values);
                }
                (Given::Block(_), Some(attribute), _) => {
                    let text = format!("{} is no block", entry.name);
                    let help = format!("write `{} = {}`", entry.name, sample(attribute.kind));
                    self.wrong(entry, place, Problem::new(place, text).with_help(help));
                }
                (Given::Value(_), None, Some(block)) => {
                    let label = if block.label.is_some() { " \"name\"" } else { "" };
                    let text = format!("{} is a block", entry.name);
                    let help = format!("write `{}{label} {{ … }}`", entry.name);
                    self.wrong(entry, place, Problem::new(place, text).with_help(help));
                }
                (_, None, None) => {
                    let names = body.attributes.iter().map(|attribute| attribute.name);
                    let names: Vec<&str> = names.chain(body.blocks.iter().map(|block| block.name)).collect();
                    let text = format!("{} is nothing that may stand here", entry.name);
                    let help = match nearest(&entry.name, names.iter().copied()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("what may: {}", names.join(", ")),
                    };
                    self.wrong(entry, place, Problem::new(place, text).with_help(help));
                }
            }
        }
        values
    }

    /// A problem of an entry, at its name.
    fn wrong(&mut self, entry: &Entry<'_>, place: &str, problem: Problem) {
        self.places.attribute(place, &entry.name, entry.span.clone());
        self.problems.push(problem);
    }

    fn attribute(
        &mut self,
        entry: &Entry<'_>,
        value: &Expression,
        attribute: &Attribute,
        place: &str,
        values: &mut Map<String, Value>,
    ) {
        let span = value.span().map_or_else(|| entry.span.clone(), |span| entry.span.start..span.end);
        if values.contains_key(&entry.name) {
            return self.wrong(
                entry,
                place,
                Problem::new(place, format!("{} stands here twice", entry.name)),
            );
        }
        self.places.attribute(place, &entry.name, span);
        if let (Expression::Object(object), Kind::TextMap) = (value, attribute.kind) {
            let map =
                self.map(members(object).map(|(name, _, value)| (name, Some(value))), &entry.name, place);
            values.insert(entry.name.clone(), map);
            return;
        }
        match self.value(value, attribute.kind) {
            Ok(value) => {
                values.insert(entry.name.clone(), value);
            }
            Err(NoValue::Unknown) => self.unchecked.push(Unchecked {
                place: place.to_owned(),
                attribute: entry.name.clone(),
                value: self.written(value).to_owned(),
            }),
            Err(NoValue::Wrong(found)) => {
                let text = format!("{} takes {}, and this is {found}", entry.name, takes(attribute.kind));
                let help = format!("write it like `{} = {}`", entry.name, sample(attribute.kind));
                self.problems.push(Problem::new(place, text).with_help(help));
            }
        }
    }

    /// `meta { a = "b" }`, which is the same as `meta = { a = "b" }`.
    fn map_block(
        &mut self,
        entry: &Entry<'_>,
        block: &Block<'_>,
        place: &str,
        values: &mut Map<String, Value>,
    ) {
        self.places.attribute(place, &entry.name, entry.span.clone());
        let members = block.entries.iter().map(|inner| match inner.given {
            Given::Value(value) => (inner.name.clone(), Some(value)),
            Given::Block(_) => (inner.name.clone(), None),
        });
        let map = self.map(members, &entry.name, place);
        values.insert(entry.name.clone(), map);
    }

    /// Strings by name; `None` stands for a block.
    fn map<'e>(
        &mut self,
        members: impl Iterator<Item = (String, Option<&'e Expression>)>,
        name: &str,
        place: &str,
    ) -> Value {
        let mut map = Map::new();
        for (key, value) in members {
            match value.map_or(Err(NoValue::Wrong("a block")), |value| self.value(value, Kind::Text)) {
                Ok(value) => {
                    map.insert(key, value);
                }
                Err(NoValue::Unknown) => {
                    self.unchecked.push(Unchecked {
                        place: place.to_owned(),
                        attribute: format!("{name}.{key}"),
                        value: value.map_or("", |value| self.written(value)).to_owned(),
                    });
                }
                Err(NoValue::Wrong(found)) => {
                    let text = format!("{name}: {key} takes a string, and this is {found}");
                    self.problems.push(Problem::new(place, text));
                }
            }
        }
        Value::Object(map)
    }

    fn block(
        &mut self,
        entry: &Entry<'_>,
        given: &Block<'_>,
        block: &schema::Block,
        place: &str,
        job: Option<&str>,
        values: &mut Map<String, Value>,
    ) {
        let (label, wanted) = (given.labels.first(), usize::from(block.label.is_some()));
        if given.labels.len() != wanted {
            let text = match block.label {
                Some(what) => format!("{} takes one label, its {what}", entry.name),
                None => format!("{} takes no label", entry.name),
            };
            return self.wrong(entry, place, Problem::new(place, text));
        }
        let inner_place = match (label, job, entry.name.as_str()) {
            (Some(label), None, "job") => JobNode::place(label),
            (Some(label), None, name) => format!("{name} {label:?}"),
            (Some(label), Some(job), name) => format!("{name} {label:?} of job {job:?}"),
            (None, Some(job), name) => format!("{name} of job {job:?}"),
            (None, None, name) => name.to_owned(),
        };
        let inner_job = if entry.name == "job" { label.map(String::as_str) } else { job };
        self.places.block(&inner_place, given.span.clone());
        let body = Value::Object(self.body(&given.entries, &block.body, &inner_place, inner_job));
        let twice = |help: &str| Problem::new(inner_place.clone(), "stands here twice").with_help(help);
        match label {
            Some(label) => {
                let all = values.entry(entry.name.clone()).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(all) = all
                    && all.insert(label.clone(), body).is_some()
                {
                    self.problems.push(twice("rename one of them"));
                }
            }
            None => {
                if values.insert(entry.name.clone(), body).is_some() {
                    self.problems.push(twice("write all of it into one"));
                }
            }
        }
    }

    fn value(&self, value: &Expression, kind: Kind) -> Result<Value, NoValue> {
        match (value, kind) {
            (Expression::Parenthesis(inner), kind) => self.value(inner.inner(), kind),
            (Expression::String(text), Kind::Text | Kind::Number) => Ok(Value::String(text.to_string())),
            (Expression::Bool(value), Kind::Text) => Ok(Value::String(value.to_string())),
            (Expression::Number(number), Kind::Text) => Ok(Value::String(number.to_string())),
            (Expression::StringTemplate(_) | Expression::HeredocTemplate(_), Kind::Text) => {
                self.template(value)
            }
            (Expression::Bool(value), Kind::Bool) => Ok(Value::Bool(*value.value())),
            (Expression::String(text), Kind::Bool) if ["true", "false"].contains(&text.as_str()) => {
                Ok(Value::Bool(text.as_str() == "true"))
            }
            (Expression::Number(number), Kind::Number) => {
                Ok(number.as_f64().and_then(serde_json::Number::from_f64).map_or(Value::Null, Value::Number))
            }
            (Expression::Array(array), Kind::TextList) => array
                .iter()
                .map(|item| self.value(item, Kind::Text))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            (
                Expression::Variable(_)
                | Expression::Traversal(_)
                | Expression::FuncCall(_)
                | Expression::Conditional(_)
                | Expression::UnaryOp(_)
                | Expression::BinaryOp(_)
                | Expression::ForExpr(_)
                | Expression::StringTemplate(_)
                | Expression::HeredocTemplate(_),
                _,
            ) => Err(NoValue::Unknown),
            (found, _) => Err(NoValue::Wrong(called(found))),
        }
    }

    /// A text with `${…}` in it: known if all of them are Nomad's own, which a client fills in.
    fn template(&self, value: &Expression) -> Result<Value, NoValue> {
        let written = self.written(value);
        let is_of_nomads = |part: &str| {
            let name = part.trim_start();
            ["NOMAD_", "node.", "attr.", "meta.", "env."].iter().any(|prefix| name.starts_with(prefix))
        };
        if written.contains("%{") || !written.split("${").skip(1).all(is_of_nomads) {
            return Err(NoValue::Unknown);
        }
        let text = written.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        text.map(|text| Value::String(text.to_owned())).ok_or(NoValue::Unknown)
    }

    /// The value as the author wrote it.
    fn written(&self, value: &Expression) -> &'a str {
        value.span().and_then(|span| self.text.get(span)).unwrap_or("an expression")
    }
}

fn takes(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a string",
        Kind::Bool => "true or false",
        Kind::Number => "a number",
        Kind::TextList => "a list of strings",
        Kind::TextMap => "a map of strings",
    }
}

fn sample(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "\"…\"",
        Kind::Bool => "true",
        Kind::Number => "1",
        Kind::TextList => "[\"…\"]",
        Kind::TextMap => "{ key = \"…\" }",
    }
}

fn called(value: &Expression) -> &'static str {
    match value {
        Expression::Null(_) => "null",
        Expression::Bool(_) => "true or false",
        Expression::Number(_) => "a number",
        Expression::String(_) => "a string",
        Expression::Array(_) => "a list",
        Expression::Object(_) => "a map",
        _ => "an expression",
    }
}
