//! nomad-dtree's `dependency.json`, as a manifest of today.
//!
//! ```text
//!   { "dependencies": {                          tree "shop" {
//!       "api": {                                   job "api" {
//!         "wait_cond": 5,                            jobspec    = "local/api.nomad"
//!         "pre":  { "job": "db" },          ──▶      depends_on = ["db"]
//!         "post": { "job": "seed" } } } }            post "seed" { jobspec = "local/seed.nomad" }
//! ```
//!
//! What has no equivalent is told in a comment where it stood.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
};

use hcl_edit::{Span as _, expr::Expression};

use super::{Jobspecs, Located, entry::members, quoted};
use crate::{cluster::nearest, manifest::Problem};

/// One entry.
#[derive(Debug, Default)]
struct Unit {
    span: Range<usize>,
    /// With where each is named.
    needs: Vec<(String, Range<usize>)>,
    hook: Option<Hook>,
    /// Comments, a line each.
    notes: Vec<String>,
}

#[derive(Debug, Default)]
struct Hook {
    job: String,
    notes: Vec<String>,
}

/// The manifest of what `target` needs, or of all, as HCL.
pub(super) fn import(
    expression: &Expression,
    text: &str,
    tree: &str,
    target: Option<&str>,
    jobspecs: Option<&Jobspecs>,
    adopt: bool,
) -> Result<String, Vec<Located>> {
    let units = read(expression, text)?;
    let chosen = chosen(&units, target)?;
    let files = Files { jobspecs, units: &units };
    files.check(&chosen)?;
    let mut hcl =
        format!("# What nomad-dtree's dependency.json says, as a tree.\ntree {} {{\n", quoted(tree));
    let mut labels: BTreeSet<&str> = units.keys().map(String::as_str).collect();
    for (name, unit) in units.iter().filter(|(name, _)| chosen.contains(name.as_str())) {
        // Writing into a string cannot fail.
        let _ = writeln!(hcl, "  job {} {{", quoted(name));
        for note in &unit.notes {
            let _ = writeln!(hcl, "    # {note}");
        }
        let _ = writeln!(hcl, "    jobspec = {}", quoted(&files.path(name)));
        if !unit.needs.is_empty() {
            let needs: Vec<String> = unit.needs.iter().map(|(needed, _)| quoted(needed)).collect();
            let _ = writeln!(hcl, "    depends_on = [{}]", needs.join(", "));
        }
        if adopt {
            hcl.push_str("    adopt = true\n");
        }
        if let Some(hook) = &unit.hook {
            // Labels are one name space now.
            let label =
                if labels.insert(&hook.job) { hook.job.clone() } else { format!("{}_of_{name}", hook.job) };
            // A hook's label becomes part of a job's ID.
            let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
            let label = label.replace(|c: char| !is_good(c), "_");
            let _ = writeln!(hcl, "    post {} {{", quoted(&label));
            for note in hook.notes.iter().cloned().chain(files.note_of(&hook.job)) {
                let _ = writeln!(hcl, "      # {note}");
            }
            let _ = writeln!(hcl, "      jobspec = {}", quoted(&files.path(&hook.job)));
            hcl.push_str("    }\n");
        }
        hcl.push_str("  }\n");
    }
    hcl.push_str("}\n");
    Ok(hcl)
}

/// The jobspecs that the jobs have, where their directory is known.
struct Files<'a> {
    jobspecs: Option<&'a Jobspecs>,
    units: &'a BTreeMap<String, Unit>,
}

