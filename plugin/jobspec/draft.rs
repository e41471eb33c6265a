//! One jobspec of a tree, from its file to a job with a namespace.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Files, Nomad,
    filling::{Filling, refers},
    hash, hcl,
    hcl::Outline,
    outcome::Findings,
    said,
};
use crate::{
    cluster::{JobKey, Namespace, nearest},
    manifest::{Hook, JobNode, Launch, Problem, Problems, Tree},
    nomad,
};

/// The beginning of the keys that dtree writes into a job's meta.
const RESERVED: &str = "dtree_";

/// A node that names a jobspec.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// The node.
    pub(super) name: &'a str,
    /// The hook; `None` for a `job` node.
    pub(super) hook: Option<&'a Hook>,
    /// The path of its jobspec, as the author wrote it.
    pub(super) path: &'a str,
    pub(super) vars: &'a BTreeMap<String, String>,
    namespace: Option<&'a Namespace>,
}

impl<'a> Source<'a> {
    /// All nodes of `tree` that name a jobspec: first the jobs.
    pub(super) fn all(tree: &'a Tree) -> Vec<Self> {
        let jobs = tree.jobs.iter().map(|(name, node)| Self {
            name,
            hook: None,
            path: &node.jobspec,
            vars: &node.vars,
            namespace: node.namespace.as_ref(),
        });
        let hooks = tree.hooks_of_verb().filter_map(|(name, hook)| match &hook.launch {
            Launch::Jobspec { jobspec, vars } => {
                Some(Self { name, hook: Some(hook), path: jobspec, vars, namespace: hook.namespace.as_ref() })
            }
            Launch::Dispatch { .. } => None,
        });
        jobs.chain(hooks).collect()
    }

    /// Whether it takes values from other nodes.
    pub(super) fn refers(&self) -> bool {
        let meta = self.hook.into_iter().flat_map(|hook| hook.meta.values());
        refers(self.vars.values().chain(meta).map(String::as_str))
    }

    /// The block as the author wrote it.
    pub(super) fn place(&self) -> String {
        match self.hook {
            Some(hook) => hook.place(self.name),
            None => JobNode::place(self.name),
        }
    }
}

/// A jobspec that Nomad has understood.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// Where it comes from.
    pub(super) source: Source<'a>,
    /// Its namespace and ID.
    pub(super) key: JobKey,
    /// The job, with its namespace and without what Nomad's servers set.
    pub(super) job: Value,
    /// What it was read from.
    pub(super) text: String,
}

/// Reads and parses one jobspec; what is wrong with it becomes a finding.
///
/// # Errors
///
/// When Nomad did not answer.
pub(super) async fn draft<'a, N: Nomad>(
    nomad: &N,
    files: &Files,
    own: &JobKey,
    source: Source<'a>,
    filling: &Filling<'_>,
) -> Result<(Option<Draft<'a>>, Findings), nomad::Error> {
    match files.read(source.path) {
        Ok(text) => understood(nomad, own, source, text, filling).await,
        Err(unreadable) => {
            let mut findings = Findings::default();
            let text = format!("jobspec = {:?} {}", source.path, unreadable.why);
            let problem = Problem::new(source.place(), text);
            findings.problems.push(match unreadable.help {
                Some(help) => problem.with_help(help),
                None => problem,
            });
            Ok((None, findings))
        }
    }
}

