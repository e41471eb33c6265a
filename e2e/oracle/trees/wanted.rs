//! What one version of a tree's job wants.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::{Nanos, Need, array, expression, number, text};
use super::record::Key;

/// How many nodes may be worked on at a time where a tree does not say so.
const USUAL_PARALLEL: usize = 10;

/// What a run of it does.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// The version of the tree's job.
    pub(super) began: Nanos,
    /// Whether its verb is to stop, and what then.
    pub(super) is_stop: bool,
    pub(super) stop: Value,
    pub(super) max_parallel: usize,
    pub(super) jobs: Vec<Node>,
    pub(super) waits: BTreeMap<String, Need>,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) label: String,
    pub(super) depends_on: Vec<String>,
    pub(super) ready: Value,
    pub(super) hooks: Vec<Hook>,
}

#[derive(Debug, Clone)]
pub(super) struct Hook {
    pub(super) label: String,
    pub(super) moment: &'static str,
    pub(super) depends_on: Vec<String>,
    pub(super) block: Value,
}

impl Run {
    pub(super) fn of(version: &Value) -> Option<Self> {
        let task =
            tasks_in(version).find(|task| task["Driver"] == "dtree" && !task["Config"]["job"].is_null())?;
        let config = &task["Config"];
        let namespace = version["Namespace"].as_str().unwrap_or("default");
        let of = version["ID"].as_str().unwrap_or_default();
        let waits: Vec<Need> = labelled(&config["wait"])
            .into_iter()
            .map(|(label, block)| Need {
                of: of.to_owned(),
                namespace: namespace.to_owned(),
                label,
                block,
                parts: Vec::new(),
            })
            .collect();
        let waits = expression::joined(&waits).into_iter().map(|need| (need.label.clone(), need));
        let jobs = labelled(&config["job"]).into_iter().map(|(label, block)| Node {
            label,
            depends_on: names(&block["depends_on"]),
            ready: block["ready"].get(0).cloned().unwrap_or_else(|| block["ready"].clone()),
            hooks: ["pre", "post", "pre_stop", "post_stop"]
                .into_iter()
                .flat_map(|moment| labelled(&block[moment]).into_iter().map(move |hook| (moment, hook)))
                .map(|(moment, (label, block))| Hook {
                    label,
                    moment,
                    depends_on: names(&block["depends_on"]),
                    block,
                })
                .collect(),
        });
        let max_parallel = match &config["max_parallel"] {
            Value::String(text) => text.parse().unwrap_or(USUAL_PARALLEL),
            other => other.as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(USUAL_PARALLEL),
        };
        let stop = config["stop"].get(0).unwrap_or_else(|| &config["stop"]).clone();
        let is_stop = config["verb"] == "stop";
        let began = number(&version["Version"]);
        Some(Self { began, is_stop, stop, max_parallel, jobs: jobs.collect(), waits: waits.collect() })
    }
}

impl Node {
    pub(super) fn hooks_of(&self, moment: &'static str) -> impl Iterator<Item = &Hook> {
        self.hooks.iter().filter(move |hook| hook.moment == moment)
    }

    /// When its job counts as ready.
    pub(super) fn need(&self, (namespace, id): &Key) -> Need {
        let mut block =
            if self.ready.is_object() { self.ready.clone() } else { Value::Object(Map::default()) };
        block["job"] = id.clone().into();
        Need {
            of: String::new(),
            namespace: namespace.clone(),
            label: self.label.clone(),
            block,
            parts: Vec::new(),
        }
    }
}

/// The tasks of one version of a job.
pub(super) fn tasks_in(version: &Value) -> impl Iterator<Item = Value> {
    array(&version["TaskGroups"]).into_iter().flat_map(|group| array(&group["Tasks"]))
}

/// Labelled blocks, which Nomad keeps as lists of maps.
fn labelled(blocks: &Value) -> Vec<(String, Value)> {
    let all = match blocks {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        other => vec![other.clone()],
    };
    let labelled = all.iter().filter_map(Value::as_object).flatten();
    labelled.map(|(label, block)| (label.clone(), block.get(0).unwrap_or(block).clone())).collect()
}

fn names(list: &Value) -> Vec<String> {
    array(list).iter().map(text).collect()
}
