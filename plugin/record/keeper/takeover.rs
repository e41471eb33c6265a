//! How the record changes hands.

use super::{
    Keeper, Refusal, Remembered, TRIES,
    lead::{Candidate, lock_of},
};
use crate::{
    cluster::{RaftIndex, RunId},
    nomad::{Cas, Client},
    record::{
        header::{Header, Items, Term, Unread, read_chunk, write_chunk},
        ledger::{Ledger, Notes},
        path,
    },
};

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
}
