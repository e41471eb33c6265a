//! What the run of a guard needs beyond looking and telling: its deeds, and a memory that outlives what it does.
//!
//! ```text
//!   Keep, Do, … ──▶  backlog ──▶ one write of the newest Keep ──▶ the deeds that were behind it
//! ```
//!
//! The memory is a journal in the task's directory. Nomad leaves that alone when it restarts an allocation with all its
//! tasks, so a guard that is restarted by what it does finds there that it has done it. Another allocation begins anew.
//!
//! # Invariants
//!
//! * An act is begun only after what must be remembered of it is on the disk; where it cannot be written, the act comes
//!   to nothing and says so.

use std::{
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::task::{JoinSet, spawn_blocking};

use super::{
    acts::{read_trouble, write_trouble},
    keep,
};
use crate::{
    cluster::AllocId,
    engine::{Action, Deed, Event, Keepsake, Report, Trouble},
    nomad::Client,
    watch::Viewer,
};

/// Stands in the journal where that of a tree has the tree's name. No tree is called so: they have a `/`.
const NAME: &str = "guard";

/// A guard's way to Nomad, and its memory.
#[derive(Debug)]
pub struct Patrol {
    viewer: Arc<Viewer>,
    alloc: AllocId,
    alloc_dir: PathBuf,
    past: Option<Result<Keepsake, String>>,
    backlog: Vec<Action>,
    /// Whether what is to be remembered is being written; what comes meanwhile waits.
    is_writing: bool,
    under_way: JoinSet<Done>,
}

/// What came of something that was under way.
#[derive(Debug)]
enum Done {
    /// What was to be remembered before these deeds.
    Wrote(Result<(), String>, Vec<(String, Deed)>),
    /// An act.
    Acted(Event),
}

impl Patrol {
    /// The patrol of a guard with the task's own `viewer`, whose memory is beneath `alloc_dir`. Whoever recovers goes on
    /// with all of it. Blocks for as long as reading and writing a local file takes.
    pub fn open(viewer: Viewer, alloc: AllocId, alloc_dir: &Path, is_recovery: bool) -> Self {
        let past = keep::read::<Keepsake>(alloc_dir, &viewer.task, NAME).and_then(|past| {
            if is_recovery {
                return Ok(past);
            }
            // At once, so that no later process goes on with what counts no more.
            let anew = past.clone().started_anew();
            if anew != past {
                keep::write(alloc_dir, &viewer.task, NAME, &anew)?;
            }
            Ok(anew)
        });
        let past = past.map_err(|why| format!("what it did before cannot be read or written: {why}"));
        Self {
            viewer: Arc::new(viewer),
            alloc,
            alloc_dir: alloc_dir.to_owned(),
            past: Some(past),
            backlog: Vec::new(),
            is_writing: false,
            under_way: JoinSet::new(),
        }
    }

    /// What is remembered; asked once.
    pub(super) fn past(&mut self) -> Result<Keepsake, String> {
        self.past.take().unwrap_or_else(|| Ok(Keepsake::default()))
    }

    /// Keeps what is to be done until [`Patrol::flush`].
    pub(super) fn add(&mut self, action: Action) {
        self.backlog.push(action);
    }

    /// Begins what may be begun.
    pub(super) fn flush(&mut self) {
        if self.is_writing {
            return;
        }
        let mut newest = None;
        let mut deeds = Vec::new();
        for action in mem::take(&mut self.backlog) {
            match action {
                Action::Keep(keepsake) => newest = Some(keepsake),
                Action::Do(name, deed) => deeds.push((name, deed)),
                _ => {}
            }
        }
        let Some(keepsake) = newest else {
            for (name, deed) in deeds {
                self.begin(name, deed);
            }
            return;
        };
        self.is_writing = true;
        let (alloc_dir, task) = (self.alloc_dir.clone(), self.viewer.task.clone());
        self.under_way.spawn(async move {
            let written = spawn_blocking(move || keep::write(&alloc_dir, &task, NAME, &keepsake)).await;
            Done::Wrote(written.unwrap_or_else(|error| Err(error.to_string())), deeds)
        });
    }

    fn begin(&mut self, name: String, deed: Deed) {
        let (viewer, alloc) = (Arc::clone(&self.viewer), self.alloc.clone());
        self.under_way.spawn(async move {
            let result = match viewer.client() {
                Ok(client) => perform(&client, &viewer, &alloc, deed).await,
                Err(error) => Err(read_trouble(&error)),
            };
            Done::Acted(Event::Acted(name, result))
        });
    }

    /// What came of the next thing that is done; `None` when only [`Patrol::flush`] has more to do. Nothing is lost when
    /// the returned future is dropped. Never returns while nothing is under way.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            match self.under_way.join_next().await {
                Some(Ok(Done::Acted(event))) => return Some(event),
                Some(Ok(Done::Wrote(result, deeds))) => {
                    self.is_writing = false;
                    match result {
                        Ok(()) => {
                            for (name, deed) in deeds {
                                self.begin(name, deed);
                            }
                        }
                        Err(why) => self.give_up(&why, deeds),
                    }
                    return None;
                }
                // An act that panicked ends the run as its own panic would.
                Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Some(Err(_)) => {}
                None => return std::future::pending().await,
            }
        }
    }

    /// None of `deeds` is begun.
    fn give_up(&mut self, why: &str, deeds: Vec<(String, Deed)>) {
        tracing::warn!(why, "what a guard must not forget cannot be written");
        for (name, _) in deeds {
            let why = format!("that it deeds cannot be written down, so nothing is done: {why}");
            let event = Event::Acted(name, Err(Trouble { why, is_transient: false }));
            self.under_way.spawn(async move { Done::Acted(event) });
        }
    }
}

