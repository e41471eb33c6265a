//! What registering a job would change, as Nomad itself compares it. Asks only.

use std::collections::BTreeMap;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Capability, Client, Error,
    client::{Read, decode},
    query::{encode, within},
};
use crate::cluster::{JobKey, Marks};

/// What registering a job would come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// What changes, in the order of the jobspec; empty when nothing does.
    pub changes: Vec<Change>,
    /// What Nomad remarks, in one line each.
    pub warnings: Vec<String>,
    /// The groups for which there is no room now.
    pub no_room: Vec<String>,
}

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// How deep it stands: 0 for what is the job's own.
    pub depth: usize,
    /// `+`, `-` or `+/-`, as Nomad's own commands write it.
    pub sign: &'static str,
    /// What it is: `count: "1" => "2"`, `task "web"`.
    pub text: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    diff: Option<Diff>,
    warnings: String,
    #[serde(rename = "FailedTGAllocs")]
    failed: Option<BTreeMap<String, Value>>,
}

/// A job, a group, a task or a block, and what of it changes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Diff {
    r#type: String,
    name: String,
    fields: Option<Vec<Field>>,
    objects: Option<Vec<Self>>,
    task_groups: Option<Vec<Self>>,
    tasks: Option<Vec<Self>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Field {
    r#type: String,
    name: String,
    old: String,
    new: String,
}

impl Client {
    /// What registering `job` under `key` would change, and whether there is room for it. Nothing is written.
    pub async fn forecast(&self, key: &JobKey, job: &Value) -> Result<Forecast, Error> {
        let wanted = format!("plan job `{}`", key.job);
        let target = within(&format!("/v1/job/{}/plan", encode(key.job.as_str())), &key.namespace);
        let body = json!({ "Job": job, "Diff": true });
        let answer = self.send(Method::POST, &target, Some(&body), &wanted).await?;
        let answer = self.allowed(answer, &wanted, &key.namespace, Capability::SubmitJob)?;
        let Read { value: Answer { diff, warnings, failed }, .. } = decode(answer, &wanted)?;
        let mut changes = Vec::new();
        if let Some(diff) = diff {
            inside(&diff, 0, &mut changes);
        }
        let warnings = warnings
            .lines()
            .map(|line| line.trim().trim_start_matches("* "))
            .filter(|line| !line.is_empty() && !line.ends_with("warning:") && !line.ends_with("warnings:"));
        Ok(Forecast {
            changes,
            warnings: warnings.map(str::to_owned).collect(),
            no_room: failed.unwrap_or_default().into_keys().collect(),
        })
    }
}

/// What changes inside of it. The marks are left out: they say that something else changes.
fn inside(diff: &Diff, depth: usize, changes: &mut Vec<Change>) {
    let is_mark = |name: &str| [Marks::TREE, Marks::NODE, Marks::SPEC].iter().any(|mark| name.contains(mark));
    for field in diff.fields.iter().flatten() {
        let Some(sign) = sign(&field.r#type).filter(|_| !is_mark(&field.name)) else { continue };
        let Field { name, old, new, .. } = field;
        let text = match sign {
            "+" => format!("{name}: {new:?}"),
            "-" => format!("{name}: {old:?}"),
            _ => format!("{name}: {old:?} => {new:?}"),
        };
        changes.push(Change { depth, sign, text });
    }
    let blocks = diff.objects.iter().flatten().map(|inner| (inner.name.clone(), inner));
    let groups = diff.task_groups.iter().flatten().map(|inner| (format!("group {:?}", inner.name), inner));
    let tasks = diff.tasks.iter().flatten().map(|inner| (format!("task {:?}", inner.name), inner));
    for (text, inner) in blocks.chain(groups).chain(tasks) {
        let Some(sign) = sign(&inner.r#type) else { continue };
        let at = changes.len();
        changes.push(Change { depth, sign, text });
        inside(inner, depth + 1, changes);
        // Nothing but marks was in it.
        if changes.len() == at + 1 && sign == "+/-" {
            changes.pop();
        }
    }
}

fn sign(kind: &str) -> Option<&'static str> {
    match kind {
        "Added" => Some("+"),
        "Deleted" => Some("-"),
        "Edited" => Some("+/-"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_told_without_the_marks() {
        let diff = json!({
            "Type": "Edited", "Name": "", "Fields": [
                {"Type": "Edited", "Name": "Meta[dtree_spec]", "Old": "1", "New": "2"},
                {"Type": "None", "Name": "Priority", "Old": "50", "New": "50"},
            ],
            "Objects": [{"Type": "Edited", "Name": "Meta", "Fields": [
                {"Type": "Edited", "Name": "dtree_spec", "Old": "1", "New": "2"}]}],
            "TaskGroups": [{"Type": "Edited", "Name": "g", "Fields": [
                {"Type": "Edited", "Name": "Count", "Old": "1", "New": "2"}],
                "Tasks": [{"Type": "Edited", "Name": "t", "Objects": [
                    {"Type": "Edited", "Name": "Config", "Fields": [
                        {"Type": "Added", "Name": "args[1]", "Old": "", "New": "say \"x\""},
                        {"Type": "Deleted", "Name": "args[2]", "Old": "y", "New": ""}]}]}]}],
        });
        let mut changes = Vec::new();
        inside(&serde_json::from_value(diff).unwrap(), 0, &mut changes);
        let lines: Vec<String> =
            changes.iter().map(|it| format!("{}{} {}", "  ".repeat(it.depth), it.sign, it.text)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        +/- group "g"
          +/- Count: "1" => "2"
          +/- task "t"
            +/- Config
              + args[1]: "say \"x\""
              - args[2]: "y"
        "#);
    }
}
