//! All jobspecs of a tree, one step of questions after the other.
//!
//! ```text
//!   files ─▶ parse ─▶ namespaces and rights ─▶ validate ─▶ across nodes ─▶ targets of dispatches ─▶ Prepared
//! ```
//!
//! What one node lacks does not keep the others from being looked at. A denial is a problem; no answer is an error.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Error, Files, Nomad, Prepared, Spec,
    dispatch::{dispatched, targets},
    draft::{Draft, Source, draft},
    each,
    filling::Filling,
    hash, namespaces,
    outcome::Findings,
    outputs, spec,
};
use crate::{
    cluster::{JobKey, JobType},
    manifest::{JobNode, Problem, Problems, Tree},
    nomad,
    plan::Blueprint,
};

/// How many nodes a tree may have: jobs and hooks.
pub const MAX_NODES: usize = 1000;

/// What may be wrong with a jobspec that takes values from other nodes, when Nomad complains of it.
const STAND_INS: &str = "until its references are filled in, something else stands there: the default of the variable, if it has one";

/// Reads, parses and checks all that `tree` submits, for a task of the job `own` with these files.
///
/// Reads files in between, which blocks for as long as a local disk takes.
///
/// # Errors
///
/// All problems at once, or that Nomad did not answer.
pub async fn prepare<N: Nomad>(
    nomad: &N,
    files: &Files,
    own: &JobKey,
    tree: &Tree,
) -> Result<Prepared, Error> {
    let n_nodes = tree.jobs.len() + tree.hooks.len();
    if n_nodes > MAX_NODES {
        let mut problems = Problems::default();
        problems.push(
            Problem::new("config", format!("has {n_nodes} jobs and hooks, and a tree may have {MAX_NODES}"))
                .with_help("divide it: a job of one tree can be a `wait` of another"),
        );
        return Err(Error::Problems(problems));
    }
    let filling = Filling { tree, values: None };
    let mut findings = Findings::default();
    let mut drafts = Vec::new();
    for (draft, found) in
        each(Source::all(tree).into_iter().map(|source| draft(nomad, files, own, source, &filling))).await?
    {
        drafts.extend(draft);
        findings.append(found);
    }
    let bad = namespaces::unusable(nomad, own, tree, &drafts, &mut findings).await?;
    let good = drafts.iter().filter(|draft| !bad.contains(&draft.key.namespace));
    for found in each(good.map(|draft| validated(nomad, draft))).await? {
        findings.append(found);
    }
    across(own, &drafts, &mut findings.problems);
    outputs::check(tree, &drafts, &mut findings.problems);
    let mut prepared = Prepared::new();
    for draft in &drafts {
        if let Some(spec) = specified(draft, &filling, &mut findings.problems) {
            prepared.insert(draft.source.name.to_owned(), spec);
        }
    }
    let targets = targets(own, tree).into_iter().filter(|target| !bad.contains(&target.key.namespace));
    for (spec, found) in each(targets.map(|target| dispatched(nomad, target, &drafts, &filling))).await? {
        prepared.extend(spec);
        findings.append(found);
    }
    let problems = findings.into_problems(own);
    if problems.is_empty() { Ok(prepared) } else { Err(Error::Problems(problems)) }
}

/// What Nomad has against one job.
pub(super) async fn validated<N: Nomad>(nomad: &N, draft: &Draft<'_>) -> Result<Findings, nomad::Error> {
    let mut findings = Findings::default();
    let place = draft.source.place();
    match nomad.validate(&draft.key.namespace, &draft.job).await {
        Ok(complaints) => {
            for complaint in complaints {
                let text = format!("{}: {}", draft.source.path, complaint.trim());
                let problem = Problem::new(place.clone(), text);
                findings.problems.push(if draft.source.refers() {
                    problem.with_help(STAND_INS)
                } else {
                    problem
                });
            }
        }
        Err(denied) if denied.is_denied() => findings.deny(&draft.key.namespace, [place], denied),
        Err(error) => return Err(error),
    }
    Ok(findings)
}

