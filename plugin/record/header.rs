//! What a record says of itself: the items of its variables.

use std::collections::BTreeMap;

use super::ledger::Notes;
use crate::cluster::{AllocId, RunId};

/// The version of the format.
const VERSION: u64 = 1;

/// What a variable says.
pub(super) type Items = BTreeMap<String, String>;

/// Who leads, and since when. A leader is told from all others by this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    /// One more with each that takes the lead.
    pub(super) epoch: u64,
    /// The allocation.
    pub(super) alloc: AllocId,
}

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) term: Term,
    /// Since when it leads, in milliseconds of the Unix epoch.
    pub(super) since: u64,
    /// The run, and a digest of what it began with; `None` before the first.
    pub(super) run: Option<(RunId, String)>,
    /// How many chunks there are at most.
    pub(super) n_chunks: usize,
}

/// Why something that stands in a record is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// A later dtree wrote it.
    Newer(String),
    /// This is missing, or is no number where it should be one.
    Damaged(&'static str),
}

fn text<'a>(items: &'a Items, name: &'static str) -> Result<&'a str, Unread> {
    items.get(name).map(String::as_str).ok_or(Unread::Damaged(name))
}

fn number(items: &Items, name: &'static str) -> Result<u64, Unread> {
    text(items, name)?.parse().map_err(|_| Unread::Damaged(name))
}

impl Term {
    /// Who wrote `items`, if they are part of a record.
    pub(super) fn of(items: &Items) -> Option<Self> {
        let alloc = items.get("holder")?.as_str().into();
        Some(Self { epoch: items.get("epoch")?.parse().ok()?, alloc })
    }

    fn write(&self, items: &mut Items) {
        items.insert("epoch".to_owned(), self.epoch.to_string());
        items.insert("holder".to_owned(), self.alloc.to_string());
    }
}

impl Header {
    pub(super) fn read(items: &Items) -> Result<Self, Unread> {
        let version = text(items, "version")?;
        if version != VERSION.to_string() {
            return Err(Unread::Newer(version.to_owned()));
        }
        let term = Term { epoch: number(items, "epoch")?, alloc: text(items, "holder")?.into() };
        let run = match items.get("run") {
            Some(run) => Some((run.as_str().into(), text(items, "began_with")?.to_owned())),
            None => None,
        };
        let n_chunks = usize::try_from(number(items, "chunks")?).map_err(|_| Unread::Damaged("chunks"))?;
        Ok(Self { term, since: number(items, "since")?, run, n_chunks })
    }

    pub(super) fn write(&self, tree: &str) -> Items {
        let mut items = Items::new();
        self.term.write(&mut items);
        let mut put = |name: &str, value: String| items.insert(name.to_owned(), value);
        put("version", VERSION.to_string());
        put("tree", tree.to_owned());
        put("since", self.since.to_string());
        put("chunks", self.n_chunks.to_string());
        if let Some((run, began_with)) = &self.run {
            put("run", run.to_string());
            put("began_with", began_with.clone());
        }
        items
    }
}

/// The items of a chunk.
pub(super) fn write_chunk(term: &Term, run: &RunId, notes: &Notes) -> Items {
    let mut items = Items::new();
    term.write(&mut items);
    items.insert("run".to_owned(), run.to_string());
    let notes: serde_json::Map<String, serde_json::Value> =
        notes.iter().map(|(name, note)| (name.clone(), serde_json::json!(note))).collect();
    items.insert("notes".to_owned(), serde_json::Value::from(notes).to_string());
    items
}

/// What a chunk holds of `run`: nothing when it is left of another run.
pub(super) fn read_chunk(items: &Items, run: &RunId) -> Result<Notes, Unread> {
    if text(items, "run")? != run.as_str() {
        return Ok(Notes::new());
    }
    serde_json::from_str(text(items, "notes")?).map_err(|_| Unread::Damaged("notes"))
}
