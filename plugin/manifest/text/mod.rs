//! Manifests in files.
//!
//! ```text
//!   shop.dtree.hcl    tree "shop" { … }          ┐
//!   shop.dtree.json   { "tree": { "shop": … } }  ├──▶ entries ──▶ values by the schema ──▶ Manifest + Problems + Places
//!   shop.nomad.hcl    job … task … config { … }  ┘
//! ```
//!
//! What stands in a `tree` block is what stands in `config {}` of a task: one schema, one reader behind it, the same
//! problems. JSON is read as the HCL expression that it is.
//!
//! # Invariants
//!
//! * All problems of a file are found at once, each with its place; only a text that is no HCL has one.
//! * What only Nomad can evaluate (`var.x`, a function) is not guessed: it is left out, and named.

mod config;
mod dependency;
mod entry;
mod jobspecs;
mod mapping;
mod places;
mod read;
mod syntax;

use std::{collections::BTreeSet, ops::Range};

use hcl_edit::{
    expr::Expression,
    parser::{parse_body, parse_expr},
};
use serde::Deserialize as _;

pub use self::config::of_config;
pub use self::jobspecs::{Jobspecs, identity_of, namespace_of};
pub use self::places::{Located, Places};
use self::{
    entry::Entry,
    read::Reader,
    syntax::{no_hcl, no_json},
};
use super::{Manifest, Problem, Problems};
use crate::cluster::nearest;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Nomad's language.
    Hcl,
    /// Its twin.
    Json,
}

/// A tree, or a task of dtree, that a file declares.
#[derive(Clone, Debug)]
pub struct Declared {
    /// As its author calls it: `tree "shop"`, `task "gate" of job "api"`.
    pub name: String,
    /// Whose it is.
    pub owner: Owner,
    /// What it says, as it stands in `config {}`.
    pub config: serde_json::Value,
    /// What that means.
    pub manifest: Manifest,
    /// What is wrong with it, as far as can be said without the graph.
    pub problems: Problems,
    /// Where its blocks and attributes stand.
    pub places: Places,
    /// What could not be checked without Nomad.
    pub unchecked: Vec<Unchecked>,
}

/// Whose a declaration is: a job's, or that of the job which a tree in a file of its own becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The job's ID, or the tree's name.
    pub job: String,
    /// The job's namespace, where the text says it.
    pub namespace: Option<String>,
    /// The group and the task; `None` for a tree in a file of its own.
    pub task: Option<(String, String)>,
}

/// A value that only Nomad can evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unchecked {
    /// The block it stands in.
    pub place: String,
    /// The attribute.
    pub attribute: String,
    /// The value as it is written.
    pub value: String,
}

/// Reads all that a file declares.
///
/// # Errors
///
/// When the text cannot be read, or declares nothing of dtree: the one problem, and where.
pub fn read(text: &str, format: Format) -> Result<Vec<Declared>, Located> {
    let declared = match format {
        Format::Hcl => {
            let body = parse_body(text).map_err(|error| no_hcl(&error, text))?;
            declared(&entry::of_body(&body), text)?
        }
        Format::Json if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) => {
            return Err(no_json(&error, text));
        }
        // An expression has nothing before it.
        Format::Json if text.starts_with(char::is_whitespace) => {
            let indent = text.len() - text.trim_start().len();
            let shifted = |located: Located| Located {
                span: located.span.start + indent..located.span.end + indent,
                ..located
            };
            let mut all = read(text.trim_start(), format).map_err(shifted)?;
            for declared in &mut all {
                declared.places.shift(indent);
            }
            return Ok(all);
        }
        Format::Json => match parse_expr(text.trim_end()).map_err(|error| no_hcl(&error, text))? {
            Expression::Object(object) => declared(&entry::of_file(&object), text)?,
            _ => Vec::new(),
        },
    };
    if declared.is_empty() {
        let problem = Problem::new("file", "declares nothing of dtree")
            .with_help("write `tree \"shop\" { … }`, or a job with a task whose driver is \"dtree\"");
        return Err(Located { problem, span: 0..0 });
    }
    Ok(declared)
}

/// How the file of an older tool is to be imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct Import<'a> {
    /// What the tree is called; `None` is what the file says, or else `imported`.
    pub tree: Option<&'a str>,
    /// Only this job, and what it needs; `None` is everything.
    pub target: Option<&'a str>,
    /// The jobspecs of its jobs, where they are known.
    pub jobspecs: Option<&'a Jobspecs>,
    /// Whether jobs are taken over that no tree has submitted. Only of a `dependency.json`.
    pub adopt: bool,
}

/// What the file of an older tool says as a manifest in HCL, with a comment for each thing that has no equivalent. It is
/// nomad-dtree's `dependency.json` or ernest's mapping: which, its keys say.
///
/// # Errors
///
/// All that is wrong with it, each with its place.
pub fn import(text: &str, import: Import<'_>) -> Result<String, Vec<Located>> {
    let document: serde_json::Value =
        serde_json::from_str(text).map_err(|error| vec![no_json(&error, text)])?;
    let expression = parse_expr(text.trim()).map_err(|error| vec![no_hcl(&error, text)])?;
    let Import { tree, target, jobspecs, adopt } = import;
    let has = |key: &str| document.get(key).is_some();
    if has("dependencies") {
        return dependency::import(&expression, text, tree.unwrap_or("imported"), target, jobspecs, adopt);
    }
    if has("edges") || has("changes") {
        return mapping::import(&expression, text, document, tree, target, jobspecs);
    }
    let problem = Problem::new("file", "has no object `dependencies`, and no lists `edges` and `changes`").with_help(
        "what can be imported is `{\"dependencies\": {\"JOB\": { … }}}` of nomad-dtree, and `{\"edges\": [ … ], \"changes\": [ … ]}` of ernest",
    );
    Err(vec![Located { problem, span: 0..0 }])
}

