//! What a run needs beyond looking and telling when it is that of a tree: hands, a memory, and acts under way.
//!
//! ```text
//!   actions ──▶ backlog ──▶ one write of all that is to be remembered ──▶ ready ──▶ watch, act
//!                  ▲                 │ under way: what comes meanwhile
//!                  └─────────────────┘ goes into the next one
//! ```

use std::{collections::BTreeMap, mem, path::Path, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Ending,
    acts::Hands,
    journal::{self, Beginning, JournalMemory, Past},
    lease::{Lease, PERIOD},
    memory::{Memory, Unwritten},
};
use crate::{
    cluster::{AllocId, RunId, TreeName},
    engine::{Action, Entry, Event, Lead, Trouble},
    jobspec::{Files, Prepared, TaskDir},
    manifest::{Manifest, Webhook},
    plan::Blueprint,
    record::Process,
    watch::Viewer,
};

/// How long to wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long what nothing follows from yet waits for more to be written with it: a crash meanwhile is as one before it
/// happened, and whoever goes on finds it in the cluster.
const GATHER: Duration = Duration::from_millis(100);
/// How long the last words of a run may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// The same where Nomad stops the task, which it gives five seconds.
const LAST_WORDS_OF_A_STOPPED: Duration = Duration::from_secs(3);

/// The errand of a tree: what it takes to submit jobs and to go on after a crash.
#[derive(Debug)]
pub struct Errand {
    hands: Arc<Hands>,
    manifest: Manifest,
    /// `None` while it is being written to.
    memory: Option<Box<Memory>>,
    acts: JoinSet<Done>,
    /// What waits until what must be remembered is written down.
    backlog: Vec<Action>,
    /// What may be done as soon as the write that is under way has succeeded.
    pending: Vec<Action>,
    /// What may be done now.
    ready: Vec<Action>,
    /// Whether what `pending` waits for is not written yet.
    is_dirty: bool,
    /// What could not be written.
    unwritten: Vec<Entry>,
    retry_at: Option<Instant>,
    /// Until when what is to be written waits for more.
    gather_until: Option<Instant>,
    renew_at: Option<Instant>,
    is_hindered: bool,
    ended: Option<Entry>,
}

/// What came of something that was under way.
#[derive(Debug)]
enum Done {
    /// The lead.
    Led(Box<Memory>, Result<Lead, Trouble>),
    /// The jobspecs.
    Prepared(Result<Prepared, Trouble>),
    /// The run has begun, or goes on.
    Begun(Box<Memory>, Prepared, Result<(RunId, bool), Unwritten>),
    /// What was to be remembered; where that failed, it is given back unless the memory keeps it.
    Wrote(Box<Memory>, Vec<Entry>, Result<(), Unwritten>),
    /// The lock.
    Renewed(Box<Memory>, Result<(), Unwritten>),
    /// An act.
    Acted(Event),
}

impl Errand {
    /// The errand of tree `tree` in allocation `alloc`, with the task's own `viewer`, files and journal beneath
    /// `alloc_dir`. Whoever recovers goes on with what is remembered; whoever starts anew goes on with it if it is
    /// unfinished and nothing of the tree has changed.
    ///
    /// # Errors
    ///
    /// When there is a journal that is not understood.
    pub fn open(
        tree: TreeName,
        viewer: Viewer,
        alloc_dir: &Path,
        manifest: &Manifest,
        alloc: AllocId,
        is_recovery: bool,
    ) -> Result<Self, journal::Error> {
        let journal = JournalMemory::open(alloc_dir, &viewer.task, tree.as_str())?;
        let files = Files::Task(TaskDir::new(alloc_dir, viewer.task.clone()));
        Ok(Self::new(tree, viewer, files, manifest, (alloc, None), is_recovery, journal))
    }

    /// The errand of tree `tree` for a user, whose jobspecs are `files`. It goes on with a run that is unfinished, whoever
    /// has begun it, if nothing of the tree has changed.
    pub fn of_user(
        tree: TreeName,
        viewer: Viewer,
        files: Files,
        manifest: &Manifest,
        alloc: AllocId,
        process: Process,
    ) -> Self {
        let who = (alloc, Some(process));
        Self::new(tree, viewer, files, manifest, who, false, JournalMemory::none())
    }

    fn new(
        tree: TreeName,
        viewer: Viewer,
        files: Files,
        manifest: &Manifest,
        who: (AllocId, Option<Process>),
        is_recovery: bool,
        journal: (JournalMemory, Past),
    ) -> Self {
        let is_led = manifest.tree.as_ref().is_some_and(|tree| !tree.jobs.is_empty());
        let lease = Arc::new(Lease::default());
        let memory =
            Memory::new(viewer.clone(), tree.clone(), who, is_recovery, is_led, Arc::clone(&lease), journal);
        let hands = Hands::new(viewer, tree, manifest.tree.clone(), files, lease);
        Self {
            hands: Arc::new(hands),
            manifest: manifest.clone(),
            memory: Some(Box::new(memory)),
            acts: JoinSet::new(),
            backlog: Vec::new(),
            pending: Vec::new(),
            ready: Vec::new(),
            is_dirty: false,
            unwritten: Vec::new(),
            retry_at: None,
            gather_until: None,
            renew_at: None,
            is_hindered: false,
            ended: None,
        }
    }

