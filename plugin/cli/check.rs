//! `dtree check`: is a file right, as far as can be said without Nomad?

use std::{fmt::Write as _, path::PathBuf};

use serde_json::{Value, json};

use super::{
    Failure, Outcome,
    file::{Good, Source},
    print,
};
use crate::manifest::Manifest;

/// Checks each file, and tells of all.
pub(super) fn run(files: &[PathBuf], may_leave: bool, is_json: bool) -> Outcome {
    if is_json {
        return documents(files, may_leave);
    }
    let (mut said, mut failed) = (String::new(), String::new());
    for path in files {
        let checked = Source::read(path).and_then(|source| {
            let source = source.with_outside(may_leave);
            let good = source.understand()?;
            Ok(good.iter().map(|good| tell(source.name(), good)).collect::<String>())
        });
        match checked {
            Ok(text) => said.push_str(&text),
            Err(Failure { why, .. }) => failed.push_str(&why),
        }
    }
    print(&said)?;
    if failed.is_empty() { Ok(()) } else { Err(Failure::cannot(failed)) }
}

/// The same for programs.
fn documents(files: &[PathBuf], may_leave: bool) -> Outcome {
    let mut is_good = true;
    let mut all = Vec::new();
    for path in files {
        let read = Source::read(path).map(|source| source.with_outside(may_leave));
        let read = read.map(|source| source.judge().map_err(|bad| source.documents(&bad)));
        let (error, problems, good) = match read {
            Ok(Ok(good)) => (None, Vec::new(), good),
            Ok(Err(problems)) => (None, problems, Vec::new()),
            Err(Failure { why, .. }) => {
                (Some(why.trim().trim_start_matches("dtree: ").to_owned()), Vec::new(), Vec::new())
            }
        };
        let is_wrong = error.is_some() || !problems.is_empty();
        is_good &= !is_wrong;
        let document = json!({
            "file": path.display().to_string(), "good": !is_wrong, "error": error, "problems": problems,
            "declares": good.iter().map(declares).collect::<Vec<_>>(),
        });
        all.push(document);
    }
    print(&format!("{:#}\n", json!({ "good": is_good, "files": all })))?;
    if is_good { Ok(()) } else { Err(Failure::cannot("")) }
}

/// What is declared, for programs.
fn declares(good: &Good) -> Value {
    let manifest = good.plan.manifest();
    let tree = manifest.tree.as_deref();
    let owner = &good.declared.owner;
    let unchecked = good.declared.unchecked.iter();
    json!({
        "name": good.declared.name,
        "job": owner.job, "namespace": owner.namespace,
        "group": owner.task.as_ref().map(|(group, _)| group), "task": owner.task.as_ref().map(|(_, task)| task),
        "jobs": tree.map(|tree| tree.jobs.keys().collect::<Vec<_>>()).unwrap_or_default(),
        "hooks": tree.map(|tree| tree.hooks.keys().collect::<Vec<_>>()).unwrap_or_default(),
        "waits": manifest.waits.keys().collect::<Vec<_>>(),
        "not_checked": unchecked
            .map(|left| json!({ "place": left.place, "attribute": left.attribute, "value": left.value }))
            .collect::<Vec<_>>(),
    })
}

/// That it is good, what it is made of, and what could not be checked.
fn tell(file: &str, good: &Good) -> String {
    let mut text = format!("{file}: {}: {}: no problem\n", good.declared.name, made_of(good.plan.manifest()));
    let unknown = good.declared.unchecked.iter();
    let unknown = unknown.map(|left| format!("{}: {} = {}", left.place, left.attribute, left.value));
    let jobspecs = good.plan.manifest().tree.as_ref().map(|_| "the jobspecs that it names".to_owned());
    let left: Vec<String> = unknown.chain(jobspecs).collect();
    if !left.is_empty() {
        text.push_str("    not checked, because it takes Nomad:\n");
    }
    for left in left {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "        {left}");
    }
    text
}

/// `2 jobs, 1 hook, 1 wait`.
fn made_of(manifest: &Manifest) -> String {
    let tree = manifest.tree.as_deref();
    let counts = [
        (tree.map_or(0, |tree| tree.jobs.len()), "job"),
        (tree.map_or(0, |tree| tree.hooks.len()), "hook"),
        (manifest.waits.len(), "wait"),
    ];
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
        .collect();
    parts.join(", ")
}