/// As HCL quotes.
fn quoted(text: &str) -> String {
    let mut said = String::from("\"");
    for letter in text.replace("${", "$${").replace("%{", "%%{").chars() {
        match letter {
            '"' | '\\' => said.extend(['\\', letter]),
            '\n' => said.push_str("\\n"),
            '\r' => said.push_str("\\r"),
            '\t' => said.push_str("\\t"),
            letter if letter.is_control() => said.extend(format!("\\u{:04x}", u32::from(letter)).chars()),
            letter => said.push(letter),
        }
    }
    said.push('"');
    said
}

/// The trees of a file, and the tasks of dtree in its job.
///
/// # Errors
///
/// What may be meant for a tree, and is none.
fn declared(entries: &[Entry<'_>], text: &str) -> Result<Vec<Declared>, Located> {
    if let Some(entry) = entries.iter().find(|entry| nearest(&entry.name, ["tree"]).is_some()) {
        let problem = Problem::new("file", format!("{} is nothing that may stand here", entry.name))
            .with_help("did you mean `tree`?");
        return Err(Located { problem, span: entry.span.clone() });
    }
    let mut names = BTreeSet::new();
    let trees = entry::blocks(entries, "tree").map(|(label, block)| {
        let name = label.map_or_else(|| "tree".to_owned(), |label| format!("tree {label:?}"));
        let owner = Owner { job: label.unwrap_or_default().to_owned(), ..Owner::default() };
        let mut declared = one(name, owner, block.span.clone(), &block.entries, text);
        let problem = match block.labels.as_slice() {
            [label] if label.is_empty() => Some(Problem::new("config", "the label is empty")),
            [label] if !names.insert(label) => Some(
                Problem::new("config", format!("tree {label:?} stands here twice"))
                    .with_help("rename one of them"),
            ),
            [_] => None,
            _ => Some(
                Problem::new("config", "tree takes one label, its name")
                    .with_help("write `tree \"shop\" { … }`"),
            ),
        };
        if let Some(problem) = problem {
            declared.problems.push(problem);
        }
        declared
    });
    let tasks = entry::blocks(entries, "job").flat_map(|(job, block)| {
        let label = job.unwrap_or_default();
        let id = entry::text(&block.entries, "id").unwrap_or_else(|| label.to_owned());
        let namespace = entry::text(&block.entries, "namespace");
        entry::blocks(&block.entries, "group")
            .flat_map(|(name, group)| {
                let name = name.unwrap_or_default();
                entry::blocks(&group.entries, "task").map(move |(task, block)| (name, task, block))
            })
            .filter(|(.., task)| entry::text(&task.entries, "driver").as_deref() == Some("dtree"))
            .flat_map(move |(group, task, block)| {
                let task = task.unwrap_or_default();
                let name = format!("task {task:?} of job {label:?}");
                let task = Some((group.to_owned(), task.to_owned()));
                let owner = Owner { job: id.clone(), namespace: namespace.clone(), task };
                let mut configs = entry::blocks(&block.entries, "config").peekable();
                // Without one it is there all the same, and has nothing to do.
                let none = configs.peek().is_none();
                let none = none.then(|| one(name.clone(), owner.clone(), block.span.clone(), &[], text));
                let configs = configs.map(move |(_, config)| {
                    one(name.clone(), owner.clone(), config.span.clone(), &config.entries, text)
                });
                none.into_iter().chain(configs)
            })
            .collect::<Vec<_>>()
    });
    Ok(trees.chain(tasks).collect())
}

fn one(name: String, owner: Owner, span: Range<usize>, entries: &[Entry<'_>], text: &str) -> Declared {
    let mut reader = Reader::new(text, span);
    let config = reader.manifest(entries);
    let Reader { mut problems, places, unchecked, .. } = reader;
    let manifest = match super::raw::Manifest::deserialize(&config) {
        Ok(raw) => {
            let mut found = Problems::default();
            let manifest = raw.check(&mut found);
            // What was left out is not missing.
            let is_known = |problem: &Problem| {
                !unchecked.iter().any(|left: &Unchecked| {
                    left.place == problem.place() && problem.text().starts_with(&left.attribute)
                })
            };
            found
                .iter()
                .filter(|problem| is_known(problem))
                .cloned()
                .for_each(|problem| problems.push(problem));
            manifest
        }
        // The reader has said what is wrong with the values; this is what it could not see.
        Err(error) => {
            if problems.is_empty() {
                problems.push(Problem::new("config", format!("cannot be read: {error}")));
            }
            Manifest::default()
        }
    };
    if manifest.is_empty() && problems.is_empty() && unchecked.is_empty() {
        problems.push(Manifest::nothing());
    }
    Declared { name, owner, config, manifest, problems, places, unchecked }
}

#[cfg(test)]
mod tests;
