//! A job that carries a tree into the cluster: what its author wrote as the configuration of a task of dtree, its jobspecs
//! as templates beside it.
//!
//! # Invariants
//!
//! * What travels arrives as it was. A client takes each text of a configuration for a template, so those are escaped; the
//!   text of a `template` block is one only between delimiters, which are chosen so that they stand in no jobspec.
//! * Each hand-over differs from the one before, or Nomad would not run the job again.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    cluster::JobKey,
    manifest::{Launch, TaskPath, Tree, leads_out},
};

/// The key of the job's meta that says when it was handed over, and so that it was.
pub const SUBMITTED: &str = "dtree_submitted";

/// The group that the task is in.
const GROUP: &str = "tree";

/// The paths of all jobspecs of a tree, as its author wrote them.
pub fn paths(tree: &Tree) -> impl Iterator<Item = &str> {
    let hooks = tree.hooks.values().filter_map(|hook| match &hook.launch {
        Launch::Jobspec { jobspec, .. } => Some(jobspec),
        Launch::Dispatch { .. } => None,
    });
    tree.jobs.values().map(|job| &job.jobspec).chain(hooks).map(String::as_str)
}

/// The job `own` that carries out `config`, which is what stands in `config {}`, with the texts of `files` by their paths;
/// its task is called like the job. `submitted` tells this hand-over from the next.
///
/// # Errors
///
/// What is wrong with a path.
pub fn carrier(
    own: &JobKey,
    config: &Value,
    files: &BTreeMap<&str, String>,
    submitted: &str,
) -> Result<Value, String> {
    let (left, right) = delimiters(files);
    // Two paths may be of one file.
    let mut places: BTreeMap<String, &str> = BTreeMap::new();
    let mut moved: BTreeMap<&str, String> = BTreeMap::new();
    for (path, text) in files {
        // What is not in a directory of the task travels under a number.
        let place = if leads_out(path) {
            let name = path.rsplit('/').next().unwrap_or_default();
            let place = format!("local/outside-{}/{name}", moved.len());
            moved.insert(*path, place.clone());
            place
        } else {
            TaskPath::new(path).map_err(|why| format!("{path:?} {why}"))?.names.join("/")
        };
        places.insert(place, text);
    }
    let templates = places.into_iter().map(|(place, text)| {
        json!({
            "EmbeddedTmpl": text, "DestPath": place, "ChangeMode": "noop",
            "LeftDelim": left, "RightDelim": right,
        })
    });
    let mut config = config.clone();
    rename(&mut config, &moved);
    escape(&mut config);
    let id = own.job.as_str();
    Ok(json!({
        "ID": id, "Name": id, "Namespace": own.namespace.as_str(), "Type": "batch", "Datacenters": ["*"],
        "Meta": { SUBMITTED: submitted },
        "TaskGroups": [{
            "Name": GROUP,
            // What has failed has told why; trying again by itself would only push that out of sight.
            "RestartPolicy": { "Attempts": 0, "Mode": "fail", "Interval": 60_000_000_000_i64, "Delay": 1_000_000_000 },
            "ReschedulePolicy": { "Attempts": 0, "Unlimited": false },
            "Tasks": [{
                "Name": id, "Driver": "dtree", "Identity": { "Name": "default", "File": true },
                "Config": config, "Templates": templates.collect::<Vec<_>>(),
                "Resources": { "CPU": 10, "MemoryMB": 16 },
            }],
        }],
    }))
}

/// Has each jobspec that was moved be looked for where it is.
fn rename(value: &mut Value, moved: &BTreeMap<&str, String>) {
    let Some(values) = value.as_object_mut().filter(|_| !moved.is_empty()) else { return };
    for (name, value) in values {
        match value {
            Value::String(path) if name == "jobspec" => {
                if let Some(place) = moved.get(path.as_str()) {
                    path.clone_from(place);
                }
            }
            value => rename(value, moved),
        }
    }
}

/// Delimiters that stand in none of `files`.
fn delimiters(files: &BTreeMap<&str, String>) -> (String, String) {
    let mut n = 0_u32;
    loop {
        let (left, right) = (format!("<<dtree-{n}<<"), format!(">>dtree-{n}>>"));
        if files.values().all(|text| !text.contains(&left) && !text.contains(&right)) {
            return (left, right);
        }
        n += 1;
    }
}

/// Has each text in it stand for itself where it is evaluated once as a template.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("${", "$${").replace("%{", "%%{"),
        Value::Array(values) => values.iter_mut().for_each(escape),
        Value::Object(values) => {
            let escaped = std::mem::take(values).into_iter().map(|(name, mut value)| {
                escape(&mut value);
                (name, value)
            });
            *values = escaped.collect::<Map<_, _>>();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(config: &Value, files: &[(&'static str, &str)]) -> Value {
        let files = files.iter().map(|(path, text)| (*path, (*text).to_owned())).collect();
        carrier(&JobKey::new("team", "shop"), config, &files, "2026-11-28T08:00:00Z").unwrap()
    }

    #[test]
    fn a_manifest_and_its_jobspecs_travel_unharmed() {
        let hostile = "job \"api\" { meta { a = \"${node.class} %{ if x } {{ env }} <<dtree-0<<\" } }";
        let config = json!({"job": {"api": {"jobspec": "local/api.nomad.hcl", "vars": {
            "greeting": "${NOMAD_META_x} %{ for } $(db.port)",
        }}}});
        let job = carried(&config, &[("local/api.nomad.hcl", hostile)]);
        let task = &job["TaskGroups"][0]["Tasks"][0];
        let template = &task["Templates"][0];
        assert_eq!(template["EmbeddedTmpl"], hostile);
        assert_eq!(
            (&template["LeftDelim"], &template["RightDelim"]),
            (&json!("<<dtree-1<<"), &json!(">>dtree-1>>"))
        );
        assert_eq!(task["Config"]["job"]["api"]["vars"]["greeting"], "$${NOMAD_META_x} %%{ for } $(db.port)");
        assert_eq!(
            (&job["ID"], &job["Namespace"], &task["Name"]),
            (&json!("shop"), &json!("team"), &json!("shop"))
        );
    }

    #[test]
    fn a_file_from_elsewhere_is_found_where_it_was_put() {
        let config =
            json!({"job": {"api": {"jobspec": "../api.hcl", "pre": {"x": {"jobspec": "/etc/x.hcl"}}}}});
        let job = carried(&config, &[("../api.hcl", "1"), ("/etc/x.hcl", "2")]);
        let task = &job["TaskGroups"][0]["Tasks"][0];
        let places: Vec<_> = task["Templates"].as_array().unwrap().iter().map(|it| &it["DestPath"]).collect();
        assert_eq!(places, ["local/outside-0/api.hcl", "local/outside-1/x.hcl"]);
        let api = &task["Config"]["job"]["api"];
        assert_eq!(
            [&api["jobspec"], &api["pre"]["x"]["jobspec"]],
            ["local/outside-0/api.hcl", "local/outside-1/x.hcl"]
        );
    }

    #[test]
    fn a_file_goes_where_its_path_says_and_once() {
        let job = carried(&json!({}), &[("/local/x", "1"), ("local/./x", "1"), ("y", "2")]);
        let templates = job["TaskGroups"][0]["Tasks"][0]["Templates"].as_array().unwrap();
        let places: Vec<_> =
            templates.iter().map(|template| template["DestPath"].as_str().unwrap()).collect();
        assert_eq!(places, ["local/x", "y"]);
    }
}
