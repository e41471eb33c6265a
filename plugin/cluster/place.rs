//! Where a task stands in Nomad.

use super::{AllocId, JobKey, Namespace};

/// A task of ours, as Nomad names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The job it belongs to.
    pub job: JobKey,
    /// Its group; empty where it is no task but a process at a command line.
    pub group: String,
    /// Its allocation.
    pub alloc: AllocId,
    /// Its own name.
    pub task: String,
}

impl Place {
    /// Where somebody looks from who is no task: a user at a command line, in `namespace`.
    pub fn outside(namespace: Namespace) -> Self {
        let job = JobKey { namespace, job: "".into() };
        Self { job, group: String::new(), alloc: "".into(), task: "dtree".to_owned() }
    }

    /// Where a process at a command line stands that carries out a tree as a task of `job` would; `alloc` is what it is
    /// known by.
    pub fn at_shell(job: JobKey, alloc: AllocId, task: &str) -> Self {
        Self { job, group: String::new(), alloc, task: task.to_owned() }
    }

    /// Whether it is a process at a command line, which no `nomad alloc exec` reaches.
    pub fn is_at_shell(&self) -> bool {
        self.group.is_empty()
    }

    /// Whether it is no task that looks.
    pub fn is_outside(&self) -> bool {
        self.alloc.as_str().is_empty()
    }
}
