//! What users have approved for a gate, in its task's directory: it counts in the next process of the same task, too.
//!
//! # Invariants
//!
//! * A word counts only for the task that it was given to. One that Nomad starts anew has other deadlines, and by these they
//!   are told apart: it is asked for again.
//! * What cannot be read is asked for again; what cannot be written counts until the process ends. Either is said.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::keep;
use crate::{
    engine::{Approved, Time},
    manifest::Subject,
    plan::Plan,
};

/// Stands in the journal where that of a tree has the tree's name. No tree is called so: they have a `/`.
const NAME: &str = "gate";

/// What stands in the journal.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// By the name of the wait.
    approved: BTreeMap<String, Word>,
}

/// A word that was given.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    /// The deadline of the wait that it was given to.
    deadline: Time,
    /// Whose it is.
    given: Approved,
}

/// The memory of a gate that waits for approvals.
#[derive(Debug)]
pub struct Approvals {
    alloc_dir: PathBuf,
    task: String,
    deadlines: BTreeMap<String, Time>,
    past: Result<BTreeMap<String, Approved>, String>,
    to_keep: Option<BTreeMap<String, Approved>>,
}

impl Approvals {
    /// That of the gate `task`, beneath `alloc_dir`, whose waits have these deadlines: whoever recovers it goes on with what was
    /// approved. `None` where nothing is to be approved. Blocks for as long as reading a local file takes.
    pub fn open(
        plan: &Plan,
        alloc_dir: &Path,
        task: &str,
        deadlines: &BTreeMap<String, Time>,
        is_recovery: bool,
    ) -> Option<Self> {
        let waits = plan.manifest().waits.iter();
        let approvals = waits.filter(|(_, wait)| matches!(wait.subject, Subject::Approval { .. }));
        let deadlines: BTreeMap<_, _> = approvals
            .filter_map(|(name, _)| deadlines.get(name).map(|deadline| (name.clone(), *deadline)))
            .collect();
        if deadlines.is_empty() {
            return None;
        }
        let past = if is_recovery { read(alloc_dir, task, &deadlines) } else { Ok(BTreeMap::new()) };
        let (alloc_dir, task) = (alloc_dir.to_owned(), task.to_owned());
        Some(Self { alloc_dir, task, deadlines, past, to_keep: None })
    }

    /// What was approved in a former process of the task.
    pub(super) fn past(&mut self) -> Result<BTreeMap<String, Approved>, String> {
        std::mem::replace(&mut self.past, Ok(BTreeMap::new()))
            .map_err(|why| format!("what was approved before cannot be read, and is asked for again: {why}"))
    }

    /// Keeps this until [`Approvals::flush`].
    pub(super) fn add(&mut self, approved: BTreeMap<String, Approved>) {
        self.to_keep = Some(approved);
    }

    /// Whether there is anything to be written.
    pub(super) fn is_due(&self) -> bool {
        self.to_keep.is_some()
    }

    /// Writes down what was approved.
    ///
    /// # Errors
    ///
    /// That it does not stand there, and why.
    pub(super) async fn flush(&mut self) -> Result<(), String> {
        let Some(approved) = self.to_keep.take() else { return Ok(()) };
        let word = |(name, given): (String, Approved)| {
            let deadline = *self.deadlines.get(&name)?;
            Some((name, Word { deadline, given }))
        };
        let kept = Kept { approved: approved.into_iter().filter_map(word).collect() };
        let (alloc_dir, task) = (self.alloc_dir.clone(), self.task.clone());
        let written = spawn_blocking(move || keep::write(&alloc_dir, &task, NAME, &kept)).await;
        written.unwrap_or_else(|error| Err(error.to_string())).map_err(|why| {
            format!(
                "the approval cannot be written down, and will be asked for again if the plugin is restarted: {why}"
            )
        })
    }
}

/// What was approved of the waits with these deadlines.
fn read(
    alloc_dir: &Path,
    task: &str,
    deadlines: &BTreeMap<String, Time>,
) -> Result<BTreeMap<String, Approved>, String> {
    let Kept { approved } = keep::read(alloc_dir, task, NAME)?;
    let words = approved.into_iter().filter(|(name, word)| deadlines.get(name) == Some(&word.deadline));
    Ok(words.map(|(name, word)| (name, word.given)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::Manifest;

    fn plan() -> Plan {
        let config = json!({"wait": {"release": {"approval": "it is announced"}, "db": {}}});
        let (manifest, problems) = Manifest::from_msgpack(&rmp_serde::to_vec(&config).unwrap());
        Plan::compile(manifest, problems).unwrap()
    }

    fn deadlines(at: u64) -> BTreeMap<String, Time> {
        ["db", "release"].map(|name| (name.to_owned(), Time::from_unix_millis(at))).into()
    }

    fn open(dir: &Path, at: u64, is_recovery: bool) -> Approvals {
        Approvals::open(&plan(), dir, "gate", &deadlines(at), is_recovery).unwrap()
    }

    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("gate")).unwrap();
        dir
    }

    fn by_kim() -> BTreeMap<String, Approved> {
        [("release".to_owned(), Approved { by: Some("kim".to_owned()) })].into()
    }

    #[tokio::test]
    async fn what_was_approved_counts_in_the_next_process_of_the_same_task_and_in_no_other() {
        let dir = directory();
        let mut first = open(dir.path(), 1000, false);
        assert_eq!(first.past(), Ok(BTreeMap::new()));
        first.add(by_kim());
        assert!(first.is_due());
        first.flush().await.unwrap();
        assert!(!first.is_due());
        assert_eq!(open(dir.path(), 1000, true).past(), Ok(by_kim()));
        assert_eq!(open(dir.path(), 1000, false).past(), Ok(BTreeMap::new()), "started anew");
        assert_eq!(open(dir.path(), 1001, true).past(), Ok(BTreeMap::new()), "started anew, then recovered");
    }

    #[tokio::test]
    async fn what_cannot_be_read_or_written_is_said() {
        let dir = directory();
        let mut approvals = open(dir.path(), 1000, false);
        approvals.add(by_kim());
        approvals.flush().await.unwrap();
        let file = dir.path().join("gate/dtree/journal");
        let text = std::fs::read_to_string(&file).unwrap() + "{\"approved\":{},\"more\":1}\n";
        std::fs::write(&file, &text).unwrap();
        let why = open(dir.path(), 1000, true).past().unwrap_err();
        assert!(why.contains("asked for again") && why.contains("more"), "{why}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "it is left alone");

        std::fs::remove_dir_all(dir.path().join("gate")).unwrap();
        approvals.add(by_kim());
        let why = approvals.flush().await.unwrap_err();
        assert!(why.contains("cannot be written down"), "{why}");
    }

    #[test]
    fn a_gate_that_waits_for_no_approval_keeps_nothing() {
        let dir = directory();
        let deadlines = [("db".to_owned(), Time::from_unix_millis(1))].into();
        assert!(Approvals::open(&plan(), dir.path(), "gate", &deadlines, true).is_none());
        assert!(!dir.path().join("gate/dtree").exists());
    }
}
