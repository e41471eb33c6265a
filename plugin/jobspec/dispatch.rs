//! The hooks that dispatch a job: is it there, and can it be dispatched?

use serde_json::json;

use super::{
    Nomad, Spec,
    draft::Draft,
    filling::{Filling, refers},
    hash,
    outcome::Findings,
    spec,
};
use crate::{
    cluster::{JobId, JobKey, JobType, nearest},
    manifest::{Hook, Launch, Problem, Tree},
    nomad,
    plan::Blueprint,
};

/// A hook that dispatches.
#[derive(Clone, Debug)]
pub(super) struct Target<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The hook.
    pub(super) hook: &'a Hook,
    /// The job that it dispatches.
    pub(super) key: JobKey,
    payload: &'a str,
}

/// All hooks of `tree` that dispatch, for a task of the job `own`.
pub(super) fn targets<'a>(own: &JobKey, tree: &'a Tree) -> Vec<Target<'a>> {
    let hooks = tree.hooks_of_verb().filter_map(|(name, hook)| match &hook.launch {
        Launch::Dispatch { job, payload } => {
            let namespace = hook.namespace.as_ref().unwrap_or(&own.namespace).clone();
            Some(Target { name, hook, key: JobKey::new(namespace, job.clone()), payload })
        }
        Launch::Jobspec { .. } => None,
    });
    hooks.collect()
}

/// Looks for the job of one dispatch: among the jobs of the tree, which will be there, and else in Nomad.
///
/// # Errors
///
/// When Nomad did not answer.
pub(super) async fn dispatched<N: Nomad>(
    nomad: &N,
    target: Target<'_>,
    drafts: &[Draft<'_>],
    filling: &Filling<'_>,
) -> Result<(Option<(String, Spec)>, Findings), nomad::Error> {
    let mut findings = Findings::default();
    let Target { name, hook, key, payload } = target;
    let place = hook.place(name);
    let of_tree = || drafts.iter().filter(|draft| draft.source.hook.is_none());
    let found = if let Some(draft) = of_tree().find(|draft| draft.key == key) {
        spec::kind(&draft.job).map(|kind| (kind, spec::has(&draft.job, "ParameterizedJob"), false))
    } else {
        match nomad.job(&key).await {
            Ok(job) => job.map(|job| (job.kind, job.is_parameterized, job.is_stopped)),
            Err(denied) if denied.is_denied() => {
                findings.deny(&key.namespace, [place], denied);
                return Ok((None, findings));
            }
            Err(error) => return Err(error),
        }
    };
    let JobKey { namespace, job } = &key;
    let mut refuse = |why: String, help: String| {
        let text = format!("dispatch = \"{job}\": {why}");
        findings.problems.push(Problem::new(place.clone(), text).with_help(help));
    };
    let kind = match found {
        None => {
            let near = of_tree()
                .filter(|draft| draft.key.namespace == *namespace)
                .map(|draft| draft.key.job.as_str());
            refuse(
                format!("namespace \"{namespace}\" has no such job"),
                near_or_register(job, nearest(job.as_str(), near)),
            );
            return Ok((None, findings));
        }
        Some((_, false, _)) => {
            refuse(
                format!("that job of namespace \"{namespace}\" is not parameterized"),
                "write a `parameterized` block into it, or its jobspec here as `jobspec`".to_owned(),
            );
            return Ok((None, findings));
        }
        Some((_, true, true)) => {
            refuse(
                format!("that job of namespace \"{namespace}\" is stopped"),
                "start it, or make it a `job` of this tree".to_owned(),
            );
            return Ok((None, findings));
        }
        Some((kind, true, false)) => kind,
    };
    Ok((Some((name.to_owned(), specified_dispatch(hook, payload, key, kind, filling))), findings))
}

/// What a hook dispatches: the job `key` of this `kind`.
pub(super) fn specified_dispatch(
    hook: &Hook,
    raw: &str,
    key: JobKey,
    kind: JobType,
    filling: &Filling<'_>,
) -> Spec {
    let (meta, payload) = (filling.texts(&hook.meta), filling.text(raw));
    let target = key.to_string();
    // What stands in for a value would stand for any.
    let spec = if refers(hook.meta.values().map(String::as_str).chain([raw])) {
        hash::of_dispatch(&target, &json!(hook.meta), raw)
    } else {
        hash::of_dispatch(&target, &json!(meta), &payload)
    };
    let blueprint =
        Blueprint { spec, key, kind, is_periodic: false, is_parameterized: true, progress_deadline: None };
    Spec { blueprint, job: None, meta, payload, text: None }
}

fn near_or_register(job: &JobId, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("register it before, or make it a `job` of this tree with the ID \"{job}\""),
    }
}
