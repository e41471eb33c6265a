//! What a run of a tree keeps in its task's directory: what it began with, and what it remembers.
//!
//! ```text
//!   manifest, one line for each prepared jobspec, then the engine's entries as they come
//! ```
//!
//! A journal that is not understood is an error, and begins nothing: what a run did before stands in it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::{
    engine::Entry,
    jobspec::{Prepared, Spec},
    manifest::Manifest,
    record::journal::{self, Journal},
};

/// A line of the journal.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// What the user wrote.
    Manifest(Manifest),
    /// What a node submits.
    Spec {
        /// The node.
        node: String,
        /// Its job.
        spec: Box<Spec>,
    },
    /// What the engine remembers.
    Entry(Entry),
}

/// What an earlier process left behind.
#[derive(Debug, Default)]
pub(super) struct Past {
    pub(super) manifest: Option<Manifest>,
    pub(super) prepared: Prepared,
    pub(super) entries: Vec<Entry>,
}

impl Past {
    /// Whether the run came to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Ended { .. }))
    }
}

/// The memory of one run.
#[derive(Debug)]
pub(super) struct Memory {
    /// `None` while it is being written to, and before it is opened.
    journal: Option<Journal>,
    directory: PathBuf,
    tree: String,
    /// Whether the run that goes on is the one in the journal. Before that nothing is appended.
    is_begun: bool,
}

impl Memory {
    /// The memory of tree `tree` in the task's directory `directory`, and what is in it. Blocks for as long as reading
    /// a local file takes.
    ///
    /// # Errors
    ///
    /// When there is a journal, but it is not understood or cannot be read.
    pub(super) fn open(directory: &Path, tree: &str) -> Result<(Self, Past), journal::Error> {
        let (journal, lines) = Journal::open(directory, tree)?;
        let mut past = Past::default();
        for line in lines {
            match serde_json::from_value(line).map_err(journal::Error::garbled)? {
                Line::Manifest(manifest) => past.manifest = Some(manifest),
                Line::Spec { node, spec } => {
                    past.prepared.insert(node, *spec);
                }
                Line::Entry(entry) => past.entries.push(entry),
            }
        }
        let (directory, tree) = (directory.to_owned(), tree.to_owned());
        Ok((Self { journal: Some(journal), directory, tree, is_begun: false }, past))
    }

    /// Goes on with the run in the journal.
    pub(super) fn go_on(&mut self) {
        self.is_begun = true;
    }

    /// Forgets the run in the journal, and begins another.
    pub(super) async fn begin(&mut self, manifest: &Manifest, prepared: &Prepared) -> Result<(), journal::Error> {
        let specs = prepared.iter().map(|(node, spec)| Line::Spec { node: node.clone(), spec: Box::new(spec.clone()) });
        let lines = values([Line::Manifest(manifest.clone())].into_iter().chain(specs))?;
        self.write(move |journal| journal.replace(&lines)).await?;
        self.is_begun = true;
        Ok(())
    }

    /// Appends entries, all or none, so that a crash does not lose them.
    pub(super) async fn append(&mut self, entries: Vec<Entry>) -> Result<(), journal::Error> {
        if !self.is_begun || entries.is_empty() {
            return Ok(());
        }
        let lines = values(entries.into_iter().map(Line::Entry))?;
        self.write(move |journal| journal.append(&lines)).await
    }

    /// Writes beside the runtime: a disk may be slow, and other runs are not to wait for it.
    async fn write(
        &mut self,
        write: impl FnOnce(&mut Journal) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), journal::Error> {
        let mut journal = match self.journal.take() {
            Some(journal) => journal,
            None => Journal::open(&self.directory, &self.tree)?.0,
        };
        let (journal, result) = spawn_blocking(move || {
            let result = write(&mut journal);
            (journal, result)
        })
        .await
        .map_err(|panicked| journal::Error::from(std::io::Error::other(panicked)))?;
        self.journal = Some(journal);
        result.map_err(journal::Error::from)
    }
}

fn values(lines: impl Iterator<Item = Line>) -> Result<Vec<Value>, journal::Error> {
    lines.map(serde_json::to_value).collect::<Result<_, _>>().map_err(journal::Error::garbled)
}
