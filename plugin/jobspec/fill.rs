//! Fills values into what was prepared with stand-ins.
//!
//! The hash of a job follows from the values: with others it is changed. That of a hook does not: it stands in the name
//! by which a hook is found that was launched before, and with another name it would be launched again.

use super::{
    Nomad, Spec,
    dispatch::specified_dispatch,
    draft::{Source, understood},
    filling::{Filling, Values},
    prepare::{specified, validated},
};
use crate::{
    cluster::JobKey,
    manifest::{Launch, Problem, Problems, Tree},
    nomad,
    plan::Blueprint,
};

/// The most bytes that Nomad dispatches with a job.
const MAX_PAYLOAD: usize = 16 << 10;

/// Why values could not be filled in.
#[derive(Debug)]
pub enum Unfilled {
    /// What is wrong with the result. It may repeat the values.
    Problems(Problems),
    /// What the jobspec says now of itself, which was decided upon before. It repeats no value.
    Another(String),
    /// Nomad did not answer.
    Nomad(Box<nomad::Error>),
}

impl From<nomad::Error> for Unfilled {
    fn from(error: nomad::Error) -> Self {
        Self::Nomad(Box::new(error))
    }
}

/// What node `name` of `tree` submits or dispatches with `values`; `prepared` is what it was prepared as. Nothing is
/// written into Nomad, and no file is read.
///
/// # Errors
///
/// When Nomad refuses it so, or when it is another job than the one that was prepared.
pub async fn fill<N: Nomad>(
    nomad: &N,
    own: &JobKey,
    tree: &Tree,
    name: &str,
    prepared: &Spec,
    values: &Values,
) -> Result<Spec, Unfilled> {
    let filling = Filling { tree, values: Some(values) };
    if let Some(hook) = tree.hooks.get(name)
        && let Launch::Dispatch { payload, .. } = &hook.launch
    {
        let (key, kind) = (prepared.blueprint.key.clone(), prepared.blueprint.kind);
        let mut spec = specified_dispatch(hook, payload, key, kind, &filling);
        spec.blueprint.spec = prepared.blueprint.spec.clone();
        return match spec.payload.len() {
            0..=MAX_PAYLOAD => Ok(spec),
            length => {
                let text = format!(
                    "payload has {length} bytes with all filled in, and Nomad dispatches no more than {MAX_PAYLOAD}"
                );
                Err(refused(Problem::new(hook.place(name), text)))
            }
        };
    }
    let source = Source::all(tree).into_iter().find(|source| source.name == name);
    let (Some(source), Some(text)) = (source, prepared.text.clone()) else {
        return Err(Unfilled::Another(
            "its jobspec is not there any more; this is a mistake in dtree".to_owned(),
        ));
    };
    let (draft, mut findings) = understood(nomad, own, source, text, &filling).await?;
    let mut spec = None;
    if let Some(draft) = &draft {
        findings.append(validated(nomad, draft).await?);
        spec = specified(draft, &filling, &mut findings.problems);
    }
    let problems = findings.into_problems(own);
    match spec {
        Some(mut spec) if problems.is_empty() => {
            if source.hook.is_some() {
                spec.blueprint.spec = prepared.blueprint.spec.clone();
            }
            same(&prepared.blueprint, spec)
        }
        _ => Err(Unfilled::Problems(problems)),
    }
}

fn refused(problem: Problem) -> Unfilled {
    let mut problems = Problems::default();
    problems.push(problem);
    Unfilled::Problems(problems)
}

/// `spec`, if it is of the same job as `before`.
fn same(before: &Blueprint, spec: Spec) -> Result<Spec, Unfilled> {
    let after = &spec.blueprint;
    let what = [
        ("ID", before.key.job != after.key.job),
        ("namespace", before.key.namespace != after.key.namespace),
        ("type", before.kind != after.kind),
        ("periodic block", before.is_periodic != after.is_periodic),
        ("parameterized block", before.is_parameterized != after.is_parameterized),
    ];
    let what: Vec<&str> = what.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect();
    if what.is_empty() {
        return Ok(spec);
    }
    Err(Unfilled::Another(format!(
        "its {} cannot depend on an output: whose job it is was decided before there were any",
        what.join(" and its ")
    )))
}