/// What one jobspec cannot know: two nodes that submit the same job, and one that submits the tree's own.
fn across(own: &JobKey, drafts: &[Draft<'_>], problems: &mut Problems) {
    let mut first: BTreeMap<&JobKey, &str> = BTreeMap::new();
    for draft in drafts.iter().filter(|draft| draft.source.hook.is_none()) {
        let JobKey { namespace, job } = &draft.key;
        if draft.key == *own {
            problems.push(
                Problem::new(
                    draft.source.place(),
                    format!("{} is the job that the tree itself is a task of", draft.source.path),
                )
                .with_help("a tree cannot submit itself: it would replace itself while it runs"),
            );
        }
        if let Some(other) = first.get(&draft.key) {
            problems.push(
                Problem::new(
                    draft.source.place(),
                    format!(
                        "it and {} submit the same job, \"{job}\" in namespace \"{namespace}\"",
                        JobNode::place(other)
                    ),
                )
                .with_help("give one of them another ID or namespace, or take one away"),
            );
        } else {
            first.insert(&draft.key, draft.source.name);
        }
    }
}

/// What planning knows of one job; `None` when it is of no use there.
pub(super) fn specified(draft: &Draft<'_>, filling: &Filling<'_>, problems: &mut Problems) -> Option<Spec> {
    let Draft { source, key, job, text } = draft;
    let Some(kind) = spec::kind(job) else {
        problems.push(Problem::new(
            source.place(),
            format!(
                "{} has the type {}, which is none of service, batch, system and sysbatch",
                source.path,
                job.get("Type").unwrap_or(&Value::Null)
            ),
        ));
        return None;
    };
    let (is_periodic, is_parameterized) = (spec::has(job, "Periodic"), spec::has(job, "ParameterizedJob"));
    let (hash, meta) = match source.hook {
        None => (hash::of_job(job), BTreeMap::new()),
        Some(hook) => {
            fit_for_a_hook(source, kind, is_periodic, is_parameterized, problems);
            let meta = filling.texts(&hook.meta);
            // What stands in for a value would stand for any.
            let told =
                if source.refers() { json!({ "vars": source.vars, "meta": hook.meta }) } else { json!(meta) };
            (hash::of_hook(job, &told), meta)
        }
    };
    let blueprint = Blueprint {
        key: key.clone(),
        kind,
        is_periodic,
        is_parameterized,
        spec: hash,
        progress_deadline: spec::progress_deadline(job, kind),
    };
    let text = source.refers().then(|| text.clone());
    Some(Spec { blueprint, job: Some(job.clone()), meta, payload: String::new(), text })
}

/// Refuses a hook that would never end, or never begin.
fn fit_for_a_hook(
    source: &Source<'_>,
    kind: JobType,
    is_periodic: bool,
    is_parameterized: bool,
    problems: &mut Problems,
) {
    let never_ends = match kind {
        JobType::Service => Some("service"),
        JobType::System => Some("system"),
        JobType::Batch | JobType::Sysbatch => None,
    };
    let path = source.path;
    if let Some(kind) = never_ends {
        problems.push(
            Problem::new(
                source.place(),
                format!("{path} is a {kind} job, which never ends; a hook is a batch job"),
            )
            .with_help("write `type = \"batch\"` there"),
        );
    }
    if is_periodic {
        problems.push(
            Problem::new(source.place(), format!("{path} is periodic, so it runs by the clock and not here"))
                .with_help("take its `periodic` block away"),
        );
    }
    if is_parameterized {
        problems.push(
            Problem::new(source.place(), format!("{path} is parameterized, so it only runs when it is dispatched"))
                .with_help("make it a `job` of the tree and write `dispatch` here, or take its `parameterized` block away"),
        );
    }
}
