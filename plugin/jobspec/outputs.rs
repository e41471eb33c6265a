//! The outputs that jobs declare: can they be had?

use serde_json::{Value, json};

use super::draft::Draft;
use crate::{
    cluster::nearest,
    manifest::{JobNode, Problem, Problems, Source, Tree},
};

/// Looks for what the outputs of jobs come from in their jobspecs.
pub(super) fn check(tree: &Tree, drafts: &[Draft<'_>], problems: &mut Problems) {
    for draft in drafts.iter().filter(|draft| draft.source.hook.is_none()) {
        let Some(job) = tree.jobs.get(draft.source.name) else { continue };
        for (name, source) in &job.outputs {
            if let Err((why, help)) = found(source, &draft.job, draft.source.path) {
                let text = format!("outputs: {name} = \"{source}\": {why}");
                problems.push(Problem::new(JobNode::place(draft.source.name), text).with_help(help));
            }
        }
    }
}

/// Whether `job`, which the jobspec `path` describes, has what `source` asks for; else why not, and what helps.
fn found(source: &Source, job: &Value, path: &str) -> Result<(), (String, String)> {
    match source {
        Source::Variable { .. } => Ok(()),
        Source::Meta { key } => {
            let meta = job.get("Meta").and_then(Value::as_object);
            if meta.is_some_and(|meta| meta.contains_key(key)) {
                return Ok(());
            }
            let near = nearest(key, meta.into_iter().flat_map(|meta| meta.keys().map(String::as_str)));
            let help = match near {
                Some(near) => format!("did you mean \"meta:{near}\"?"),
                None => format!("write `meta {{ {key} = \"…\" }}` into the job there"),
            };
            Err((format!("the job in {path} has no such key in its meta"), help))
        }
        Source::Service { name, part } => {
            let services = services(job);
            let text = |service: &Value, key| {
                service.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            if let Some(service) = services.iter().find(|service| text(service, "Name") == *name) {
                return if service.get("Provider") == Some(&json!("nomad")) {
                    Ok(())
                } else {
                    let why = format!("{path} registers it with Consul, which dtree does not look at");
                    Err((why, "write `provider = \"nomad\"` into the service there".to_owned()))
                };
            }
            let names: Vec<String> = services.iter().map(|service| text(service, "Name")).collect();
            // A name that Nomad makes up, or fills in itself, is known only when it is registered.
            if names.iter().any(|known| known.is_empty() || known.contains("${")) {
                return Ok(());
            }
            let help = match nearest(name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean \"service:{near}:{}\"?", part.word()),
                None => format!("write `service {{ name = \"{name}\" provider = \"nomad\" … }}` there"),
            };
            Err((format!("{path} registers no such service"), help))
        }
    }
}

/// All services of a job, those of its groups and those of their tasks.
fn services(job: &Value) -> Vec<&Value> {
    fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
        value.get(key).and_then(Value::as_array).into_iter().flatten()
    }
    let groups = list(job, "TaskGroups");
    groups
        .flat_map(|group| {
            let of_tasks = list(group, "Tasks").flat_map(|task| list(task, "Services"));
            list(group, "Services").chain(of_tasks)
        })
        .collect()
}
