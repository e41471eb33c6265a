//! Waits that count only through the `when` of another.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    cluster::nearest,
    manifest::{Manifest, Problem, Problems},
};

/// The waits that some `when` names.
pub(super) fn of(manifest: &Manifest) -> BTreeSet<String> {
    let named = manifest.waits.values().flat_map(|wait| wait.subject.parts());
    named.filter(|name| manifest.waits.contains_key(*name)).map(str::to_owned).collect()
}

/// What each step comes after: what it needs, and what its `when` names.
pub(super) fn after<'a>(
    manifest: &Manifest,
    parts: &BTreeSet<String>,
    needs: &'a BTreeMap<String, Vec<String>>,
) -> Cow<'a, BTreeMap<String, Vec<String>>> {
    let mut all = Cow::Borrowed(needs);
    if parts.is_empty() {
        return all;
    }
    for (name, wait) in &manifest.waits {
        let named = wait.subject.parts().filter(|part| parts.contains(*part)).map(str::to_owned);
        all.to_mut().entry(name.clone()).or_default().extend(named);
    }
    all
}

/// Names in expressions that are no waits, and blocks that depend on what counts only in an expression.
pub(super) fn check(manifest: &Manifest, parts: &BTreeSet<String>, problems: &mut Problems) {
    for (name, wait) in &manifest.waits {
        for part in wait.subject.parts().filter(|part| !parts.contains(*part)) {
            problems.push(unknown(manifest, name, part));
        }
    }
    let tree = manifest.tree.as_deref();
    let waits = manifest.waits.iter().filter(|(name, _)| !parts.contains(*name));
    let waits = waits.map(|(name, wait)| (format!("wait {name:?}"), &wait.depends_on));
    let jobs = tree.iter().flat_map(|tree| &tree.jobs);
    let jobs = jobs.map(|(name, job)| (format!("job {name:?}"), &job.depends_on));
    let hooks = tree.iter().flat_map(|tree| &tree.hooks);
    let hooks = hooks.map(|(name, hook)| (hook.place(name), &hook.depends_on));
    for (place, needs) in waits.chain(jobs).chain(hooks) {
        for needed in needs.iter().filter(|needed| parts.contains(*needed)) {
            let whole =
                manifest.waits.iter().find(|(_, wait)| wait.subject.parts().any(|part| part == needed));
            let whole = whole.map_or("", |(name, _)| name.as_str());
            problems.push(
                Problem::new(
                    place.clone(),
                    format!(
                        "depends_on names {needed:?}, which counts only through the `when` of wait {whole:?}"
                    ),
                )
                .with_help(format!("depend on {whole:?}, or wait for it in a block of its own")),
            );
        }
    }
}

fn unknown(manifest: &Manifest, name: &str, part: &str) -> Problem {
    let place = format!("wait {name:?}");
    if manifest
        .tree
        .as_ref()
        .is_some_and(|tree| tree.jobs.contains_key(part) || tree.hooks.contains_key(part))
    {
        return Problem::new(place, format!("when names {part:?}, which is no wait"))
            .with_help("only waits can be named: give it a `wait` block, or write it into depends_on");
    }
    let problem = Problem::new(place, format!("when names {part:?}, which is no wait of this task"));
    match nearest(part, manifest.waits.keys().map(String::as_str).filter(|other| *other != name)) {
        Some(near) => problem.with_help(format!("did you mean {near:?}?")),
        None => problem,
    }
}
