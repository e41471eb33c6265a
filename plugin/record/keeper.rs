//! The record of a tree's run in Nomad's Variables, and the one who leads the tree.
//!
//! ```text
//!   dtree/<tree>/~lock      who leads, held by its lock
//!   dtree/<tree>/~run       the head: run, epoch, holder, how many chunks
//!   dtree/<tree>/~run/<n>   a chunk: notes, with the epoch and the holder that wrote it
//!   dtree/<tree>/~history   how the last runs have ended
//! ```
//!
//! # Invariants
//!
//! * Every write to the record depends on what its writer has seen there. Whoever takes the lead first writes the head
//!   under his epoch, then every chunk as it stands: the one write that a former leader may still have under way is seen,
//!   or it fails.
//! * An answer that is lost is settled by reading back: what stands there with our own epoch is ours.
//! * What another leader wrote is never written over. Whoever finds it has lost the lead.
//! * What is not understood is left as it is.

use std::{collections::BTreeMap, time::Duration};

use super::{
    header::{Header, Items, Term, Unread, read_chunk, write_chunk},
    ledger::{Ledger, Note, Notes},
    path,
};
use crate::{
    cluster::{AllocId, Allocation, LockId, Namespace, RaftIndex, RunId, TaskPhase, TreeName},
    nomad::{self, Cas, Client, Lock, Variable},
};

/// How long a lock is held after it was last renewed; Nomad takes no less.
pub const TTL: Duration = Duration::from_secs(10);
/// How long nobody may have it after that.
const DELAY: Duration = Duration::from_secs(1);
/// When a lock that is not renewed is free at the latest, as measured (Nomad 1.11).
const FREE_AFTER: Duration = Duration::from_secs(2 * TTL.as_secs() + DELAY.as_secs());
/// How often a write is tried whose place has changed in between by our own former writes.
const TRIES: usize = 5;

/// Who wants to lead a tree: a task of an allocation.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The tree.
    pub tree: TreeName,
    /// The namespace of its own job, where the record is.
    pub namespace: Namespace,
    /// The job of the allocation.
    pub job: String,
    /// The allocation.
    pub alloc: AllocId,
    /// The task.
    pub task: String,
    /// Now, in milliseconds of the Unix epoch and as text.
    pub since: (u64, String),
    /// The epoch in which an earlier process of this very task has led, when this one goes on with it.
    pub led_before: Option<u64>,
}

/// What stands in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// The run, and a digest of what it began with.
    pub run: Option<(RunId, String)>,
    /// What it remembers, in the order in which it was written.
    pub notes: Vec<Note>,
}

/// Why the lead was not taken, or something was not written.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Nomad does not allow it.
    #[error(transparent)]
    Denied(nomad::Error),
    /// Someone leads who is still there.
    #[error("{0}")]
    Led(String),
    /// Someone has led who is there no more, and the lock is not free yet.
    #[error("{0}")]
    NotFreeYet(String),
    /// Someone else has taken the lead.
    #[error("{0}")]
    Lost(String),
    /// The record is not understood.
    #[error("{0}")]
    Unread(String),
    /// Nomad did not do it.
    #[error(transparent)]
    Nomad(nomad::Error),
    /// It was written by somebody else, or taken away.
    #[error("the variable `{0}` was changed or taken away by someone else")]
    Meddled(String),
}

impl From<nomad::Error> for Refusal {
    fn from(error: nomad::Error) -> Self {
        if error.is_denied() { Self::Denied(error) } else { Self::Nomad(error) }
    }
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
    /// Takes the lead, and reads what is remembered.
    ///
    /// # Errors
    ///
    /// When somebody else leads, or the record is not understood: then nothing was changed.
    pub async fn take(client: &Client, me: Candidate) -> Result<(Self, Remembered), Refusal> {
        let lock = lock_of(&me);
        let mut keeper = Self {
            header: Header {
                term: Term { epoch: 0, alloc: me.alloc.clone() },
                since: me.since.0,
                run: None,
                n_chunks: 0,
            },
            header_index: RaftIndex(0),
            indexes: Vec::new(),
            ledger: Ledger::default(),
            me,
            lock,
        };
        keeper.refuse_if_overtaken(client).await?;
        keeper.acquire(client).await?;
        match keeper.take_over(client).await {
            Ok(remembered) => Ok((keeper, remembered)),
            Err(refusal) => {
                // So that whoever mends it need not wait. If this fails too, the lock is free after a while.
                drop(keeper.release(client).await);
                Err(refusal)
            }
        }
    }

