//! The memory of a tree's run: in Nomad's Variables, or, where those are refused, in the task's directory.
//!
//! ```text
//!   lead ──▶ what was remembered ──▶ begin, or go on ──▶ append … renew … ──▶ close
//! ```
//!
//! The journal in the task's directory also says in which epoch the task has led, so that a process that goes on after
//! another allocation took over knows that.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    clock::{spelled, wall_clock},
    journal::{Beginning, Error, JournalMemory, Past},
    lease::Lease,
};
use crate::{
    cluster::{AllocId, RunId, TreeName},
    engine::{Entry, Lead, Time, Trouble},
    record::{Candidate, FREE_AFTER, Keeper, Note, Process, Refusal},
    watch::Viewer,
};

/// How many runs the history has.
const RUNS: usize = 20;
/// How much of a run's last words the history keeps, in bytes.
const WORDS: usize = 1000;
/// The notes that are no step's. No step is called so: a tilde is doubled in those.
const BEGAN: &str = "~began";
const CONCLUDED: &str = "~concluded";
const ENDED: &str = "~ended";

/// The memory of one run.
#[derive(Debug)]
pub(super) struct Memory {
    viewer: Viewer,
    tree: TreeName,
    alloc: AllocId,
    /// The process, where it is no task.
    process: Option<Process>,
    /// Who led when this run first could not, of whom it is not known whether they are still there, and since when.
    unclear: Option<(String, Instant)>,
    is_recovery: bool,
    /// Whether it is led, by one task at a time; the hooks of a hook task are those of each allocation.
    is_led: bool,
    lease: Arc<Lease>,
    journal: JournalMemory,
    keeper: Option<Keeper>,
    past: Past,
    /// The run in the record, and the digest of what it began with.
    past_run: Option<(RunId, String)>,
    /// What the history is told when the run has ended.
    run: Option<RunId>,
    began: Option<u64>,
}

/// Why something was not remembered.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Somebody else leads now.
    Lost(String),
    /// What is in the way; it is tried again.
    Hindered(String),
}

impl From<Refusal> for Unwritten {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Lost(why) => Self::Lost(why),
            Refusal::Nomad(error) if error.is_too_large() => Self::Hindered(format!(
                "{}; a step of this tree remembers more than Nomad takes: end the run, and report this",
                error.chain()
            )),
            refusal => Self::Hindered(trouble(refusal).why),
        }
    }
}

impl From<Error> for Unwritten {
    fn from(error: Error) -> Self {
        Self::Hindered(error.chain())
    }
}

impl From<crate::nomad::Error> for Unwritten {
    fn from(error: crate::nomad::Error) -> Self {
        Refusal::from(error).into()
    }
}

impl Memory {
    pub(super) fn new(
        viewer: Viewer,
        tree: TreeName,
        (alloc, process): (AllocId, Option<Process>),
        is_recovery: bool,
        is_led: bool,
        lease: Arc<Lease>,
        (journal, past): (JournalMemory, Past),
    ) -> Self {
        Self {
            viewer,
            tree,
            alloc,
            process,
            unclear: None,
            is_recovery,
            is_led,
            lease,
            journal,
            keeper: None,
            past,
            past_run: None,
            run: None,
            began: None,
        }
    }

