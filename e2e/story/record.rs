//! What a tree has written down in Nomad's Variables, read the way a user reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{SOON, Story, text};

/// The record of a tree in namespace `default`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Record {
    /// The run.
    pub(crate) run: String,
    /// How many have led.
    pub(crate) epoch: u64,
    /// The allocation that leads, or has led last.
    pub(crate) holder: String,
    /// What is remembered, by name.
    pub(crate) notes: BTreeMap<String, Value>,
}

impl Record {
    /// How far a step, or the run itself (`~began`, …), has come: the word for it.
    pub(crate) fn word(&self, name: &str) -> &str {
        let Some(entry) = self.notes.get(name) else { return "nothing" };
        let said = if entry["step"].is_null() { entry } else { &entry["step"]["memory"] };
        said.as_object().and_then(|said| said.keys().next()).map_or("?", String::as_str)
    }
}

impl Story {
    /// The items of a variable of a tree; the error is that there is none.
    pub(crate) fn items(&self, tree: &str, what: &str) -> Result<Value, String> {
        let path = format!("/v1/var/dtree/default/{tree}/{what}");
        let found = self.cluster().api().get(&path).map_err(|error| error.to_string())?;
        Ok(found["Items"].clone())
    }

    /// Writes a variable of a tree over.
    pub(crate) fn put_items(&self, tree: &str, what: &str, items: &Value) {
        let path = format!("dtree/default/{tree}/{what}");
        self.post(&format!("/v1/var/{path}"), &json!({ "Path": path, "Items": items }));
    }

    /// What a tree has written down.
    pub(crate) fn record(&self, tree: &str) -> Result<Record, String> {
        let head = self.items(tree, "~run")?;
        let mut record = Record {
            run: text(&head["run"]),
            epoch: text(&head["epoch"]).parse().map_err(|_| format!("no epoch in {head}"))?,
            holder: text(&head["holder"]),
            notes: BTreeMap::new(),
        };
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        let chunks: usize = text(&head["chunks"]).parse().map_err(|_| format!("no chunks in {head}"))?;
        for n in 1..=chunks {
            let chunk = self.items(tree, &format!("~run/{n}"))?;
            if chunk["run"] != head["run"] {
                continue;
            }
            let notes: BTreeMap<String, (u64, Value)> =
                serde_json::from_str(&text(&chunk["notes"])).map_err(|error| error.to_string())?;
            for (name, (number, value)) in notes {
                if newest.get(&name).is_none_or(|other| *other < number) {
                    newest.insert(name.clone(), number);
                    record.notes.insert(name, value);
                }
            }
        }
        Ok(record)
    }

    /// Waits until the record of a tree is so.
    #[track_caller]
    pub(crate) fn records(&self, limit: Duration, tree: &str, is_so: impl Fn(&Record) -> bool) -> Record {
        self.within(limit, &format!("the record of {tree}"), || match self.record(tree)? {
            record if is_so(&record) => Ok(record),
            record => Err(format!("{record:#?}")),
        })
    }

    /// How the runs of a tree have ended, the oldest first: run, and whether it ended well.
    pub(crate) fn history(&self, tree: &str) -> Vec<(String, bool)> {
        let runs = self.items(tree, "~history").map(|items| text(&items["runs"])).unwrap_or_default();
        let runs: Vec<Value> = serde_json::from_str(&runs).unwrap_or_default();
        runs.iter().map(|run| (text(&run["run"]), run["good"] == true)).collect()
    }

    /// The one run that a tree had ended well, and nobody leads it any more.
    #[track_caller]
    pub(crate) fn had_one_run(&self, tree: &str, run: &str) {
        self.within(SOON, "the run's end to be written", || {
            let (history, lock) =
                (self.history(tree), self.get(&format!("/v1/var/dtree/default/{tree}/~lock")));
            let is_so = history == [(run.to_owned(), true)] && lock["Lock"].is_null();
            if is_so { Ok(()) } else { Err(format!("{history:?} {}", lock["Lock"])) }
        });
    }
}