    /// The addresses that are told how the run ended.
    pub(super) fn webhooks(&self) -> impl Iterator<Item = (&String, &Webhook)> {
        self.manifest.tree.iter().flat_map(|tree| &tree.webhooks)
    }

    /// The tree's name.
    pub(super) fn tree(&self) -> &TreeName {
        &self.hands.tree
    }

    /// Begins to take the lead.
    pub(super) fn lead(&mut self) {
        if let Some(mut memory) = self.memory.take() {
            self.acts.spawn(async move {
                let result = memory.lead().await;
                Done::Led(memory, result)
            });
        }
    }

    /// Begins to prepare the jobspecs.
    pub(super) fn prepare(&mut self) {
        let hands = Arc::clone(&self.hands);
        self.acts.spawn(async move { Done::Prepared(hands.prepare().await) });
    }

    /// Writes down what the run begins with, unless it goes on with the same.
    fn begin(&mut self, prepared: Prepared) -> Option<Event> {
        let Some(mut memory) = self.memory.take() else {
            // The lock is being renewed: soon again.
            let why = "the tree's lock is being renewed".to_owned();
            return Some(Event::Unprepared(Trouble { why, is_transient: true }));
        };
        let beginning = match Beginning::new(&self.manifest, blueprints(&prepared)) {
            Ok(beginning) => beginning,
            Err(error) => {
                self.memory = Some(memory);
                return Some(Event::Unprepared(Trouble { why: error.chain(), is_transient: false }));
            }
        };
        self.acts.spawn(async move {
            let result = memory.begin(beginning).await;
            Done::Begun(memory, prepared, result)
        });
        None
    }

    /// Keeps what is to be done until what must be remembered is written down.
    pub(super) fn add(&mut self, action: Action) {
        if let Action::Remember(entry @ Entry::Ended { .. }) = &action {
            self.ended = Some(entry.clone());
        }
        self.backlog.push(action);
    }

    /// What may be done now. Begins to write what must be remembered before the rest.
    pub(super) fn flush(&mut self) -> Vec<Action> {
        if !self.is_dirty {
            let is_entry = |action: &Action| matches!(action, Action::Remember(_));
            let first = self.backlog.iter().position(is_entry).unwrap_or(self.backlog.len());
            self.ready.extend(self.backlog.drain(..first));
        }
        if self.retry_at.is_none_or(|at| at <= Instant::now()) && !self.gathers() {
            self.write();
        }
        mem::take(&mut self.ready)
    }

    /// Whether what is to be written waits for more.
    fn gathers(&mut self) -> bool {
        let is_followed = self.backlog.iter().any(|action| !matches!(action, Action::Remember(_)));
        if self.backlog.is_empty() || self.is_dirty || is_followed {
            self.gather_until = None;
            return false;
        }
        let now = Instant::now();
        *self.gather_until.get_or_insert(now + GATHER) > now
    }

    /// Begins to write, unless a write is under way or there is nothing to be written.
    fn write(&mut self) {
        let has_entries = self.backlog.iter().any(|action| matches!(action, Action::Remember(_)));
        if !has_entries && !self.is_dirty {
            return;
        }
        let Some(mut memory) = self.memory.take() else { return };
        self.is_dirty = true;
        let entries = self.group();
        self.acts.spawn(async move {
            let kept = if memory.keeps_what_is_unwritten() { Vec::new() } else { entries.clone() };
            let result = memory.append(entries).await;
            Done::Wrote(memory, kept, result)
        });
    }

    /// All that is to be written, the oldest first; what follows from it waits for that.
    fn group(&mut self) -> Vec<Entry> {
        let mut entries = mem::take(&mut self.unwritten);
        for action in self.backlog.drain(..) {
            match action {
                Action::Remember(entry) => entries.push(entry),
                action => self.pending.push(action),
            }
        }
        entries
    }