    /// Takes the lead of the tree.
    pub(super) async fn lead(&mut self) -> Result<Lead, Trouble> {
        if !self.is_led {
            self.forget_unless_unfinished();
            return Ok(Lead { entries: self.past.entries.clone(), note: None });
        }
        let client = self.viewer.client().map_err(|error| trouble(error.into()))?;
        let now = wall_clock();
        let candidate = Candidate {
            tree: self.tree.clone(),
            namespace: self.viewer.job.namespace.clone(),
            job: self.viewer.job.job.to_string(),
            alloc: self.alloc.clone(),
            task: self.viewer.task.clone(),
            process: self.process.clone(),
            since: (now.unix_millis(), spelled(now)),
            led_before: self.past.led.as_ref().filter(|_| self.is_recovery).map(|(epoch, _)| *epoch),
        };
        let sent = Instant::now();
        let (keeper, remembered) = match Keeper::take(&client, candidate).await {
            Ok(taken) => taken,
            Err(Refusal::Denied(error)) => {
                let where_kept = if self.journal.is_kept() {
                    "its record is kept in the task's directory, because Nomad's Variables are refused: on another \
                     client it could not go on"
                } else {
                    "it keeps no record, because Nomad's Variables are refused: if this process is killed, the next \
                     run begins anew and finds what was submitted by its marks"
                };
                let note = format!(
                    "{where_kept}, two runs at once are not kept apart, and there is no history; {}",
                    super::acts::told(&error)
                );
                self.forget_unless_unfinished();
                return Ok(Lead { entries: self.past.entries.clone(), note: Some(note) });
            }
            Err(Refusal::Unclear { lock, said, led }) => return Err(self.unclear(lock, said, led)),
            Err(refusal) => return Err(trouble(refusal)),
        };
        self.lease.renewed(sent);
        let entries: Result<Vec<Entry>, _> =
            remembered.notes.into_iter().map(|note| serde_json::from_value(note.value)).collect();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                drop(keeper.release(&client).await);
                let why = format!(
                    "the record `dtree/{}/~run` in Nomad's Variables was written by another version of dtree: update \
                     the plugin on this client, or take it away with `nomad var purge`, and the tree begins anew and \
                     finds what it submitted by its marks: {error}",
                    self.tree
                );
                return Err(Trouble { why, is_transient: false });
            }
        };
        // A journal of its own run, kept when Variables were refused or by an earlier version, is newer.
        if self.past.beginning.is_none() {
            self.past.entries = entries;
            self.past_run = remembered.run;
        }
        self.forget_unless_unfinished();
        let epoch = keeper.epoch();
        self.keeper = Some(keeper);
        if self.past.beginning.is_none()
            && let Err(error) = self.journal.lead(epoch, None).await
        {
            tracing::warn!(error = %error.chain(), "cannot write the journal");
        }
        Ok(Lead { entries: self.past.entries.clone(), note: None })
    }

    /// Somebody leads, or has led, of whom it is not known whether they are still there: they are if the lock is still
    /// theirs when it would be free.
    fn unclear(&mut self, lock: String, said: String, led: String) -> Trouble {
        let now = Instant::now();
        let (whose, since) = self.unclear.get_or_insert_with(|| (lock.clone(), now));
        if *whose != lock {
            (*whose, *since) = (lock, now);
        }
        let is_there = now.duration_since(*since) > FREE_AFTER;
        Trouble { why: if is_there { led } else { said }, is_transient: !is_there }
    }

    /// A finished run is over, unless it was this task's and Nomad has not heard of its end.
    fn forget_unless_unfinished(&mut self) {
        let led = self.past.led.as_ref().and_then(|(_, run)| run.as_ref());
        let is_own = self.past.beginning.is_some() || led == self.past_run.as_ref().map(|(run, _)| run);
        if self.past.has_ended() && !(self.is_recovery && is_own) {
            self.past = Past::default();
            self.past_run = None;
        }
    }

    /// Begins anew, or goes on: then `true`.
    pub(super) async fn begin(&mut self, mut beginning: Beginning) -> Result<(RunId, bool), Unwritten> {
        let new = |at| RunId::of(&self.tree, &self.alloc, &self.viewer.task, at);
        let digest = beginning.digest()?;
        let began_at = self.past.began_at();
        let before = match (&self.past.beginning, &self.past_run) {
            (Some(before), _) if beginning.is_as(before) => {
                Some(before.run.clone().unwrap_or_else(|| new(began_at)))
            }
            (None, Some((run, before))) if *before == digest => Some(run.clone()),
            _ => None,
        };
        let is_same = before.is_some();
        let run = before.unwrap_or_else(|| new(wall_clock().unix_millis()));
        match &mut self.keeper {
            None if is_same => self.journal.go_on(),
            None => {
                beginning.run = Some(run.clone());
                self.journal.begin(beginning).await?;
            }
            Some(_) if is_same && self.past.beginning.is_none() => {}
            Some(keeper) => {
                let client = self.viewer.client()?;
                keeper.begin(&client, run.clone(), digest).await?;
                if is_same {
                    // It goes on in Variables, and not in the journal any more.
                    keeper.stage(notes(self.past.entries.clone())?);
                    keeper.write(&client).await?;
                }
            }
        }
        if let Some(epoch) = self.keeper.as_ref().map(Keeper::epoch) {
            match self.journal.lead(epoch, Some(run.clone())).await {
                // What stands there of the run would be taken for newer.
                Err(error) if self.past.beginning.is_some() => return Err(error.into()),
                // Only a process that goes on after another has taken over needs it.
                Err(error) => tracing::warn!(error = %error.chain(), "cannot write the journal"),
                Ok(()) => {}
            }
        }
        self.run = Some(run.clone());
        self.began = (began_at > 0 && is_same).then_some(began_at);
        self.past = Past::default();
        Ok((run, is_same))
    }

    /// Appends entries so that a crash does not lose them. Those that could not be written are written with the next.
    pub(super) async fn append(&mut self, entries: Vec<Entry>) -> Result<(), Unwritten> {
        for entry in &entries {
            if let Entry::Began { at } = entry {
                self.began = Some(at.unix_millis());
            }
        }
        match &mut self.keeper {
            None => Ok(self.journal.append(entries).await?),
            Some(keeper) if self.run.is_some() => {
                keeper.stage(notes(entries)?);
                Ok(keeper.write(&self.viewer.client()?).await?)
            }
            // It came to nothing before it began.
            Some(_) => Ok(()),
        }
    }

    /// Whether what could not be written is kept here, to be written with the next.
    pub(super) fn keeps_what_is_unwritten(&self) -> bool {
        self.keeper.is_some()
    }

    /// Renews the lock.
    pub(super) async fn renew(&mut self) -> Result<(), Unwritten> {
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        let sent = Instant::now();
        keeper.renew(&self.viewer.client()?).await?;
        self.lease.renewed(sent);
        Ok(())
    }

    /// The run ends: adds it to the history, and lets the lock go.
    pub(super) async fn close(&mut self, ended: Option<&Entry>) {
        let (Some(keeper), Ok(client)) = (&self.keeper, self.viewer.client()) else { return };
        if let (Some(Entry::Ended { at, is_good, message }), Some(run)) = (ended, &self.run) {
            let by = self.process.as_ref().map(ToString::to_string);
            let alloc = by.is_none().then_some(&self.alloc);
            let entry = json!({
                "run": run,
                "began": self.began.map(|at| spelled(Time::from_unix_millis(at))),
                "ended": spelled(*at),
                "good": is_good,
                "message": message.get(..message.floor_char_boundary(WORDS)),
                "alloc": alloc,
                "by": by,
            });

            if let Err(refusal) = keeper.add_history(&client, entry, RUNS).await {
                tracing::warn!(%refusal, "the run is not in the history");
            }
        }
        if let Err(refusal) = keeper.release(&client).await {
            tracing::warn!(%refusal, "the tree's lock was not released, and is free after a while");
        }
    }
}

