//! `dtree stop NAME`: a tree of which there is no file here, as its job in Nomad has it.
//!
//! Its job says what depends on what, and brings the jobspecs along in templates. Where it does not, because a tree was
//! carried out from a shell or a jobspec comes by an artifact, nothing is stopped: in which order is not known.

use serde_json::Value;

use super::{
    Failure,
    chosen::{Aim, Chosen, TreeArgs},
    connect::{Connection, block_on, refused},
};
use crate::{
    cluster::{JobKey, Namespace, VARIABLES, nearest},
    jobspec::Files,
    manifest::{Problems, text},
    nomad::Client,
    plan::Plan,
};

/// Whether it is the name of a tree rather than that of a file which is not there.
pub(super) fn is_name(text: &str) -> bool {
    let is_file = [".hcl", ".json", ".nomad"].iter().any(|ending| text.ends_with(ending));
    text != "-" && !is_file && !text.contains('/')
}

/// What is chosen of the tree `name`.
pub(super) fn choose(
    args: &TreeArgs,
    name: &str,
    connection: &Connection,
    aim: Aim,
) -> Result<Chosen, Failure> {
    let namespace = connection.namespace()?.unwrap_or_else(|| "default".into());
    let key = JobKey { namespace, job: name.into() };
    let (plan, files) = block_on(async { carried(&connection.client().await?, &key).await })?;
    args.choose_from(&plan, &key, files, aim)
}

/// What the tree's job says, and the jobspecs that it carries.
async fn carried(client: &Client, key: &JobKey) -> Result<(Plan, Files), Failure> {
    let found = client.declarations(key).await.map_err(|error| refused(&error))?;
    for mut declared in found.into_iter().flatten() {
        let is_tree = text::of_config(&declared.config).0.tree.is_some_and(|tree| !tree.jobs.is_empty());
        if !is_tree {
            continue;
        }
        let cannot = |why: String| {
            Failure::cannot(format!(
                "dtree: the job of tree {key} does not say all that a stop has to know: {why}\n\nhint: `dtree stop FILE` stops it by its file\n"
            ))
        };
        if let Some(left) = unescape(&mut declared.config) {
            return Err(cannot(format!("only its client fills in {left:?}")));
        }
        let (manifest, problems) = text::of_config(&declared.config);
        let plan =
            if problems.is_empty() { Plan::compile(manifest, Problems::default()) } else { Err(problems) };
        let plan = plan.map_err(|problems| cannot(problems.to_string()))?;
        return Ok((plan, Files::Carried(declared.files)));
    }
    Err(unknown(client, key).await?)
}

/// That there is no such tree in Nomad, or only its record.
async fn unknown(client: &Client, key: &JobKey) -> Result<Failure, Failure> {
    let trees = recorded(client, &key.namespace).await?;
    let name = key.job.as_str();
    if trees.iter().any(|tree| tree == name) {
        return Ok(Failure::cannot(format!(
            "dtree: tree {key} was carried out from a shell, or its job is gone: Nomad does not know in which order it is stopped\n\n\
             hint: `dtree stop FILE` stops it by its file\n"
        )));
    }
    let near = nearest(name, trees.iter().map(String::as_str));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`dtree status` lists the trees of a namespace; give a FILE, or `--namespace`".to_owned(),
    };
    Ok(Failure::cannot(format!(
        "dtree: there is no file {name} here and no tree {name} in namespace {}\n\nhint: {help}\n",
        key.namespace
    )))
}

/// The names of all trees that have a record in a namespace.
async fn recorded(client: &Client, namespace: &Namespace) -> Result<Vec<String>, Failure> {
    let prefix = format!("{VARIABLES}/{namespace}/");
    let found = match client.list_variables(namespace, &prefix).await {
        Ok(found) => found,
        // Then none can be named.
        Err(error) if error.is_denied() => Vec::new(),
        Err(error) => return Err(refused(&error)),
    };
    let names = found.iter().filter_map(|stub| stub.path.strip_prefix(&prefix)?.strip_suffix("/~run"));
    Ok(names.map(str::to_owned).collect())
}

/// Has each text say what a client would read. The first that only a client can fill in, if there is one.
fn unescape(value: &mut Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let plain = text.replace("$${", "").replace("%%{", "");
            if plain.contains("${") || plain.contains("%{") {
                return Some(text.clone());
            }
            *text = text.replace("$${", "${").replace("%%{", "%{");
            None
        }
        Value::Array(values) => values.iter_mut().find_map(unescape),
        Value::Object(values) => values.values_mut().find_map(unescape),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