impl Files<'_> {
    /// Where the jobspec of a job will be.
    fn path(&self, job: &str) -> String {
        let found = self.jobspecs.and_then(|jobspecs| jobspecs.find(&[job]));
        found.map_or_else(|| format!("local/{job}.nomad"), |(file, _)| format!("local/{file}"))
    }

    /// What is to be said of a hook's jobspec.
    fn note_of(&self, hook: &str) -> Option<String> {
        let (_, jobspec) = self.jobspecs?.find(&[hook])?;
        jobspec.variables.as_ref()?;
        let kind = jobspec.kind.as_deref().unwrap_or("service");
        (kind != "batch")
            .then(|| format!("its job is of type {kind:?}, which has no end: a hook must be a batch job"))
    }

    /// Tells of all jobs that have none.
    fn check(&self, chosen: &BTreeSet<&str>) -> Result<(), Vec<Located>> {
        let Some(jobspecs) = self.jobspecs else { return Ok(()) };
        let units = self.units.iter().filter(|(name, _)| chosen.contains(name.as_str()));
        let jobs = units.flat_map(|(name, unit)| {
            let hook = unit.hook.iter().map(|hook| hook.job.as_str());
            hook.chain([name.as_str()]).map(move |job| (name, unit, job))
        });
        let missing = jobs.filter(|(.., job)| jobspecs.find(&[job]).is_none()).map(|(name, unit, job)| {
            let text = format!("the directory of jobspecs has none called {job}.nomad or {job}.nomad.hcl");
            let problem = Problem::new(name.as_str(), text);
            let problem = match nearest(job, jobspecs.stems()) {
                Some(meant) => problem.with_help(format!("did you mean `{meant}`?")),
                None => problem,
            };
            Located { problem, span: unit.span.clone() }
        });
        let missing: Vec<Located> = missing.collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }
}

fn read(file: &Expression, text: &str) -> Result<BTreeMap<String, Unit>, Vec<Located>> {
    let indent = text.len() - text.trim_start().len();
    let dependencies = match file {
        Expression::Object(file) => members(file).find(|(name, ..)| name == "dependencies"),
        _ => None,
    };
    let Some((_, _, Expression::Object(dependencies))) = dependencies else {
        let problem = Problem::new("file", "has no object `dependencies`")
            .with_help("write `{\"dependencies\": {\"JOB\": { … }}}`, as nomad-dtree takes it");
        return Err(vec![Located { problem, span: 0..0 }]);
    };
    let at = |span: Range<usize>| span.start + indent..span.end + indent;
    let (mut units, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, span, entry) in members(dependencies) {
        let mut unit = Unit { span: at(span), ..Unit::default() };
        if let Expression::Object(entry) = entry {
            for (key, span, value) in members(entry) {
                let span = value.span().map_or(span, at);
                unit.take(&key, value, &at, span, &name, &mut problems);
            }
        } else {
            problems.push(wrong(&name, "is no object", unit.span.clone()));
        }
        units.insert(name, unit);
    }
    if problems.is_empty() { Ok(units) } else { Err(problems) }
}

impl Unit {
    fn take(
        &mut self,
        key: &str,
        value: &Expression,
        at: &impl Fn(Range<usize>) -> Range<usize>,
        span: Range<usize>,
        name: &str,
        problems: &mut Vec<Located>,
    ) {
        match (key, value) {
            ("wait_cond", value) => match seconds(value) {
                Some(seconds) => {
                    self.notes.push(format!("wait_cond = {seconds}: waited for until it is healthy instead"));
                }
                None => problems.push(wrong(name, "wait_cond is no number of seconds", span)),
            },
            ("pre", Expression::Object(_) | Expression::String(_)) => {
                self.need(value, at, span, name, problems);
            }
            ("pre", Expression::Array(all)) => {
                self.notes.push("pre is a list: nomad-dtree ignored it, here all of it counts".to_owned());
                for value in all {
                    let span = value.span().map_or_else(|| span.clone(), at);
                    self.need(value, at, span, name, problems);
                }
            }
            ("post", Expression::Object(post)) => {
                let mut hook = Hook::default();
                for (key, inner, value) in members(post) {
                    match (key.as_str(), value) {
                        ("job", Expression::String(job)) => hook.job = job.to_string(),
                        ("wait_cond", value) if let Some(seconds) = seconds(value) => {
                            hook.notes.push(format!(
                                "wait_cond = {seconds}: waited for until it has completed instead"
                            ));
                        }
                        ("job" | "wait_cond", _) => {
                            let text = format!("{key} of post is of the wrong kind");
                            problems.push(wrong(name, &text, at(inner)));
                        }
                        (key, value) => hook.notes.push(without_equivalent(key, value)),
                    }
                }
                if hook.job.is_empty() {
                    problems.push(wrong(name, "post names no job", span));
                }
                self.hook = Some(hook);
            }
            ("pre" | "post", _) => {
                problems.push(wrong(name, &format!("{key} is no object with a job"), span));
            }
            (key, value) => self.notes.push(without_equivalent(key, value)),
        }
    }