/// Entries under the names under which the record has them.
fn notes(entries: Vec<Entry>) -> Result<Vec<Note>, Error> {
    let note = |entry: Entry| -> Result<Note, Error> {
        let name = match &entry {
            Entry::Began { .. } => BEGAN.to_owned(),
            Entry::Concluded { .. } => CONCLUDED.to_owned(),
            Entry::Ended { .. } => ENDED.to_owned(),
            Entry::Step { name, .. } => name.replace('~', "~~"),
        };
        let value: Value = serde_json::to_value(entry)?;
        Ok(Note { name, value })
    };
    entries.into_iter().map(note).collect()
}

/// Why the lead was not taken, with whether that may pass.
fn trouble(refusal: Refusal) -> Trouble {
    let is_transient = match &refusal {
        Refusal::NotFreeYet(_) | Refusal::Unclear { .. } | Refusal::Meddled(_) => true,
        Refusal::Led(_) | Refusal::Lost(_) | Refusal::Unread(_) | Refusal::Denied(_) => false,
        Refusal::Nomad(error) => error.is_transient() || error.is_unsettled(),
    };
    let why = match refusal {
        Refusal::Denied(error) | Refusal::Nomad(error) => super::acts::told(&error),
        refusal => refusal.to_string(),
    };
    Trouble { why, is_transient }
}
