//! An ernest mapping (the graph of r3labs), as a manifest of today.
//!
//! ```text
//!   { "id": "t1", "action": "build.create",                       tree "t1" {
//!     "edges": [{"source": "db::a", "destination": "api::1"}],      job "api::1" {
//!     "changes": [{"_component_id": "api::1",                         jobspec    = "local/api.nomad.hcl"
//!                  "_component": "api",                     ──▶       depends_on = ["db::a"]
//!                  "_action": "create", "_state": "waiting",          vars       = { db_url = "$(db::a.url)" }
//!                  "db_url": "$(components.#[…].url)"}, …] }        }
//! ```
//!
//! A component is a job, or a wait where somebody else has done its work already. What has no equivalent is told in a
//! comment where it stood.
//!
//! # Invariants
//!
//! * What is left out goes on ordering the others: who comes after it comes after what it comes after.
//! * Nothing is written with a `$(…)` of the older tool in it: a value is found, is an output of a job, or is a problem.

mod graph;
mod query;
mod values;
mod write;

use std::{collections::BTreeMap, ops::Range};

use hcl_edit::{Span as _, expr::Expression};
use serde_json::Value;

use self::{graph::Order, query::At};
use super::{Jobspecs, Located, entry::members};
use crate::{
    cluster::nearest,
    manifest::{Problem, Verb},
};

/// What may stand in `_action`.
const ACTIONS: [&str; 6] = ["create", "update", "delete", "find", "get", "none"];

/// A file, read.
struct Mapping<'t> {
    document: Value,
    expression: &'t Expression,
    /// How far the expression stands behind the begin of the text.
    indent: usize,
    verb: Verb,
    /// By ID: what is to be done, and what is there already and has an edge.
    components: BTreeMap<String, Component>,
    /// Comments on all of it.
    notes: Vec<String>,
    problems: Vec<Located>,
}

/// One component.
struct Component {
    /// Where it stands in the document.
    at: Vec<At>,
    /// Its type, which names its jobspec.
    kind: String,
    part: Part,
    /// Comments, a line each.
    notes: Vec<String>,
}

/// What a component is in the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Job { adopt: bool },
    Wait,
    Nothing,
}

/// The manifest of what the component `target` needs, or of all, as HCL.
pub(super) fn import(
    expression: &Expression,
    text: &str,
    document: Value,
    tree: Option<&str>,
    target: Option<&str>,
    jobspecs: Option<&Jobspecs>,
) -> Result<String, Vec<Located>> {
    let mut mapping = Mapping {
        document,
        expression,
        indent: text.len() - text.trim_start().len(),
        verb: Verb::Run,
        components: BTreeMap::new(),
        notes: Vec::new(),
        problems: Vec::new(),
    };
    mapping.action();
    mapping.list("changes", true);
    mapping.list("components", false);
    let order = Order::of(&mut mapping);
    let chosen = mapping.chosen(&order, target);
    let drawn = mapping.draw(&order, &chosen, jobspecs);
    if !mapping.problems.is_empty() {
        return Err(mapping.problems);
    }
    let name = tree.map(str::to_owned).or_else(|| mapping.text("name")).or_else(|| mapping.text("id"));
    Ok(mapping.write(name.as_deref().unwrap_or("imported"), &drawn, &order, &chosen))
}

