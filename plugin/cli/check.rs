//! `dtree check`: is a file right, as far as can be said without Nomad?

use std::{fmt::Write as _, path::PathBuf};

use super::{
    Failure, Outcome,
    file::{Good, Source},
    print,
};
use crate::manifest::Manifest;

/// Checks each file, and tells of all.
pub(super) fn run(files: &[PathBuf]) -> Outcome {
    let (mut said, mut failed) = (String::new(), String::new());
    for path in files {
        let checked = Source::read(path).and_then(|source| {
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