    /// The epoch in which it leads.
    pub fn epoch(&self) -> u64 {
        self.header.term.epoch
    }

    /// Begins a run: what an earlier one remembered is forgotten.
    pub async fn begin(&mut self, client: &Client, run: RunId, began_with: String) -> Result<(), Refusal> {
        let header = Header { run: Some((run, began_with)), ..self.header.clone() };
        self.put_header(client, header).await?;
        self.ledger.clear();
        Ok(())
    }

    /// Writes notes, in one write if they fit into a chunk. What could not be written is written with the next ones;
    /// until then what stands is all up to one of them.
    pub async fn append(&mut self, client: &Client, notes: Vec<Note>) -> Result<(), Refusal> {
        self.ledger.stage(notes);
        match self.write_out(client).await {
            Err(Refusal::Meddled(_)) => self.reclaim(client).await,
            result => result,
        }
    }

    /// Keeps the lead. If the lock was lost but nobody else has led since, it is taken again, and all of the record
    /// is written again from memory.
    ///
    /// # Errors
    ///
    /// [`Refusal::Lost`] when somebody else has taken the lead.
    pub async fn renew(&mut self, client: &Client) -> Result<(), Refusal> {
        let path = path::lock(&self.me.tree);
        match client.renew_lock(&self.me.namespace, &path, &self.lock.id).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_conflict() => self.reclaim(client).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the lead go, so that another can have it at once.
    pub async fn release(&self, client: &Client) -> Result<(), Refusal> {
        let path = path::lock(&self.me.tree);
        Ok(client.release_lock(&self.me.namespace, &path, &self.lock.id).await?)
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
            let runs = super::history::with(runs, entry.clone(), most);
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

    /// A process that goes on, after another allocation has taken the lead in the meantime, touches nothing.
    async fn refuse_if_overtaken(&self, client: &Client) -> Result<(), Refusal> {
        let path = path::header(&self.me.tree);
        let Some(found) = client.variable(&self.me.namespace, &path).await? else { return Ok(()) };
        let header = Header::read(&found.items).map_err(|why| self.unread(&path, &why))?;
        if self.me.led_before.is_some_and(|epoch| epoch != header.term.epoch)
            && header.term.alloc != self.me.alloc
        {
            return Err(Refusal::Lost(self.overtaken(client).await));
        }
        Ok(())
    }

    async fn acquire(&self, client: &Client) -> Result<(), Refusal> {
        let path = path::lock(&self.me.tree);
        let items: Items = [
            ("tree", self.me.tree.to_string()),
            ("job", self.me.job.clone()),
            ("alloc", self.me.alloc.to_string()),
            ("task", self.me.task.clone()),
            ("since", self.me.since.1.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let acquired = client.acquire_lock(&self.me.namespace, &path, &items, &self.lock).await;
        match acquired {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => Err(self.led_by_another(client).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Who has the lock, and whether that will last.
    async fn led_by_another(&self, client: &Client) -> Result<Refusal, Refusal> {
        let path = path::lock(&self.me.tree);
        let found = client.variable(&self.me.namespace, &path).await?;
        let items = found.map(|found| found.items).unwrap_or_default();
        let item = |name: &str| items.get(name).map_or("?", String::as_str);
        let alloc = AllocId::from(item("alloc"));
        let who = format!(
            "allocation {} of job {} has led tree {} since {}",
            alloc.short(),
            item("job"),
            self.me.tree,
            item("since")
        );
        let holder = client.allocation(&alloc, &self.me.namespace).await;
        let is_there = match holder {
            Ok(found) => found.is_some_and(|(_, holder)| is_there(&holder, item("task"))),
            // Who may not look waits.
            Err(error) if error.is_denied() => false,
            Err(error) => return Err(error.into()),
        };
        if is_there {
            return Ok(Refusal::Led(format!(
                "{who} and is still there, and two runs of a tree at once would be in each other's way: wait for its \
                 end, or end it (`nomad alloc stop {}`), and run the tree again",
                alloc.short()
            )));
        }
        let most = FREE_AFTER.as_secs();
        Ok(Refusal::NotFreeYet(format!("{who} and has ended; waits until its lock is free, {most}s at most")))
    }

    /// Writes the head under the next epoch, then every chunk as it stands.
    async fn take_over(&mut self, client: &Client) -> Result<Remembered, Refusal> {
        self.take_header(client).await?;
        let Some((run, _)) = self.header.run.clone() else {
            return Ok(Remembered::default());
        };
        let mut chunks = Vec::new();
        for n in 0..self.header.n_chunks {
            let (index, notes) = self.take_chunk(client, n, &run).await?;
            self.indexes.push(Some(index));
            chunks.push(notes);
        }
        self.ledger = Ledger::of(chunks);
        Ok(Remembered { run: self.header.run.clone(), notes: self.ledger.notes() })
    }

    async fn take_header(&mut self, client: &Client) -> Result<(), Refusal> {
        let path = path::header(&self.me.tree);
        for _ in 0..TRIES {
            let found = client.variable(&self.me.namespace, &path).await?;
            let before = match &found {
                Some(found) => Header::read(&found.items).map_err(|why| self.unread(&path, &why))?,
                None => self.header.clone(),
            };
            let term = Term { epoch: before.term.epoch + 1, alloc: self.me.alloc.clone() };
            let header = Header { term, since: self.me.since.0, ..before };
            let expected = found.map_or(Cas::Absent, |found| Cas::At(found.index));
            let items = header.write(self.me.tree.as_str());
            if let Some(index) = self.take_place(client, &path, &items, expected).await? {
                (self.header, self.header_index) = (header, index);
                return Ok(());
            }
        }
        Err(Refusal::Meddled(path))
    }

    async fn take_chunk(
        &self,
        client: &Client,
        n: usize,
        run: &RunId,
    ) -> Result<(RaftIndex, Notes), Refusal> {
        let path = path::chunk(&self.me.tree, n);
        for _ in 0..TRIES {
            let found = client.variable(&self.me.namespace, &path).await?;
            let notes = match &found {
                Some(found) => read_chunk(&found.items, run).map_err(|why| self.unread(&path, &why))?,
                // The last one may have been announced, but not written.
                None if n + 1 == self.header.n_chunks => Notes::new(),
                None => return Err(self.unread(&path, &Unread::Damaged("all of it is gone"))),
            };
            let expected = found.map_or(Cas::Absent, |found| Cas::At(found.index));
            let items = write_chunk(&self.header.term, run, &notes);
            if let Some(index) = self.take_place(client, &path, &items, expected).await? {
                return Ok((index, notes));
            }
        }
        Err(Refusal::Meddled(path))
    }

    /// Writes `items` over what was just seen; `None` when that is not there any more.
    async fn take_place(
        &self,
        client: &Client,
        path: &str,
        items: &Items,
        expected: Cas,
    ) -> Result<Option<RaftIndex>, Refusal> {
        match client.put_variable(&self.me.namespace, path, items, expected).await {
            Ok(index) => Ok(Some(index)),
            Err(error) if error.is_unsettled() => {
                let found = client.variable(&self.me.namespace, path).await?;
                match found {
                    Some(found) if found.items == *items => Ok(Some(found.index)),
                    _ if error.is_conflict() => Ok(None),
                    _ => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
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

    /// Takes the lead again if nobody else has led since, and writes everything again from memory.
    async fn reclaim(&mut self, client: &Client) -> Result<(), Refusal> {
        match self.acquire(client).await {
            Err(Refusal::Led(who) | Refusal::NotFreeYet(who)) => {
                let is_led = self.lead(client).await?;
                // Our own lock, whose time was over, may keep us away for a moment.
                return Err(if is_led {
                    Refusal::NotFreeYet(who)
                } else {
                    Refusal::Lost(self.overtaken(client).await)
                });
            }
            result => result?,
        }
        if !self.lead(client).await? {
            drop(self.release(client).await);
            return Err(Refusal::Lost(self.overtaken(client).await));
        }
        let path = path::header(&self.me.tree);
        let found = client.variable(&self.me.namespace, &path).await?;
        let items = self.header.write(self.me.tree.as_str());
        self.header_index = self.put(client, &path, &items, found.map(|found| found.index)).await?;
        for n in 0..self.indexes.len() {
            let found = client.variable(&self.me.namespace, &path::chunk(&self.me.tree, n)).await?;
            if found.as_ref().is_some_and(|it| Term::of(&it.items).as_ref() != Some(&self.header.term)) {
                self.still_leads(client, &path::chunk(&self.me.tree, n)).await?;
            }
            if let Some(place) = self.indexes.get_mut(n) {
                *place = found.map(|found| found.index);
            }
        }
        self.ledger.rewrite();
        self.write_out(client).await
    }

    /// Whether the head still says that we lead, or says nothing at all.
    async fn lead(&self, client: &Client) -> Result<bool, Refusal> {
        let found = client.variable(&self.me.namespace, &path::header(&self.me.tree)).await?;
        Ok(found.is_none_or(|found| Term::of(&found.items).as_ref() == Some(&self.header.term)))
    }

    fn unread(&self, path: &str, why: &Unread) -> Refusal {
        let header = path::header(&self.me.tree);
        Refusal::Unread(match why {
            Unread::Newer(version) => format!(
                "the record `{path}` in Nomad's Variables has version {version}, and this dtree knows version 1: a \
                 later dtree keeps it, so update the plugin on this client to that one"
            ),
            Unread::Damaged(what) => format!(
                "the record `{path}` in Nomad's Variables is damaged ({what}), so what its run did is not known: \
                 `nomad var purge -namespace {} {header}`, and the tree begins anew and finds what it submitted by \
                 its marks",
                self.me.namespace
            ),
        })
    }

    /// After something was found at `path` that somebody else wrote: whether it may be written over. It may if the head
    /// is still ours *after* that was read, for whoever takes the lead writes the head first.
    async fn still_leads(&self, client: &Client, path: &str) -> Result<(), Refusal> {
        let header = path::header(&self.me.tree);
        let found = client.variable(&self.me.namespace, &header).await?;
        match found.map(|found| Term::of(&found.items)) {
            None => Err(Refusal::Meddled(header)),
            Some(term) if path != header && term.as_ref() == Some(&self.header.term) => Ok(()),
            Some(_) => Err(Refusal::Lost(self.overtaken(client).await)),
        }
    }

    /// Who leads now, as well as that can be found out.
    async fn overtaken(&self, client: &Client) -> String {
        let read = client.variable(&self.me.namespace, &path::lock(&self.me.tree)).await;
        let items: BTreeMap<_, _> = read.ok().flatten().map(|found| found.items).unwrap_or_default();
        let item = |name: &str| items.get(name).map_or("?", String::as_str);
        format!(
            "allocation {} of job {} has taken over tree {} at {}; this run does nothing more",
            AllocId::from(item("alloc")).short(),
            item("job"),
            self.me.tree,
            item("since")
        )
    }
}

/// The lock that a task of an allocation has, in whichever process.
fn lock_of(me: &Candidate) -> Lock {
    let id = LockId::of([me.tree.as_str(), me.alloc.as_str(), &me.task]);
    Lock { id, ttl: TTL, delay: DELAY }
}

/// Whether a task of this allocation may still lead.
fn is_there(holder: &Allocation, task: &str) -> bool {
    use crate::cluster::AllocStatus::{Pending, Running};
    let has_ended = holder.tasks.get(task).is_some_and(|task| task.phase == TaskPhase::Dead);
    holder.is_wanted && matches!(holder.status, Pending | Running) && !has_ended
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