/// Parses one jobspec's `text`; what is wrong with it becomes a finding.
///
/// # Errors
///
/// When Nomad did not answer.
pub(super) async fn understood<'a, N: Nomad>(
    nomad: &N,
    own: &JobKey,
    source: Source<'a>,
    text: String,
    filling: &Filling<'_>,
) -> Result<(Option<Draft<'a>>, Findings), nomad::Error> {
    let mut findings = Findings::default();
    let place = source.place();
    let Source { path, vars, .. } = source;
    let (job, says_default) = if text.trim_start().starts_with('{') {
        if !vars.is_empty() {
            findings.problems.push(
                Problem::new(place.clone(), format!("{path} is JSON, which has no variables for vars"))
                    .with_help("take vars away, or give the jobspec as HCL"),
            );
        }
        (from_json(&place, path, &text, &mut findings.problems), true)
    } else {
        let outline = Outline::read(&text);
        unknown_vars(&place, path, vars, outline.as_ref(), &mut findings.problems);
        let asked_in = source.namespace.unwrap_or(&own.namespace);
        let (variables, impossible) = hcl::variables(vars, outline.as_ref(), filling);
        if !impossible.is_empty() {
            for (name, why) in impossible {
                findings.problems.push(Problem::new(place.clone(), format!("vars: {name} {why}")));
            }
            return Ok((None, findings));
        }
        let job = match nomad.parse(asked_in, &text, &variables).await {
            Ok(Ok(job)) => Some(job),
            Ok(Err(said)) => {
                said::problems(&place, path, &said, &mut findings.problems);
                None
            }
            Err(denied) if denied.is_denied() => {
                findings.deny(asked_in, [place.clone()], denied);
                None
            }
            Err(error) => return Err(error),
        };
        // Nomad may write "default" where the text says nothing.
        (job, outline.is_none_or(|outline| outline.names_namespace))
    };
    let settled = job.and_then(|job| settle(source, own, job, says_default, &mut findings.problems));
    Ok((settled.map(|(key, job)| Draft { source, key, job, text }), findings))
}

/// The job in a file of Nomad's API.
fn from_json(place: &str, path: &str, text: &str, problems: &mut Problems) -> Option<Value> {
    let mut refuse = |why: String, help: &str| {
        problems.push(Problem::new(place, format!("{path} {why}")).with_help(help));
        None
    };
    let form = "write it as HCL, or as `nomad job run -output` prints it";
    match serde_json::from_str(text) {
        Err(error) => refuse(format!("begins with a brace, but is no JSON: {error}"), form),
        Ok(Value::Object(mut file)) => match file.remove("Job") {
            Some(job @ Value::Object(_)) => Some(job),
            Some(_) => refuse("has a \"Job\" that is no object".to_owned(), form),
            None if file.contains_key("job") => {
                refuse("has a \"job\", which is HCL in the clothes of JSON".to_owned(), form)
            }
            None => Some(Value::Object(file)),
        },
        Ok(_) => refuse("is no JSON object".to_owned(), form),
    }
}

/// Names the values for variables that the jobspec does not have: Nomad would ignore them.
fn unknown_vars(
    place: &str,
    path: &str,
    vars: &BTreeMap<String, String>,
    outline: Option<&Outline>,
    problems: &mut Problems,
) {
    let Some(outline) = outline else { return };
    let known = || outline.variables.keys().map(String::as_str);
    for name in vars.keys().filter(|name| !outline.variables.contains_key(*name)) {
        let problem = Problem::new(place, format!("vars has {name:?}, which is no variable of {path}"));
        problems.push(match nearest(name, known()) {
            Some(near) => problem.with_help(format!("did you mean {near:?}?")),
            None => problem.with_help(format!("declare it there: `variable {name:?} {{}}`")),
        });
    }
}

/// The job with its namespace and without what only Nomad's servers say, and without nulls: as it is kept in memory.
fn settle(
    source: Source<'_>,
    own: &JobKey,
    job: Value,
    says_default: bool,
    problems: &mut Problems,
) -> Option<(JobKey, Value)> {
    let Value::Object(mut fields) = job else {
        problems.push(Problem::new(source.place(), format!("{} is no job", source.path)));
        return None;
    };
    for key in hash::SERVERS {
        fields.remove(*key);
    }
    let text = |fields: &Map<String, Value>, key| {
        let text = fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    let Some(id) = text(&fields, "ID") else {
        problems.push(
            Problem::new(source.place(), format!("{} has no \"ID\"", source.path))
                .with_help("write the job as `nomad job run -output` prints it"),
        );
        return None;
    };
    let marks = fields.get("Meta").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    for key in marks.filter(|key| key.starts_with(RESERVED)) {
        problems.push(
            Problem::new(source.place(), format!("{} has {key:?} in its meta", source.path))
                .with_help(format!("take it away: keys with {RESERVED} are dtree's own marks")),
        );
    }
    let said = text(&fields, "Namespace").filter(|said| says_default || said != "default");
    let namespace = source.namespace.cloned().or_else(|| said.map(Namespace::from));
    let namespace = namespace.unwrap_or_else(|| own.namespace.clone());
    fields.insert("Namespace".to_owned(), Value::String(namespace.to_string()));
    let mut job = Value::Object(fields);
    hash::drop_nulls(&mut job);
    Some((JobKey::new(namespace, id), job))
}