    /// When the backlog is to be flushed again, if nothing happens before.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at.into_iter().chain(self.gather_until).min().filter(|_| self.memory.is_some())
    }

    /// Begins an act.
    pub(super) fn act(&mut self, name: String, act: crate::engine::Act) {
        let hands = Arc::clone(&self.hands);
        self.acts.spawn(async move {
            let result = hands.perform(&name, act).await;
            Done::Acted(Event::Acted(name, result))
        });
    }

    /// What came of the next thing that is done; `None` when only [`Errand::flush`] has more to do. Nothing is lost when
    /// the returned future is dropped. Never returns while nothing is under way.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Option<Event> {
        loop {
            let renew_at = self.renew_at.filter(|_| self.memory.is_some());
            let done = tokio::select! {
                done = self.acts.join_next() => done,
                () = sleep_until(renew_at.unwrap_or_else(Instant::now)), if renew_at.is_some() => {
                    self.renew();
                    continue;
                }
            };
            match done {
                Some(Ok(done)) => return self.done(done),
                // An act that panicked ends the run as its own panic would.
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                None if renew_at.is_some() => {
                    sleep_until(renew_at.unwrap_or_else(Instant::now)).await;
                    self.renew();
                }
                Some(Err(_)) | None => {
                    stop.cancelled().await;
                    return std::future::pending().await;
                }
            }
        }
    }

    fn renew(&mut self) {
        if let Some(mut memory) = self.memory.take() {
            self.acts.spawn(async move {
                let result = memory.renew().await;
                Done::Renewed(memory, result)
            });
        }
    }

    fn done(&mut self, done: Done) -> Option<Event> {
        match done {
            Done::Acted(event) => Some(event),
            Done::Led(memory, result) => {
                self.memory = Some(memory);
                self.renew_at = result.is_ok().then(|| self.hands.lease.due()).flatten();
                Some(Event::Led(result))
            }
            Done::Prepared(Ok(prepared)) => self.begin(prepared),
            Done::Prepared(Err(trouble)) => Some(Event::Unprepared(trouble)),
            Done::Begun(memory, prepared, result) => {
                self.memory = Some(memory);
                Some(match result {
                    Ok((run, is_same)) => {
                        let blueprints = blueprints(&prepared);
                        self.hands.take(prepared);
                        Event::Prepared { blueprints, is_same, run }
                    }
                    Err(Unwritten::Lost(why)) => Event::Lost(why),
                    Err(Unwritten::Hindered(why)) => {
                        let why = format!("nothing is begun before the run's record can be written: {why}");
                        Event::Unprepared(Trouble { why, is_transient: true })
                    }
                })
            }
            Done::Wrote(memory, entries, result) => {
                self.memory = Some(memory);
                match result {
                    Ok(()) => {
                        self.is_dirty = false;
                        self.retry_at = None;
                        self.ready.append(&mut self.pending);
                        mem::take(&mut self.is_hindered).then_some(Event::Hindered(None))
                    }
                    Err(why) => {
                        self.unwritten = entries;
                        self.retry_at = Some(Instant::now() + RETRY);
                        self.hindered(why)
                    }
                }
            }
            Done::Renewed(memory, result) => {
                self.memory = Some(memory);
                self.renew_at = Some(match &result {
                    Ok(()) => self.hands.lease.due().unwrap_or_else(Instant::now),
                    Err(_) => Instant::now() + RETRY.min(PERIOD),
                });
                match result {
                    Err(Unwritten::Lost(why)) => Some(Event::Lost(why)),
                    // Acts that it keeps from being begun say so.
                    Ok(()) | Err(Unwritten::Hindered(_)) => None,
                }
            }
        }
    }

    fn hindered(&mut self, why: Unwritten) -> Option<Event> {
        match why {
            Unwritten::Lost(why) => Some(Event::Lost(why)),
            Unwritten::Hindered(why) => {
                let is_news = !mem::replace(&mut self.is_hindered, true);
                is_news.then_some(Event::Hindered(Some(why)))
            }
        }
    }

    /// The run has ended: what is still to be remembered is written, and the tree let go. Where that fails, the next
    /// process ends the run again, which repeats nothing. What may be done now.
    pub(super) async fn close(&mut self, ending: &Ending) -> Vec<Action> {
        let limit = if *ending == Ending::Stopped { LAST_WORDS_OF_A_STOPPED } else { LAST_WORDS };
        let ended = self.ended.take();
        let write = async {
            while self.memory.is_none() {
                match self.acts.join_next().await {
                    // Too late to begin anything.
                    Some(Ok(Done::Prepared(_)) | Err(_)) => {}
                    Some(Ok(done)) => drop(self.done(done)),
                    None => return,
                }
            }
            // Nothing of it is done any more once another may lead.
            self.acts.shutdown().await;
            let entries = self.group();
            let Some(memory) = &mut self.memory else { return };
            let is_written = memory.append(entries).await;
            if is_written.is_ok() {
                self.ready.append(&mut self.pending);
            }
            memory.close(ended.as_ref().filter(|_| is_written.is_ok())).await;
        };
        if timeout(limit, write).await.is_err() {
            tracing::warn!("the end of a run could not be written in time");
        }
        mem::take(&mut self.ready)
    }
}

fn blueprints(prepared: &Prepared) -> BTreeMap<String, Blueprint> {
    prepared.iter().map(|(node, spec)| (node.clone(), spec.blueprint.clone())).collect()
}
