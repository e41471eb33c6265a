//! The lead of a tree: its lock, and who has it.

use std::time::Duration;

use super::{Keeper, Refusal};
use crate::{
    cluster::{AllocId, Allocation, LockId, Namespace, TaskPhase, TreeName},
    nomad::{Client, Lock},
    record::{
        Process,
        header::{Items, Term},
        path,
    },
};

/// How long a lock is held after it was last renewed; Nomad takes no less.
pub const TTL: Duration = Duration::from_secs(10);
/// How long nobody may have it after that.
const DELAY: Duration = Duration::from_secs(1);
/// When a lock that is not renewed is free at the latest, as measured (Nomad 1.11).
pub const FREE_AFTER: Duration = Duration::from_secs(2 * TTL.as_secs() + DELAY.as_secs());

/// Who wants to lead a tree: a task of an allocation, or a process at a command line.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The tree.
    pub tree: TreeName,
    /// The namespace of its own job, where the record is.
    pub namespace: Namespace,
    /// The job of the allocation.
    pub job: String,
    /// The allocation; of a process, what it is known by in its place.
    pub alloc: AllocId,
    /// The task.
    pub task: String,
    /// The process, where it is no task.
    pub process: Option<Process>,
    /// Now, in milliseconds of the Unix epoch and as text.
    pub since: (u64, String),
    /// The epoch in which an earlier process of this very task has led, when this one goes on with it.
    pub led_before: Option<u64>,
}

impl Keeper {
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

    pub(super) async fn acquire(&self, client: &Client) -> Result<(), Refusal> {
        let path = path::lock(&self.me.tree);
        let whose = match &self.me.process {
            Some(process) => process.items(),
            None => vec![("job", self.me.job.clone()), ("task", self.me.task.clone())],
        };
        let items: Items = [
            ("tree", self.me.tree.to_string()),
            ("alloc", self.me.alloc.to_string()),
            ("since", self.me.since.1.clone()),
        ]
        .into_iter()
        .chain(whose)
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
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
        let most = FREE_AFTER.as_secs();
        let who = format!("{} has led tree {} since {}", leader(&items), self.me.tree, item("since"));
        let still = "two runs of a tree at once would be in each other's way: wait for its end, or end it";
        if let Some(process) = Process::of(&items) {
            let pid = process.pid;
            let end = format!("`kill -INT {pid}` on {}", process.host);
            let led = format!("{who} and is still there, and {still} ({end}), and run the tree again");
            return Ok(match process.is_there() {
                Some(true) => Refusal::Led(led),
                Some(false) => Refusal::NotFreeYet(format!(
                    "{who} and has ended; waits until its lock is free, {most}s at most"
                )),
                None => Refusal::Unclear {
                    lock: alloc.to_string(),
                    said: format!("{who}; waits until it is clear that it is still there, {most}s at most"),
                    led,
                },
            });
        }
        let holder = client.allocation(&alloc, &self.me.namespace).await;
        let is_there = match holder {
            Ok(found) => found.is_some_and(|(_, holder)| is_there(&holder, item("task"))),
            // Who may not look waits.
            Err(error) if error.is_denied() => false,
            Err(error) => return Err(error.into()),
        };
        if is_there {
            return Ok(Refusal::Led(format!(
                "{who} and is still there, and {still} (`nomad alloc stop {}`), and run the tree again",
                alloc.short()
            )));
        }
        Ok(Refusal::NotFreeYet(format!("{who} and has ended; waits until its lock is free, {most}s at most")))
    }

    /// Takes the lead again if nobody else has led since, and writes everything again from memory.
    pub(super) async fn reclaim(&mut self, client: &Client) -> Result<(), Refusal> {
        match self.acquire(client).await {
            Err(Refusal::Led(who) | Refusal::NotFreeYet(who) | Refusal::Unclear { said: who, .. }) => {
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

    /// After something was found at `path` that somebody else wrote: whether it may be written over. It may if the head
    /// is still ours *after* that was read, for whoever takes the lead writes the head first.
    pub(super) async fn still_leads(&self, client: &Client, path: &str) -> Result<(), Refusal> {
        let header = path::header(&self.me.tree);
        let found = client.variable(&self.me.namespace, &header).await?;
        match found.map(|found| Term::of(&found.items)) {
            None => Err(Refusal::Meddled(header)),
            Some(term) if path != header && term.as_ref() == Some(&self.header.term) => Ok(()),
            Some(_) => Err(Refusal::Lost(self.overtaken(client).await)),
        }
    }

    /// Who leads now, as well as that can be found out.
    pub(super) async fn overtaken(&self, client: &Client) -> String {
        let read = client.variable(&self.me.namespace, &path::lock(&self.me.tree)).await;
        let items: Items = read.ok().flatten().map(|found| found.items).unwrap_or_default();
        let item = |name: &str| items.get(name).map_or("?", String::as_str);
        format!(
            "{} has taken over tree {} at {}; this run does nothing more",
            leader(&items),
            self.me.tree,
            item("since")
        )
    }
}

/// The lock that a task of an allocation has, in whichever process.
pub(super) fn lock_of(me: &Candidate) -> Lock {
    let id = LockId::of([me.tree.as_str(), me.alloc.as_str(), &me.task]);
    Lock { id, ttl: TTL, delay: DELAY }
}

/// Who leads by what the lock says.
fn leader(items: &Items) -> String {
    if let Some(process) = Process::of(items) {
        return process.to_string();
    }
    let item = |name: &str| items.get(name).map_or("?", String::as_str);
    format!("allocation {} of job {}", AllocId::from(item("alloc")).short(), item("job"))
}

/// Whether a task of this allocation may still lead.
fn is_there(holder: &Allocation, task: &str) -> bool {
    use crate::cluster::AllocStatus::{Pending, Running};
    let has_ended = holder.tasks.get(task).is_some_and(|task| task.phase == TaskPhase::Dead);
    holder.is_wanted && matches!(holder.status, Pending | Running) && !has_ended
}
