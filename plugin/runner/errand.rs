//! What a run needs beyond looking and telling when it is that of a tree: hands, a memory, and acts under way.

use std::{collections::BTreeMap, mem, path::Path, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    acts::Hands,
    clock::wall_clock,
    memory::{self, Beginning, Memory, Past},
};
use crate::{
    cluster::{AllocId, RunId, TreeName},
    engine::{Action, Entry, Event, Trouble},
    jobspec::Prepared,
    manifest::Manifest,
    plan::Blueprint,
    watch::Viewer,
};

/// How long to wait before a journal that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The errand of a tree: what it takes to submit jobs and to go on after a crash.
#[derive(Debug)]
pub struct Errand {
    hands: Arc<Hands>,
    manifest: Manifest,
    alloc: AllocId,
    memory: Memory,
    past: Past,
    acts: JoinSet<Done>,
    /// What waits until what must be remembered is written down.
    backlog: Vec<Action>,
    retry_at: Option<Instant>,
    is_hindered: bool,
}

/// What came of something that was under way.
#[derive(Debug)]
pub(super) enum Done {
    /// The jobspecs.
    Prepared(Result<Prepared, Trouble>),
    /// An act.
    Acted(Event),
}

impl Errand {
    /// The errand of tree `tree` with the task's own `viewer`, files and journal beneath `alloc_dir`. Whoever recovers
    /// goes on with what the journal says; whoever starts anew goes on with it if it is unfinished and nothing of the
    /// tree has changed.
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
    ) -> Result<Self, memory::Error> {
        let (memory, mut past) = Memory::open(alloc_dir, &viewer.task, tree.as_str())?;
        if past.has_ended() && !is_recovery {
            past = Past::default();
        }
        let hands = Hands::new(viewer, tree, manifest.tree.clone(), alloc_dir.to_owned());
        Ok(Self {
            hands: Arc::new(hands),
            manifest: manifest.clone(),
            alloc,
            memory,
            past,
            acts: JoinSet::new(),
            backlog: Vec::new(),
            retry_at: None,
            is_hindered: false,
        })
    }

    /// The tree's name.
    pub(super) fn tree(&self) -> &TreeName {
        &self.hands.tree
    }

    /// What the run remembers.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.past.entries.clone()
    }

    /// Begins to prepare the jobspecs.
    pub(super) fn prepare(&mut self) {
        let hands = Arc::clone(&self.hands);
        self.acts.spawn(async move { Done::Prepared(hands.prepare().await) });
    }

    /// Takes what is prepared, and writes down what the run begins with, unless it goes on with the same.
    pub(super) async fn prepared(&mut self, result: Result<Prepared, Trouble>) -> Event {
        let prepared = match result {
            Ok(prepared) => prepared,
            Err(trouble) => return Event::Unprepared(trouble),
        };
        let blueprints: BTreeMap<String, Blueprint> =
            prepared.iter().map(|(node, spec)| (node.clone(), spec.blueprint.clone())).collect();
        match self.begin(blueprints.clone()).await {
            Ok((run, is_same)) => {
                self.past = Past::default();
                self.hands.take(prepared);
                Event::Prepared { blueprints, is_same, run }
            }
            Err(error) => {
                let why = format!("nothing is begun before the journal can be written: {}", error.chain());
                Event::Unprepared(Trouble { why, is_transient: true })
            }
        }
    }

    /// Begins anew, or goes on: then `true`.
    async fn begin(
        &mut self,
        blueprints: BTreeMap<String, Blueprint>,
    ) -> Result<(RunId, bool), memory::Error> {
        let mut beginning = Beginning::new(&self.manifest, blueprints)?;
        let new = |at| RunId::of(&self.hands.tree, &self.alloc, at);
        if let Some(before) = self.past.beginning.as_ref().filter(|before| beginning.is_as(before)) {
            let run = before.run.clone().unwrap_or_else(|| new(self.past.began_at()));
            self.memory.go_on();
            return Ok((run, true));
        }
        let run = new(wall_clock().unix_millis());
        beginning.run = Some(run.clone());
        self.memory.begin(beginning).await?;
        Ok((run, false))
    }

    /// Keeps what is to be done until what must be remembered is written down.
    pub(super) fn add(&mut self, action: Action) {
        self.backlog.push(action);
    }

    /// Writes down what must be remembered, and gives what may be done now. The event says that it could not be
    /// written, or can be again.
    pub(super) async fn flush(&mut self) -> (Vec<Action>, Option<Event>) {
        let entries: Vec<Entry> = self
            .backlog
            .iter()
            .filter_map(|action| match action {
                Action::Remember(entry) => Some(entry.clone()),
                _ => None,
            })
            .collect();
        let has_entries = !entries.is_empty();
        if let Err(error) = self.memory.append(entries).await {
            self.retry_at = Some(Instant::now() + RETRY);
            let is_news = !mem::replace(&mut self.is_hindered, true);
            return (Vec::new(), is_news.then(|| Event::Hindered(Some(error.chain()))));
        }
        self.retry_at = None;
        let is_news = has_entries && mem::take(&mut self.is_hindered);
        let mut actions = mem::take(&mut self.backlog);
        actions.retain(|action| !matches!(action, Action::Remember(_)));
        (actions, is_news.then_some(Event::Hindered(None)))
    }

    /// When the backlog is to be flushed again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Begins an act.
    pub(super) fn act(&mut self, name: String, act: crate::engine::Act) {
        let hands = Arc::clone(&self.hands);
        self.acts.spawn(async move {
            let result = hands.perform(&name, act).await;
            Done::Acted(Event::Acted(name, result))
        });
    }

    /// What came of the next thing that is done. Nothing is lost when the returned future is dropped. Never returns
    /// while nothing is under way.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> Done {
        match self.acts.join_next().await {
            Some(Ok(done)) => done,
            // An act that panicked ends the run as its own panic would.
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) | None => {
                stop.cancelled().await;
                std::future::pending().await
            }
        }
    }
}