    /// Takes one prerequisite: `{"job": "db"}`, or just its name.
    fn need(
        &mut self,
        value: &Expression,
        at: &impl Fn(Range<usize>) -> Range<usize>,
        span: Range<usize>,
        name: &str,
        problems: &mut Vec<Located>,
    ) {
        let names: Vec<(String, Range<usize>)> = match value {
            Expression::String(job) => vec![(job.to_string(), span.clone())],
            Expression::Object(object) => members(object)
                .filter(|(key, ..)| key == "job")
                .flat_map(|(_, _, value)| match value {
                    Expression::String(job) => {
                        vec![(job.to_string(), value.span().map_or_else(|| span.clone(), at))]
                    }
                    Expression::Array(jobs) => jobs
                        .iter()
                        .filter_map(|job| {
                            Some((job.as_str()?.to_owned(), job.span().map_or_else(|| span.clone(), at)))
                        })
                        .collect(),
                    _ => Vec::new(),
                })
                .collect(),
            _ => Vec::new(),
        };
        if names.is_empty() {
            problems.push(wrong(name, "pre names no job", span));
        }
        // An empty name is none, as nomad-dtree takes it.
        self.needs.extend(names.into_iter().filter(|(name, _)| !name.is_empty()));
    }
}

/// What the target needs, directly or through others, and itself; what is missing or goes in a circle there is told.
fn chosen<'u>(
    units: &'u BTreeMap<String, Unit>,
    target: Option<&str>,
) -> Result<BTreeSet<&'u str>, Vec<Located>> {
    let mut chosen: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = match target.map(|target| (target, units.get_key_value(target))) {
        None => units.keys().map(String::as_str).collect(),
        Some((_, Some((name, _)))) => vec![name],
        Some((target, None)) => {
            let problem = Problem::new("file", format!("has no entry for {target}"));
            let problem = match nearest(target, units.keys().map(String::as_str)) {
                Some(meant) => problem.with_help(format!("did you mean `{meant}`?")),
                None => problem,
            };
            return Err(vec![Located { problem, span: 0..0 }]);
        }
    };
    let mut problems = Vec::new();
    while let Some(name) = next.pop() {
        if !chosen.insert(name) {
            continue;
        }
        for (needed, span) in units.get(name).into_iter().flat_map(|unit| &unit.needs) {
            match units.get_key_value(needed) {
                Some((needed, _)) => next.push(needed),
                None => {
                    problems.push(wrong(
                        name,
                        &format!("depends on {needed}, which has no entry"),
                        span.clone(),
                    ));
                }
            }
        }
    }
    if let Some(circle) = circle(units, &chosen) {
        let span = circle.first().and_then(|name| units.get(*name)).map_or(0..0, |unit| unit.span.clone());
        let mut names = circle.clone();
        names.extend(circle.first());
        let text = format!("these depend on each other: {}", names.join(" → "));
        problems.push(Located { problem: Problem::new("file", text), span });
    }
    if problems.is_empty() { Ok(chosen) } else { Err(problems) }
}

/// Names that depend on each other, in their order.
fn circle<'u>(units: &'u BTreeMap<String, Unit>, chosen: &BTreeSet<&'u str>) -> Option<Vec<&'u str>> {
    let needs = |name: &str| {
        units.get(name).into_iter().flat_map(|unit| unit.needs.iter().map(|(name, _)| name.as_str()))
    };
    // What needs nothing that is left cannot be in a circle.
    let mut left = chosen.clone();
    while let Some(name) = left.iter().copied().find(|name| !needs(name).any(|needed| left.contains(needed)))
    {
        left.remove(name);
    }
    let mut path: Vec<&str> = left.first().copied().into_iter().collect();
    loop {
        let last = path.last()?;
        let next = needs(last).find(|needed| left.contains(needed))?;
        if let Some(at) = path.iter().position(|name| *name == next) {
            return Some(path.split_off(at));
        }
        path.push(next);
    }
}

fn wrong(name: &str, text: &str, span: Range<usize>) -> Located {
    Located { problem: Problem::new(name, text), span }
}

/// What is said of a key that means nothing today, in one line.
fn without_equivalent(key: &str, value: &Expression) -> String {
    let text = format!("{key} = {value}: has no equivalent");
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// Seconds, as a number or as its text.
fn seconds(value: &Expression) -> Option<u64> {
    match value {
        Expression::Number(number) => number.as_u64(),
        Expression::String(text) => text.parse().ok(),
        _ => None,
    }
}
