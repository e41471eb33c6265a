//! The record of a tree's run in Nomad's Variables, and the one who leads the tree.
//!
//! ```text
//!   dtree/<tree>/~lock      who leads, held by its lock
//!   dtree/<tree>/~run       the head: run, epoch, holder, how many chunks
//!   dtree/<tree>/~run/<n>   a chunk: notes, with the epoch and the holder that wrote it
//!   dtree/<tree>/~history   how the last runs have ended
//! ```
//!
//! Here it is written, in `takeover.rs` it changes hands, and `lead.rs` is about the lock.
//!
//! # Invariants
//!
//! * Every write to the record depends on what its writer has seen there. Whoever takes the lead first writes the head
//!   under his epoch, then every chunk as it stands: the one write that a former leader may still have under way is seen,
//!   or it fails.
//! * An answer that is lost is settled by reading back: what stands there with our own epoch is ours.
//! * What another leader wrote is never written over. Whoever finds it has lost the lead.
//! * What is not understood is left as it is.

mod lead;
mod refusal;
mod takeover;

pub use lead::{Candidate, FREE_AFTER, TTL};
pub use refusal::Refusal;

use super::{
    header::{Header, Items, Term, write_chunk},
    history,
    ledger::{Ledger, Note},
    path,
};
use crate::{
    cluster::{RaftIndex, RunId},
    nomad::{Cas, Client, Lock, Variable},
};

/// How often a write is tried whose place has changed in between by our own former writes.
const TRIES: usize = 5;

/// What stands in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The run, and a digest of what it began with.
    pub run: Option<(RunId, String)>,
    /// What it remembers, in the order in which it was written.
    pub notes: Vec<Note>,
}

/// The record of a tree, in the hands of the one who leads it.
#[derive(Debug)]
pub struct Keeper {
    me: Candidate,
    lock: Lock,
    header: Header,
    header_index: RaftIndex,
    /// When each chunk was last written; `None` where there is none yet.
    indexes: Vec<Option<RaftIndex>>,
    ledger: Ledger,
}

impl Keeper {
    /// The epoch in which it leads.
    pub fn epoch(&self) -> u64 {
        self.header.term.epoch
    }

    /// Begins a run: what an earlier one remembered is forgotten.
    pub async fn begin(&mut self, client: &Client, run: RunId, began_with: String) -> Result<(), Refusal> {
        // With the first chunk announced.
        let n_chunks = self.header.n_chunks.max(1);
        let header = Header { run: Some((run, began_with)), n_chunks, ..self.header.clone() };
        self.put_header(client, header).await?;
        self.ledger.clear();
        Ok(())
    }

    /// Takes notes in and writes them.
    #[cfg(test)]
    pub async fn append(&mut self, client: &Client, notes: Vec<Note>) -> Result<(), Refusal> {
        self.stage(notes);
        self.write(client).await
    }

    /// Takes notes in, to be written together.
    pub fn stage(&mut self, notes: Vec<Note>) {
        self.ledger.stage(notes);
    }

    /// Writes what was taken in: in one write if it fits into a chunk. What could not be written is written the next
    /// time; until then what stands is all up to one of the notes.
    pub async fn write(&mut self, client: &Client) -> Result<(), Refusal> {
        match self.write_out(client).await {
            Err(Refusal::Meddled(_)) => self.reclaim(client).await,
            result => result,
        }
    }