impl Mapping<'_> {
    /// A text at the top of the file.
    fn text(&self, key: &str) -> Option<String> {
        self.document.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Notes a problem of `place` with what stands at `at`.
    fn problem(&mut self, at: &[At], problem: Problem) {
        let span = self.span(at);
        self.problems.push(Located { problem, span });
    }

    /// Where something stands in the text: as much of the way there as there is.
    fn span(&self, at: &[At]) -> Range<usize> {
        let (mut here, mut span) = (self.expression, None);
        for step in at {
            let next = match (step, here) {
                (At::Key(key), Expression::Object(object)) => {
                    members(object).find(|(name, ..)| name == key).map(|(_, name, value)| (value, Some(name)))
                }
                (At::Index(index), Expression::Array(array)) => array.get(*index).map(|value| (value, None)),
                _ => None,
            };
            let Some((value, name)) = next else { break };
            here = value;
            // A component is long: its begin is enough. A member is its name and its value, if that is short.
            span = match (name, value) {
                (Some(name), Expression::Object(_) | Expression::Array(_)) => Some(name),
                (Some(name), value) => Some(name.start..value.span().map_or(name.end, |span| span.end)),
                (None, value) => value.span().map(|span| span.start..span.start + 1),
            };
        }
        let span = span.unwrap_or(0..0);
        span.start + self.indent..span.end + self.indent
    }

    /// What the whole file is for.
    fn action(&mut self) {
        let Some(action) = self.text("action") else { return };
        match action.rsplit_once('.').map_or(action.as_str(), |(_, verb)| verb) {
            "create" | "patch" | "update" => {}
            "delete" => self.verb = Verb::Stop,
            verb @ ("import" | "sync") => self.notes.push(format!(
                "action = {action:?}: {verb} only looked at what there is; here the jobs are brought up"
            )),
            _ => {
                let problem = Problem::new("file", format!("action = {action:?} is nothing that is known"))
                    .with_help("what is: build.create, build.patch, build.delete, build.import, build.sync");
                self.problem(&[At::Key("action".to_owned())], problem);
            }
        }
        for key in ["user_id", "username", "options"] {
            if let Some(value) = self.document.get(key) {
                let note = without_equivalent(key, value);
                self.notes.push(note);
            }
        }
    }

    /// Takes a list of components; `is_work` says whether they are what is to be done.
    fn list(&mut self, list: &str, is_work: bool) {
        let at = vec![At::Key(list.to_owned())];
        let items = match self.document.get(list) {
            Some(Value::Array(items)) => items.clone(),
            None if !is_work => return,
            None | Some(Value::Null) if is_work => {
                let problem = Problem::new("file", "has no list `changes`")
                    .with_help("that is what is to be done; a mapping without it does nothing");
                return self.problem(&[], problem);
            }
            None | Some(Value::Null) => return,
            Some(_) => return self.problem(&at, Problem::new("file", format!("{list} is no list"))),
        };
        for (index, item) in items.iter().enumerate() {
            let mut at = at.clone();
            at.push(At::Index(index));
            let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
            let id = text("_component_id");
            if id.is_empty() {
                let problem = Problem::new(format!("{list}.{index}"), "has no `_component_id`");
                self.problem(&at, problem);
                continue;
            }
            if let Some(other) = self.components.get(id) {
                if is_work || other.at.first() == at.first() {
                    at.push(At::Key("_component_id".to_owned()));
                    self.problem(&at, Problem::new(id, format!("stands twice in {list}")));
                }
                continue;
            }
            let action = text("_action");
            if !ACTIONS.contains(&action) && !action.is_empty() {
                let problem = Problem::new(id, format!("_action = {action:?} is nothing that is known"));
                let problem = problem.with_help(match nearest(action, ACTIONS) {
                    Some(meant) => format!("did you mean {meant:?}?"),
                    None => format!("what is: {}", ACTIONS.join(", ")),
                });
                let mut at = at.clone();
                at.push(At::Key("_action".to_owned()));
                self.problem(&at, problem);
            }
            let (part, notes) = part(self.verb, is_work, action, text("_state"));
            let kind = match text("_component") {
                "" => id.split_once("::").map_or(id, |(kind, _)| kind),
                kind => kind,
            };
            let component = Component { at, kind: kind.to_owned(), part, notes };
            self.components.insert(id.to_owned(), component);
        }
    }
}

/// What a component is in the tree, and what is to be said of that.
fn part(verb: Verb, is_work: bool, action: &str, state: &str) -> (Part, Vec<String>) {
    let said = |part, note: &str| (part, vec![note.to_owned()]);
    match (verb, action, state) {
        (_, "none", _) => said(Part::Nothing, "_action = \"none\": nothing is to be done for it"),
        (Verb::Run, _, _) if !is_work => {
            said(Part::Wait, "it is no change, only there: it is waited for, and not submitted")
        }
        (Verb::Stop, _, _) if !is_work => said(Part::Nothing, "it is no change: it stays"),
        (Verb::Run, "delete", _) => said(
            Part::Nothing,
            "_action = \"delete\": a tree that brings jobs up stops none; stop it by itself",
        ),
        (Verb::Stop, "create" | "update" | "find" | "get", _) => {
            let note = format!("_action = {action:?}: a tree that stops jobs does nothing else");
            (Part::Nothing, vec![note])
        }
        (_, "find", _) => {
            said(Part::Nothing, "_action = \"find\": has no equivalent, jobs are known by their names")
        }
        (Verb::Run, "get", _) => said(Part::Wait, "_action = \"get\": it is waited for, and not submitted"),
        (Verb::Run, _, "completed") => {
            said(Part::Wait, "_state = \"completed\": it is waited for, and not submitted again")
        }
        (Verb::Stop, _, "completed") => said(Part::Nothing, "_state = \"completed\": it is gone already"),
        (_, _, "running") => {
            said(Part::Job { adopt: true }, "_state = \"running\": it is taken over as it is, and waited for")
        }
        (_, _, "errored") => said(
            Part::Job { adopt: false },
            "_state = \"errored\": the run that wrote this had failed here; it is tried again",
        ),
        _ => (Part::Job { adopt: false }, Vec::new()),
    }
}

/// What is said of a key that means nothing today, in one line.
fn without_equivalent(key: &str, value: &Value) -> String {
    in_one_line(&format!("{key} = {value}: has no equivalent"))
}

fn in_one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