/// Does something to the allocation of the task of `viewer`.
async fn perform(client: &Client, viewer: &Viewer, alloc: &AllocId, deed: Deed) -> Result<Report, Trouble> {
    let namespace = &viewer.job.namespace;
    let done = match deed {
        Deed::Prove => {
            let proven = client.prove_lifecycle(alloc, namespace).await;
            return proven.map(|()| Report::Done).map_err(|error| read_trouble(&error));
        }
        Deed::Restart { all } => client.restart_allocation(alloc, namespace, all).await,
        Deed::Signal { tasks, signal } => {
            let mut done = Ok(());
            for task in tasks {
                let sent = client.signal_task(alloc, namespace, &task, &signal).await;
                done = done.and(sent);
            }
            done
        }
    };
    done.map(|()| Report::Done).map_err(|error| write_trouble(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::JobKey;
    use crate::watch::Way;

    fn viewer() -> Viewer {
        Viewer {
            way: Way::Task {
                socket: "/nowhere/api.sock".into(),
                token_file: "/nowhere/nomad_token".into(),
                env_token: None,
            },
            job: JobKey::new("default", "shop"),
            task: "guard".to_owned(),
        }
    }

    fn keepsake(text: &str) -> Keepsake {
        serde_json::from_str(text).unwrap()
    }

    fn patrol(dir: &Path, is_recovery: bool) -> Patrol {
        Patrol::open(viewer(), "a".into(), dir, is_recovery)
    }

    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("guard")).unwrap();
        dir
    }

    #[tokio::test]
    async fn what_is_kept_is_there_for_the_next_process_and_less_for_a_task_that_is_started_anew() {
        let dir = directory();
        let mut first = patrol(dir.path(), false);
        assert_eq!(first.past(), Ok(Keepsake::default()));
        let kept = keepsake(r#"{"waits":{"a":"held","b":"answered"},"acts":[7]}"#);
        first.add(Action::Keep(keepsake(r#"{"waits":{},"acts":[1]}"#)));
        first.add(Action::Keep(kept.clone()));
        first.flush();
        assert!(first.next().await.is_none());
        assert_eq!(patrol(dir.path(), true).past(), Ok(kept));
        let anew = keepsake(r#"{"waits":{"b":"answered"},"acts":[7]}"#);
        assert_eq!(patrol(dir.path(), false).past(), Ok(anew.clone()));
        assert_eq!(patrol(dir.path(), true).past(), Ok(anew), "written at once");
    }

    #[tokio::test]
    async fn nothing_is_done_that_cannot_be_written_down() {
        let dir = directory();
        let mut patrol = patrol(dir.path(), false);
        patrol.past().unwrap();
        std::fs::remove_dir_all(dir.path().join("guard")).unwrap();
        patrol.add(Action::Keep(Keepsake::default()));
        patrol.add(Action::Do("db".to_owned(), Deed::Restart { all: true }));
        patrol.flush();
        assert!(patrol.next().await.is_none());
        let Some(Event::Acted(name, Err(trouble))) = patrol.next().await else { panic!("it was done") };
        assert_eq!(name, "db");
        assert!(!trouble.is_transient && trouble.why.contains("nothing is done"), "{}", trouble.why);
    }

    #[test]
    fn a_memory_that_is_not_understood_is_said_and_left_alone() {
        let dir = directory();
        patrol(dir.path(), false);
        let file = dir.path().join("guard/dtree/journal");
        let text = std::fs::read_to_string(&file).unwrap() + "{\"waits\":{},\"acts\":[],\"more\":1}\n";
        std::fs::write(&file, &text).unwrap();
        let why = patrol(dir.path(), false).past().unwrap_err();
        assert!(why.contains("cannot be read") && why.contains("more"), "{why}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}
