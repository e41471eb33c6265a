//! Trees that are carried out from a shell: Nomad has no job of theirs, so the story notes down what was asked for, and when.
//!
//! A note is like a version of the job that the tree would have had; the end of a process like that of its task. So the
//! oracle judges both alike. What was asked for is read by Nomad, as it reads the `config {}` of a task.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::Story;
use crate::oracle::JobRecord;

/// Namespace and ID.
type Key = (String, String);

/// What was carried out from shells, by tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Shells(Arc<Mutex<BTreeMap<Key, JobRecord>>>);

impl Shells {
    /// What was asked for of a tree.
    pub(super) fn of(&self, key: &Key) -> JobRecord {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned().unwrap_or_default()
    }
}

/// A process that carries a tree out.
#[derive(Debug)]
pub(crate) struct Shell {
    shells: Shells,
    key: Key,
    version: usize,
    /// Whether all of the tree is to be ready at its end.
    is_whole: bool,
}

impl Story {
    /// A process is about to carry out a tree of namespace `default`, with this inside of its block: all of it, or a part.
    pub(crate) fn carries_out(&self, id: &str, body: &str, is_whole: bool) -> Shell {
        let hcl = format!(
            "job \"{id}\" {{\n group \"g\" {{\n task \"tree\" {{\n driver = \"dtree\"\n config {{\n{body}\n}}\n}}\n}}\n}}\n"
        );
        let mut version =
            self.cluster.parse(&hcl, "").unwrap_or_else(|why| panic!("Nomad does not read it: {why}\n{hcl}"));
        self.knows_tree(id);
        let key = ("default".to_owned(), id.to_owned());
        let shells = self.shells.clone();
        let mut all = shells.0.lock().unwrap_or_else(PoisonError::into_inner);
        let record = all.entry(key.clone()).or_default();
        let n = record.versions.len();
        // No job has so many versions.
        version["Version"] = json!(1_000_000 + n);
        version["SubmitTime"] =
            json!(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default());
        record.versions.push(version);
        drop(all);
        Shell { shells, key, version: n, is_whole }
    }
}

impl Shell {
    /// It has ended, with this exit code and these words.
    pub(crate) fn ended(self, code: i32, said: &str) {
        if code != 0 || !self.is_whole {
            return;
        }
        // What programs are told is told to people, too.
        let lines = said.lines().filter(|line| !line.starts_with('{'));
        let words = lines.filter_map(|line| line.find("done after").and_then(|at| line.get(at..)));
        let mut events: Vec<Value> = words.map(|line| json!({ "DisplayMessage": line })).collect();
        events.push(json!({ "Type": "Terminated", "ExitCode": code }));
        let now = jiff::Timestamp::now().to_string();
        let state = json!({ "State": "dead", "Failed": false, "FinishedAt": now, "Events": events });
        let mut all = self.shells.0.lock().unwrap_or_else(PoisonError::into_inner);
        let record = all.entry(self.key).or_default();
        record.allocations.push(json!({
            "ID": "of a shell", "JobVersion": 1_000_000 + self.version, "TaskStates": { "tree": state },
        }));
    }
}
