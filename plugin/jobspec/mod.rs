//! Prepares the jobspecs of a tree: read, parsed by Nomad, checked, hashed, before anything is written.
//!
//! ```text
//!   Tree ──▶ Files ──▶ text ──▶ Nomad parses ──▶ job ──▶ namespaces, rights, validation ──▶ Prepared
//! ```
//!
//! # Invariants
//!
//! * All problems of all nodes are told at once. A tree with problems prepares nothing.
//! * Nothing is written into Nomad: every question here only reads.
//! * A file of a task is read beneath its directory following no link ([`TaskDir`]), one of a user beneath the directory
//!   that the user names ([`DiskDir`]).
//! * What takes values from other nodes is prepared with stand-ins, and again when there are values ([`fill`]). Whose
//!   job it is does not depend on them.
//! * Equal specifications have equal hashes, also when a later Nomad shows more fields ([`Spec`]).
//!
//! What order the nodes have is `plan/`'s business.

mod carrier;
mod disk_dir;
mod dispatch;
mod draft;
mod fill;
mod filling;
mod hash;
mod hcl;
mod namespaces;
mod outcome;
mod outputs;
mod prepare;
mod rights;
mod said;
mod spec;
mod task_dir;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, future::Future};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

pub use carrier::{SUBMITTED, carrier, paths};
pub use disk_dir::DiskDir;
pub use fill::{Unfilled, fill};
pub use filling::Values;
pub use prepare::{MAX_NODES, prepare};
pub use rights::rights;
pub use spec::{Prepared, Spec, with_counts_of};
pub use task_dir::{TaskDir, Unreadable};

use crate::{
    cluster::{Job, JobKey, Namespace},
    manifest::{Problems, TaskPath, Tree},
    nomad,
};

/// Where a tree's jobspecs are.
#[derive(Clone, Debug)]
pub enum Files {
    /// In the directory of its task.
    Task(TaskDir),
    /// On the disk of whoever sits at the command line.
    Disk(DiskDir),
    /// In the templates of the tree's job, by the paths that they are put to.
    Carried(BTreeMap<String, String>),
    /// Read already: what each path came to.
    Read(BTreeMap<String, Result<String, Unreadable>>),
}

impl Files {
    /// The text of the file that the author calls `path`.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is none that can be used.
    pub fn read(&self, path: &str) -> Result<String, Unreadable> {
        match self {
            Self::Task(dir) => dir.read(path),
            Self::Disk(dir) => dir.read(path),
            Self::Carried(texts) => {
                let TaskPath { names, .. } =
                    TaskPath::new(path).map_err(|why| Unreadable { why, help: None })?;
                texts.get(&names.join("/")).cloned().ok_or_else(|| Unreadable {
                    why: "is in no template of the tree's job that stands for itself".to_owned(),
                    help: Some("`dtree stop FILE` reads it from the disk".to_owned()),
                })
            }
            Self::Read(texts) => texts.get(path).cloned().unwrap_or_else(|| Err(Unreadable::unread())),
        }
    }

    /// The same, with all jobspecs of `tree` read now, each once.
    #[must_use]
    pub fn read_all(&self, tree: &Tree) -> Self {
        Self::Read(paths(tree).map(|path| (path.to_owned(), self.read(path))).collect())
    }
}

/// What is asked of Nomad to prepare a tree.
pub trait Nomad: Sync {
    /// Turns a jobspec into a job. `variables` has a line `name = expression` for each value.
    ///
    /// The job is best left as the text says it (`Canonicalize: false`): Nomad's defaults change with its versions, and
    /// with them every hash would.
    ///
    /// The inner error is Nomad's text of what is wrong with the jobspec, all lines of it.
    fn parse(
        &self,
        namespace: &Namespace,
        hcl: &str,
        variables: &str,
    ) -> impl Future<Output = Result<Result<serde_json::Value, String>, nomad::Error>> + Send;

    /// What Nomad has against `job`; empty if nothing.
    fn validate(
        &self,
        namespace: &Namespace,
        job: &serde_json::Value,
    ) -> impl Future<Output = Result<Vec<String>, nomad::Error>> + Send;

    /// Whether there is such a namespace.
    fn namespace_exists(
        &self,
        namespace: &Namespace,
    ) -> impl Future<Output = Result<bool, nomad::Error>> + Send;

    /// Proves that jobs may be submitted in `namespace`; [`nomad::Error::is_denied`] tells that they may not.
    fn prove_submit(&self, namespace: &Namespace) -> impl Future<Output = Result<(), nomad::Error>> + Send;

    /// The registered job, or `None` where there is none.
    fn job(&self, key: &JobKey) -> impl Future<Output = Result<Option<Job>, nomad::Error>> + Send;
}

impl Nomad for nomad::Client {
    fn parse(
        &self,
        namespace: &Namespace,
        hcl: &str,
        variables: &str,
    ) -> impl Future<Output = Result<Result<serde_json::Value, String>, nomad::Error>> + Send {
        Self::parse(self, namespace, hcl, variables)
    }

    fn validate(
        &self,
        namespace: &Namespace,
        job: &serde_json::Value,
    ) -> impl Future<Output = Result<Vec<String>, nomad::Error>> + Send {
        Self::validate(self, namespace, job)
    }

    fn namespace_exists(
        &self,
        namespace: &Namespace,
    ) -> impl Future<Output = Result<bool, nomad::Error>> + Send {
        Self::namespace_exists(self, namespace)
    }

    fn prove_submit(&self, namespace: &Namespace) -> impl Future<Output = Result<(), nomad::Error>> + Send {
        Self::prove_submit(self, namespace)
    }

    fn job(&self, key: &JobKey) -> impl Future<Output = Result<Option<Job>, nomad::Error>> + Send {
        Self::job(self, key)
    }
}

/// Why a tree could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the author has to mend: all of it.
    #[error(transparent)]
    Problems(Problems),
    /// Nomad did not answer, which says nothing of the tree. Worth trying again if it is transient.
    #[error(transparent)]
    Nomad(#[from] nomad::Error),
}

/// How many requests are under way at a time. Nomad parses on its agents, and allows 100 connections from one address.
const AT_A_TIME: usize = 8;

/// Answers in the order of the questions, a few questions at a time.
async fn each<T>(
    questions: impl Iterator<Item = impl Future<Output = Result<T, nomad::Error>> + Send>,
) -> Result<Vec<T>, nomad::Error> {
    let questions: Vec<_> = questions.collect();
    stream::iter(questions).buffered(AT_A_TIME).try_collect().await
}
