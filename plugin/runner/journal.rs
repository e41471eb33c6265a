//! What a run of a tree keeps in its task's directory: that it led, and where Variables are refused also what it began with
//! and what it remembers.
//!
//! ```text
//!   what it began with: a digest of the manifest, and what planning knows of each jobspec
//!   the engine's entries, as they come
//! ```
//!
//! No jobspec and no variable is kept, because they may hold secrets: whoever goes on prepares them again, and goes on
//! only if they are the same.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::{
    cluster::{RunId, digest},
    engine::Entry,
    manifest::Manifest,
    plan::Blueprint,
    record::{self, Journal},
};

/// A line of the journal.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// What the run began with.
    With(Beginning),
    /// What the engine remembers.
    Entry(Entry),
    /// The task leads its tree in this epoch, and the rest stands in Nomad's Variables.
    Led {
        /// The epoch.
        epoch: u64,
        /// The run, once it has begun.
        run: Option<RunId>,
    },
}

/// What a run began with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beginning {
    /// The run. Absent in journals of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunId>,
    /// A digest of what the user wrote, in hex.
    manifest: String,
    /// What each node submits, by its name.
    blueprints: BTreeMap<String, Blueprint>,
}

impl Beginning {
    pub(super) fn new(manifest: &Manifest, blueprints: BTreeMap<String, Blueprint>) -> Result<Self, Error> {
        let manifest = digest([serde_json::to_string(manifest)?.as_str()]);
        Ok(Self { run: None, manifest, blueprints })
    }

    /// What stands of it in a record.
    pub(super) fn digest(&self) -> Result<String, Error> {
        Ok(digest([serde_json::to_string(&Self { run: None, ..self.clone() })?.as_str()]))
    }

    /// Whether a run that began with `other` is one with this.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (&self.manifest, &self.blueprints) == (&other.manifest, &other.blueprints)
    }
}

/// What an earlier process left behind.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) beginning: Option<Beginning>,
    pub(super) entries: Vec<Entry>,
    /// The epoch in which it led the tree, and the run.
    pub(super) led: Option<(u64, Option<RunId>)>,
}

impl Past {
    /// When the run began, in milliseconds; zero when that was not written down any more.
    pub(super) fn began_at(&self) -> u64 {
        let began = self.entries.iter().find_map(|entry| match entry {
            Entry::Began { at } => Some(at.unix_millis()),
            _ => None,
        });
        began.unwrap_or_default()
    }

    /// Whether the run came to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Ended { .. }))
    }
}

/// Why a run's memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal is not understood, or cannot be opened.
    #[error(transparent)]
    Journal(#[from] record::Error),
    /// It cannot be written.
    #[error("cannot write the journal")]
    Io(#[from] io::Error),
    /// A line of it says what this dtree does not know.
    #[error(
        "the journal was written by another version of dtree; update the plugin on this client, or move the file \
         `dtree/journal` in the task's directory away: the run then begins anew and finds what it submitted by its marks"
    )]
    Foreign(#[from] serde_json::Error),
}

impl Error {
    /// The error with its sources, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

/// Where the journal of a task is.
#[derive(Debug)]
struct Place {
    alloc_dir: PathBuf,
    task: String,
    tree: String,
}

/// The memory of one run in a file.
#[derive(Debug)]
pub(super) struct JournalMemory {
    /// `None` while it is being written to, and before it is opened.
    journal: Option<Journal>,
    /// Where it is; `None` where nothing is kept.
    place: Option<Place>,
    /// Whether the run that goes on is the one in the journal. Before that nothing is appended.
    is_begun: bool,
}

impl JournalMemory {
    /// The memory of tree `tree`, run by `task` in the allocation whose directory is `alloc_dir`, and what is in it.
    /// Blocks for as long as reading a local file takes.
    ///
    /// # Errors
    ///
    /// When there is a journal, but it is not understood or cannot be read.
    pub(super) fn open(alloc_dir: &Path, task: &str, tree: &str) -> Result<(Self, Past), Error> {
        let (journal, lines) = Journal::open(alloc_dir, task, tree)?;
        let mut past = Past::default();
        for line in lines {
            match serde_json::from_value(line)? {
                Line::With(beginning) => {
                    past = Past { beginning: Some(beginning), ..Past::default() };
                }
                Line::Entry(entry) => past.entries.push(entry),
                Line::Led { epoch, run } => past = Past { led: Some((epoch, run)), ..Past::default() },
            }
        }
        let place = Place { alloc_dir: alloc_dir.to_owned(), task: task.to_owned(), tree: tree.to_owned() };
        Ok((Self { journal: Some(journal), place: Some(place), is_begun: false }, past))
    }

    /// That of a process at a command line, which has no place for one: nothing is kept.
    pub(super) fn none() -> (Self, Past) {
        (Self { journal: None, place: None, is_begun: false }, Past::default())
    }

    /// Whether what it is given outlives the process.
    pub(super) fn is_kept(&self) -> bool {
        self.place.is_some()
    }

    /// Goes on with the run in the journal.
    pub(super) fn go_on(&mut self) {
        self.is_begun = true;
    }

    /// Forgets the run in the journal, and begins another.
    pub(super) async fn begin(&mut self, beginning: Beginning) -> Result<(), Error> {
        let lines = values([Line::With(beginning)].into_iter())?;
        self.write(move |journal| journal.replace(&lines)).await?;
        self.is_begun = true;
        Ok(())
    }

    /// Forgets the run in the journal: what is remembered stands elsewhere, since the task leads.
    pub(super) async fn lead(&mut self, epoch: u64, run: Option<RunId>) -> Result<(), Error> {
        let lines = values([Line::Led { epoch, run }].into_iter())?;
        self.write(move |journal| journal.replace(&lines)).await
    }

    /// Appends entries, all or none, so that a crash does not lose them.
    pub(super) async fn append(&mut self, entries: Vec<Entry>) -> Result<(), Error> {
        if !self.is_begun || entries.is_empty() {
            return Ok(());
        }
        let lines = values(entries.into_iter().map(Line::Entry))?;
        self.write(move |journal| journal.append(&lines)).await
    }

    /// Writes beside the runtime: a disk may be slow, and other runs are not to wait for it.
    async fn write(
        &mut self,
        write: impl FnOnce(&mut Journal) -> io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let Some(Place { alloc_dir, task, tree }) = &self.place else { return Ok(()) };
        let mut journal = match self.journal.take() {
            Some(journal) => journal,
            // The thread that wrote last has panicked.
            None => Journal::open(alloc_dir, task, tree)?.0,
        };
        let (journal, result) = spawn_blocking(move || {
            let result = write(&mut journal);
            (journal, result)
        })
        .await
        .map_err(io::Error::other)?;
        self.journal = Some(journal);
        Ok(result?)
    }
}

fn values(lines: impl Iterator<Item = Line>) -> Result<Vec<Value>, Error> {
    Ok(lines.map(serde_json::to_value).collect::<Result<_, _>>()?)
}