    /// Adds how a run has ended to the history; the last `most` are kept, and one entry of each run.
    pub async fn add_history(
        &self,
        client: &Client,
        entry: serde_json::Value,
        most: usize,
    ) -> Result<(), Refusal> {
        let path = path::history(&self.me.tree);
        for _ in 0..TRIES {
            let found = client.variable(&self.me.namespace, &path).await?;
            let expected = found.as_ref().map_or(Cas::Absent, |found| Cas::At(found.index));
            let runs = found.as_ref().and_then(|found| found.items.get("runs"));
            let runs = runs.and_then(|runs| serde_json::from_str(runs).ok()).unwrap_or_default();
            let runs = history::with(runs, entry.clone(), most);
            let items = Items::from([("runs".to_owned(), serde_json::Value::from(runs).to_string())]);
            if found.is_some_and(|found| found.items == items) {
                return Ok(());
            }
            match client.put_variable(&self.me.namespace, &path, &items, expected).await {
                Err(error) if error.is_unsettled() => {}
                result => return Ok(result.map(drop)?),
            }
        }
        Err(Refusal::Meddled(path))
    }

    /// Writes what is staged.
    async fn write_out(&mut self, client: &Client) -> Result<(), Refusal> {
        if self.ledger.n_chunks() > self.header.n_chunks {
            let header = Header { n_chunks: self.ledger.n_chunks(), ..self.header.clone() };
            self.put_header(client, header).await?;
        }
        self.indexes.resize(self.ledger.n_chunks().max(self.indexes.len()), None);
        let Some((run, _)) = self.header.run.clone() else { return Ok(()) };
        while let Some(n) = self.ledger.next() {
            let path = path::chunk(&self.me.tree, n);
            let items = self.ledger.chunk(n).map(|notes| write_chunk(&self.header.term, &run, notes));
            let before = self.indexes.get(n).copied().flatten();
            let index = self.put(client, &path, &items.unwrap_or_default(), before).await?;
            if let Some(place) = self.indexes.get_mut(n) {
                *place = Some(index);
            }
            self.ledger.written(n);
        }
        Ok(())
    }

    async fn put_header(&mut self, client: &Client, header: Header) -> Result<(), Refusal> {
        let path = path::header(&self.me.tree);
        let items = header.write(self.me.tree.as_str());
        self.header_index = self.put(client, &path, &items, Some(self.header_index)).await?;
        self.header = header;
        Ok(())
    }

    /// Writes what only we may write, over what we last saw there.
    async fn put(
        &self,
        client: &Client,
        path: &str,
        items: &Items,
        before: Option<RaftIndex>,
    ) -> Result<RaftIndex, Refusal> {
        let mut expected = before.map_or(Cas::Absent, Cas::At);
        for _ in 0..TRIES {
            let error = match client.put_variable(&self.me.namespace, path, items, expected).await {
                Ok(index) => return Ok(index),
                Err(error) if error.is_unsettled() => error,
                Err(error) => return Err(error.into()),
            };
            let found = client.variable(&self.me.namespace, path).await?;
            match judge(found.as_ref(), items, expected, &self.header.term) {
                Found::Written(index) => return Ok(index),
                // Perhaps it is still on its way: then the next one fails, and is settled here.
                Found::AsBefore => return Err(error.into()),
                Found::Ours(index) => expected = Cas::At(index),
                Found::Gone => return Err(Refusal::Meddled(path.to_owned())),
                Found::Others(index) => {
                    self.still_leads(client, path).await?;
                    expected = Cas::At(index);
                }
            }
        }
        Err(Refusal::Meddled(path.to_owned()))
    }
}

/// What was found after a write whose outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// What was to be written.
    Written(RaftIndex),
    /// What was there before.
    AsBefore,
    /// Something that we wrote before that.
    Ours(RaftIndex),
    /// Nothing, though there was something.
    Gone,
    /// What somebody else wrote: who leads now, or who has led long ago.
    Others(RaftIndex),
}

fn judge(found: Option<&Variable>, items: &Items, expected: Cas, mine: &Term) -> Found {
    match found {
        None if expected == Cas::Absent => Found::AsBefore,
        None => Found::Gone,
        Some(found) if found.items == *items => Found::Written(found.index),
        Some(found) if expected == Cas::At(found.index) => Found::AsBefore,
        Some(found) if Term::of(&found.items).as_ref() == Some(mine) => Found::Ours(found.index),
        Some(found) => Found::Others(found.index),
    }
}
