//! A tree's record for whoever only looks: nothing is led, locked or written.

use serde_json::Value;

use super::{
    header::{Header, Unread, read_chunk},
    ledger::{Ledger, Note},
    path,
    process::Process,
};
use crate::{
    cluster::{Namespace, RunId, TreeName},
    nomad::{Client, Error},
};

/// What stands in a tree's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The run; `None` when none was begun.
    pub run: Option<RunId>,
    /// The allocation that leads the tree, or has led it last.
    pub holder: String,
    /// The process at a command line that it is, where it is one.
    pub process: Option<Process>,
    /// Whether it leads now; `None` when that is not shown to who asks.
    pub is_led: Option<bool>,
    /// What the run remembers, in the order in which it was written.
    pub notes: Vec<Note>,
}

/// Why a record is not shown.
#[derive(Debug, thiserror::Error)]
pub enum Hidden {
    /// Nomad did not show it.
    #[error(transparent)]
    Nomad(#[from] Error),
    /// It is not understood.
    #[error("the record `{path}` in Nomad's Variables {why}")]
    Unread {
        /// Where it stands.
        path: String,
        /// A verb phrase.
        why: String,
    },
}

/// The record of `tree`, whose job is in `namespace`; `None` when there is none.
pub async fn shown(client: &Client, namespace: &Namespace, tree: &TreeName) -> Result<Option<Shown>, Hidden> {
    let path = path::header(tree);
    let Some(head) = client.variable(namespace, &path).await? else { return Ok(None) };
    let unread = |unread: Unread| Hidden::Unread {
        path: path.clone(),
        why: match unread {
            Unread::Newer(version) => {
                format!("has the format {version}, which a later dtree has written: use that one")
            }
            Unread::Damaged(item) => format!("is damaged: `{item}` is missing, or is not what it should be"),
        },
    };
    let header = Header::read(&head.items).map_err(unread)?;
    let mut chunks = Vec::new();
    if let Some((run, _)) = &header.run {
        for n in 0..header.n_chunks {
            if let Some(chunk) = client.variable(namespace, &path::chunk(tree, n)).await? {
                chunks.push(read_chunk(&chunk.items, run).map_err(unread)?);
            }
        }
    }
    let lock = client.variable(namespace, &path::lock(tree)).await?;
    let is_led = match &lock {
        Some(lock) if lock.lock.is_some() => Some(true),
        Some(_) if !client.sees_locks().await? => None,
        Some(_) | None => Some(false),
    };
    Ok(Some(Shown {
        run: header.run.map(|(run, _)| run),
        holder: header.term.alloc.to_string(),
        process: lock.as_ref().and_then(|lock| Process::of(&lock.items)),
        is_led,
        notes: Ledger::of(chunks).notes(),
    }))
}

/// How the last runs of `tree` have ended, the oldest first.
pub async fn past_runs(client: &Client, namespace: &Namespace, tree: &TreeName) -> Result<Vec<Value>, Error> {
    let found = client.variable(namespace, &path::history(tree)).await?;
    let runs = found.as_ref().and_then(|found| found.items.get("runs"));
    Ok(runs.and_then(|runs| serde_json::from_str(runs).ok()).unwrap_or_default())
}
