//! A stopped job of a tree: whether it is gone, and still stopped.

use super::memory::Stopped;
use crate::cluster::Sight;

/// How many allocations that still run are named.
const NAMED: usize = 3;

/// A stopped job.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    pub(super) memory: Stopped,
    /// Whether this run has stopped it.
    pub(super) is_ours: bool,
    /// Whether nothing of it ran when it was last seen.
    pub(super) is_gone: bool,
    pub(super) purge: Purge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purge {
    Open,
    UnderWay,
    Done,
}

impl Leaving {
    pub(super) fn new(memory: Stopped, is_ours: bool) -> Self {
        Self { memory, is_ours, is_gone: false, purge: Purge::Open }
    }

    /// Finds out whether it is gone, and what is in the way; the error is what somebody has done to it.
    pub(super) fn judge(&mut self, sight: &Sight) -> Result<String, String> {
        let sight = match sight {
            // What is gone does not come back by itself.
            Sight::Unseen(unseen) => return Ok(unseen.why.clone()),
            Sight::Absent { .. } => {
                self.is_gone = true;
                if self.purge == Purge::Open {
                    self.purge = Purge::Done;
                }
                return Ok(String::new());
            }
            Sight::Present(sight) => sight,
        };
        let (job, doomed) = (&sight.job, &self.memory.doomed);
        if job.create_index > doomed.create_index {
            return Err("it was registered anew by someone else while the tree was stopped".to_owned());
        }
        if job.create_index < doomed.create_index || job.job_modify_index < self.memory.at {
            return Ok("Nomad does not show yet that it is stopped".to_owned());
        }
        if !job.is_stopped {
            return Err(format!(
                "it was started again by someone else, as version {}, while the tree was stopped",
                job.version
            ));
        }
        let ending: Vec<String> = sight
            .allocations
            .values()
            .filter(|allocation| !allocation.status.is_terminal())
            .map(|allocation| allocation.id.short().to_owned())
            .collect();
        self.is_gone = ending.is_empty();
        let named = ending.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        Ok(match ending.len().saturating_sub(NAMED) {
            0 => format!("stopped, {} still ending: allocation {named}", ending.len()),
            more => format!("stopped, {} still ending: allocations {named} and {more} more", ending.len()),
        })
    }
}
